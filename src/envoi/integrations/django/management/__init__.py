"""This room holds the commands of `manage.py`."""
