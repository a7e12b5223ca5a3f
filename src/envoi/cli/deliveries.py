"""This room shows deliveries: as a row of a table, as lines, and as JSON."""

from collections.abc import Iterator

from envoi.cli.moments import both, local
from envoi.cli.screen import Screen
from envoi.core.delivery import State
from envoi.core.message import Block, Words
from envoi.core.wire import spoken, words_of
from envoi.outbox.broadcasts import PAUSED_BECAUSE
from envoi.outbox.filters import MAX_LIMIT, Page, Query
from envoi.outbox.find import Attempt, Listed, Shown, deliveries
from envoi.outbox.tombstone import why_empty
from envoi.relays import DEFAULT
from envoi.seams import Tx

COLUMNS = ("ID", "STATE", "RECIPIENT", "SUBJECT", "KIND", "TRIES", "STORED", "LAST REPLY")
# In place of a subject that is not there any more.
REMOVED = "(removed)"
_WAITING = frozenset({State.QUEUED, State.UNCERTAIN})


def row_of(listed: Listed) -> tuple[object, ...]:
    """Return a delivery as a row below `COLUMNS`."""
    delivery = listed.delivery
    return (
        delivery.id,
        delivery.state,
        delivery.address,
        listed.subject or (REMOVED if listed.removed_at_ms else ""),
        listed.kind,
        listed.attempts,
        local(listed.stored_at_ms),
        listed.last_reply or "-",
    )


def form_of(listed: Listed) -> dict[str, object]:
    """Return a delivery as JSON shows it."""
    delivery = listed.delivery
    return {
        "id": delivery.id,
        "event": delivery.event_id,
        "message": {"id": delivery.message_id, "kind": listed.kind, "subject": listed.subject},
        "recipient": {
            "address": str(delivery.address),
            "name": delivery.name or None,
            "person": delivery.person,
        },
        "state": delivery.state.value,
        "because": str(delivery.because),
        "why": delivery.because.why.value,
        "sender": delivery.sender,
        "class": delivery.mail_class.value,
        "transport": delivery.transport,
        "application": listed.application,
        "attempts": listed.attempts,
        "refusals": delivery.refusals,
        "last_reply": listed.last_reply or None,
        "worker": listed.worker or None,
        "relay": listed.relay or None,
        **both("created_at", listed.stored_at_ms),
        **both("content_removed_at", listed.removed_at_ms),
        **both("due_at", delivery.due_at_ms if delivery.state in _WAITING else 0),
        **both("settled_at", _settled_at_ms(listed)),
        **both("expires_at", delivery.expires_at_ms),
    }


def held_because(shown: Shown) -> str:
    """Return why a delivery is held, in words; empty when it is not."""
    listed, last = shown.listed, shown.attempts[-1:]
    if listed.delivery.state is not State.HELD:
        return ""
    if not listed.settled_at_ms:
        return "no relay was configured when it was stored"
    if listed.last_reply == PAUSED_BECAUSE:
        return PAUSED_BECAUSE
    # Only a worker writes an attempt; a hand that holds leaves the last one as it was.
    if last and last[0].outcome == "hold" and last[0].reply == listed.last_reply:
        return last[0].reply
    return "by hand"


def attempt_form(attempt: Attempt) -> dict[str, object]:
    """Return one attempt as JSON shows it."""
    return {
        "claim": attempt.claims,
        "stage": attempt.stage or None,
        "outcome": attempt.outcome,
        "reply": attempt.reply or None,
        "sent_to": attempt.sent_to or None,
        "relay": attempt.relay or None,
        **both("started_at", attempt.started_at_ms),
        **both("ended_at", attempt.ended_at_ms),
    }


def _relay_of(listed: Listed) -> str:
    own = listed.delivery.transport
    stood_in = listed.relay if listed.relay not in {"", own} else ""
    return f"{own}, carried by {stood_in}" if stood_in else own


def _settled_at_ms(listed: Listed) -> int:
    # What waits or is under way was written too, the last time that it was given back.
    is_open = listed.delivery.state in _WAITING or listed.delivery.state is State.SENDING
    return 0 if is_open else listed.settled_at_ms


def show_delivery(screen: Screen, shown: Shown, waits: str = "") -> None:
    """Print a delivery, its attempts and its words, secrets masked.

    Args:
        screen: Where.
        shown: What is kept about it.
        waits: Why it has to wait although nothing is wrong; empty when it need not.
    """
    listed, message = shown.listed, shown.message
    delivery = listed.delivery
    name = f" ({delivery.name})" if delivery.name else ""
    because = held_because(shown) or waits
    screen.pairs({
        "delivery": f"{delivery.id}, event {delivery.event_id}, message {delivery.message_id}",
        "state": f"{delivery.state}: {because}" if because else delivery.state,
        "recipient": f"{delivery.address}{name}",
        "because": f"{delivery.because} (sender {delivery.sender})",
        "kind": f"{listed.kind}, class {delivery.mail_class}, application {listed.application}",
        "relay": _relay_of(listed),
        "from": f"{message.sender.name} <{message.sender.address}>".strip(),
        "subject": message.subject or (REMOVED if listed.removed_at_ms else ""),
        "stored": local(listed.stored_at_ms),
        "due": local(delivery.due_at_ms) if delivery.state in _WAITING else "-",
        "settled": local(_settled_at_ms(listed)),
        "expires": local(delivery.expires_at_ms),
        "last reply": listed.last_reply or "-",
    })  # fmt: skip
    for file in message.attachments:
        screen.pairs({"attachment": f"{file.name} ({file.media_type}, {len(file.content)} bytes)"})
    if shown.attempts:
        screen.line()
        screen.table(("ATTEMPT", "ENDED", "AT", "OUTCOME", "REPLY"), [
            (
                attempt.claims,
                local(attempt.ended_at_ms),
                attempt.stage or "-",
                attempt.outcome,
                _went(attempt),
            )
            for attempt in shown.attempts
        ])  # fmt: skip
    screen.line()
    if listed.removed_at_ms:
        screen.note(why_empty(listed.removed_at_ms))
    else:
        screen.block(words_read(shown).text)


def _went(attempt: Attempt) -> str:
    instead = f"(to {attempt.sent_to}, by guard.redirect) " if attempt.sent_to else ""
    return f"{by_relay(attempt.relay)}{instead}{attempt.reply or '-'}"


def by_relay(name: str) -> str:
    """Return which relay it was, for what stands before a reply; the usual one needs no name.

    >>> by_relay("backup"), by_relay("default")
    ('by backup: ', '')
    """
    return f"by {name}: " if name not in {"", DEFAULT} else ""


def words_read(shown: Shown) -> Words:
    """Return what the reader gets, secrets masked: the words with the block of his reason."""
    message, stored = shown.message, shown.listed.delivery.because.stored
    nothing = Block(text="", html="")
    return spoken(
        words_of(message), message.blocks.get(stored, nothing) if message.blocks else None
    )


def every(tx: Tx, query: Query, limit: int = 0, before_id: int = 0) -> Iterator[Listed]:
    """Return what is meant, newest first, page by page.

    Args:
        tx: Open transaction.
        query: Which deliveries.
        limit: At most so many; 0: all.
        before_id: Only older rows than this one; 0: from the newest.
    """
    left = limit
    while True:
        size = min(left, MAX_LIMIT) if limit else MAX_LIMIT
        page = deliveries(tx, query, Page(limit=size, before_id=before_id))
        yield from page
        left -= len(page)
        if len(page) < size or (limit and left <= 0):
            return
        before_id = page[-1].delivery.id
