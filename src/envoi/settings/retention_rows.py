"""This room tells of the keys of `[retention]`: how long things are kept."""

from envoi.settings import readers
from envoi.settings.row import Row

# A hundred years: beyond, a number of days is a mistake for 0.
_DAYS = readers.integers(0, 36500)

ROWS: tuple[Row, ...] = (
    Row(
        "retention.content_days",
        _DAYS,
        "How long the words and files of mail are kept after the last delivery of their event "
        "has ended. Short ones cannot be read or sent again when somebody asks; long ones fill "
        "the disk. At most rows_days. 0: as long as the rows.",
    ),
    Row(
        "retention.rows_days",
        _DAYS,
        "How long events, deliveries, attempts and decisions are kept after that moment. Later "
        "`envoi explain` knows nothing of them, and a key that was used is taken as new. Never "
        "removed: what waits or is held. 0: for ever.",
    ),
    Row(
        "retention.audit_days",
        _DAYS,
        "How long it is known who used what only an administrator may. 0: for ever.",
    ),
    Row(
        "retention.incidents_days",
        _DAYS,
        "How long an error that does not come again is known; muted ones stay. Afterwards it is "
        "told of as new. 0: for ever.",
    ),
)
