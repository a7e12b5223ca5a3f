"""This room is one client's conversation with a `FaultyRelay`, and does the misbehaving."""

import base64
import binascii
import contextlib
import hmac
import threading
from dataclasses import dataclass

from envoi.testing.faults import (
    AT_CHUNK,
    AT_DATA,
    AT_END,
    AT_MAIL,
    AT_RCPT,
    GREETINGS,
    KEPT_UNSAID,
    Fault,
    Script,
    fault_of,
)
from envoi.testing.ledger import Kept, Ledger, RelayTraits
from envoi.testing.wire import HangUpError, Wire

_CHALLENGE = b"<1.2@relay.test>"


@dataclass(slots=True, kw_only=True)
class House:
    """What all conversations of one relay share.

    Args:
        traits: What the relay is like.
        ledger: What it has and saw.
        connections: Faults by connection.
        messages: Faults by mail.
        stopping: Set when it stops.
    """

    traits: RelayTraits
    ledger: Ledger
    connections: Script
    messages: Script
    stopping: threading.Event


@dataclass(slots=True, kw_only=True)
class _Transaction:
    mail_from: str
    words: frozenset[str]
    fault: Fault
    recipients: list[str]


class Conversation:
    """Speaks SMTP with one client.

    Args:
        house: The relay's.
        wire: The client's.
        number: Which connection this is, from 1.
    """

    def __init__(self, house: House, wire: Wire, number: int) -> None:
        """Begin with nothing said."""
        self._house = house
        self._traits = house.traits
        self._ledger = house.ledger
        self._wire = wire
        self._number = number
        self._fault = Fault.NONE
        self._username = ""
        self._message_count = 0
        self._transaction: _Transaction | None = None
        self._mail_fault = Fault.NONE

    def run(self) -> None:
        """Speak until one side hangs up."""
        with contextlib.suppress(OSError, HangUpError):
            self._fault = self._house.connections.next()
            if self._traits.tls == "tls":
                self._secure()
            self._greet()
            while True:
                self._obey(self._wire.read_command())

    # Opening.

    def _greet(self) -> None:
        if self._fault in GREETINGS:
            self._wire.hang_up_with(GREETINGS[self._fault])
        match self._fault:
            case Fault.ACCEPT_CLOSE:
                self._wire.hang_up()
            case Fault.HANG_GREET:
                self._wire.hang()
            case Fault.SLOWLORIS:
                self._wire.dribble()
            case _:
                pass
        most = self._traits.max_connections
        if most and self._ledger.open > most:
            self._wire.hang_up_with("421 4.7.0 too many connections")
        self._wire.reply("220 relay.test ESMTP")

    def _hello(self, verb: str) -> None:
        self._transaction = None
        if self._fault is Fault.EHLO_421:
            self._wire.hang_up_with("421 4.3.2 closing")
        if self._fault is Fault.EHLO_502 and verb == "EHLO":
            self._wire.reply("502 5.5.1 what is EHLO")
            return
        lines = ["relay.test", *self._offers()] if verb == "EHLO" else ["relay.test"]
        if self._fault is Fault.LONG_REPLY:
            lines = [f"X-EXTENSION-{number}" for number in range(20_000)]
        self._wire.reply(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")

    def _offers(self) -> list[str]:
        offers = list(self._traits.extensions)
        is_open = self._traits.tls == "starttls" and not self._wire.is_secure
        if is_open and self._fault is not Fault.STARTTLS_STRIPPED:
            offers.append("STARTTLS")
        if self._traits.username:
            offers.append(f"AUTH {' '.join(self._traits.mechanisms)}")
        return offers

    def _start_tls(self) -> None:
        if self._fault is Fault.STARTTLS_454:
            self._wire.reply("454 4.7.0 TLS not available")
            return
        is_injected = self._fault is Fault.STARTTLS_INJECT
        self._wire.reply(
            "220 2.0.0 ready", *(("250-injected", "250 AUTH LOGIN") if is_injected else ())
        )
        if self._fault is Fault.TLS_ABORT:
            self._wire.swallow()  # the beginning of the client's hello
            self._wire.hang_up()
        self._secure()

    def _secure(self) -> None:
        if self._traits.context is None:
            raise ValueError("RelayTraits.context: expected a certificate for TLS, got none")
        self._wire.secure(self._traits.context)
        self._transaction = None

    def _sign_in(self, argument: str) -> None:
        self._ledger.note_sign_in()
        mechanism, _, initial = argument.partition(" ")
        if self._fault is Fault.AUTH_454:
            self._wire.reply("454 4.7.0 temporary authentication failure")
            return
        if self._fault is Fault.AUTH_530:
            self._wire.reply("530 5.7.0 must issue a STARTTLS command first")
            return
        if mechanism.upper() not in self._traits.mechanisms:
            self._wire.reply("504 5.5.4 unknown mechanism")
            return
        username, is_right = self._check(mechanism.upper(), initial)
        if is_right and self._fault is not Fault.AUTH_535:
            self._username = username
            self._wire.reply("235 2.7.0 welcome")
        else:
            # Echoing what was typed is rude, and seen in the wild (F12).
            self._wire.reply(f"535 5.7.8 {username} {self._traits.password} is not right")

    def _check(self, mechanism: str, initial: str) -> tuple[str, bool]:
        username, password = self._traits.username, self._traits.password
        if mechanism == "PLAIN":
            _, name, word = (*_unb64(initial or self._ask("")).split("\0"), "", "")[:3]
            return name, (name, word) == (username, password)
        if mechanism == "LOGIN":
            name = _unb64(initial or self._ask("Username:"))
            return name, (name, _unb64(self._ask("Password:"))) == (username, password)
        name, _, digest = _unb64(self._ask(_CHALLENGE.decode())).rpartition(" ")
        right = hmac.new(password.encode(), _CHALLENGE, "md5").hexdigest()
        return name, name == username and hmac.compare_digest(digest, right)

    def _ask(self, prompt: str) -> str:
        self._wire.reply(f"334 {base64.b64encode(prompt.encode()).decode()}")
        return self._wire.read_line().decode("ascii", "replace")

    # Mail.

    def _obey(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        match verb.upper():
            case "EHLO" | "HELO":
                self._hello(verb.upper())
            case "STARTTLS" if self._traits.tls == "starttls":
                self._start_tls()
            case "AUTH" if self._traits.username:
                self._sign_in(argument)
            case "MAIL":
                self._begin(argument)
            case "RCPT":
                self._add(argument)
            case "DATA":
                self._take_content()
            case "BDAT" if "CHUNKING" in self._traits.extensions:
                self._take_chunk(*argument.upper().split())
            case "RSET" | "NOOP":
                self._transaction = None if verb.upper() == "RSET" else self._transaction
                self._wire.reply("250 2.0.0 ok")
            case "QUIT":
                self._wire.hang_up_with("221 2.0.0 bye")
            case _:
                self._ledger.note_violation(f"unknown command {verb!a}")
                self._wire.reply("500 5.5.1 unknown command")

    def _begin(self, argument: str) -> None:
        if self._transaction is not None:
            self._ledger.note_violation("MAIL inside a transaction")
            self._wire.reply("503 5.5.1 nested MAIL")
            return
        if self._traits.demands_auth and not self._username:
            self._wire.reply("530 5.7.0 authentication required")
            return
        fault = self._house.messages.next()
        self._message_count += 1
        if self._traits.max_messages and self._message_count > self._traits.max_messages:
            self._wire.hang_up_with("421 4.7.0 too many messages on this connection")
        if fault is Fault.MAIL_DROP:
            self._wire.hang_up()
        self._mail_fault = fault
        if self._refuse(fault, AT_MAIL):
            return
        path, _, words = argument.removeprefix("FROM:").partition(">")
        self._transaction = _Transaction(
            mail_from=path.removeprefix("<"),
            words=frozenset(words.upper().split()),
            fault=fault,
            recipients=[],
        )
        self._wire.reply("250 2.1.0 ok", *(("250 2.1.0 ok",) if fault is Fault.DESYNC else ()))

    def _add(self, argument: str) -> None:
        recipient = argument.removeprefix("TO:").strip().strip("<>")
        self._ledger.note_offer(recipient)
        transaction = self._transaction
        if transaction is None:
            # In a group of commands it says whose MAIL was refused.
            self._note_answer([recipient], "mail", AT_MAIL.get(self._mail_fault))
            self._wire.reply("503 5.5.1 MAIL first")
            return
        transaction.fault = fault_of(recipient) or transaction.fault
        if transaction.fault is Fault.RCPT_DROP:
            self._wire.hang_up()
        self._note_answer([recipient], "rcpt", AT_RCPT.get(transaction.fault))
        if self._refuse(transaction.fault, AT_RCPT):
            return
        if not recipient.isascii() and "SMTPUTF8" not in transaction.words:
            self._ledger.note_violation("a recipient beyond ASCII without SMTPUTF8")
        if self._traits.max_rcpts and len(transaction.recipients) >= self._traits.max_rcpts:
            self._wire.reply("452 4.5.3 too many recipients")
            return
        transaction.recipients.append(recipient)
        self._wire.reply("250 2.1.5 ok")

    def _take_content(self) -> None:
        # RFC 2920 3.1: DATA "can only appear as the last command in a group".
        self._wire.refuse_early_words("behind DATA")
        transaction = self._transaction
        fault = transaction.fault if transaction else Fault.NONE
        if transaction is None:
            self._wire.reply("503 5.5.1 MAIL first")
            return
        if not transaction.recipients and fault is not Fault.RCPT_550_354:
            self._wire.reply("554 5.5.1 no valid recipients")
            return
        self._note_answer(transaction.recipients, "data", AT_DATA.get(fault))
        if self._refuse(fault, AT_DATA):
            return
        extra = ("250 2.0.0 ok",) if fault is Fault.DESYNC_DATA else ()
        self._wire.reply("354 end with a dot", *extra)
        if fault is Fault.DROP_ON_354:
            self._wire.hang_up()
        if fault is Fault.HANG_IN_DATA:
            self._house.stopping.wait()
        raw = self._wire.read_content(is_cut=fault is Fault.DROP_IN_DATA)
        self._transaction = None
        self._check_content(transaction, raw)
        if transaction.recipients:
            stuffed = b"\r\n" + raw
            self._conclude(transaction, stuffed.replace(b"\r\n.", b"\r\n")[2:])
        else:
            self._wire.reply("554 5.5.1 no valid recipients")

    def _take_chunk(self, size: str, last: str = "") -> None:
        transaction = self._transaction
        fault = transaction.fault if transaction else Fault.NONE
        if fault is Fault.DROP_ON_354:
            self._wire.hang_up()
        if fault is Fault.HANG_IN_DATA:
            self._house.stopping.wait()
        # RFC 3030 2: "the receiver-SMTP MUST accept and discard the associated message data
        # before sending the appropriate 5XX or 4XX code".
        raw = self._wire.read_octets(int(size), is_cut=fault is Fault.DROP_IN_DATA)
        self._ledger.note_chunk()
        if last != "LAST":
            self._ledger.note_violation("a content in several pieces")
        if transaction is None:
            self._wire.reply("503 5.5.1 MAIL first")
        elif not transaction.recipients:
            # And like some relays it leaves the transaction open.
            self._wire.reply("554 5.5.1 no valid recipients")
        else:
            self._note_answer(transaction.recipients, "data", AT_CHUNK.get(fault))
            if not self._refuse(fault, AT_CHUNK):
                self._transaction = None
                self._take_octets(transaction, raw)

    def _take_octets(self, transaction: _Transaction, raw: bytes) -> None:
        # By BDAT a dot at the start of a line stands for itself.
        self._ledger.note_content(raw.replace(b"\r\n.", b"\r\n.."))
        self._check_letters(transaction, raw)
        if transaction.fault is Fault.DESYNC_DATA:
            self._wire.reply("250 2.0.0 ok")
        self._conclude(transaction, raw)

    def _check_content(self, transaction: _Transaction, raw: bytes) -> None:
        self._ledger.note_content(raw)
        if raw and not transaction.recipients:
            self._ledger.note_violation("a content without a valid recipient")
        self._check_letters(transaction, raw)

    def _check_letters(self, transaction: _Transaction, raw: bytes) -> None:
        if not raw.isascii() and "BODY=8BITMIME" not in transaction.words:
            self._ledger.note_violation("an 8-bit content without BODY=8BITMIME")

    def _conclude(self, transaction: _Transaction, content: bytes) -> None:
        fault = transaction.fault
        if fault is Fault.LIE_250:
            for recipient in transaction.recipients:
                self._ledger.lie(recipient)
        elif fault in KEPT_UNSAID or (fault not in AT_END and fault is not Fault.DROP_UNKEPT):
            self._keep(transaction, content)
        if fault in {Fault.DROP_KEPT, Fault.DROP_UNKEPT}:
            self._wire.hang_up()
        if fault is Fault.HANG_KEPT:
            self._wire.hang()
        if fault in {Fault.SLOW_ACK, Fault.SLOW_554}:
            self._wire.flush()
            self._house.stopping.wait(self._traits.slow_s)
        self._note_answer(transaction.recipients, "content", AT_END.get(fault, "250"))
        if self._refuse(fault, AT_END):
            return
        self._wire.reply(f"250 2.0.0 queued as {self._number:X}-{self._message_count:X}")
        if fault in {Fault.CLOSE_AFTER_250, Fault.LIE_250}:
            self._wire.hang_up()

    def _keep(self, transaction: _Transaction, content: bytes) -> None:
        for recipient in transaction.recipients:
            self._ledger.keep(
                Kept(
                    connection=self._number,
                    mail_from=transaction.mail_from,
                    recipient=recipient,
                    content=content,
                    is_tls=self._wire.is_secure,
                    username=self._username,
                    is_acknowledged=transaction.fault not in KEPT_UNSAID,
                )
            )

    def _note_answer(self, recipients: list[str], stage: str, line: str | None) -> None:
        for recipient in recipients:
            if line is not None:
                self._ledger.note_answer(recipient, stage, int(line[:3]))

    def _refuse(self, fault: Fault, answers: dict[Fault, str]) -> bool:
        line = answers.get(fault)
        if line is None:
            return False
        if line.startswith("421"):
            self._wire.hang_up_with(line)
        self._wire.reply(line)
        return True


def _unb64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
