"""This room lists the rows, in the order of the table."""

from fnmatch import fnmatchcase

from faults import (
    relay_rows,
)
from faults.row import Row

ROWS: tuple[Row, ...] = (*relay_rows.ROWS,)


def row_of(row_id: str) -> Row:
    """Return a row.

    Raises:
        LookupError: There is none of that name.
    """
    for row in ROWS:
        if row.id == row_id:
            return row
    raise LookupError(f"--only: expected one of {', '.join(r.id for r in ROWS)}, got {row_id!r}")


def picked(patterns: tuple[str, ...]) -> tuple[Row, ...]:
    """Return the rows whose name fits one of the patterns, such as `R9` or `P*`.

    Raises:
        LookupError: A pattern fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(row.id, pattern) for row in ROWS):
            row_of(pattern)
    return tuple(row for row in ROWS if any(fnmatchcase(row.id, p) for p in patterns))
