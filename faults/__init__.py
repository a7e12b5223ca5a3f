"""This room breaks what Envoi stands on, row by row, and counts what became of the mail.

`python -m faults` runs every fault of the catalogue against real worker processes, a real relay
in a process of its own and a real database, and prints a table. What it means stands in
`docs/explanation/faults.md`.
"""
