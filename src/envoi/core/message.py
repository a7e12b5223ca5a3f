"""This room composes: from an event and a sender to one message, its words frozen.

A message is stored once and read by many. What differs per person (To, Message-ID, the sentence
that says why) is not in it; `core.wire` splices that in when the bytes are made. Everything that
must be equal on every attempt is frozen here: words, Date, the unique id behind Message-ID and
boundaries, and the personal block for every reason that occurs.

A message with secrets exists twice: the masked words in `Message`, and the real ones in `Sealed`,
which the outbox keeps apart and deletes when the last delivery is final.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from envoi.core.delivery import Delivery, State
from envoi.core.event import Event
from envoi.core.kind import Kind, MailClass, Plain, clean_line, clean_text, mask_facts
from envoi.core.links import with_base_url
from envoi.core.people import Mailbox, Person
from envoi.core.routing import Recipient, Sender
from envoi.core.thread import thread_of

# RFC 5322 2.1.1: "Each line of characters MUST be no more than 998 characters". A subject is cut
# far earlier: no reader shows more, and the whole text stands in the body (B14).
MAX_SUBJECT_CHARS = 255

# Headers that Envoi writes itself or that would change who sends or receives (B8).
RESERVED_HEADERS = frozenset({
    "from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id",
    "in-reply-to", "references", "mime-version", "content-type", "content-transfer-encoding",
    "content-disposition", "return-path", "received", "dkim-signature", "auto-submitted",
    "x-auto-response-suppress", "resent-from", "resent-to", "resent-cc", "resent-bcc",
    "resent-date", "resent-sender", "resent-message-id",
})  # fmt: skip
# What the type header says of mail that is none of the types that readers know.
OTHER_TYPE = "message"
# A display name longer than this is an advertisement (C9).
MAX_NAME_CHARS = 100
# RFC 5322 2.2: field names are printable US-ASCII except colon.
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a template says.

    Args:
        subject: One line, without prefix.
        text: The plain part; never empty.
        html: The HTML part, a whole document with inlined styles; empty for text-only mail.
    """

    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The personal block of one reason, in the message's locale: what stands below the words."""

    text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that travels with a ready-made mail.

    Args:
        name: Base name shown to the reader, already cleaned.
        media_type: `type/subtype`, lower case.
        content: The bytes.
    """

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How one application presents itself in its mail.

    Args:
        sender: Configured From; an actor's name is combined with its address.
        reply_to: Where answers go; None: to From.
        prefix: Put before every subject with one space; may be empty.
        base_url: Base of every link, without a trailing slash; may be empty.
        type_header: Name of the header that carries the kind.
        type_values: What that header may say; a kind that is none of them says `message`. Empty:
            each kind says its own.
        host: Right side of Message-IDs and thread ids: host of `base_url`, else of From.
        locale: Locale of people who have none.
        time_zone: Zone of people who have none.
        name: Shown in layouts; may be empty.
    """

    sender: Mailbox
    reply_to: Mailbox | None = None
    prefix: str = ""
    base_url: str = ""
    type_header: str = "X-Envoi-Notification-Type"
    type_values: frozenset[str] = frozenset()
    host: str = "localhost"
    locale: str = "en"
    time_zone: str = "UTC"
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Words and headers that all its deliveries share, frozen when the event was stored.

    Args:
        id: Row id; 0 before it is stored.
        uid: 32 hexadecimal digits, unique in the world; source of Message-IDs and boundaries.
        event_id: Row id of its event.
        application: Which application speaks.
        kind: Kind of the event; `message` for a ready-made mail.
        mail_class: Its place in the queue.
        sender: The From mailbox.
        reply_to: The Reply-To mailbox, where set.
        subject: Whole subject with prefix, one line.
        text: Plain part, masked where it holds secrets.
        html: HTML part or empty, masked likewise.
        headers: Extra header lines after Envoi's own.
        thread: Ids of the conversation, oldest first, without angle brackets.
        blocks: Personal block by stored reason (`Because.stored`).
        to: Visible To of a ready-made mail; empty: each recipient sees himself alone.
        cc: Visible Cc of a ready-made mail.
        attachments: Files.
        host: Right side of its Message-IDs.
        locale: Language of its words.
        time_zone: Zone of its moments.
        date_ms: Date header.
        expires_at_ms: Worthless after; 0 for never.
        is_sealed: Whether real words are kept apart from the masked ones here.
    """

    id: int = 0
    uid: str
    event_id: int = 0
    application: str = "main"
    kind: str
    mail_class: MailClass
    sender: Mailbox
    reply_to: Mailbox | None = None
    subject: str
    text: str
    html: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    thread: tuple[str, ...] = ()
    blocks: Mapping[str, Block] = field(default_factory=lambda: MappingProxyType({}))
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    host: str
    locale: str
    time_zone: str
    date_ms: int
    expires_at_ms: int = 0
    is_sealed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A message with the sealed words that it goes out with, where it has secrets."""

    message: Message
    sealed: Words | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What makes one message unique and dates it; the only impure input of `compose`.

    Args:
        uid: 32 fresh hexadecimal digits.
        now_ms: The clock.
    """

    uid: str
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audible:
    """Everything `compose` needs to know about one event.

    Args:
        event: Cleaned, with its secrets.
        kind: Its kind.
        actor: Who did it, where known.
        identity: How the application presents itself.
    """

    event: Event
    kind: Kind
    actor: Person | None
    identity: Identity


Context: TypeAlias = Mapping[str, object]
Render: TypeAlias = Callable[[str, str, str, Context], Words]
"""Renders template name, locale and time zone with a context of plain data."""


def compose(
    audible: Audible, sender: Sender, voice: tuple[str, str], render: Render, stamp: Stamp
) -> Composed:
    """Write the message of one sender in one voice.

    Args:
        audible: The event with what belongs to it.
        sender: The rule that speaks.
        voice: Locale and time zone of the people it is for.
        render: The templates.
        stamp: Unique id and clock.
    """
    event, kind, identity = audible.event, audible.kind, audible.identity
    locale, time_zone = voice
    prefix = identity.prefix if sender.prefix is None else sender.prefix
    facts = with_base_url(kind, event.facts, identity.base_url)
    masked = mask_facts(kind, facts)
    words = render(sender.template_name, locale, time_zone, context(audible, masked))
    sealed = None
    if facts != masked:
        real = render(sender.template_name, locale, time_zone, context(audible, facts))
        sealed = finished(real, prefix)
    words = finished(words, prefix)
    mail_class = sender.mail_class or kind.mail_class
    # A password reset that comes from the reader himself, by name, is what phishing looks like.
    is_ours = mail_class is MailClass.SECURITY or not kind.from_actor
    message = Message(
        uid=stamp.uid,
        application=event.application,
        kind=kind.name,
        mail_class=mail_class,
        sender=from_mailbox(identity.sender, "" if is_ours else speaker_name(audible)),
        reply_to=identity.reply_to,
        subject=words.subject,
        text=words.text,
        html=words.html,
        headers=headers_of(identity, kind.header_value, sender.headers),
        thread=thread_of(kind, event.subject, event.facts, identity.host),
        host=identity.host,
        locale=locale,
        time_zone=time_zone,
        date_ms=stamp.now_ms,
        expires_at_ms=expiry(event, kind, stamp.now_ms),
        is_sealed=sealed is not None,
    )
    return Composed(message=message, sealed=sealed)


def headers_of(
    identity: Identity, kind: str, extra: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Return the extra header lines, the kind's first unless they name that header themselves."""
    extra = tuple(extra)
    if identity.type_header.lower() in {name.lower() for name, _ in extra}:
        return extra
    known = identity.type_values or {kind}
    return ((identity.type_header, kind if kind in known else OTHER_TYPE), *extra)


