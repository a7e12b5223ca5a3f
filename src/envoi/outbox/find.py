"""This room answers: what is where, why, and how much of it. It only reads."""

from dataclasses import dataclass
from typing import cast

from envoi.core.delivery import Delivery
from envoi.core.message import Message
from envoi.errors import NotFoundError
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.outbox.claim import messages
from envoi.outbox.counting import Stats, stats
from envoi.outbox.filters import MAX_LIMIT, Page, Query
from envoi.outbox.paging import page_ids
from envoi.outbox.tombstone import why_missing
from envoi.seams import Row, Tx

__all__ = [
    "MAX_TOLD_CHARS",
    "Attempt",
    "Listed",
    "Shown",
    "Stats",
    "Waiting",
    "deliveries",
    "message",
    "show",
    "stats",
    "waiting",
]

# As much as a line of the journal shows; a text may be 25 MB, and 200 of them are read at once.
MAX_TOLD_CHARS = 2_000

_COLUMNS = ", ".join(f"d.{name.strip()}" for name in st.DELIVERY_COLUMNS.split(","))
_LISTED = f"""
    SELECT {_COLUMNS}, m.kind, m.subject, d.application, d.last_reply, m.date_ms, d.settled_at_ms,
        d.worker, d.relay,
        (SELECT COUNT(*) FROM envoi_attempt a WHERE a.delivery_id = d.id), m.removed_at_ms
    FROM envoi_delivery d JOIN envoi_message m ON m.id = d.message_id"""  # noqa: S608 # our own columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A delivery as lists show it.

    Args:
        delivery: The row.
        kind: Kind of its event.
        subject: Subject of its message, secrets masked.
        application: Whose it is.
        last_reply: The relay's last words about it, or ours.
        stored_at_ms: When its words were; a delivery's own moment begins anew with a release.
        settled_at_ms: When its state was last written; 0 for never.
        worker: Who has it now; empty for nobody.
        relay: Name of the relay that carries it, or carried it last; empty for none yet.
        attempts: How often it really had its turn.
        removed_at_ms: When its content was removed; 0 while it is there.
    """

    delivery: Delivery
    kind: str
    subject: str
    application: str
    last_reply: str
    stored_at_ms: int
    settled_at_ms: int
    worker: str
    relay: str
    attempts: int
    removed_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a delivery.

    Args:
        claims: Which claim it belongs to.
        started_at_ms: When it began; 0 when unknown.
        ended_at_ms: When its end was seen.
        stage: The command at which it ended: `rcpt`, `content` ...; empty when unknown.
        outcome: The verdict in a word.
        reply: The relay's own words, or ours.
        sent_to: Where the staging guard sent it instead; empty for the delivery's own address.
        relay: Name of the relay; empty where that was not noted.
    """

    claims: int
    started_at_ms: int
    ended_at_ms: int
    stage: str
    outcome: str
    reply: str
    sent_to: str
    relay: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One delivery with all that is kept about it; secrets masked."""

    listed: Listed
    message: Message
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A delivery that waits for a relay in trouble.

    Args:
        id: Row id.
        address: Whom it goes to.
        subject: Secrets masked.
        text: The beginning of the text, at most `MAX_TOLD_CHARS`; secrets masked.
    """

    id: int
    address: str
    subject: str
    text: str


def deliveries(tx: Tx, query: Query, page: Page | None = None) -> tuple[Listed, ...]:
    """Return the deliveries that are meant, newest first."""
    page = page or Page()
    limit, offset = max(0, min(page.limit, MAX_LIMIT)), max(0, page.offset)
    ids = page_ids(tx, query, page.before_id, limit + offset)[offset:]
    if not ids:
        return ()
    rows = tx.execute(
        f"{_LISTED} WHERE d.id IN ({st.sql(tx.dialect).ids()}) ORDER BY d.id DESC",
        {"rows": records.packed_ids(ids)},
    )
    return tuple(_listed(row) for row in rows)


def show(tx: Tx, delivery_id: int) -> Shown:
    """Return everything about one delivery.

    Raises:
        NotFoundError: There is no such delivery.
    """
    found = deliveries(tx, Query(ids=(delivery_id,)))
    if not found:
        expected = "expected a row of the outbox, found none"
        raise NotFoundError(f"delivery {delivery_id}: {expected}{why_missing(tx)}")
    rows = tx.execute(
        """SELECT claims, started_at_ms, ended_at_ms, stage, outcome, reply, sent_to, relay
        FROM envoi_attempt
        WHERE delivery_id = :id ORDER BY id""",
        {"id": delivery_id},
    )
    return Shown(
        listed=found[0],
        message=message(tx, found[0].delivery.message_id),
        attempts=tuple(_attempt(row) for row in rows),
    )


def message(tx: Tx, message_id: int) -> Message:
    """Return a message with its files, secrets masked; what a raw view is made of.

    Raises:
        NotFoundError: There is no such message.
    """
    found = messages(tx, [message_id])
    if message_id not in found:
        raise NotFoundError(f"message {message_id}: expected a row of the outbox, found none")
    return found[message_id].message


def waiting(
    tx: Tx, transport: str, now_ms: int, *, after_id: int = 0, limit: int = 200
) -> tuple[Waiting, ...]:
    """Return deliveries that are due and wait for a relay, oldest row first."""
    rows = tx.execute(
        """SELECT d.id, d.address, m.subject, substr(m.text, 1, :told_chars)
        FROM envoi_delivery d JOIN envoi_message m ON m.id = d.message_id
        WHERE d.transport = :transport AND d.state IN ('queued', 'uncertain')
            AND d.due_at_ms <= :now_ms AND d.id > :after_id
        ORDER BY d.id LIMIT :limit""",
        {
            "transport": transport,
            "now_ms": now_ms,
            "after_id": after_id,
            "limit": limit,
            "told_chars": MAX_TOLD_CHARS,
        },
    )
    return tuple(
        Waiting(id=cast("int", row_id), address=str(address), subject=str(subject), text=str(text))
        for row_id, address, subject, text in rows
    )


def _listed(row: Row) -> Listed:
    (
        kind, subject, application, last_reply, stored_at_ms, settled_at_ms, worker, relay,
        attempts, removed_at_ms,
    ) = row[-10:]  # fmt: skip
    return Listed(
        delivery=records.delivery_of(row[:-10]),
        kind=str(kind),
        subject=str(subject),
        application=str(application),
        last_reply=str(last_reply),
        stored_at_ms=cast("int", stored_at_ms),
        settled_at_ms=cast("int", settled_at_ms),
        worker=str(worker),
        relay=str(relay),
        attempts=cast("int", attempts),
        removed_at_ms=cast("int", removed_at_ms),
    )


def _attempt(row: Row) -> Attempt:
    claims, started_at_ms, ended_at_ms, stage, outcome, reply, sent_to, relay = row
    return Attempt(
        claims=cast("int", claims),
        started_at_ms=cast("int", started_at_ms),
        ended_at_ms=cast("int", ended_at_ms),
        stage=str(stage),
        outcome=str(outcome),
        reply=str(reply),
        sent_to=str(sent_to),
        relay=str(relay),
    )
