"""This room leases events that are still to be routed, and ends their routing.

An event with a large audience is stored alone; a worker finds its people in chunks, each with
its cursor in one transaction, so a crash loses nothing and repeats nothing. Its deliveries are
due in the year 9999 until the audience is complete; then they become due in batches. The last
batch marks the event routed and deletes its real facts. Repeating any step changes nothing.
"""

from dataclasses import dataclass
from typing import cast

from envoi.core.event import Event
from envoi.errors import RefusedError
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.seams import Tx

# Large enough to be cheap, small enough that another process's write waits milliseconds.
BATCH_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventClaim:
    """An event leased for routing.

    Args:
        event_id: Row id.
        event: With its real facts.
        cursor: Id of the last person whose delivery is stored; empty at the start.
        claims: The fence.
        lease_ms: How long the lease runs from each `keep_cursor`.
        stored_at_ms: When it was handed over.
    """

    event_id: int
    event: Event
    cursor: str
    claims: int
    lease_ms: int
    stored_at_ms: int


def claim_event(tx: Tx, now_ms: int, lease_ms: int) -> EventClaim | None:
    """Lease the next event to be routed; None when there is none."""
    rows = tx.execute(st.sql(tx.dialect).claim_event, {"now_ms": now_ms, "lease_ms": lease_ms})
    if not rows:
        return None
    (event_id, application, kind, actor, subject, key, facts, people, occurred, stored, cursor,
     claims) = rows[0]  # fmt: skip
    sealed = tx.execute(st.SEALED_FACTS, {"event_id": event_id})
    real = str(sealed[0][0]) if sealed else str(facts)
    return EventClaim(
        event_id=cast("int", event_id),
        event=records.event_of((application, kind, actor, subject, key, people, occurred), real),
        cursor=str(cursor),
        claims=cast("int", claims),
        lease_ms=lease_ms,
        stored_at_ms=cast("int", stored),
    )


def keep_cursor(tx: Tx, claim: EventClaim, cursor: str, now_ms: int) -> None:
    """Note how far routing got and extend the lease, in the chunk's own transaction.

    Raises:
        RefusedError: The lease was lost; the transaction must roll back, somebody else routes.
    """
    fence = {"id": claim.event_id, "claims": claim.claims}
    extended = {**fence, "now_ms": now_ms, "lease_ms": claim.lease_ms}
    _require(claim, tx.execute(st.sql(tx.dialect).extend_event, extended))
    tx.execute(st.KEEP_CURSOR, {**fence, "cursor": cursor})


def postpone_event(tx: Tx, claim: EventClaim, due_at_ms: int, problem: str) -> bool:
    """Give an event back that cannot be routed now; whether the lease was still ours."""
    params = {"id": claim.event_id, "claims": claim.claims}
    return bool(
        tx.execute(st.POSTPONE_EVENT, {**params, "due_at_ms": due_at_ms, "problem": problem})
    )


def finish_routing(tx: Tx, claim: EventClaim, now_ms: int, after: str = "") -> str | None:
    """Make at most 1,000 deliveries of a routed event due; with the last its real facts go.

    Args:
        tx: Open write transaction.
        claim: The event.
        now_ms: The clock.
        after: Address behind which this step begins; empty at the start.

    Returns:
        Where the next step begins; None when the event is routed.

    Raises:
        RefusedError: The lease was lost; who has it now finishes.
    """
    fence = {"id": claim.event_id, "claims": claim.claims}
    extended = {**fence, "now_ms": now_ms, "lease_ms": claim.lease_ms}
    _require(claim, tx.execute(st.sql(tx.dialect).extend_event, extended))
    place = {"event_id": claim.event_id, "after": after}
    bound = tx.execute(st.NEXT_ADDRESS, {**place, "offset": BATCH_ROWS - 1})
    due = {**place, "now_ms": now_ms, "far_future_ms": st.FAR_FUTURE_MS}
    if bound:
        tx.execute(st.MAKE_DUE_UP_TO, {**due, "last": bound[0][0]})
        return str(bound[0][0])
    tx.execute(st.MAKE_DUE, due)
    tx.execute(st.EVENT_ROUTED, fence)
    tx.execute(st.DROP_SEALED_FACTS, {"event_id": claim.event_id})
    return None


def _require(claim: EventClaim, rows: object) -> None:
    if not rows:
        raise RefusedError(
            f"event {claim.event_id}: the lease was lost while routing; another worker routes it"
        )
