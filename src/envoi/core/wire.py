"""This room makes the bytes of a mail (step 11): pure, and equal whenever asked again.

What all deliveries of a message share is written once (`prepare`); the few lines that are a
person's own are put in between (`splice`). The same message, words, delivery and abilities give
the same octets; other abilities of the relay change only the transfer encoding, never Message-ID,
Date or what a reader decodes. Shape of the whole, parts that do not occur left out:

    From, Reply-To         shared
    To, Cc                 the person's own, or the visible list of a ready-made mail
    Subject, Date          shared
    Message-ID             the person's own
    In-Reply-To ... MIME   shared
    mixed                  shared
      alternative          shared
        text               words, `-- `, personal block of the person's reason
        html               words around the personal block
      files                shared

Line ends are CRLF and nothing else; the transport stuffs the dots.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from envoi.core.delivery import Delivery
from envoi.core.message import Attachment, Block, Message, Words, is_header_allowed
from envoi.core.mime import (
    Encoding,
    addresses,
    base64_lines,
    checked_media_type,
    file_name,
    free_text,
    identifiers,
    least_encoding,
    quoted_printable,
)
from envoi.core.people import Mailbox

# A template may say where in the HTML the personal block stands.
PERSONAL_MARKER = "<!--envoi:personal-->"
# Usenet's sign for "here the words end": readers grey out what follows and do not quote it.
TEXT_SEPARATOR = "-- \n"

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UID = re.compile(r"[A-Za-z0-9]{1,60}")
# A mailbox as nearly all are, which needs no quotes, no encoding and no second line: 6 µs a mail.
_PLAIN_OWN = re.compile(
    r"(?:[A-Za-z0-9-]+(?: [A-Za-z0-9-]+)* <[a-z0-9_+.-]+@[a-z0-9.-]+>|[a-z0-9_+.-]+@[a-z0-9.-]+)"
)
_MAX_PLAIN_OWN_CHARS = 60
_NOTHING = Block(text="", html="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A message in bytes, open where the person's own lines go.

    Args:
        opening: The first header lines.
        visible: To and Cc lines that everybody sees; empty: each recipient sees himself alone.
        middle: Header lines between To and Message-ID.
        bodies: The rest of the headers and the body, by stored reason, in pieces; the pieces are
            shared, so many reasons cost little more than one. The empty reason has no block.
        id_left: The line of the Message-ID up to the ordinal.
        id_right: The line behind the ordinal.
        utf8: Whether addresses may stand in UTF-8.
    """

    opening: bytes
    visible: bytes
    middle: bytes
    bodies: Mapping[str, tuple[bytes, ...]]
    id_left: bytes
    id_right: bytes
    utf8: bool


def to_wire(
    message: Message, words: Words, delivery: Delivery, *, eight_bit: bool, utf8: bool
) -> bytes:
    """Return the whole mail of one delivery, as the relay gets it after DATA.

    Args:
        message: As composed.
        words: The sealed words where it has secrets, else `words_of(message)`.
        delivery: Whom it goes to.
        eight_bit: Whether the relay offers 8BITMIME.
        utf8: Whether header lines may hold UTF-8 addresses, that is: the mail is sent with the
            parameter SMTPUTF8.

    Raises:
        ValueError: A header value would break its line. Whoever made the message did not clean it.
    """
    return splice(prepare(message, words, eight_bit=eight_bit, utf8=utf8), delivery)


def prepare(message: Message, words: Words, *, eight_bit: bool, utf8: bool) -> Prepared:
    """Write everything that the message's deliveries share; arguments as in `to_wire`."""
    if not _UID.fullmatch(message.uid):
        raise ValueError(f"message uid: expected letters and digits, got {message.uid!a}")
    own_id = _proved([identifiers("Message-ID", (f"{message.uid}.0@{message.host}",))])
    id_left, _, id_right = own_id.partition(b".0@")
    return Prepared(
        opening=_proved(_opening(message, utf8=utf8)),
        visible=_proved(_visible(message, utf8=utf8)),
        middle=_proved(_middle(message, words)),
        bodies=_bodies(message, words, _proved(_closing(message)), eight_bit=eight_bit),
        id_left=id_left + b".",
        id_right=b"@" + id_right,
        utf8=utf8,
    )


def splice(prepared: Prepared, delivery: Delivery) -> bytes:
    """Return the mail of one delivery: the shared bytes with the person's own lines."""
    to = prepared.visible or _own_to(delivery, utf8=prepared.utf8)
    own_id = b"%b%d%b" % (prepared.id_left, delivery.ordinal, prepared.id_right)
    stored = delivery.because.stored
    body = prepared.bodies[stored if stored in prepared.bodies else ""]
    return b"".join((prepared.opening, to, prepared.middle, own_id, *body))


