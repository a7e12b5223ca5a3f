"""This room is what a test relay is like, what it has and what it saw."""

import ssl
import threading
import time
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Literal

EXTENSIONS = (
    "PIPELINING",
    "8BITMIME",
    "SMTPUTF8",
    "SIZE 10485760",
    "ENHANCEDSTATUSCODES",
    "CHUNKING",
)
# What some server would read as the end of a mail (C2); CRLF before the dot was stuffed already.
_SMUGGLING = (b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r\n", b"\r\n\x00.\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTraits:
    """What a relay is like when nothing goes wrong.

    Args:
        extensions: What EHLO offers, beside STARTTLS and AUTH.
        tls: How TLS begins.
        context: Its certificate; needed unless `tls` is `none`.
        username: Who may send; empty: everybody.
        password: Its password.
        mechanisms: What AUTH offers.
        demands_auth: Whether MAIL is refused with 530 before AUTH.
        max_connections: More are greeted with 421; 0: any number.
        max_messages: After so many, MAIL is answered 421; 0: any number.
        max_rcpts: More in one transaction are answered 452; 0: any number.
        slow_s: How long a slow answer takes.
    """

    extensions: tuple[str, ...] = EXTENSIONS
    tls: Literal["none", "starttls", "tls"] = "none"
    context: ssl.SSLContext | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN", "CRAM-MD5")
    demands_auth: bool = False
    max_connections: int = 0
    max_messages: int = 0
    max_rcpts: int = 0
    slow_s: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A mail that is on the relay's disk.

    Args:
        connection: Which connection it came over, from 1.
        mail_from: Envelope sender.
        recipient: Envelope recipient; a mail to several is kept once for each.
        content: Without dot-stuffing.
        is_tls: Whether it came encrypted.
        username: Who had signed in.
        is_acknowledged: Whether the client was told so with a 2xx.
    """

    connection: int
    mail_from: str
    recipient: str
    content: bytes
    is_tls: bool
    username: str
    is_acknowledged: bool

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return message_from_bytes(self.content, policy=default)

    @property
    def message_id(self) -> str:
        """The Message-ID header."""
        return str(self.message["Message-ID"] or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a relay decided about one recipient's mail, whether or not the client heard of it.

    Args:
        at_s: When it was said, monotonic seconds.
        recipient: Envelope recipient.
        stage: The command: `mail`, `rcpt`, `data` or `content`.
        code: Three digits.
    """

    at_s: float
    recipient: str
    stage: str
    code: int


class Ledger:
    """What a relay has and saw; its threads write, tests read.

    Attributes:
        lied: Recipients whose mail it acknowledged and threw away.
        offers: When (monotonic seconds) which recipient was offered, refused or not.
        answers: Every refusal, and every answer to a content.
        violations: What the client did against the protocol, in words.
        sign_ins: Number of AUTH attempts.
        chunks: Number of contents that came by BDAT.
        bare_cr: CRs in contents without LF behind.
        bare_lf: LFs in contents without CR before.
        smuggling: Contents that some server would read as two mails.
        most_open: Most connections at once.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._changed = threading.Condition()
        self._kept: list[Kept] = []
        self.lied: list[str] = []
        self.offers: list[tuple[float, str]] = []
        self.answers: list[Answer] = []
        self.violations: list[str] = []
        self.sign_ins = 0
        self.chunks = 0
        self.bare_cr = 0
        self.bare_lf = 0
        self.smuggling = 0
        self.connections = 0
        self.open = 0
        self.most_open = 0

    @property
    def kept(self) -> list[Kept]:
        """The mails it has, in order of arrival."""
        with self._changed:
            return list(self._kept)

    def wait_for(self, count: int, timeout_s: float = 10) -> list[Kept]:
        """Return the mails once there are so many.

        Raises:
            AssertionError: They did not come in time.
        """
        with self._changed:
            has_come = self._changed.wait_for(lambda: len(self._kept) >= count, timeout_s)
            kept = list(self._kept)
        if not has_come:
            raise AssertionError(f"expected {count} mails within {timeout_s} s, got {len(kept)}")
        return kept

    def keep(self, kept: Kept) -> None:
        """Put a mail on the disk."""
        with self._changed:
            self._kept.append(kept)
            self._changed.notify_all()

    def lie(self, recipient: str) -> None:
        """Note a mail that was acknowledged and thrown away."""
        with self._changed:
            self.lied.append(recipient)

    def enter(self) -> int:
        """Note a new connection; returns its number."""
        with self._changed:
            self.connections += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            return self.connections

    def leave(self) -> None:
        """Note that a connection is gone."""
        with self._changed:
            self.open -= 1

    def note_sign_in(self) -> None:
        """Note that somebody tried to sign in."""
        with self._changed:
            self.sign_ins += 1

    def note_violation(self, what: str) -> None:
        """Note that the client broke the protocol."""
        with self._changed:
            self.violations.append(what)

    def note_offer(self, recipient: str) -> None:
        """Note that a recipient was offered."""
        with self._changed:
            self.offers.append((time.monotonic(), recipient))

    def note_answer(self, recipient: str, stage: str, code: int) -> None:
        """Note what is answered about a recipient's mail, right before it is said."""
        answer = Answer(at_s=time.monotonic(), recipient=recipient, stage=stage, code=code)
        with self._changed:
            self.answers.append(answer)

    def note_chunk(self) -> None:
        """Note that a content came by BDAT."""
        with self._changed:
            self.chunks += 1

    def note_content(self, raw: bytes) -> None:
        """Count what must not be in a content, as it came over the wire."""
        pairs = raw.count(b"\r\n")
        unstuffed = raw.replace(b"\r\n..", b"\r\n ")
        with self._changed:
            self.bare_cr += raw.count(b"\r") - pairs
            self.bare_lf += raw.count(b"\n") - pairs
            self.smuggling += any(sequence in unstuffed for sequence in _SMUGGLING)
