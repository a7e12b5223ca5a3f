"""Events, messages and deliveries as the walk would make them, with only what a test is about."""

import uuid
from dataclasses import replace

from envoi.core.delivery import Delivery, State
from envoi.core.event import Event
from envoi.core.kind import MailClass, Plain
from envoi.core.message import Attachment, Block, Composed, Message, Words
from envoi.core.people import Address, Mailbox
from envoi.core.routing import Because, Why
from envoi.outbox import find
from envoi.outbox.claim import ClaimOrder
from envoi.outbox.filters import Page, Query

NOW = 1_800_000_000_000
MINUTE = 60_000

SEALED = Words(subject="Reset", text="https://x.test/reset?t=s3cret", html="<p>s3cret</p>")


def an_event(**changes) -> Event:
    facts: dict[str, Plain] = {"title": "Grüße 🐘 \u2028", "count": 3}
    return replace(
        Event(kind="note", facts=facts, actor="ann", people={"reviewers": ("bob", "eve")}),
        **changes,
    )


def a_message(event_id: int, **changes) -> Message:
    message = Message(
        uid=uuid.uuid4().hex,
        event_id=event_id,
        kind="note",
        mail_class=MailClass.NOTICE,
        sender=Mailbox(Address("noreply", "example.org"), "Söme One"),
        subject="Something happened",
        text="Hello\n",
        html="<p>Hello</p>",
        headers=(("X-Envoi", "note"), ("X-Other", "x")),
        thread=("a@example.org",),
        blocks={"role reviewers": Block(text="because", html="<i>because</i>")},
        host="example.org",
        locale="de",
        time_zone="Europe/Berlin",
        date_ms=NOW,
    )
    return replace(message, **changes)


def a_delivery(address: str = "bob@example.org", **changes) -> Delivery:
    local, domain = address.split("@")
    delivery = Delivery(
        address=Address(local, domain),
        name=local.title(),
        person=f"user:{local}",
        sender="notes",
        because=Because(Why.ROLE, "reviewers"),
        mail_class=MailClass.NOTICE,
        due_at_ms=NOW,
        created_at_ms=NOW,
    )
    return replace(delivery, **changes)


def many(count: int, **changes) -> list[Delivery]:
    return [a_delivery(f"user{n:05d}@example.org", ordinal=n + 1, **changes) for n in range(count)]


def stored(outbox, deliveries=None, *, sealed=None, event=None, **message) -> int:
    """Store one message of a fresh event; its event's id."""
    deliveries = [a_delivery()] if deliveries is None else deliveries
    with outbox.transaction() as tx:
        event_id = outbox.put_event(tx, event or an_event(), NOW).id
        made = a_message(event_id, is_sealed=sealed is not None, **message)
        outbox.put(tx, Composed(message=made, sealed=sealed), deliveries)
    return event_id


def claimed(outbox, limit=100, *, worker="w1", now_ms=NOW, lease_ms=MINUTE, **order):
    """Claim what is due; more of the order by its own names, e.g. `transport="bulk"`."""
    wanted = ClaimOrder(worker=worker, limit=limit, lease_ms=lease_ms, **order)
    with outbox.transaction(is_synced=False) as tx:
        return outbox.claim(tx, wanted, now_ms)


def settled(outbox, settlements, now_ms=NOW):
    with outbox.transaction(is_synced=False) as tx:
        return outbox.settle(tx, settlements, now_ms)


def listed(outbox, **query):
    """Every delivery that is meant, oldest first."""
    with outbox.reading() as tx:
        found = find.deliveries(tx, Query(**query), Page(limit=1_000))
    return list(reversed(found))


def states(outbox, **query) -> list[State]:
    return [item.delivery.state for item in listed(outbox, **query)]


def count(outbox, table: str) -> int:
    with outbox.reading() as tx:
        return tx.execute(f"SELECT COUNT(*) FROM {table}", {})[0][0]


ATTACHMENT = Attachment(
    name="ä.bin", media_type="application/octet-stream", content=bytes(range(256))
)