def _own_to(delivery: Delivery, *, utf8: bool) -> bytes:
    name, address = delivery.name, str(delivery.address)
    text = f"{name} <{address}>" if name else address
    if len(text) <= _MAX_PLAIN_OWN_CHARS and _PLAIN_OWN.fullmatch(text):
        return f"To: {text}\r\n".encode("ascii")
    return _proved([addresses("To", (Mailbox(delivery.address, name),), utf8=utf8)])


def raw_masked(message: Message, delivery: Delivery) -> str:
    """Return the raw mail as `show` prints it: every secret masked, line ends plain."""
    octets = to_wire(message, words_of(message), delivery, eight_bit=True, utf8=True)
    return octets.decode("utf-8").replace("\r\n", "\n")


def words_of(message: Message) -> Words:
    """Return the words that the message itself holds; masked where it has secrets."""
    return Words(subject=message.subject, text=message.text, html=message.html)


def spoken(words: Words, block: Block | None) -> Words:
    r"""Return what a reader decodes: the words with the personal block in its place.

    Lines end with a newline, the last one too. That is the promise that `prepare` keeps.

    Args:
        words: As they go out.
        block: That of the delivery's reason; None where the message has no blocks at all.

    >>> spoken(Words(subject="s", text="Hi"), Block(text="You watch docs.", html="")).text
    'Hi\n-- \nYou watch docs.\n'
    """
    html = _html_parts(words.html, has_block=block is not None)
    own = block or _NOTHING
    return Words(
        subject=words.subject,
        text=_lines(words.text) + _below_text(own),
        html=_lines(own.html).join(html) if words.html else "",
    )


def needs_utf8(message: Message, delivery: Delivery) -> bool:
    """Whether header or envelope name an address that only SMTPUTF8 carries whole."""
    shown = (message.sender, message.reply_to, *message.to, *message.cc)
    return delivery.address.needs_smtputf8 or any(
        mailbox is not None and mailbox.address.needs_smtputf8 for mailbox in shown
    )


def date(moment_ms: int) -> str:
    """Return the moment as a Date header says it, in UTC.

    >>> date(1_700_000_000_999)
    'Tue, 14 Nov 2023 22:13:20 +0000'
    """
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC)
    day = f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]}"
    return f"{day} {moment.year:04} {moment.hour:02}:{moment.minute:02}:{moment.second:02} +0000"


def _opening(message: Message, *, utf8: bool) -> list[str]:
    lines = [addresses("From", (message.sender,), utf8=utf8)]
    if message.reply_to is not None:
        lines.append(addresses("Reply-To", (message.reply_to,), utf8=utf8))
    return lines


def _visible(message: Message, *, utf8: bool) -> list[str]:
    lists = (("To", message.to), ("Cc", message.cc))
    return [addresses(name, mailboxes, utf8=utf8) for name, mailboxes in lists if mailboxes]


def _middle(message: Message, words: Words) -> list[str]:
    return [free_text("Subject", words.subject), f"Date: {date(message.date_ms)}\r\n"]


def _closing(message: Message) -> list[str]:
    lines: list[str] = []
    if message.thread:
        lines.append(identifiers("In-Reply-To", message.thread[-1:]))
        lines.append(identifiers("References", message.thread))
    # RFC 3834 5: nothing that answers by itself answers this; the second line says it to Exchange.
    lines += ("Auto-Submitted: auto-generated\r\n", "X-Auto-Response-Suppress: All\r\n")
    for name, value in message.headers:
        if not is_header_allowed(name):
            raise ValueError(
                f"header {ascii(name)[:100]}: Envoi writes it itself, or it is no name"
            )
        lines.append(free_text(name, value))
    lines.append("MIME-Version: 1.0\r\n")
    return lines


def _proved(lines: Sequence[str]) -> bytes:
    # The functions of core.mime refuse line breaks; here the result is proved once more, since a
    # header too many is the worst that this room could do (RELIABILITY B).
    octets = "".join(lines).encode("utf-8")
    ends = octets.count(b"\r\n")
    if ends != octets.count(b"\r") or ends != octets.count(b"\n"):
        raise ValueError("a header line holds a bare line break; nothing was written")
    if ends != len(lines) + octets.count(b"\r\n "):
        raise ValueError("a header value would have become a header; nothing was written")
    return octets


