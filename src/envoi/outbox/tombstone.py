"""This room remembers what was removed, so that whoever asks for it hears why it is not there."""

from envoi.core.retention import day_of
from envoi.seams import Tx

_REMOVED_BEFORE = "removed_before_ms"


def removed_before_ms(tx: Tx) -> int:
    """Return before when events ended that were removed, some or all; 0 when none ever was."""
    rows = tx.execute("SELECT value FROM envoi_meta WHERE name = :name", {"name": _REMOVED_BEFORE})
    return int(str(rows[0][0])) if rows else 0


def note_removed(tx: Tx, before_ms: int) -> None:
    """Note that events which ended before this moment are removed."""
    tx.execute(
        """INSERT INTO envoi_meta (name, value) VALUES (:name, :value)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value
        WHERE CAST(envoi_meta.value AS BIGINT) < CAST(excluded.value AS BIGINT)""",
        {"name": _REMOVED_BEFORE, "value": str(before_ms)},
    )


def why_missing(tx: Tx) -> str:
    """Return why something may not be found, to be put behind the message; empty: no reason."""
    before_ms = removed_before_ms(tx)
    if not before_ms:
        return ""
    # A person may have asked for some states only, so not everything need be gone.
    day = day_of(before_ms)
    return f"; what ended before {day} may have been removed (retention.rows_days, envoi prune)"


def why_empty(removed_at_ms: int) -> str:
    """Return what became of content that is not there any more.

    Both names, because whether a worker's hour or a person was first is not kept.

    >>> why_empty(1_800_000_000_000)
    'its content was removed on 2027-01-15 (retention.content_days or envoi prune)'
    """
    day = day_of(removed_at_ms)
    return f"its content was removed on {day} (retention.content_days or envoi prune)"
