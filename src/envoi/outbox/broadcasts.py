"""This room keeps broadcasts: one message, its people in steps, and what was asked for meanwhile.

Pause, resume and cancel take effect with one row: from that commit on no claim takes a delivery
of a broadcast that is halted. The deliveries follow in steps (`sweep`), each one short
transaction that may be repeated, by the command that asked and, should it die, by a worker. So
fifty thousand waiting rows never lie in the way of a claim, and nobody has to finish what he
began.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import cast

from envoi.core.delivery import Delivery
from envoi.core.event import Event
from envoi.core.message import Composed, Message
from envoi.errors import NotFoundError, RefusedError
from envoi.outbox import put, records
from envoi.outbox import statements as st
from envoi.outbox.claim import messages
from envoi.outbox.route import EventClaim
from envoi.seams import Row, Tx

# One step of a sweep: large enough to be cheap, small enough that others write in between.
BATCH_ROWS = 1_000
# The mark of a delivery that is held because of its broadcast, and let go with it.
PAUSED_BECAUSE = "its broadcast is paused"


class Order(StrEnum):
    """What is asked of a broadcast."""

    GOING = "going"
    PAUSED = "paused"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A broadcast as it is kept beside its event.

    Args:
        event_id: Row id of its event; how people name it.
        message_id: Row id of its one message.
        newest: Person id of the last one there was; who came later is not reached.
        ordinal: Number of the last delivery within the message.
        order: What was asked for.
        is_swept: Whether its deliveries have followed.
        subject: Subject of its message.
        application: Whose it is.
        author: Login of who wrote it; empty for the operator.
        stored_by: Name of the system's user who did.
        stored_at_ms: When.
        changed_by: Who paused, resumed or cancelled it last; empty for nobody.
        changed_at_ms: When.
        is_finding: Whether its people are still being found.
        problem: Why finding them failed the last time; empty when it did not.
    """

    event_id: int
    message_id: int
    newest: str
    ordinal: int
    order: Order
    is_swept: bool
    subject: str
    application: str
    author: str
    stored_by: str
    stored_at_ms: int
    changed_by: str
    changed_at_ms: int
    is_finding: bool
    problem: str


_KEPT = """
    SELECT b.event_id, b.message_id, b.newest, b.ordinal, b.state, b.is_swept, m.subject,
        e.application, e.actor, b.stored_by, e.stored_at_ms, b.changed_by, b.changed_at_ms,
        e.state, e.problem
    FROM envoi_broadcast b
        JOIN envoi_event e ON e.id = b.event_id JOIN envoi_message m ON m.id = b.message_id"""


def put_broadcast(
    tx: Tx, event: Event, message: Message, *, newest: str, stored_by: str, now_ms: int
) -> Kept:
    """Store a broadcast with its message and nobody yet; its people are to be found.

    Args:
        tx: Open write transaction.
        event: What was typed.
        message: As composed.
        newest: Person id of the last one there is; empty where a directory cannot tell.
        stored_by: Name of the system's user.
        now_ms: The clock.
    """
    stored = put.put_event(tx, event, now_ms, to_route=event.facts)
    composed = Composed(message=replace(message, event_id=stored.id))
    row = {"event_id": stored.id, "message_id": put.put(tx, composed, ())}
    tx.execute(
        """INSERT INTO envoi_broadcast (event_id, message_id, newest, stored_by)
        VALUES (:event_id, :message_id, :newest, :stored_by)""",
        {**row, "newest": newest, "stored_by": stored_by},
    )
    return find(tx, stored.id)


def claim_finding(tx: Tx, event_id: int, event: Event, now_ms: int, lease_ms: int) -> EventClaim:
    """Lease a broadcast that was stored in this transaction, to find its people at once."""
    extended = {"id": event_id, "claims": 0, "now_ms": now_ms, "lease_ms": lease_ms}
    tx.execute(st.sql(tx.dialect).extend_event, extended)
    tx.execute("UPDATE envoi_event SET claims = 1 WHERE id = :id", {"id": event_id})
    return EventClaim(
        event_id=event_id,
        event=event,
        cursor="",
        claims=1,
        lease_ms=lease_ms,
        stored_at_ms=now_ms,
    )


def give_back_finding(tx: Tx, claim: EventClaim, now_ms: int) -> None:
    """Let a worker go on at once with a broadcast whose finder has to stop."""
    tx.execute(
        st.POSTPONE_EVENT,
        {"id": claim.event_id, "claims": claim.claims, "due_at_ms": now_ms, "problem": ""},
    )


