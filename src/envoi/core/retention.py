"""This room says how long things are kept, and how a large removal goes in small steps."""

from dataclasses import dataclass
from datetime import UTC, datetime

from envoi.core.delivery import FINAL_STATES, State

DAY_MS = 86_400_000
# A step removes so many rows at most, and takes about so long: mail waits no longer for it.
MOST_ROWS, LEAST_ROWS = 500, 20
AIM_MS = 25
# Between two steps, so many times the step: the removal takes a fifth of the time at most.
RESTS = 4
LEAST_REST_MS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept; 0 is for ever.

    Args:
        content_ms: The words and files of mail, from the end of the last delivery.
        rows_ms: Events with their keys, deliveries, attempts and decisions, from the same moment;
            servers and processes that are gone.
        audit_ms: Notes of who used what only an administrator may.
        incidents_ms: Errors that did not come again, unless they are muted.
    """

    content_ms: int = 30 * DAY_MS
    rows_ms: int = 90 * DAY_MS
    audit_ms: int = 365 * DAY_MS
    incidents_ms: int = 365 * DAY_MS

    def cut(self, now_ms: int) -> "Cut":
        """Return what is old enough now."""
        return Cut(
            content_before_ms=_before(now_ms, self.content_ms),
            rows_before_ms=_before(now_ms, self.rows_ms),
            audit_before_ms=_before(now_ms, self.audit_ms),
            incidents_before_ms=_before(now_ms, self.incidents_ms),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What is removed: all that ended before these moments; 0: nothing.

    Args:
        content_before_ms: Words and files.
        rows_before_ms: Events with all that belongs to them.
        audit_before_ms: Notes of use.
        incidents_before_ms: Incidents.
        states: Only events all of whose deliveries are in one of these; final ones.
    """

    content_before_ms: int = 0
    rows_before_ms: int = 0
    audit_before_ms: int = 0
    incidents_before_ms: int = 0
    states: tuple[State, ...] = tuple(sorted(FINAL_STATES))

    @property
    def closes_before_ms(self) -> int:
        """Before when content goes: with its event at the latest."""
        return max(self.content_before_ms, self.rows_before_ms)

    @property
    def is_any_state(self) -> bool:
        """Whether every event that has ended is meant."""
        return frozenset(self.states) == FINAL_STATES


def next_rows(rows: int, took_ms: int) -> int:
    """Return how many rows the next step takes, after one of so many that took so long.

    >>> next_rows(500, 120), next_rows(250, 8), next_rows(250, 30)
    (250, 500, 250)
    """
    if took_ms > 2 * AIM_MS:
        return max(LEAST_ROWS, rows // 2)
    return min(MOST_ROWS, rows * 2) if took_ms < AIM_MS else rows


def rest_ms(took_ms: int) -> int:
    """Return how long others have the database to themselves after a step.

    >>> rest_ms(10)
    40
    """
    return max(LEAST_REST_MS, RESTS * took_ms)


def day_of(moment_ms: int) -> str:
    """Return the day of a moment, in UTC.

    >>> day_of(1_800_000_000_000)
    '2027-01-15'
    """
    return datetime.fromtimestamp(moment_ms / 1000, UTC).date().isoformat()


def _before(now_ms: int, kept_ms: int) -> int:
    return max(0, now_ms - kept_ms) if kept_ms else 0
