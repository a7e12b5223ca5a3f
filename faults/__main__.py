"""This room is the door of `python -m faults`."""

import sys

from faults.program import main

if __name__ == "__main__":
    sys.exit(main())
