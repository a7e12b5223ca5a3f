"""This room counts what became of a broadcast's people, and names those who got nothing."""

from dataclasses import dataclass

from envoi.core.broadcast import Report
from envoi.core.reason import Because
from envoi.outbox.broadcasts import PAUSED_BECAUSE, Kept
from envoi.seams import Tx

# How many different replies and people a report names; the counts are of all.
MAX_REPLIES = 20

# A relay's own refusal begins with its code; whatever else ended a delivery is our giving up.
_COUNTS = """
    SELECT CASE WHEN state = 'failed' AND substr(last_reply, 1, 1) IN ('4', '5') THEN 'refused'
            WHEN state = 'failed' THEN 'given_up'
            WHEN state = 'held' AND last_reply = :paused THEN 'paused'
            WHEN state IN ('queued', 'sending') THEN 'waiting'
            ELSE state END AS became, COUNT(*)
    FROM envoi_delivery WHERE event_id = :event_id GROUP BY became
    UNION ALL
    SELECT CASE WHEN because IN ('inactive', 'no_address', 'unknown') THEN because
            WHEN substr(because, 1, 8) = 'unusable' THEN 'unusable'
            WHEN substr(because, 1, 12) = 'same_address' THEN 'folded'
            ELSE 'passed_over' END AS became, COUNT(*)
    FROM envoi_decision WHERE event_id = :event_id GROUP BY became"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Somebody who was to be told and is not.

    Args:
        name: Address, or the login of who has none.
        because: The relay's words, or ours.
    """

    name: str
    because: str


def report(tx: Tx, kept: Kept) -> Report:
    """Return the counts of a broadcast, all of one moment."""
    params = {"event_id": kept.event_id, "paused": PAUSED_BECAUSE}
    counts = {str(became): int(str(count)) for became, count in tx.execute(_COUNTS, params)}
    # A name that nobody has is no person.
    counts.pop("unknown", 0)
    return Report(is_finding=kept.is_finding, order=kept.order.value, **counts)


def replies(tx: Tx, kept: Kept) -> tuple[tuple[str, int], ...]:
    """Return in which words deliveries failed, with their number; the most frequent first."""
    rows = tx.execute(
        """SELECT last_reply, COUNT(*) FROM envoi_delivery
        WHERE event_id = :event_id AND state = 'failed'
        GROUP BY last_reply ORDER BY COUNT(*) DESC, last_reply LIMIT :limit""",
        {"event_id": kept.event_id, "limit": MAX_REPLIES},
    )
    return tuple((str(reply), int(str(count))) for reply, count in rows)


def failed(tx: Tx, kept: Kept, limit: int) -> tuple[Missed, ...]:
    """Return addresses that will never get it, with the last words about each."""
    rows = tx.execute(
        """SELECT address, last_reply FROM envoi_delivery
        WHERE event_id = :event_id AND state = 'failed' ORDER BY address LIMIT :limit""",
        {"event_id": kept.event_id, "limit": limit},
    )
    return tuple(Missed(name=str(address), because=str(reply)) for address, reply in rows)


def skipped(tx: Tx, kept: Kept, limit: int) -> tuple[Missed, ...]:
    """Return people who were considered and passed over, with the reason."""
    rows = tx.execute(
        """SELECT name, because FROM envoi_decision
        WHERE event_id = :event_id ORDER BY id LIMIT :limit""",
        {"event_id": kept.event_id, "limit": limit},
    )
    return tuple(
        Missed(name=str(name), because=str(Because.read(str(because)))) for name, because in rows
    )