def context(audible: Audible, facts: Mapping[str, Plain]) -> Context:
    """Return the plain data that a template sees; nothing in it has methods worth calling."""
    event, identity, actor = audible.event, audible.identity, audible.actor
    return {
        **facts,
        "facts": dict(facts),
        "kind": event.kind,
        "subject": event.subject,
        "occurred_at_ms": event.occurred_at_ms,
        "actor": {
            # Somebody outside the directory has an address and neither name nor login.
            "name": speaker_name(audible) or clean_line(event.actor),
            "login": clean_line((actor and actor.login) or event.actor),
        },
        "people": {
            role: [clean_line(name) for name in names] for role, names in event.people.items()
        },
        "application": {"name": identity.name, "base_url": identity.base_url},
    }


def finished(words: Words, prefix: str) -> Words:
    """Return the words as they are stored: subject on one bounded line with its prefix."""
    subject = clean_line(words.subject) or "(no subject)"
    subject = f"{clean_line(prefix)} {subject}" if prefix.strip() else subject
    if len(subject) > MAX_SUBJECT_CHARS:
        subject = subject[: MAX_SUBJECT_CHARS - 1].rstrip() + "…"
    return Words(subject=subject, text=clean_text(words.text), html=clean_text(words.html))


def speaker_name(audible: Audible) -> str:
    """Return the name of who did it, as From and the words show it; empty when nobody can be named.

    Whom the directory does not know is nobody, but for kinds whose actor may be new to it: who
    just registered has his name in a fact, or his login only. An address is never shown in the
    place of a name.
    """
    event, actor = audible.event, audible.actor
    if actor is not None:
        return clean_line(actor.full_name)
    if not audible.kind.actor_name_in or not event.actor:
        return ""
    given = clean_line(str(event.facts.get(audible.kind.actor_name_in) or ""))
    return given or ("" if "@" in event.actor else clean_line(event.actor))


