"""This room speaks SMTP's mail transactions: bytes in, bytes and outcomes out, no socket.

A `Session` begins when a connection is open, secured and signed in. It holds at most two mails:
one whose content is under way and one whose envelope goes with it (RFC 2920), so that in the
steady state a mail costs one round trip and one write. Rules of this file:

* A mail gets exactly one `Finished`. "Sent" needs a 2xx to its final dot, and nothing else will do.
* The stage of every byte is known. Lost before the final dot was written: `Unreachable`, the
  relay cannot have the mail. Lost after it: `Doubtful`.
* Replies are matched to commands by order alone, so one reply too many would shift all that
  follow (R13). Whatever does not fit its place ends the connection. A refusal is believed only
  after the reply that must follow it came in its place too: 354 to DATA, or 250 to the RSET
  behind a refused DATA. A shifted stream cannot pass that fence.
* A content leaves only when the worker permitted it, and never without a valid recipient.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from envoi.core.delivery import Doubtful, Outcome, Reply, Stage, Unreachable
from envoi.seams import Capabilities, Finished, Parcel, Ready, RelayTrouble
from envoi.transport.envelope import envelope_of, stuff_dots, unsuitable
from envoi.transport.reply import Answer, GarbledReplyError, ReplyReader, Scrubber

# Two is what hides the round trip: the content of one mail and the envelope of the next.
MAX_MAILS = 2

_START_CONTENT = 354
_CLOSING = 421
# RFC 4954 6 and RFC 3207 4: not this mail, but how we signed in, is what the relay dislikes.
_AUTH_CODES = frozenset({530, 534, 535, 538})


class _Expects(Enum):
    """Which command a reply answers."""

    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    CONTENT = auto()
    EMPTY_CONTENT = auto()
    RSET = auto()
    QUIT = auto()


_STAGES = {
    _Expects.MAIL: Stage.MAIL,
    _Expects.RCPT: Stage.RCPT,
    _Expects.DATA: Stage.DATA,
    _Expects.CONTENT: Stage.CONTENT,
}


@dataclass(slots=True, eq=False)
class _Mail:
    """A transaction under way."""

    delivery_id: int
    envelope: tuple[bytes, bytes, bytes]
    content: bytes
    stage: Stage = Stage.MAIL
    refusal: Reply | None = None
    dot_at: int = 0  # position in the stream behind its final dot; 0 while it has not been queued
    has_answer: bool = False
    is_ready: bool = False


class Session:
    """The mail transactions of one connection.

    Args:
        offer: What the relay offered after its last EHLO.
        scrubber: Knows the secrets that no reply may carry further.
    """

    def __init__(self, offer: Capabilities, scrubber: Scrubber | None = None) -> None:
        """Begin on a connection over which nothing but the opening has gone."""
        self._offer = offer
        self._scrubber = scrubber or Scrubber()
        self._reader = ReplyReader()
        self._expected: deque[tuple[_Expects, _Mail | None]] = deque()
        self._mails: deque[_Mail] = deque()
        # The mail whose DATA was sent or will be: until its content went, no other command may go.
        self._gate: _Mail | None = None
        self._outgoing = bytearray()
        self._queued_bytes = 0
        self._written_bytes = 0
        self._events: list[Ready | Finished] = []
        self.is_quitting = False
        self.is_over = False
        self.because = ""
        self.trouble: RelayTrouble | None = None
        self.was_sent_away = False
        self.begun_count = 0
        self.answer_count = 0

    # What the loop asks. Besides: `is_over`, close the connection, `because` of what; `trouble`,
    # not a mail but the relay is the matter; `was_sent_away`, the relay takes no more mails here;
    # `begun_count` mails and `answer_count` replies so far.

    @property
    def can_take(self) -> bool:
        """Whether another mail's envelope could go now."""
        if self.is_over or self.is_quitting or self._gate is not None:
            return False
        if self._offer.has_pipelining:
            return len(self._mails) < MAX_MAILS
        return not self._expected

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way; a connection that quits is not idle."""
        return not (self._expected or self._mails or self.is_quitting or self.is_over)

    @property
    def is_blocking(self) -> bool:
        """Whether a mail waits behind the content of another one."""
        return len(self._mails) == MAX_MAILS and not self._mails[1].has_answer

    @property
    def awaits(self) -> Stage | None:
        """The stage of the reply that must come next; None while the relay owes us nothing."""
        if not self._expected:
            return None
        return _STAGES.get(self._expected[0][0], Stage.DATA)

    @property
    def outgoing(self) -> bytearray:
        """What must be written next; tell `wrote` how much of it was."""
        return self._outgoing

    @property
    def has_news(self) -> bool:
        """Whether something happened that nobody has taken yet."""
        return self.is_over or bool(self._events)

    def take_events(self) -> list[Ready | Finished]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    # What the loop tells.

    def offer(self, parcel: Parcel) -> None:
        """Begin a parcel's transaction; allowed while `can_take`.

        Raises:
            ValueError: Its content must not go to the wire; the session is as before.
        """
        content = parcel.wire(self._offer)
        stuffed = stuff_dots(content)
        refusal = unsuitable(parcel, content, self._offer)
        if refusal is not None:
            self._events.append(Finished(delivery_id=parcel.delivery_id, outcome=refusal))
            return
        mail = _Mail(parcel.delivery_id, envelope_of(parcel, content, self._offer), stuffed)
        self.begun_count += 1
        self._mails.append(mail)
        self._gate = mail
        self._send(mail.envelope[0], _Expects.MAIL, mail)
        if self._offer.has_pipelining:
            self._send(mail.envelope[1], _Expects.RCPT, mail)
            self._send(mail.envelope[2], _Expects.DATA, mail)

    def permit(self, delivery_id: int) -> None:
        """Let the content go that the relay waits for; nothing when it no longer does."""
        mail = self._gate
        if mail is None or not mail.is_ready or mail.delivery_id != delivery_id:
            return
        self._gate = None
        self._send(mail.content, _Expects.CONTENT, mail)
        mail.dot_at = self._queued_bytes
        mail.content = b""

    def received(self, data: bytes) -> None:
        """Take what the relay sent."""
        self._reader.feed(data)
        while not self.is_over:
            if not self._expected:
                if not self._reader.is_empty:
                    self._part("the relay spoke although nothing was asked", is_shifted=True)
                return
            try:
                answer = self._reader.next()
            except GarbledReplyError as err:
                self._part(f"the relay answered what is not SMTP: {err}", is_shifted=True)
                return
            if answer is None:
                return
            self.answer_count += 1
            expects, mail = self._expected.popleft()
            self._take(answer, expects, mail)

    def wrote(self, count: int) -> None:
        """Note that the first `count` bytes of `outgoing` left."""
        self._written_bytes += count
        del self._outgoing[:count]

    def lost(self, because: str) -> None:
        """Note that the connection is gone; says what became of every mail."""
        self._part(because, is_shifted=False)

    def abandon(self, because: str) -> None:
        """Take back every mail whose content did not go; the connection ends after the others."""
        self.is_quitting = True
        for mail in tuple(self._mails):
            if not mail.dot_at:
                untried = Unreachable(stage=mail.stage, because=because)
                self._finish(mail, mail.refusal or untried)
        if not self._mails:
            self._part(because, is_shifted=False)

    def withdraw(self, delivery_id: int) -> None:
        """Make sure that a mail's content does not go, unless it went already."""
        if any(mail.delivery_id == delivery_id and not mail.dot_at for mail in self._mails):
            self.abandon("a mail on this connection was withdrawn")

    def quit(self) -> None:
        """Say goodbye; allowed while `is_idle`."""
        self.is_quitting = True
        self._send(b"QUIT\r\n", _Expects.QUIT, None)

    # What a reply means, by the command it answers.

    def _take(self, answer: Answer, expects: _Expects, mail: _Mail | None) -> None:
        if mail is None:
            self.is_over = True  # the reply to QUIT, whatever it says
            return
        match expects:
            case _Expects.MAIL | _Expects.RCPT:
                self._take_envelope(answer, expects, mail)
            case _Expects.DATA:
                self._take_data(answer, mail)
            case _Expects.CONTENT:
                self._take_content(answer, mail)
            case _Expects.EMPTY_CONTENT:
                self._take_leftover(answer)
            case _Expects.RSET | _Expects.QUIT:
                self._take_reset(answer, mail)

    def _take_envelope(self, answer: Answer, expects: _Expects, mail: _Mail) -> None:
        if self._is_turned_away(answer, expects, mail):
            return
        mail.has_answer = True
        if not answer.is_positive and not answer.is_refusal:
            self._part(f"the relay answered {expects.name} with {answer.code}", is_shifted=True)
            return
        if answer.is_refusal and mail.refusal is None:
            mail.refusal = self._reply(mail.stage, answer)
        mail.stage = Stage.RCPT if expects is _Expects.MAIL else Stage.DATA
        if self._offer.has_pipelining:
            return
        # In lock-step a byte that is here before its command belongs to no command.
        if not self._reader.is_empty:
            self._part("the relay spoke before it was asked", is_shifted=True)
        elif mail.refusal is not None:
            self._reset(mail)
        elif expects is _Expects.MAIL:
            self._send(mail.envelope[1], _Expects.RCPT, mail)
        else:
            self._send(mail.envelope[2], _Expects.DATA, mail)

    def _take_data(self, answer: Answer, mail: _Mail) -> None:
        if self._is_turned_away(answer, _Expects.DATA, mail):
            return
        mail.has_answer = True
        if answer.code == _START_CONTENT:
            if mail.refusal is None:
                mail.is_ready = True
                self._events.append(Ready(delivery_id=mail.delivery_id))
            else:
                # RFC 2920 3.1: "if the DATA command was accepted the client SMTP should send a
                # single dot". No mail can come of it, there is no valid recipient.
                self._gate = None
                self._send(b".\r\n", _Expects.EMPTY_CONTENT, mail)
                self._finish(mail, mail.refusal)
        elif answer.is_refusal:
            mail.refusal = mail.refusal or self._reply(Stage.DATA, answer)
            self._reset(mail)
        else:
            self._part(f"the relay answered DATA with {answer.code}", is_shifted=True)

    def _take_content(self, answer: Answer, mail: _Mail) -> None:
        is_early = self._written_bytes < mail.dot_at
        if is_early and answer.is_positive:
            self._part("the relay took a mail that it had not been given", is_shifted=True)
            return
        if not answer.is_positive and not answer.is_refusal:
            self._part(f"the relay answered the content with {answer.code}", is_shifted=True)
            return
        self._finish(mail, self._reply(Stage.CONTENT, answer))
        # Behind an abandoned envelope the relay may wait for a content that never comes.
        if is_early or answer.code == _CLOSING or self.is_quitting:
            self._part(self._said(answer), is_shifted=False)

    def _take_leftover(self, answer: Answer) -> None:
        is_shifted = not answer.is_positive and not answer.is_refusal
        if is_shifted or answer.code == _CLOSING:
            self._part(self._said(answer), is_shifted=is_shifted)

    def _take_reset(self, answer: Answer, mail: _Mail) -> None:
        if answer.is_positive or answer.code == _CLOSING:
            self._finish(mail, self._refusal_of(mail))
        if not answer.is_positive:
            said = f"the relay answered RSET with {answer.code}"
            self._part(said, is_shifted=answer.code != _CLOSING)

    def _is_turned_away(self, answer: Answer, expects: _Expects, mail: _Mail) -> bool:
        """Whether the reply is about the connection or how we signed in, and so ends both."""
        if not answer.is_refusal:
            return False
        if answer.code == _CLOSING:
            self.was_sent_away = expects is _Expects.MAIL
            self._finish(mail, mail.refusal or self._reply(mail.stage, answer))
            self._part(self._said(answer), is_shifted=False)
            return True
        if mail.refusal is None and is_about_auth(answer, expects is _Expects.MAIL):
            self.trouble = RelayTrouble(
                stage=Stage.AUTH,
                because=self._said(answer),
                advice="the relay wants a sign-in: check smtp.username, smtp.password and smtp.tls",
                needs_operator=True,
            )
            self._finish(mail, Unreachable(stage=Stage.AUTH, because=self._said(answer)))
            self._part(self._said(answer), is_shifted=False)
            return True
        return False

    # How transactions end.

    def _reset(self, mail: _Mail) -> None:
        """Close a refused transaction; the reply is also the proof that no reply was shifted."""
        self._gate = None
        self._send(b"RSET\r\n", _Expects.RSET, mail)

    def _finish(self, mail: _Mail, outcome: Outcome) -> None:
        self._mails.remove(mail)
        if self._gate is mail:
            self._gate = None
        self._events.append(Finished(delivery_id=mail.delivery_id, outcome=outcome))

    def _part(self, because: str, *, is_shifted: bool) -> None:
        """End the connection and say what became of every mail on it."""
        if self.is_over:
            return
        self.is_over = True
        self.because = because
        for mail in tuple(self._mails):
            self._finish(mail, self._fate(mail, because, is_shifted=is_shifted))
        self._outgoing.clear()
        self._expected.clear()

    def _fate(self, mail: _Mail, because: str, *, is_shifted: bool) -> Outcome:
        if mail.dot_at and self._written_bytes >= mail.dot_at:
            return Doubtful(because=f"{because}, after the content and before its answer")
        if mail.refusal is not None and not is_shifted:
            return mail.refusal
        return Unreachable(stage=mail.stage, because=because, had_turn=mail.has_answer)

    def _refusal_of(self, mail: _Mail) -> Outcome:
        return mail.refusal or Unreachable(
            stage=mail.stage, because="the transaction was taken back", had_turn=True
        )

    # Small print.

    def _send(self, line: bytes, expects: _Expects, mail: _Mail | None) -> None:
        self._outgoing += line
        self._queued_bytes += len(line)
        self._expected.append((expects, mail))

    def _reply(self, stage: Stage, answer: Answer) -> Reply:
        return Reply(stage=stage, code=answer.code, text=self._scrubber.text(answer))

    def _said(self, answer: Answer) -> str:
        return f"the relay said {answer.code} {self._scrubber.text(answer)}".rstrip()


def is_about_auth(answer: Answer, is_at_mail: bool) -> bool:  # noqa: FBT001 # the command decides
    """Whether a refusal of MAIL, RCPT or DATA means that we are not signed in.

    At MAIL the four codes have no other use. Later some relays use them for a recipient, so
    there the enhanced code must say it too (RFC 3463 X.7: security or policy).
    """
    if answer.code not in _AUTH_CODES:
        return False
    return is_at_mail or answer.lines[0].startswith(b"5.7.")
