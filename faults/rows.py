"""This room lists the rows, in the order of the table."""

from fnmatch import fnmatchcase

from faults import (
    clock_rows,
    crash_points,
    doubt_rows,
    file_rows,
    keeping_rows,
    load_rows,
    machine_rows,
    process_rows,
    profile_rows,
    relay_rows,
    server_rows,
    tls_rows,
)
from faults.row import Row

ROWS: tuple[Row, ...] = (
    *process_rows.ROWS,
    *crash_points.ROWS,
    *doubt_rows.ROWS,
    *file_rows.ROWS,
    *server_rows.ROWS,
    *keeping_rows.ROWS,
    *relay_rows.ROWS,
    *tls_rows.ROWS,
    *clock_rows.ROWS,
    *load_rows.ROWS,
    *profile_rows.ROWS,
    *machine_rows.ROWS,
)


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
