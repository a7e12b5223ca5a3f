"""This room holds everything at once: nothing of a restored backup may leave unseen.

A backup knows nothing of what was sent after it was made. So before its first worker starts an
operator can hold whatever could leave: what waits, what a worker had in its hands, and events
whose people are still to be found. Each is let go, or cancelled, by hand.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias, cast

from envoi.core.delivery import Hold, Move, State
from envoi.outbox import claim as claiming
from envoi.outbox import statements as st
from envoi.outbox.claim import Settlement
from envoi.outbox.filters import Query
from envoi.seams import Tx

# One transaction of a long list, as with every verb by hand.
BATCH_ROWS = 1_000
# The mark of an event that is held; a worker's own trouble with it reads otherwise.
HELD_BECAUSE = "held by hand: `envoi outbox release --all` lets it go"
CANCELLED_BECAUSE = "cancelled by hand before its recipients were found"

Transaction: TypeAlias = Callable[[], AbstractContextManager[Tx]]

_HOLD_WAITING = """
    UPDATE envoi_delivery SET state = 'held', settled_at_ms = :now_ms
    WHERE id IN (SELECT id FROM envoi_delivery
        WHERE state IN ('queued', 'uncertain') LIMIT :limit)
        AND state IN ('queued', 'uncertain')
    RETURNING id"""
# One claim more: whoever routes it at this moment loses his lease.
_HOLD_EVENTS = """
    UPDATE envoi_event SET due_at_ms = :far_future_ms, problem = :because, lease_until_ms = 0,
        claims = claims + 1
    WHERE state = 'to_route' AND due_at_ms < :far_future_ms
    RETURNING id"""
_HELD_EVENTS = """
    SELECT id FROM envoi_event WHERE state = 'to_route' AND due_at_ms = :far_future_ms
        AND (:kind = '' OR kind = :kind)
        AND (:application = '' OR application = :application)
        AND (:event_id = 0 OR id = :event_id)
        AND stored_at_ms >= :since_ms"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAll:
    """What was held.

    Args:
        deliveries: How many deliveries.
        in_doubt: How many of them may have been sent: a worker had begun them.
        events: How many events whose recipients are still to be found.
    """

    deliveries: int
    in_doubt: int
    events: int


def hold_all(transaction: Transaction, now_ms: int) -> HeldAll:
    """Hold everything that could leave; events first, so that nothing new comes of them."""
    with transaction() as tx:
        params = {"far_future_ms": st.FAR_FUTURE_MS, "because": HELD_BECAUSE}
        events = len(tx.execute(_HOLD_EVENTS, params))
    waiting = sum(_steps(transaction, lambda tx: _hold_waiting(tx, now_ms)))
    begun: list[int] = []

    def step(tx: Tx) -> int:
        held = _hold_sending(tx, now_ms)
        begun.extend(held)
        return len(held)

    taken = sum(_steps(transaction, step))
    return HeldAll(deliveries=waiting + taken, in_doubt=sum(begun), events=events)


def held_events(tx: Tx, move: Move, query: Query) -> tuple[int, ...]:
    """Return the ids of held events that a move is meant for.

    Args:
        tx: Where to read.
        move: RELEASE or CANCEL; nothing else concerns an event.
        query: Which; one that names deliveries, addresses or relays means no event.
    """
    if move not in {Move.RELEASE, Move.CANCEL} or not _means_events(query):
        return ()
    wanted = {"kind": query.kind, "application": query.application}
    numbers = {"event_id": query.event_id, "since_ms": query.since_ms}
    rows = tx.execute(_HELD_EVENTS, {**wanted, **numbers, "far_future_ms": st.FAR_FUTURE_MS})
    return tuple(cast("int", row[0]) for row in rows)


def decide_events(tx: Tx, move: Move, query: Query, now_ms: int) -> int:
    """Let held events go, or cancel them; return how many."""
    ids = held_events(tx, move, query)
    is_released = move is Move.RELEASE
    for event_id in ids:
        tx.execute(
            """UPDATE envoi_event SET state = :state, due_at_ms = :now_ms, problem = :problem
            WHERE id = :id""",
            {
                "id": event_id,
                "state": "to_route" if is_released else "routed",
                "now_ms": now_ms,
                "problem": "" if is_released else CANCELLED_BECAUSE,
            },
        )
        if not is_released:
            tx.execute(st.DROP_SEALED_FACTS, {"event_id": event_id})
    return len(ids)


def _means_events(query: Query) -> bool:
    names_deliveries = query.ids or query.address or query.transport
    return not names_deliveries and (not query.states or State.HELD in query.states)


def _steps(transaction: Transaction, step: Callable[[Tx], int]) -> Sequence[int]:
    counts = [BATCH_ROWS]
    while counts[-1] == BATCH_ROWS:
        with transaction() as tx:
            counts.append(step(tx))
    return counts[1:]


def _hold_waiting(tx: Tx, now_ms: int) -> int:
    return len(tx.execute(_HOLD_WAITING, {"now_ms": now_ms, "limit": BATCH_ROWS}))


def _hold_sending(tx: Tx, now_ms: int) -> list[int]:
    """Hold what a worker had, and say so in an attempt; 1 for each that it had begun, else 0."""
    rows = tx.execute(
        f"""SELECT {st.DELIVERY_COLUMNS}, relay, begun, worker FROM envoi_delivery
        WHERE state = 'sending' ORDER BY id LIMIT :limit {st.sql(tx.dialect).lock}""",  # noqa: S608 # parameters only
        {"limit": BATCH_ROWS},
    )
    settlements: list[Settlement] = []
    for row in rows:
        doubt = "and may have sent it" if row[-2] else "and had not begun it"
        because = f"held by hand: worker {row[-1]} had it {doubt}"
        settlements.append(
            Settlement(claim=claiming.lost_claim(row), verdict=Hold(because=because))
        )
    claiming.settle(tx, settlements, now_ms)
    return [int(bool(row[-2])) for row in rows]
