"""This room holds the table of all settings: one row per key.

Parsing, the listing with origins, the starter file and `docs/reference/settings.md` all come from
here; a key that is not in this table does not exist. Types and defaults stand in `sections.py`.
"""

from collections.abc import Mapping

from envoi.settings import directory_rows, keeping_rows, relay_rows, retention_rows, speaking_rows
from envoi.settings.row import SECTIONS, Row

__all__ = ["ROWS", "SECTIONS", "Row", "rows_of"]

ROWS: tuple[Row, ...] = (
    *speaking_rows.ROWS,
    *relay_rows.ROWS,
    *directory_rows.ROWS,
    *keeping_rows.ROWS,
    *retention_rows.ROWS,
)


def rows_of(section: str) -> Mapping[str, Row]:
    """Return the rows of a section by the name of the key."""
    return {row.name: row for row in ROWS if row.section == section}
