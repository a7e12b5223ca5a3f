"""This room carries mail out of the house: to a relay by SMTP, or into a folder or memory."""
