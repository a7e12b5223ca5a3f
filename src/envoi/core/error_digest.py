"""This room makes the one mail that tells of errors for which there were too many mails.

Of very many different errors a few are mailed each (`limit` of the sender `error_report`); an hour
after the first one that was not, a digest counts all of those, the most frequent on top.
"""

from collections.abc import Iterable, Sequence

from envoi.core.event import Event
from envoi.core.incident import RECIPIENTS
from envoi.core.kind import Plain, clean_line
from envoi.core.recurrence import Incident

DIGEST_KIND = "error_digest"
# How long what the limit left is gathered for one mail.
DIGEST_MS = 3_600_000
# So many are listed in a mail; all of them stand in `envoi incidents list`.
MAX_LISTED = 50
MAX_TITLE_CHARS = 200


def error_digest(
    application: str,
    listed: Sequence[Incident],
    *,
    incidents: int,
    count: int,
    since_ms: int,
    recipients: Iterable[str],
) -> Event:
    """Return the event that tells of errors which had no mail of their own.

    Args:
        application: Whose errors.
        listed: Those that are named, with what was not told of each in `held_back`.
        incidents: How many different ones there were.
        count: How many errors of them.
        since_ms: When the first of them was not mailed.
        recipients: Addresses of those who are told.
    """
    return Event(
        kind=DIGEST_KIND,
        subject=f"error-digest/{application}",
        facts={
            "count": count,
            "incidents": incidents,
            "errors": [_row(incident) for incident in listed],
            "unlisted": incidents - len(listed),
            "since": since_ms,
        },
        people={RECIPIENTS: tuple(recipients)},
        application=application,
    )


def _row(incident: Incident) -> dict[str, Plain]:
    message = clean_line(incident.message)
    title = f"{incident.error_type}: {message}" if message else incident.error_type
    return {
        "title": title if len(title) <= MAX_TITLE_CHARS else f"{title[: MAX_TITLE_CHARS - 3]}...",
        "place": clean_line(incident.place),
        "count": incident.held_back,
        "incident": incident.fingerprint,
        "at": incident.last_at_ms,
    }
