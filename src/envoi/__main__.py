"""This room lets `python -m envoi` be the command line."""

import sys

from envoi.cli import main

if __name__ == "__main__":
    sys.exit(main())
