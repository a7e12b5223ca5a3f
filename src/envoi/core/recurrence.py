"""This room decides which of many equal errors are mailed, and counts all of them.

The first one is, then the second, the fourth, the eighth ... within a window; what was not is
counted in the next mail, and in a closing one when the window ends. So the mail of a storm grows
with its logarithm, and no error goes uncounted.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from envoi.core.release import is_newer

# How long a storm is one: shorter windows begin anew too often, longer ones tell of the end late.
WINDOW_MS = 3_600_000
# The 4,096th is the thirteenth mail of a window; with the closing one an administrator has
# fourteen of a storm, however long it blows, and whatever else is told of it meanwhile.
MAX_TOLD = 13
# An incident remembers the releases that it was seen in: so many, the latest of them.
MAX_RELEASES = 20
MAX_RELEASE_CHARS = 100
# Resolved in whatever release comes next.
NEXT = "*"


class Standing(StrEnum):
    """What somebody said of an incident."""

    OPEN = "open"
    MUTED = "muted"  # counted and never mailed
    RESOLVED = "resolved"  # believed to be mended; the next one is a regression


class News(StrEnum):
    """What an error of an incident is to those who are told."""

    NEW = "new"
    REGRESSED = "regressed"  # it came back after it was resolved, or in a newer release
    AGAIN = "again"
    EXPECTED = "expected"  # not mailed: it is mended in a later release than this one
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
        releases: Those that it was seen in, the latest last.
        mended_in: Release that it is resolved in, `*` for the next one; empty: wherever it runs.
        muted_until_ms: When it is mailed again; 0: never.
        muted_until_count: From which count on it is mailed again; 0: never.
        window_told: How many mails told of it in the window.
        digest_since_ms: Since when a digest has to tell of it, as its own mail met the limit of
            all error mail; 0 where none has to.
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
    releases: tuple[str, ...] = ()
    mended_in: str = ""
    muted_until_ms: int = 0
    muted_until_count: int = 0
    window_told: int = 0
    digest_since_ms: int = 0


def seen(
    incident: Incident, now_ms: int, times: int = 1, release: str = ""
) -> tuple[Incident, News]:
    """Count one more error, or several at once; return the incident and whether a mail tells of it.

    Args:
        incident: As it was; one that was never seen has the count 0.
        now_ms: The clock.
        times: How many errors came together.
        release: Version of the application that they happened in; may be empty.
    """
    release = release[:MAX_RELEASE_CHARS]
    is_back = _is_back(incident, now_ms, times, release)
    is_over = is_back or now_ms >= incident.window_ends_at_ms
    before = replace(incident, window_count=0, window_told=0) if is_over else incident
    count = before.window_count + times
    news = _news(before, count, release, is_back=is_back)
    after = replace(
        before,
        count=before.count + times,
        first_at_ms=before.first_at_ms or now_ms,
        last_at_ms=now_ms,
        release=release,
        releases=_remembered(before.releases, release),
    )
    if news in {News.MUTED, News.EXPECTED}:
        # No window: its end would tell of what nobody wants to hear now.
        return replace(after, held_back=before.held_back + times), news
    after = replace(
        opened(after) if is_back else after,
        window_ends_at_ms=before.window_ends_at_ms if before.window_count else now_ms + WINDOW_MS,
        window_count=count,
    )
    if not news.is_told:
        return replace(after, held_back=before.held_back + times), news
    return replace(after, window_told=before.window_told + 1, held_back=0, digest_since_ms=0), news


def opened(incident: Incident) -> Incident:
    """Return an incident of which nothing is said any more."""
    return replace(
        incident, standing=Standing.OPEN, mended_in="", muted_until_ms=0, muted_until_count=0
    )


def closed(incident: Incident) -> Incident:
    """Return an incident whose window has ended; what waits for something else waits on."""
    waits = incident.digest_since_ms or incident.standing is Standing.MUTED
    held_back = incident.held_back if waits else 0
    return replace(
        incident, window_ends_at_ms=0, window_count=0, window_told=0, held_back=held_back
    )


def _news(incident: Incident, count: int, release: str, *, is_back: bool) -> News:
    if incident.standing is Standing.MUTED:
        return News.AGAIN if is_back else News.MUTED
    if incident.standing is Standing.RESOLVED:
        return News.REGRESSED if is_back else News.EXPECTED
    if not incident.count:
        return News.NEW
    if incident.window_told >= MAX_TOLD:
        return News.COUNTED
    if is_newer(release, incident.releases):
        return News.REGRESSED
    # Whether a power of two was reached on the way.
    is_told = incident.window_count.bit_length() < count.bit_length()
    return News.AGAIN if is_told else News.COUNTED


def _is_back(incident: Incident, now_ms: int, times: int, release: str) -> bool:
    """Whether what somebody said of an incident holds no longer."""
    if incident.standing is Standing.MUTED:
        is_late = 0 < incident.muted_until_ms <= now_ms
        return is_late or 0 < incident.muted_until_count <= incident.count + times
    if incident.standing is not Standing.RESOLVED:
        return False
    mended_in = incident.mended_in
    if mended_in == NEXT:
        return is_newer(release, incident.releases)
    # Release by release: an older one that still runs somewhere is no regression.
    return (
        mended_in in {"", release}
        or not release
        or is_newer(release, (*incident.releases, mended_in))
    )


def _remembered(releases: tuple[str, ...], release: str) -> tuple[str, ...]:
    if not release or release in releases:
        return releases
    return (*releases, release)[-MAX_RELEASES:]
