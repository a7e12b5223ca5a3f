"""This room holds a broadcast: an event whose words an administrator typed, and its report.

It walks the way of every event: a rule chooses people and gives each a reason, a message is
composed once, and every person is a row. The rule is made from what was typed; the words are
his own and no template's, so a brace in them is a brace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from types import MappingProxyType
from typing import cast

from envoi.core.event import Event
from envoi.core.kind import MailClass, clean_text, is_one_line
from envoi.core.message import (
    MAX_SUBJECT_CHARS,
    Block,
    Identity,
    Message,
    Stamp,
    Words,
    finished,
    headers_of,
)
from envoi.core.plaintext import text_of_html
from envoi.core.problem import Problem
from envoi.core.routing import Selector, Sender

BROADCAST_KIND = "broadcast"
BROADCAST_SENDER = "broadcast"
# An announcement; more than this is a file, and nobody reads it fifty thousand times.
MAX_BODY_CHARS = 1_000_000
TEST_PREFIX = "[Test]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """What an administrator wants to tell many.

    Args:
        subject: One line, without the application's prefix.
        body: The words, as typed.
        is_html: Whether the words are HTML; the plain part is then made from them.
        recipients: Who is told: everyone, users, groups, plain addresses.
        tells_inactive: Whether inactive people are told, whatever names them.
        author: Login of the administrator; empty: the operator.
        application: Which application speaks.
    """

    subject: str
    body: str
    is_html: bool = False
    recipients: tuple[Selector, ...] = ()
    tells_inactive: bool = False
    author: str = ""
    application: str = "main"


class Refusal(StrEnum):
    """Why a broadcast is not taken at all; the value is the sentence that its users know."""

    PERMISSION = "You have no permissions to send email."
    RECIPIENTS = "No recipients specified."
    SENDER = "The sender's address cannot be empty."
    SUBJECT = "Email must contain subject."
    BODY = "Email must contain body."


def refusal(broadcast: Broadcast, sender: str, *, may_send: bool) -> Refusal | None:
    """Return the first reason not to take it, in the order that people know; None for none.

    Args:
        broadcast: As typed.
        sender: The address that it would come from.
        may_send: Whether its author is allowed to.
    """
    checks = (
        (may_send, Refusal.PERMISSION),
        (bool(broadcast.recipients), Refusal.RECIPIENTS),
        (bool(sender.strip()), Refusal.SENDER),
        (bool(broadcast.subject.strip()), Refusal.SUBJECT),
        (bool(_text_of(broadcast).strip()), Refusal.BODY),
    )
    return next((reason for is_met, reason in checks if not is_met), None)


def check_words(broadcast: Broadcast) -> tuple[Problem, ...]:
    """List what could not stand in a mail as it was typed; empty when all of it can."""
    problems: list[Problem] = []
    if not is_one_line(broadcast.subject):
        expected, got = "one line without control characters", ascii(broadcast.subject[:80])
        problems.append(Problem(where="subject", expected=expected, got=got))
    elif len(broadcast.subject) > MAX_SUBJECT_CHARS:
        expected, got = f"at most {MAX_SUBJECT_CHARS} characters", str(len(broadcast.subject))
        problems.append(Problem(where="subject", expected=expected, got=got))
    if len(broadcast.body) > MAX_BODY_CHARS:
        expected, got = f"at most {MAX_BODY_CHARS} characters", str(len(broadcast.body))
        problems.append(Problem(where="text", expected=expected, got=got))
    return tuple(problems)


def event_of(broadcast: Broadcast) -> Event:
    """Return the event that a broadcast is; all of it can be read from it again."""
    return Event(
        kind=BROADCAST_KIND,
        facts={
            "title": broadcast.subject,
            "body": clean_text(broadcast.body),
            "is_html": broadcast.is_html,
            "recipients": [str(selector) for selector in broadcast.recipients],
            "tells_inactive": broadcast.tells_inactive,
        },
        actor=broadcast.author,
        application=broadcast.application,
    )


def broadcast_of(event: Event) -> Broadcast:
    """Return the broadcast that an event of `event_of` is."""
    facts = event.facts
    recipients = cast("list[str]", facts["recipients"])
    return Broadcast(
        subject=str(facts["title"]),
        body=str(facts["body"]),
        is_html=bool(facts["is_html"]),
        recipients=tuple(Selector.parse(text) for text in recipients),
        tells_inactive=bool(facts["tells_inactive"]),
        author=event.actor,
        application=event.application,
    )


def sender_of(broadcast: Broadcast) -> Sender:
    """Return the rule that chooses a broadcast's people.

    The brackets are routing's own: active or `tells_inactive`, *and* named in any way. Its author
    is told like everybody else.
    """
    return Sender(
        name=BROADCAST_SENDER,
        kind=BROADCAST_KIND,
        recipients=broadcast.recipients,
        tells_actor=True,
        tells_inactive=broadcast.tells_inactive,
        mail_class=MailClass.BROADCAST,
    )


def compose_broadcast(
    broadcast: Broadcast,
    identity: Identity,
    stamp: Stamp,
    blocks: Mapping[str, Block] = MappingProxyType({}),
) -> Message:
    """Return the one message of a broadcast.

    Args:
        broadcast: Checked.
        identity: Who speaks.
        stamp: Unique id and clock.
        blocks: The personal block of every reason that can occur.
    """
    html = _document(broadcast, identity.locale) if broadcast.is_html else ""
    words = finished(
        Words(subject=broadcast.subject, text=_text_of(broadcast), html=html), identity.prefix
    )
    return Message(
        uid=stamp.uid,
        application=broadcast.application,
        kind=BROADCAST_KIND,
        mail_class=MailClass.BROADCAST,
        sender=identity.sender,
        reply_to=identity.reply_to,
        subject=words.subject,
        text=words.text,
        html=words.html,
        headers=headers_of(identity, BROADCAST_KIND, ()),
        blocks=blocks,
        host=identity.host,
        locale=identity.locale,
        time_zone=identity.time_zone,
        date_ms=stamp.now_ms,
    )


def _text_of(broadcast: Broadcast) -> str:
    # References such as `&#27;` become characters only here; `finished` cleans once more.
    body = clean_text(broadcast.body)
    return f"{text_of_html(body)}\n" if broadcast.is_html else body


def _document(broadcast: Broadcast, locale: str) -> str:
    html = clean_text(broadcast.body)
    if "<html" in html[:2_000].lower():
        return html
    title, lang = escape(broadcast.subject), escape(locale.replace("_", "-"))
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n</head>\n<body>\n{html}\n</body>\n</html>\n"
    )


class Phase(StrEnum):
    """Where a broadcast is."""

    FINDING = "finding"  # its people are being found; nothing is sent yet
    SENDING = "sending"  # on its way, or waiting for a worker or for another try
    HELD = "held"  # all that is left waits for a hand: no relay, or held one by one
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of everybody whom a broadcast concerns; the numbers add up to `audience`.

    Args:
        sent: The relay took the mail.
        refused: The relay refused it for good; its words stand beside.
        given_up: Tried until patience ended.
        waiting: Queued or under way.
        uncertain: The content left and no answer came; tried again.
        held: Kept until somebody releases it: no relay, or by hand.
        paused: Kept because the broadcast is paused.
        cancelled: Taken back before it was sent.
        suppressed: The guard forbids the address.
        expired: Worthless by now.
        inactive: Inactive people, passed over.
        no_address: People without an address.
        unusable: People whose address cannot be used.
        folded: People who share an address with somebody who is told.
        passed_over: Passed over for any other reason.
        is_finding: Whether people are still being found.
        order: `going`, `paused` or `cancelled`: what was asked for.
    """

    sent: int = 0
    refused: int = 0
    given_up: int = 0
    waiting: int = 0
    uncertain: int = 0
    held: int = 0
    paused: int = 0
    cancelled: int = 0
    suppressed: int = 0
    expired: int = 0
    inactive: int = 0
    no_address: int = 0
    unusable: int = 0
    folded: int = 0
    passed_over: int = 0
    is_finding: bool = False
    order: str = "going"

    @property
    def mails(self) -> int:
        """How many people get, got or were to get a mail."""
        return (
            self.sent + self.failed + self.waiting + self.uncertain + self.held + self.paused
            + self.cancelled + self.suppressed + self.expired
        )  # fmt: skip

    @property
    def skipped(self) -> int:
        """How many were considered and get none."""
        return self.inactive + self.no_address + self.unusable + self.folded + self.passed_over

    @property
    def audience(self) -> int:
        """Everybody who was considered."""
        return self.mails + self.skipped

    @property
    def failed(self) -> int:
        """How many will never get it."""
        return self.refused + self.given_up

    @property
    def left(self) -> int:
        """How many a worker has still to do with."""
        return self.waiting + self.uncertain

    @property
    def phase(self) -> Phase:
        """Where the broadcast is."""
        if self.order == "cancelled":
            return Phase.CANCELLED
        if self.order == "paused":
            return Phase.PAUSED
        if self.is_finding:
            return Phase.FINDING
        if self.left or self.paused:
            return Phase.SENDING
        return Phase.HELD if self.held else Phase.DONE

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens by itself; a pause is no end."""
        return self.phase in {Phase.HELD, Phase.CANCELLED, Phase.DONE} and not self.left