def put_people(tx: Tx, kept: Kept, message: Message, deliveries: Sequence[Delivery]) -> None:
    """Add deliveries to a broadcast's message, numbered on; none is due before all are found."""
    rows = [
        records.delivery_row(replace(delivery, ordinal=ordinal), st.FAR_FUTURE_MS)
        for ordinal, delivery in enumerate(deliveries, start=kept.ordinal + 1)
    ]
    if not rows:
        return
    belonging = {"message_id": kept.message_id, "event_id": kept.event_id}
    tx.execute(
        st.sql(tx.dialect).put_deliveries,
        {**belonging, "application": message.application, "rows": records.packed_rows(rows)},
    )
    tx.execute(
        "UPDATE envoi_broadcast SET ordinal = :ordinal WHERE event_id = :event_id",
        {"event_id": kept.event_id, "ordinal": kept.ordinal + len(rows)},
    )


def message_of(tx: Tx, kept: Kept) -> Message:
    """Return a broadcast's message."""
    return messages(tx, [kept.message_id])[kept.message_id].message


def is_broadcast(tx: Tx, event_id: int) -> bool:
    """Whether an event is a broadcast of ours, whatever its kind is called."""
    sql = "SELECT 1 FROM envoi_broadcast WHERE event_id = :event_id"
    return bool(tx.execute(sql, {"event_id": event_id}))


def find(tx: Tx, event_id: int) -> Kept:
    """Return a broadcast.

    Raises:
        NotFoundError: There is none of this id.
    """
    rows = tx.execute(f"{_KEPT} WHERE b.event_id = :event_id", {"event_id": event_id})
    if not rows:
        raise NotFoundError(
            f"broadcast {event_id}: expected one of `envoi broadcast list`, found none"
        )
    return _kept(rows[0])


def listed(tx: Tx, *, application: str = "", limit: int = 20, before_id: int = 0) -> list[Kept]:
    """Return broadcasts, newest first.

    Args:
        tx: Where to read.
        application: Only its own; empty: all.
        limit: At most so many.
        before_id: Only older ones than this; 0: from the newest.
    """
    where = " WHERE (:application = '' OR e.application = :application)"
    where += " AND (:before_id = 0 OR b.event_id < :before_id)"
    params = {"application": application, "before_id": before_id, "limit": limit}
    rows = tx.execute(f"{_KEPT}{where} ORDER BY b.event_id DESC LIMIT :limit", params)
    return [_kept(row) for row in rows]


def order(tx: Tx, event_id: int, wanted: Order, who: str, now_ms: int) -> None:
    """Write down what is asked of a broadcast; from the commit on no claim acts against it.

    A cancellation ends the search for people: whoever searches loses his lease.

    Raises:
        NotFoundError: There is none of this id.
        RefusedError: It is cancelled already, which nothing takes back.
    """
    before = _locked(tx, event_id)
    if before is None:
        find(tx, event_id)
    if before is Order.CANCELLED:
        raise RefusedError(
            f"broadcast {event_id} is cancelled; what was taken back can be sent with "
            f"`envoi outbox retry --all --event {event_id} --state cancelled`"
        )
    tx.execute(
        """UPDATE envoi_broadcast SET state = :state, is_halted = :is_halted, is_swept = 0,
            changed_at_ms = :now_ms, changed_by = :who WHERE event_id = :event_id""",
        {
            "state": wanted.value,
            "is_halted": int(wanted is not Order.GOING),
            "now_ms": now_ms,
            "who": who,
            "event_id": event_id,
        },
    )
    if wanted is Order.CANCELLED:
        tx.execute(
            """UPDATE envoi_event SET state = 'routed', lease_until_ms = 0, problem = ''
            WHERE id = :event_id AND state = 'to_route'""",
            {"event_id": event_id},
        )


def sweep_again(tx: Tx, event_id: int) -> None:
    """Let the deliveries of a halted broadcast be looked through once more: people were added."""
    tx.execute(
        "UPDATE envoi_broadcast SET is_swept = 0 WHERE event_id = :event_id AND is_halted = 1",
        {"event_id": event_id},
    )


