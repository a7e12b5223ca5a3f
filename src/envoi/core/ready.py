"""This room takes ready-made mail: words that somebody else wrote, sent as they are.

Here input was typed for us, so whatever does not fit is refused with every problem at once and
nothing is stored; an event's data, in contrast, is cleaned (`core.kind`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from envoi.core.event import MAX_KEY_CHARS
from envoi.core.kind import MailClass, clean_line, clean_text, is_one_line
from envoi.core.message import (
    MAX_NAME_CHARS,
    MAX_SUBJECT_CHARS,
    Attachment,
    Identity,
    Message,
    Stamp,
    headers_of,
    is_header_allowed,
)
from envoi.core.people import Mailbox, outsider
from envoi.core.plaintext import text_of_html
from envoi.core.problem import Problem
from envoi.core.routing import Because, Recipient, Skipped, Why

# More people than this are a broadcast, which has its own commands and safeguards (A27).
MAX_RECIPIENTS = 1_000
# Most relays refuse more than 25 to 50 MB on the wire; base64 adds a third (C4).
MAX_CONTENT_BYTES = 25 * 1024 * 1024
READY_KIND = "message"
READY_SENDER = "send"

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
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
        key: Idempotency key.
        mail_class: Its place in the queue. Default notice.
        application: Which application speaks.
    """

    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    subject: str
    text: str = ""
    html: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    sender: Mailbox | None = None
    reply_to: Mailbox | None = None
    key: str = ""
    mail_class: MailClass = MailClass.NOTICE
    application: str = "main"

    @property
    def recipients(self) -> tuple[Mailbox, ...]:
        """Everybody who gets it, in the order To, Cc, Bcc."""
        return (*self.to, *self.cc, *self.bcc)


def check_ready(mail: ReadyMail) -> tuple[Problem, ...]:
    """List everything for which the mail must be refused; empty when it can be taken."""
    return (
        *_check_recipients(mail),
        *_check_words(mail),
        *(problem for header in mail.headers for problem in _check_header(*header)),
        *(problem for file in mail.attachments for problem in _check_attachment(file)),
    )


def compose_ready(mail: ReadyMail, identity: Identity, stamp: Stamp) -> Message:
    """Return the message of a checked ready-made mail; it gets no template and no prefix."""
    text = _text_of(mail)
    return Message(
        uid=stamp.uid,
        application=mail.application,
        kind=READY_KIND,
        mail_class=mail.mail_class,
        sender=_shown(mail.sender) if mail.sender else identity.sender,
        reply_to=_shown(mail.reply_to) if mail.reply_to else identity.reply_to,
        subject=mail.subject.strip(),
        text=text,
        html=clean_text(mail.html),
        headers=headers_of(identity, READY_KIND, mail.headers),
        to=tuple(_shown(mailbox) for mailbox in mail.to),
        cc=tuple(_shown(mailbox) for mailbox in mail.cc),
        attachments=tuple(cleaned_attachment(file) for file in mail.attachments),
        host=identity.host,
        locale=identity.locale,
        time_zone=identity.time_zone,
        date_ms=stamp.now_ms,
    )


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


def _text_of(mail: ReadyMail) -> str:
    text = clean_text(mail.text)
    # References such as `&#27;` become characters only now, so the result is cleaned again.
    return text if text.strip() else clean_text(f"{text_of_html(mail.html)}\n")


def _shown(mailbox: Mailbox) -> Mailbox:
    # A name is what a user called himself (B11, C9), whoever put it into the mailbox.
    return Mailbox(mailbox.address, clean_line(mailbox.name)[:MAX_NAME_CHARS].rstrip())


def _check_recipients(mail: ReadyMail) -> Iterator[Problem]:
    count = len(mail.recipients)
    if not count:
        yield Problem(where="to", expected="at least one recipient", got="none")
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
