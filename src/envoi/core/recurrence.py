"""This room decides which of many equal errors are mailed, and counts all of them.

The first one is, then the second, the fourth, the eighth ... within a window; what was not is
counted in the next mail, and in a closing one when the window ends. So the mail of a storm grows
with its logarithm, and no error goes uncounted.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

# How long a storm is one: shorter windows begin anew too often, longer ones tell of the end late.
WINDOW_MS = 3_600_000
# The 4,096th is the thirteenth mail of a window; with the closing one an administrator has
# fourteen of a storm, however long it blows.
LAST_TOLD = 4_096


class Standing(StrEnum):
    """What somebody said of an incident."""

    OPEN = "open"
    MUTED = "muted"  # counted and never mailed
    RESOLVED = "resolved"  # believed to be mended; the next one is a regression


class News(StrEnum):
    """What an error of an incident is to those who are told."""

    NEW = "new"
    REGRESSED = "regressed"  # it came back after somebody resolved it
    AGAIN = "again"
    COUNTED = "counted"  # not mailed: there were enough of it in this window
    MUTED = "muted"  # not mailed: somebody muted it

    @property
    def is_told(self) -> bool:
        """Whether a mail tells of it."""
        return self in {News.NEW, News.REGRESSED, News.AGAIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """All errors that share a fingerprint, in one application.

    Args:
        application: Whose errors.
        fingerprint: What they share.
        error_type: Name of the exception's class.
        message: What the latest one said.
        place: Where it happened.
        release: Version of the application at the latest one; may be empty.
        standing: What somebody said of it.
        count: How many there were, ever.
        first_at_ms: When the first one happened.
        last_at_ms: When the latest one happened.
        window_ends_at_ms: When the window ends; 0 while none runs.
        window_count: How many there were in the window.
        held_back: How many were not mailed since the last mail.
    """

    application: str
    fingerprint: str
    error_type: str
    message: str = ""
    place: str = ""
    release: str = ""
    standing: Standing = Standing.OPEN
    count: int = 0
    first_at_ms: int = 0
    last_at_ms: int = 0
    window_ends_at_ms: int = 0
    window_count: int = 0
    held_back: int = 0


def seen(incident: Incident, now_ms: int, times: int = 1) -> tuple[Incident, News]:
    """Count one more error, or several at once; return the incident and whether a mail tells of it.

    Args:
        incident: As it was; one that was never seen has the count 0.
        now_ms: The clock.
        times: How many errors came together.
    """
    is_over = now_ms >= incident.window_ends_at_ms
    is_back = incident.standing is Standing.RESOLVED
    before = 0 if is_over or is_back else incident.window_count
    count = before + times
    ends_at_ms = incident.window_ends_at_ms if before else now_ms + WINDOW_MS
    news = _news(incident, before, count)
    after = replace(
        incident,
        standing=Standing.OPEN if is_back else incident.standing,
        count=incident.count + times,
        first_at_ms=incident.first_at_ms or now_ms,
        last_at_ms=now_ms,
        window_ends_at_ms=ends_at_ms,
        window_count=count,
        held_back=0 if news.is_told else incident.held_back + times,
    )
    return after, news


def closed(incident: Incident) -> Incident:
    """Return an incident whose window has ended, with nothing left to tell."""
    return replace(incident, window_ends_at_ms=0, window_count=0, held_back=0)


def _news(incident: Incident, before: int, after: int) -> News:
    if incident.standing is Standing.MUTED:
        return News.MUTED
    if incident.standing is Standing.RESOLVED:
        return News.REGRESSED
    if not incident.count:
        return News.NEW
    # Whether a power of two was reached on the way.
    is_told = before < LAST_TOLD and before.bit_length() < after.bit_length()
    return News.AGAIN if is_told else News.COUNTED