@dataclass(slots=True)
class _Segment:
    """Some lines of a text in bytes; quoted-printable is made once, when it is asked for."""

    octets: bytes
    least: Encoding
    quoted: bytes | None = None

    def written(self, encoding: Encoding) -> bytes:
        if encoding is not Encoding.QUOTED_PRINTABLE:
            return self.octets
        if self.quoted is None:
            self.quoted = quoted_printable(self.octets)
        return self.quoted


@dataclass(frozen=True, slots=True)
class _Part:
    """A MIME part: its header lines, and its body in pieces that end with CRLF."""

    header: bytes
    pieces: tuple[bytes, ...]
    is_eight_bit: bool = False


def _bodies(
    message: Message, words: Words, closing: bytes, *, eight_bit: bool
) -> dict[str, tuple[bytes, ...]]:
    def segment(text: str) -> _Segment:
        octets = text.replace("\n", "\r\n").encode("utf-8", "replace")
        return _Segment(octets, least_encoding(octets, eight_bit=eight_bit))

    boundary = _boundary(message, words)
    text = segment(_lines(words.text))
    parts = _html_parts(words.html, has_block=bool(message.blocks)) if words.html else ()
    html = [segment(part) for part in parts]
    files = tuple(_file_part(attachment) for attachment in message.attachments)
    bodies: dict[str, tuple[bytes, ...]] = {}
    for reason, block in {"": _NOTHING, **message.blocks}.items():
        below = [segment(_below_text(block))] if block.text else []
        part = _text_part("plain", [text, *below])
        if html:
            inside = [segment(_lines(block.html))] if block.html else []
            whole = _text_part("html", [*html[:1], *inside, *html[1:]])
            part = _multipart("alternative", (part, whole), boundary)
        if files:
            part = _multipart("mixed", (part, *files), boundary)
        bodies[reason] = (closing, part.header, b"\r\n", *part.pieces)
    return bodies


def _text_part(subtype: str, segments: Sequence[_Segment]) -> _Part:
    # One encoding per part, the plainest that carries all of it: "7bit" < "8bit" < "quoted-…".
    encoding = max([segment.least for segment in segments])
    return _Part(
        b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n"
        % (subtype.encode("ascii"), encoding.encode("ascii")),
        tuple([segment.written(encoding) for segment in segments]),
        encoding is Encoding.EIGHT_BIT,
    )


def _multipart(subtype: str, parts: tuple[_Part, ...], boundary: str) -> _Part:
    # One is inside the other, so they differ in the last letter: neither begins with the other.
    boundary += subtype[0]
    header = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n'
    is_eight_bit = any(part.is_eight_bit for part in parts)
    if is_eight_bit:
        # RFC 2045 6.4: a multipart is labelled with the widest encoding inside it.
        header += "Content-Transfer-Encoding: 8bit\r\n"
    opening = f"--{boundary}\r\n".encode("ascii")
    pieces: list[bytes] = []
    for part in parts:
        # RFC 2046 5.1.1: the CRLF before a boundary belongs to the boundary.
        pieces += (opening, part.header, b"\r\n", *part.pieces, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return _Part(header.encode("ascii"), tuple(pieces), is_eight_bit)


def _boundary(message: Message, words: Words) -> str:
    # Nobody can know the uid beforehand, but a text may quote the raw view of this very mail.
    # Quoted-printable and base64 never hold `=_`, so only the plain texts are searched.
    texts = [words.text, words.html]
    texts += [text for block in message.blocks.values() for text in (block.text, block.html)]
    number = 0
    boundary = f"=_{message.uid}_"
    while any(boundary in text for text in texts):
        number += 1
        boundary = f"=_{message.uid}_{number}_"
    return boundary


def _file_part(attachment: Attachment) -> _Part:
    name = file_name(attachment.name) if attachment.name else ""
    header = (
        f"Content-Type: {checked_media_type(attachment.media_type)}\r\n"
        f"Content-Disposition: attachment{name}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
    )
    return _Part(header.encode("ascii"), (base64_lines(attachment.content),))


def _below_text(block: Block) -> str:
    return TEXT_SEPARATOR + _lines(block.text) if block.text else ""


def _html_parts(html: str, *, has_block: bool) -> tuple[str, ...]:
    if not has_block:
        return (_lines(html),)
    before, marker, after = html.partition(PERSONAL_MARKER)
    if not marker:
        end = html.rfind("</body")
        before, after = (html[:end], html[end:]) if end >= 0 else (html, "")
    return (_lines(before), _lines(after))


def _lines(text: str) -> str:
    if "\r" in text or "\0" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return text if not text or text.endswith("\n") else text + "\n"
