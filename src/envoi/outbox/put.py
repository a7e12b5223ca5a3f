"""This room stores: an event, its messages, their deliveries, and who was skipped (step 8)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envoi.core.delivery import Delivery
from envoi.core.event import Event
from envoi.core.kind import Plain
from envoi.core.message import Composed
from envoi.core.routing import Skipped
from envoi.errors import OutboxUnavailableError
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.seams import Params, Tx

# PostgreSQL indexes no text beyond 2,700 octets, and a host's table may hold any login.
MAX_LABEL_CHARS = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """Where an event lies.

    Args:
        id: Row id.
        uid: 32 hexadecimal digits, unique in the world.
        is_new: False when its key was stored before; then nothing was written.
    """

    id: int
    uid: str
    is_new: bool


def fresh_uid(now_ms: int) -> str:
    """Return 32 hexadecimal digits that nobody has used before: the time, then 80 random bits.

    In the order of time they come to lie side by side in their indexes. Among a million random
    ones each would change a page of its own, which must be read and written for it alone.
    """
    return f"{now_ms:012x}{os.urandom(10).hex()}"


def put_event(
    tx: Tx,
    event: Event,
    now_ms: int,
    *,
    to_route: Mapping[str, Plain] | None = None,
    uid: str = "",
) -> StoredEvent:
    """Store an event once, however often and from wherever its key is handed in.

    Args:
        tx: Open transaction.
        event: With its secrets masked.
        now_ms: The clock.
        to_route: The real facts, when a worker is to find the recipients later; kept apart until
            it has. None: the event's deliveries are stored in the same transaction.
        uid: Unique id of an event that was kept elsewhere before; empty: a fresh one.

    Raises:
        OutboxUnavailableError: Another transaction stores the same key at this moment and the
            caller's isolation level hides its result.
    """
    uid = uid or fresh_uid(now_ms)
    state = "routed" if to_route is None else "to_route"
    params = records.event_params(event)
    params.update(uid=uid, stored_at_ms=now_ms, state=state, due_at_ms=now_ms)
    rows = tx.execute(st.PUT_EVENT, params)
    if not rows:
        return _stored_before(tx, params)
    event_id = _id(rows[0][0])
    if to_route is not None and dict(to_route) != dict(event.facts):
        sealed = {"message_id": None, "event_id": event_id}
        tx.execute(st.PUT_SEALED, {**sealed, "content": records.packed(dict(to_route))})
    return StoredEvent(id=event_id, uid=uid, is_new=True)


def put(
    tx: Tx, composed: Composed, deliveries: Sequence[Delivery], *, is_routing: bool = False
) -> int:
    """Store a message with its deliveries; return its row id.

    An address that the event has mailed already is passed over: one event never mails one
    address twice, whatever chose it.

    Args:
        tx: Open transaction.
        composed: The message, its `event_id` set, with its sealed words.
        deliveries: One per recipient.
        is_routing: Whether more recipients follow; then nothing is due before `finish_routing`.
    """
    message = composed.message
    [[row_id]] = tx.execute(st.PUT_MESSAGE, records.message_params(composed))
    message_id = _id(row_id)
    if composed.sealed is not None:
        content = records.packed_words(composed.sealed)
        sealed = {"message_id": message_id, "event_id": None, "content": content}
        tx.execute(st.PUT_SEALED, sealed)
    tx.execute_many(st.PUT_ATTACHMENT, records.attachment_params(message_id, message.attachments))
    rows = [
        records.delivery_row(delivery, st.FAR_FUTURE_MS if is_routing else delivery.due_at_ms)
        for delivery in deliveries
    ]
    belonging = {"message_id": message_id, "event_id": message.event_id}
    _put_deliveries(tx, {**belonging, "application": message.application}, rows)
    return message_id


def put_decisions(tx: Tx, event_id: int, skipped: Sequence[Skipped]) -> None:
    """Store who was considered and not told, with the reason."""
    if not skipped:
        return
    rows = [
        (item.sender, item.person.id, item.person.label[:MAX_LABEL_CHARS], item.because.stored)
        for item in skipped
    ]
    params = {"event_id": event_id, "rows": records.packed_rows(rows)}
    tx.execute(st.sql(tx.dialect).put_decisions, params)


def told(tx: Tx, event_id: int, addresses: Sequence[str]) -> dict[str, str]:
    """Return which of these addresses the event mails already, with the name of who has it."""
    if not addresses:
        return {}
    words = records.packed_rows([(address,) for address in addresses])
    params = {"event_id": event_id, "rows": words}
    rows = tx.execute(st.sql(tx.dialect).told, params)
    return {str(address): str(name or address) for address, name in rows}


def _put_deliveries(tx: Tx, belonging: Params, rows: Sequence[Sequence[object]]) -> None:
    if len(rows) == 1:
        tx.execute(st.PUT_DELIVERY, {**belonging, **records.delivery_params(rows[0])})
    elif rows:
        packed = records.packed_rows(rows)
        tx.execute(st.sql(tx.dialect).put_deliveries, {**belonging, "rows": packed})


def _stored_before(tx: Tx, params: Mapping[str, object]) -> StoredEvent:
    named = {name: params[name] for name in ("uid", "application", "key")}
    rows = tx.execute(st.FIND_EVENT, named)
    if not rows:
        raise OutboxUnavailableError(
            f"event with key {params['key']!r}: another transaction stores it at this moment; "
            "hand it in again"
        )
    return StoredEvent(id=_id(rows[0][0]), uid=str(rows[0][1]), is_new=False)


def _id(value: object) -> int:
    return int(str(value))
