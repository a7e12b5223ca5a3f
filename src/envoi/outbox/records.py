"""This room turns values into rows and rows into values: the only place that knows both forms."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

from envoi.core.delivery import Delivery, State
from envoi.core.event import Event
from envoi.core.kind import MailClass, Plain
from envoi.core.message import Attachment, Block, Composed, Message, Words
from envoi.core.people import Address, Mailbox
from envoi.core.routing import Because
from envoi.seams import Params, Row

# 0 nothing secret in it, 1 its real words are kept apart, 2 they were deleted.
NOT_SEALED, SEALED, UNSEALED = 0, 1, 2
_CLASSES = tuple(MailClass)
_STATES = {state.value: state for state in State}


# `json.dumps` would make an encoder at every call.
# What is packed here was made here: it holds no circles to look for.
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


def packed(value: object) -> str:
    """Return a value's JSON, as small as it goes."""
    return _ENCODER.encode(value)


def packed_rows(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as one parameter of a statement that reads many."""
    return packed(rows)


def packed_ids(ids: Sequence[int]) -> str:
    """Return row ids as one parameter of a statement that reads many."""
    return packed([[row_id] for row_id in ids])


def address_of(text: object) -> Address:
    """Return the address that a row holds."""
    local, _, domain = str(text).rpartition("@")
    return Address(local, domain)


def event_params(event: Event) -> dict[str, object]:
    """Return an event as columns; its facts as they are given."""
    return {
        "application": event.application,
        "kind": event.kind,
        "actor": event.actor,
        "subject": event.subject,
        "key": event.key or None,
        "facts": packed(dict(event.facts)),
        "people": packed({role: list(names) for role, names in event.people.items()}),
        "occurred_at_ms": event.occurred_at_ms,
    }


def event_of(row: Row, facts: str) -> Event:
    """Return the event of (application, kind, actor, subject, key, people, occurred_at_ms).

    Args:
        row: Those columns.
        facts: JSON of the facts, masked or real.
    """
    application, kind, actor, subject, key, people, occurred_at_ms = row
    named: Mapping[str, list[str]] = json.loads(str(people))
    return Event(
        application=str(application),
        kind=str(kind),
        actor=str(actor),
        subject=str(subject),
        key=str(key or ""),
        facts=cast("dict[str, Plain]", json.loads(facts)),
        people={role: tuple(names) for role, names in named.items()},
        occurred_at_ms=cast("int", occurred_at_ms),
    )


def message_params(composed: Composed) -> dict[str, object]:
    """Return a message as columns."""
    message = composed.message
    return {
        "uid": message.uid,
        "event_id": message.event_id,
        "application": message.application,
        "kind": message.kind,
        "class": message.mail_class.rank,
        "locale": message.locale,
        "time_zone": message.time_zone,
        "from_name": message.sender.name,
        "from_address": str(message.sender.address),
        "reply_to": packed(_plain_mailbox(message.reply_to)) if message.reply_to else "",
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "headers": packed(message.headers),
        "thread": packed(message.thread),
        "blocks": packed({why: [b.text, b.html] for why, b in message.blocks.items()}),
        "to_json": packed([_plain_mailbox(mailbox) for mailbox in message.to]),
        "cc_json": packed([_plain_mailbox(mailbox) for mailbox in message.cc]),
        "host": message.host,
        "date_ms": message.date_ms,
        "expires_at_ms": message.expires_at_ms,
        "sealed": SEALED if composed.sealed else NOT_SEALED,
    }


def attachment_params(message_id: int, attachments: Sequence[Attachment]) -> list[Params]:
    """Return a message's files as rows, in order."""
    return [
        {
            "message_id": message_id,
            "position": position,
            "name": attachment.name,
            "media_type": attachment.media_type,
            "content": attachment.content,
        }
        for position, attachment in enumerate(attachments)
    ]


def message_of(row: Row, attachments: tuple[Attachment, ...] = ()) -> Message:
    """Return the message of `statements.MESSAGE_COLUMNS`, its words masked."""
    (
        row_id, uid, event_id, application, kind, rank, locale, time_zone, from_name,
        from_address, reply_to, subject, text, html, headers, thread, blocks, to_json, cc_json,
        host, date_ms, expires_at_ms, sealed,
    ) = row  # fmt: skip
    personal: Mapping[str, tuple[str, str]] = json.loads(str(blocks))
    return Message(
        id=cast("int", row_id),
        uid=str(uid),
        event_id=cast("int", event_id),
        application=str(application),
        kind=str(kind),
        mail_class=_CLASSES[cast("int", rank)],
        locale=str(locale),
        time_zone=str(time_zone),
        sender=Mailbox(address_of(from_address), str(from_name)),
        reply_to=_mailbox_of(json.loads(str(reply_to))) if reply_to else None,
        subject=str(subject),
        text=str(text),
        html=str(html),
        headers=tuple((name, value) for name, value in json.loads(str(headers))),
        thread=tuple(json.loads(str(thread))),
        blocks={why: Block(text=b[0], html=b[1]) for why, b in personal.items()},
        to=tuple(_mailbox_of(plain) for plain in json.loads(str(to_json))),
        cc=tuple(_mailbox_of(plain) for plain in json.loads(str(cc_json))),
        attachments=attachments,
        host=str(host),
        date_ms=cast("int", date_ms),
        expires_at_ms=cast("int", expires_at_ms),
        is_sealed=sealed != NOT_SEALED,
    )


def packed_words(words: Words) -> str:
    """Return sealed words as they are kept apart."""
    return packed([words.subject, words.text, words.html])


def words_of(content: object) -> Words:
    """Return the sealed words that a row holds."""
    subject, text, html = json.loads(str(content))
    return Words(subject=subject, text=text, html=html)


# The columns of a delivery's row, as `Sql.put_deliveries` reads them and by their own names.
_DELIVERY_FIELDS = (
    "ordinal", "sender", "person", "name", "address", "because", "class", "transport", "state",
    "due_at_ms", "created_at_ms", "expires_at_ms",
)  # fmt: skip


def delivery_params(row: Sequence[object]) -> dict[str, object]:
    """Return a row of `delivery_row` as columns."""
    return dict(zip(_DELIVERY_FIELDS, row, strict=True))


def delivery_row(delivery: Delivery, due_at_ms: int) -> Sequence[object]:
    """Return a delivery as one row of `Sql.put_deliveries`."""
    return (
        delivery.ordinal,
        delivery.sender,
        delivery.person,
        delivery.name,
        str(delivery.address),
        delivery.because.stored,
        delivery.mail_class.rank,
        delivery.transport,
        delivery.state.value,
        due_at_ms,
        delivery.created_at_ms,
        delivery.expires_at_ms,
    )


def delivery_of(row: Row) -> Delivery:
    """Return the delivery of `statements.DELIVERY_COLUMNS`."""
    (
        row_id, message_id, event_id, ordinal, address, name, person, sender, because, rank,
        transport, state, due_at_ms, created_at_ms, expires_at_ms, claims, refusals,
    ) = cast("tuple[int, ...]", tuple(row))  # fmt: skip
    return Delivery(
        id=row_id,
        message_id=message_id,
        event_id=event_id,
        ordinal=ordinal,
        address=address_of(address),
        name=str(name),
        person=str(person),
        sender=str(sender),
        because=_because(str(because)),
        mail_class=_CLASSES[rank],
        transport=str(transport),
        state=_STATES[str(state)],
        due_at_ms=due_at_ms,
        created_at_ms=created_at_ms,
        expires_at_ms=expires_at_ms,
        claims=claims,
        refusals=refusals,
    )


@lru_cache(maxsize=1_000)
def _because(stored: str) -> Because:
    # A broadcast has one reason for all.
    return Because.read(stored)


def _plain_mailbox(mailbox: Mailbox) -> tuple[str, str]:
    return str(mailbox.address), mailbox.name


def _mailbox_of(plain: Sequence[str]) -> Mailbox:
    return Mailbox(address_of(plain[0]), plain[1])