def unswept(tx: Tx, behind: int = 0) -> int:
    """Return the next broadcast whose deliveries have not followed its order yet; 0 for none.

    Args:
        tx: Where to read.
        behind: Only one behind this; so that none that takes long keeps the others waiting.
    """
    sql = "SELECT MIN(event_id) FROM envoi_broadcast WHERE is_swept = 0 AND event_id > :behind"
    return cast("int", tx.execute(sql, {"behind": behind})[0][0] or 0)


def sweep(tx: Tx, event_id: int, after: str, now_ms: int) -> str | None:
    """Let at most 1,000 deliveries follow what is asked of their broadcast.

    Args:
        tx: Open write transaction.
        event_id: Which broadcast.
        after: Address behind which this step begins; empty at the start.
        now_ms: The clock.

    Returns:
        Where the next step begins; None when all of them were looked through. What a connection
        had then is not lost: a cancelled broadcast stays to be swept until that is settled.
    """
    wanted = _locked(tx, event_id)
    if wanted is None:
        return None
    place = {"event_id": event_id, "after": after}
    bound = tx.execute(st.NEXT_ADDRESS, {**place, "offset": BATCH_ROWS - 1})
    params = {**place, "now_ms": now_ms, "because": PAUSED_BECAUSE}
    if bound:
        last = str(bound[0][0])
        tx.execute(f"{_MOVES[wanted]} AND address <= :last", {**params, "last": last})
        return last
    tx.execute(_MOVES[wanted], params)
    _end_sweep(tx, event_id, wanted)
    return None


_MOVES = {
    # Those in doubt stay so; the claim passes over them as well.
    Order.PAUSED: """
        UPDATE envoi_delivery SET state = 'held', last_reply = :because, settled_at_ms = :now_ms
        WHERE event_id = :event_id AND address > :after AND state = 'queued'""",
    # From the start, as every release by hand: patience counts from now on.
    Order.GOING: """
        UPDATE envoi_delivery SET state = 'queued', created_at_ms = :now_ms, refusals = 0,
            last_reply = COALESCE((SELECT a.reply FROM envoi_attempt a
                WHERE a.delivery_id = envoi_delivery.id ORDER BY a.id DESC LIMIT 1), '')
        WHERE event_id = :event_id AND address > :after
            AND state = 'held' AND (last_reply = :because OR settled_at_ms = 0)""",
    Order.CANCELLED: """
        UPDATE envoi_delivery SET state = 'cancelled', settled_at_ms = :now_ms
        WHERE event_id = :event_id AND address > :after
            AND state IN ('queued', 'uncertain', 'held')""",
}


def _end_sweep(tx: Tx, event_id: int, wanted: Order) -> None:
    if wanted is Order.CANCELLED and _is_under_way(tx, event_id):
        return
    # The operator may send what was taken back again, one by one: then a claim must find it.
    is_halted = int(wanted is Order.PAUSED)
    tx.execute(
        """UPDATE envoi_broadcast SET is_swept = 1, is_halted = :is_halted
        WHERE event_id = :event_id""",
        {"event_id": event_id, "is_halted": is_halted},
    )


def _is_under_way(tx: Tx, event_id: int) -> bool:
    sql = "SELECT 1 FROM envoi_delivery WHERE state = 'sending' AND event_id = :event_id LIMIT 1"
    return bool(tx.execute(sql, {"event_id": event_id}))


def _locked(tx: Tx, event_id: int) -> Order | None:
    sql = "SELECT state FROM envoi_broadcast WHERE event_id = :event_id"
    rows = tx.execute(f"{sql} {st.sql(tx.dialect).lock}", {"event_id": event_id})
    return Order(str(rows[0][0])) if rows else None


def _kept(row: Row) -> Kept:
    (
        event_id, message_id, newest, ordinal, state, is_swept, subject, application, author,
        stored_by, stored_at_ms, changed_by, changed_at_ms, event_state, problem,
    ) = row  # fmt: skip
    return Kept(
        event_id=cast("int", event_id),
        message_id=cast("int", message_id),
        newest=str(newest),
        ordinal=cast("int", ordinal),
        order=Order(str(state)),
        is_swept=bool(is_swept),
        subject=str(subject),
        application=str(application),
        author=str(author),
        stored_by=str(stored_by),
        stored_at_ms=cast("int", stored_at_ms),
        changed_by=str(changed_by),
        changed_at_ms=cast("int", changed_at_ms),
        is_finding=event_state == "to_route",
        problem=str(problem),
    )
