"""This room answers "why did I get this" and "why did I not", from what was stored with it."""

from dataclasses import dataclass
from typing import cast

from envoi.core.delivery import State
from envoi.core.event import Event
from envoi.core.routing import Because
from envoi.errors import NotFoundError
from envoi.outbox import records
from envoi.outbox.tombstone import why_missing
from envoi.seams import Params, Row, Tx

# The largest number of so many digits fits a BIGINT.
MAX_ID_DIGITS = 18
_EVENT = """SELECT id, uid, stored_at_ms, state, problem, removed_at_ms, facts,
    application, kind, actor, subject, key, people, occurred_at_ms FROM envoi_event"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Somebody who is told.

    Args:
        delivery_id: Row id.
        event_id: Of which event.
        sender: Which sender told him.
        person: Id in the directory.
        name: How he is called; may be empty.
        address: Where.
        because: Why he.
        state: What became of it.
    """

    delivery_id: int
    event_id: int
    sender: str
    person: str
    name: str
    address: str
    because: Because
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """Somebody who was considered and is not told.

    Args:
        event_id: Of which event.
        sender: Which sender considered him.
        person: Id in the directory.
        name: Login, or the address of an outsider.
        because: Why not.
    """

    event_id: int
    sender: str
    person: str
    name: str
    because: Because


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One event with everybody it concerned.

    Args:
        event_id: Row id.
        uid: Its unique id.
        event: Secrets masked.
        stored_at_ms: When it was handed over.
        is_routed: Whether its audience is complete.
        problem: Why routing it failed the last time; empty when it did not.
        removed_at_ms: When its content and facts were removed; 0 while they are there.
        chosen: Who is told.
        skipped: Who is not.
    """

    event_id: int
    uid: str
    event: Event
    stored_at_ms: int
    is_routed: bool
    problem: str
    removed_at_ms: int
    chosen: tuple[Chosen, ...]
    skipped: tuple[PassedOver, ...]


def explain_event(tx: Tx, name: str, application: str = "main") -> Explained:
    """Return who heard of an event and who did not.

    Args:
        tx: Open transaction.
        name: Row id, unique id, or idempotency key.
        application: Whose key it is.

    Raises:
        NotFoundError: No event has this id, unique id or key.
    """
    row = _event_row(tx, name, application)
    event_id, uid, stored_at_ms, state, problem, removed_at_ms, facts = row[:7]
    by_event = {"event_id": event_id}
    return Explained(
        event_id=cast("int", event_id),
        uid=str(uid),
        event=records.event_of(row[7:], str(facts)),
        stored_at_ms=cast("int", stored_at_ms),
        is_routed=state == "routed",
        problem=str(problem),
        removed_at_ms=cast("int", removed_at_ms),
        chosen=_chosen(tx, "event_id = :event_id ORDER BY id", by_event),
        skipped=_passed_over(tx, "event_id = :event_id ORDER BY id", by_event),
    )


def explain_person(
    tx: Tx, name: str, *, limit: int = 50
) -> tuple[tuple[Chosen, ...], tuple[PassedOver, ...]]:
    """Return the latest decisions about one person, newest first.

    Args:
        tx: Open transaction.
        name: An address, or a login. Deliveries are found by address, and by the login only
            where the event that skipped the person names it.
        limit: At most this many of each.
    """
    params = {"name": name, "low": name.lower(), "limit": limit}
    return (
        _chosen(tx, "lower(address) IN (:name, :low) ORDER BY id DESC LIMIT :limit", params),
        _passed_over(tx, "name = :name ORDER BY id DESC LIMIT :limit", params),
    )


def _event_row(tx: Tx, name: str, application: str) -> Row:
    # A key may be a number too, longer than any row id and than a column of numbers takes.
    is_id = name.isascii() and name.isdecimal() and len(name) <= MAX_ID_DIGITS
    by_id = tx.execute(f"{_EVENT} WHERE id = :id", {"id": int(name)}) if is_id else ()
    rows = by_id or tx.execute(
        f"{_EVENT} WHERE uid = :name OR (application = :application AND key = :name)",
        {"name": name, "application": application},
    )
    if not rows:
        expected = "expected an id, unique id or key, found none"
        raise NotFoundError(f"event {name!r}: {expected}{why_missing(tx)}")
    return rows[0]


def _chosen(tx: Tx, where: str, params: Params) -> tuple[Chosen, ...]:
    rows = tx.execute(
        f"""SELECT id, event_id, sender, person, name, address, because, state
        FROM envoi_delivery WHERE {where}""",  # noqa: S608 # the conditions stand above
        params,
    )
    return tuple(
        Chosen(
            delivery_id=cast("int", row_id),
            event_id=cast("int", event_id),
            sender=str(sender),
            person=str(person),
            name=str(name),
            address=str(address),
            because=Because.read(str(because)),
            state=State(str(state)),
        )
        for row_id, event_id, sender, person, name, address, because, state in rows
    )


def _passed_over(tx: Tx, where: str, params: Params) -> tuple[PassedOver, ...]:
    rows = tx.execute(
        f"SELECT event_id, sender, person, name, because FROM envoi_decision WHERE {where}",  # noqa: S608 # same
        params,
    )
    return tuple(
        PassedOver(
            event_id=cast("int", event_id),
            sender=str(sender),
            person=str(person),
            name=str(name),
            because=Because.read(str(because)),
        )
        for event_id, sender, person, name, because in rows
    )
