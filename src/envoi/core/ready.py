"""This room takes ready-made mail: words that somebody else wrote, sent as they are.

Here input was typed for us, so whatever does not fit is refused with every problem at once and
nothing is stored; an event's data, in contrast, is cleaned (`core.kind`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from envoi.core.event import MAX_KEY_CHARS, is_moment
from envoi.core.kind import MASK, MailClass, clean_line, clean_text, is_one_line
from envoi.core.message import (
    MAX_NAME_CHARS,
    MAX_SUBJECT_CHARS,
    Attachment,
    Composed,
    Identity,
    Message,
    Stamp,
    Words,
    headers_of,
    is_header_allowed,
)
from envoi.core.people import Mailbox, outsider
from envoi.core.plaintext import text_of_html
from envoi.core.problem import Problem, brief
from envoi.core.routing import Because, Recipient, Skipped, Why

# More people than this are a broadcast, which has its own commands and safeguards (A27).
MAX_RECIPIENTS = 1_000
# Most relays refuse more than 25 to 50 MB on the wire; base64 adds a third (C4).
MAX_CONTENT_BYTES = 25 * 1024 * 1024
# Ten years: whoever means longer means for ever.
MAX_LIFETIME_S = 315_360_000
READY_KIND = "message"
READY_SENDER = "send"

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
# What `core.mime` can write as a message id; it folds between ids, never within one.
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}")
_NO_FILE_NAME = re.compile(r"[\x00-\x1f\x7f<>:\"|?*]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMail:
    """A mail whose words are finished.

    Args:
        to: Visible recipients; everybody who gets the mail sees them.
        cc: Visible copies.
        bcc: Recipients whom nobody sees.
        subject: One line.
        text: Plain part; made from nothing else, so at least one of text and html must be there.
        html: A whole document or a fragment; empty for text-only mail.
        headers: Extra header lines; those that Envoi writes itself are refused.
        attachments: Files.
        sender: From; None: the application's.
        reply_to: Where answers go; None: the application's.
        references: Ids of the conversation it belongs to, oldest first, without angle brackets;
            it answers the last one.
        secrets: Texts within subject, text and HTML, such as a reset token, that only the reader
            may see: masked in store, log and commands, and deleted when everybody has it.
        to_fallback: Whether its recipients could not be determined, so that it goes to those who
            answer for that, one mail each: the admins and `application.fallback`. Then it names
            no recipient itself.
        lifetime_s: How long it is worth anything, in seconds from when it was handed over; what
            waits longer expires. Default 0: for ever.
        occurred_at_ms: When it was handed over, milliseconds since 1970 UTC; 0: when it is stored.
            Only a mail that waited somewhere else before needs it.
        key: Idempotency key.
        mail_class: Its place in the queue. Default notice.
        application: Which application speaks.
    """

    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    subject: str = field(repr=False)
    text: str = field(default="", repr=False)
    html: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    sender: Mailbox | None = None
    reply_to: Mailbox | None = None
    references: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    to_fallback: bool = False
    lifetime_s: int = 0
    occurred_at_ms: int = 0
    key: str = ""
    mail_class: MailClass = MailClass.NOTICE
    application: str = "main"

    @property
    def recipients(self) -> tuple[Mailbox, ...]:
        """Everybody who gets it, in the order To, Cc, Bcc."""
        return (*self.to, *self.cc, *self.bcc)

    @property
    def shown_subject(self) -> str:
        """The subject as log and store may show it."""
        return _masked(self.subject, self.secrets)


def check_ready(mail: ReadyMail) -> tuple[Problem, ...]:
    """List everything for which the mail must be refused; empty when it can be taken."""
    return (
        *_check_recipients(mail),
        *_check_words(mail),
        *_check_marks(mail),
        *(problem for header in mail.headers for problem in _check_header(*header)),
        *(problem for file in mail.attachments for problem in _check_attachment(file)),
    )


def compose_ready(mail: ReadyMail, identity: Identity, stamp: Stamp) -> Composed:
    """Return the message of a checked ready-made mail; it gets no template and no prefix."""
    words = Words(subject=mail.subject.strip(), text=_text_of(mail), html=clean_text(mail.html))
    masked = _masked_words(words, mail.secrets)
    is_sealed = masked != words
    message = Message(
        uid=stamp.uid,
        application=mail.application,
        kind=READY_KIND,
        mail_class=mail.mail_class,
        sender=_shown(mail.sender) if mail.sender else identity.sender,
        reply_to=_shown(mail.reply_to) if mail.reply_to else identity.reply_to,
        subject=masked.subject,
        text=masked.text,
        html=masked.html,
        headers=headers_of(identity, READY_KIND, mail.headers),
        thread=mail.references,
        to=tuple(_shown(mailbox) for mailbox in mail.to),
        cc=tuple(_shown(mailbox) for mailbox in mail.cc),
        attachments=tuple(cleaned_attachment(file) for file in mail.attachments),
        host=identity.host,
        locale=identity.locale,
        time_zone=identity.time_zone,
        date_ms=stamp.now_ms,
        expires_at_ms=_expiry(mail, stamp.now_ms),
        is_sealed=is_sealed,
    )
    return Composed(message=message, sealed=words if is_sealed else None)


def pick_ready(mail: ReadyMail) -> tuple[tuple[Recipient, ...], tuple[Skipped, ...]]:
    """Return one recipient per address, and the repetitions as skipped."""
    recipients: dict[str, Recipient] = {}
    skipped: list[Skipped] = []
    for mailbox in mail.recipients:
        person = outsider(mailbox.address)
        told = recipients.get(str(mailbox.address))
        if told is not None:
            because = Because(Why.SAME_ADDRESS, told.person.label)
            skipped.append(Skipped(person=person, sender=READY_SENDER, because=because))
            continue
        recipients[str(mailbox.address)] = Recipient(
            person=person,
            address=mailbox.address,
            sender=READY_SENDER,
            because=Because(Why.NAMED),
        )
    return tuple(recipients.values()), tuple(skipped)


def cleaned_attachment(file: Attachment) -> Attachment:
    r"""Return the file with a name that no reader's disk minds (B17).

    >>> cleaned_attachment(Attachment(name="../a\r\nb.txt", media_type="text/plain", content=b""))
    Attachment(name='a b.txt', media_type='text/plain', content=b'')
    """
    base = re.split(r"[/\\]", file.name)[-1]
    name = _NO_FILE_NAME.sub(" ", clean_line(base)).strip(" .") or "attachment"
    stem, dot, suffix = name.rpartition(".")
    short = f"{stem[:100]}{dot}{suffix[:20]}" if dot else name[:100]
    return Attachment(name=short, media_type=file.media_type, content=file.content)


def _masked_words(words: Words, secrets: tuple[str, ...]) -> Words:
    return Words(
        subject=_masked(words.subject, secrets),
        text=_masked(words.text, secrets),
        html=_masked(words.html, secrets),
    )


def _masked(text: str, secrets: tuple[str, ...]) -> str:
    # The longest first: a token may begin like a shorter one, whose mask would leave its end.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _expiry(mail: ReadyMail, now_ms: int) -> int:
    return (mail.occurred_at_ms or now_ms) + mail.lifetime_s * 1000 if mail.lifetime_s else 0


def _text_of(mail: ReadyMail) -> str:
    text = clean_text(mail.text)
    # References such as `&#27;` become characters only now, so the result is cleaned again.
    return text if text.strip() else clean_text(f"{text_of_html(mail.html)}\n")


def _shown(mailbox: Mailbox) -> Mailbox:
    # A name is what a user called himself (B11, C9), whoever put it into the mailbox.
    return Mailbox(mailbox.address, clean_line(mailbox.name)[:MAX_NAME_CHARS].rstrip())


def _check_recipients(mail: ReadyMail) -> Iterator[Problem]:
    count = len(mail.recipients)
    if not count and not mail.to_fallback:
        yield Problem(where="to", expected="at least one recipient", got="none")
    if count and mail.to_fallback:
        expected = "no recipient beside to_fallback"
        yield Problem(where="to", expected=expected, got=str(count))
    if count > MAX_RECIPIENTS:
        yield Problem(
            where="to",
            expected=f"at most {MAX_RECIPIENTS} recipients",
            got=str(count),
            hint="a mail to that many is a broadcast",
        )


def _check_words(mail: ReadyMail) -> Iterator[Problem]:
    if not mail.subject.strip():
        yield Problem(where="subject", expected="a line of text", got="nothing")
    elif not is_one_line(mail.subject):
        yield Problem(
            where="subject",
            expected="one line without control characters",
            got=ascii(mail.subject[:80]),
        )
    elif len(mail.subject) > MAX_SUBJECT_CHARS:
        expected = f"at most {MAX_SUBJECT_CHARS} characters"
        yield Problem(where="subject", expected=expected, got=str(len(mail.subject)))
    if not _text_of(mail).strip():
        yield Problem(where="text", expected="some text or HTML", got="nothing")
    if len(mail.key) > MAX_KEY_CHARS or not is_one_line(mail.key):
        expected = f"one line of at most {MAX_KEY_CHARS} characters"
        yield Problem(where="key", expected=expected, got=ascii(mail.key[:80]))
    content = len(mail.text) + len(mail.html) + sum(len(file.content) for file in mail.attachments)
    content += sum(len(name) + len(value) for name, value in mail.headers)
    if content > MAX_CONTENT_BYTES:
        expected = f"at most {MAX_CONTENT_BYTES} bytes with all attachments"
        yield Problem(where="text", expected=expected, got=str(content))


def _check_marks(mail: ReadyMail) -> Iterator[Problem]:
    for one in mail.references:
        if not _MESSAGE_ID.fullmatch(one):
            expected = "message ids without angle brackets"
            yield Problem(where="references", expected=expected, got=ascii(one[:80]))
    if mail.to_fallback and (mail.secrets or mail.mail_class is MailClass.SECURITY):
        # What is for one person's eyes goes to nobody rather than to somebody else.
        expected = "a recipient for a mail with secrets or of class security"
        yield Problem(where="to_fallback", expected=expected, got="nobody")
    if not 0 <= mail.lifetime_s <= MAX_LIFETIME_S:
        expected = f"0..{MAX_LIFETIME_S} seconds"
        yield Problem(where="lifetime_s", expected=expected, got=brief(mail.lifetime_s))
    if not is_moment(mail.occurred_at_ms):
        expected = "milliseconds since 1970"
        yield Problem(where="occurred_at_ms", expected=expected, got=brief(mail.occurred_at_ms))
    if not all(secret.strip() for secret in mail.secrets):
        yield Problem(where="secrets", expected="texts to mask", got="an empty one")


def _check_header(name: str, value: str) -> Iterator[Problem]:
    if not is_header_allowed(name):
        yield Problem(
            where="headers",
            expected="a header name that Envoi does not write itself",
            got=ascii(name[:80]),
        )
    if not is_one_line(value):
        yield Problem(where=f"headers.{name!a}", expected="one line of text", got=ascii(value[:80]))


def _check_attachment(file: Attachment) -> Iterator[Problem]:
    if not _MEDIA_TYPE.fullmatch(file.media_type):
        yield Problem(
            where=f"attachments.{file.name!a}",
            expected="a media type such as application/pdf",
            got=ascii(file.media_type[:80]),
        )