def from_mailbox(configured: Mailbox, name: str) -> Mailbox:
    """Return the From of a mail: the actor's name with the configured address, or as configured.

    Names lose what could pass for another sender's address (B12); the address stays ours.

    >>> from envoi.core.people import Address
    >>> from_mailbox(Mailbox(Address("noreply", "example.org"), "Kallithea"), "Ann Lee").name
    'Ann Lee (no-reply)'
    """
    name = re.sub(r"[@<>]", " ", clean_line(name))
    name = " ".join(name.split())[:MAX_NAME_CHARS].rstrip()
    return Mailbox(configured.address, f"{name} (no-reply)") if name else configured


def expiry(event: Event, kind: Kind, now_ms: int) -> int:
    """Return the moment after which the mail is worthless; 0 for never."""
    return (event.occurred_at_ms or now_ms) + kind.lifetime_s * 1000 if kind.lifetime_s else 0


def address(
    message: Message,
    recipients: Iterable[Recipient],
    now_ms: int,
    *,
    state: State = State.QUEUED,
    transport: str = "default",
) -> tuple[Delivery, ...]:
    """Return one delivery per recipient, numbered within the message.

    Args:
        message: As composed.
        recipients: Who gets it.
        now_ms: The clock; a queued delivery is due at once.
        state: `queued`, or `held` while no relay is configured.
        transport: Name of the relay its mail leaves by.
    """
    return tuple(
        Delivery(
            transport=transport,
            ordinal=ordinal,
            address=recipient.address,
            name=_shown_name(recipient.person),
            person=recipient.person.id,
            sender=recipient.sender,
            because=recipient.because,
            mail_class=message.mail_class,
            state=state,
            due_at_ms=now_ms,
            created_at_ms=now_ms,
            expires_at_ms=message.expires_at_ms,
        )
        for ordinal, recipient in enumerate(recipients, start=1)
    )


def _shown_name(person: Person) -> str:
    return clean_line(person.full_name)[:MAX_NAME_CHARS].rstrip() if person.login else ""


def fallback_words(kind: Kind, facts: Mapping[str, Plain]) -> Words:
    """Return plain words for an event whose template is broken: its facts, one per line (D9)."""
    title = kind.description or kind.name.replace("_", " ")
    lines = [title, "", *(f"{name}: {value}" for name, value in facts.items() if value)]
    return Words(subject=title, text="\n".join(lines) + "\n")


def is_header_allowed(name: str) -> bool:
    """Whether a caller or a sender may set this header.

    >>> is_header_allowed("X-Build"), is_header_allowed("bcc"), is_header_allowed("X: Y")
    (True, False, False)
    """
    return bool(_HEADER_NAME.fullmatch(name)) and name.lower() not in RESERVED_HEADERS
