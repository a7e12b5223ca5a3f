"""This room speaks SMTP's mail transactions: bytes in, bytes and outcomes out, no socket.

A `Session` begins when a connection is open, secured and signed in. By DATA it holds at most two
mails: one whose content is under way and one whose envelope goes with it (RFC 2920), so that in
the steady state a mail costs one round trip and one write. With a window above one, and a relay
that offers CHUNKING, whole transactions follow one another by BDAT without waiting (RFC 3030).

Rules of this file:

* A mail gets exactly one `Finished`. "Sent" needs a 2xx to its content, and nothing else will do.
* The stage of every byte is known. Lost before the last byte of a content was written:
  `Unreachable`, the relay cannot have the mail. Lost after it: `Doubtful`. At most `window` mails
  are permitted and not answered.
* Replies are matched to commands by order alone, so one reply too many would shift all that
  follow (R13). Whatever does not fit its place ends the connection. A refusal is believed only
  after the reply that must follow it came in its place too: 354 to DATA, or 250 to the RSET
  behind a refused DATA. A shifted stream cannot pass that fence.
* By BDAT every good answer is a 250, and the fence is the enhanced code: X.1.X for MAIL and RCPT,
  never for a content. A connection goes over to BDAT after a mail by DATA whose answers kept to
  that. Each mail begins with RSET: relays differ in what a refused BDAT leaves open.
* A content leaves only when the worker permitted it, and by DATA never without a valid recipient.
  By BDAT it leaves with its envelope; the relay throws away what has no recipient (RFC 3030 2),
  so only small mails go that way.
"""

from envoi.core.delivery import Stage, Unreachable
from envoi.seams import Capabilities, Finished, Parcel, Ready, RelayTrouble
from envoi.transport.account import Account, Take
from envoi.transport.envelope import Framing, envelope_of, unsuitable
from envoi.transport.reply import Answer, GarbledReplyError, ReplyReader, Scrubber
from envoi.transport.transaction import Mail, is_about_auth

# Two is what hides the round trip: the content of one mail and the envelope of the next.
MAX_MAILS = 2
# Beyond it the time on the wire outweighs the round trip, and a refused recipient would cost it.
MAX_CHUNK_BYTES = 64 * 1024

_START_CONTENT = 354
_CLOSING = 421
# RFC 5321 4.2.1, x0z: about the command itself, which the relay offered and does not know.
_NOT_UNDERSTOOD = frozenset({500, 501, 502, 503, 504})
# Stands where a reply belongs to no mail.
_NOBODY = Mail(0, b"", b"", is_chunked=False)


class Session(Account):
    """The mail transactions of one connection.

    Args:
        offer: What the relay offered after its last EHLO.
        scrubber: Knows the secrets that no reply may carry further.
        window: How many contents may be unanswered at once, where the relay allows more than one.

    Attributes:
        trouble: Not a mail but the relay is the matter.
        sent_away_after: So many mails it took before it wanted no more on this connection.
        dislikes_chunks: Whether it offered BDAT and does not know it.
        is_chunking: Whether whole mails follow one another by BDAT.
    """

    def __init__(
        self, offer: Capabilities, scrubber: Scrubber | None = None, *, window: int = 1
    ) -> None:
        """Begin on a connection over which nothing but the opening has gone."""
        super().__init__(scrubber or Scrubber())
        self._offer = offer
        self._reader = ReplyReader()
        self._framing = Framing()
        self._window = window
        self._is_pipelined = offer.has_pipelining
        # Whether the answers have kept to the fence of BDAT so far, and it has been tried.
        self._may_chunk = window > 1 and offer.can_chunk
        self.is_chunking = False
        self._has_chunked = False
        self.trouble: RelayTrouble | None = None
        self.sent_away_after = 0
        self.dislikes_chunks = False

    # What the loop asks.

    @property
    def can_take(self) -> bool:
        """Whether another mail may begin now."""
        if self._gate is not None or self.is_over or self.is_quitting:
            return False
        if self.is_chunking:
            return len(self._mails) < self._window
        return len(self._mails) < MAX_MAILS if self._is_pipelined else not self._expected

    @property
    def capacity(self) -> int:
        """How many mails are worth having in hand: those under way, and as many to follow."""
        return 2 * self._window if self.is_chunking else MAX_MAILS

    @property
    def is_blocking(self) -> bool:
        """Whether a mail waits behind the content of another one."""
        gate = self._gate
        return gate is not None and not gate.has_answer and len(self._mails) > 1

    # What the loop tells.

    def offer(self, parcel: Parcel) -> None:
        """Begin a parcel's transaction; allowed while `can_take`.

        Raises:
            ValueError: Its content must not go to the wire; the session is as before.
        """
        content = parcel.wire(self._offer)
        is_chunked = self.is_chunking and len(content) <= MAX_CHUNK_BYTES
        framing = self._framing
        framed = framing.for_bdat(content) if is_chunked else framing.for_data(content)
        refusal = unsuitable(parcel, content, self._offer)
        if refusal is not None:
            self._events.append(Finished(delivery_id=parcel.delivery_id, outcome=refusal))
            return
        envelope = envelope_of(parcel, content, self._offer)
        mail = Mail(parcel.delivery_id, envelope, framed, is_chunked)
        self.begun_count += 1
        self._mails.append(mail)
        if is_chunked:
            self._wait_for_permit(mail)
            return
        self._gate = mail
        if not self._waiting:
            self._begin(mail)

    def permit(self, delivery_id: int) -> None:
        """Let the content go that the relay waits for; nothing when it no longer does."""
        mail = self._waiting.pop(delivery_id, None)
        if mail is None:
            return
        if mail.is_chunked:
            self._begin(mail)
        else:
            self._gate = None
            self._send(mail.content, self._take_content, mail, Stage.CONTENT)
        mail.dot_at = self._queued_bytes
        mail.content = b""
        self._begin_gate()

    def received(self, data: bytes) -> None:
        """Take what the relay sent."""
        expected, reader = self._expected, self._reader
        reader.feed(data)
        try:
            while expected:
                answer = reader.next()
                if answer is None:
                    return
                self.answer_count += 1
                self._is_closing = False  # it goes on after all
                take, mail, _ = expected.popleft()
                if not mail.is_finished:
                    take(answer, mail)
        except GarbledReplyError as err:
            self._part(f"the relay answered what is not SMTP: {err}", is_shifted=True)
        if not (self.is_over or reader.is_empty):
            self._part("the relay spoke although nothing was asked", is_shifted=True)

    def withdraw(self, delivery_id: int) -> None:
        """Make sure that a mail's content does not go, unless it went already."""
        for mail in tuple(self._mails):
            if mail.delivery_id != delivery_id or mail.dot_at:
                continue
            if mail.is_said:
                self.abandon("a mail on this connection was withdrawn")
            else:
                self._finish(mail, Unreachable(stage=mail.stage, because="it was withdrawn"))
                self._begin_gate()

    def quit(self) -> None:
        """Say goodbye; allowed while `is_idle`."""
        self.is_quitting = True
        self._send(b"QUIT\r\n", self._take_goodbye, _NOBODY, Stage.DATA)

    # What a reply means, by the command it answers.

    def _take_fresh(self, answer: Answer, mail: Mail) -> None:
        if not answer.is_positive and self._is_refused(answer, mail):
            self._part(f"the relay answered RSET with {answer.code}", is_shifted=True)

    def _take_mail(self, answer: Answer, mail: Mail) -> None:
        if not answer.is_positive and not self._is_refused(answer, mail):
            return
        if self._may_chunk:
            self._look_at_code(answer, mail, is_right=answer.names_address)
        mail.has_answer = True
        mail.stage = Stage.RCPT
        if not self._is_pipelined:
            self._follow(mail, mail.envelope.partition(b"\n")[2], self._take_rcpt)

    def _take_rcpt(self, answer: Answer, mail: Mail) -> None:
        if not answer.is_positive and not self._is_refused(answer, mail):
            return
        if self._may_chunk:
            self._look_at_code(answer, mail, is_right=answer.names_address)
        mail.has_answer = True
        mail.stage = Stage.DATA
        if not self._is_pipelined:
            self._follow(mail, b"DATA\r\n", self._take_data)

    def _take_data(self, answer: Answer, mail: Mail) -> None:
        if answer.code == _START_CONTENT:
            mail.has_answer = True
            if mail.refusal is None:
                self._wait_for_permit(mail)
                return
            # RFC 2920 3.1: "if the DATA command was accepted the client SMTP should send a
            # single dot". No mail can come of it, there is no valid recipient.
            self._gate = None
            self._send(b".\r\n", self._take_leftover, _NOBODY, Stage.DATA)
            self._finish(mail, mail.refusal)
        elif self._is_refused(answer, mail):
            mail.has_answer = True
            self._reset(mail)

    def _take_content(self, answer: Answer, mail: Mail) -> None:
        if not answer.is_positive or self._written_bytes < mail.dot_at:
            self._take_refused_content(answer, mail)
            return
        if mail.refusal is not None:
            self._part("the relay took a mail that it had refused", is_shifted=True)
            return
        if self._may_chunk:
            self.is_chunking = self._look_at_code(answer, mail, is_right=answer.names_content)
            if self.is_over:
                return
        self.sent_count += 1
        self._finish(mail, self._reply(Stage.CONTENT, answer))
        self._part_if_done(answer)

    def _take_refused_content(self, answer: Answer, mail: Mail) -> None:
        if answer.is_positive:
            self._part("the relay took a mail that it had not been given", is_shifted=True)
            return
        if not answer.is_refusal:
            self._part(f"the relay answered the content with {answer.code}", is_shifted=True)
            return
        is_early = self._written_bytes < mail.dot_at
        if mail.is_chunked and mail.refusal is None and answer.code in _NOT_UNDERSTOOD:
            self.dislikes_chunks = True
            untaken = Unreachable(stage=Stage.DATA, because=self._said(answer))
            self._finish(mail, untaken)
            self.abandon(untaken.because)
        else:
            self._finish(mail, mail.refusal or self._reply(Stage.CONTENT, answer))
        if is_early:
            self._part(self._said(answer), is_shifted=False)
        elif answer.code == _CLOSING:
            self._close(answer)
        else:
            self._part_if_done(answer)

    def _take_leftover(self, answer: Answer, _: Mail) -> None:
        if answer.code == _CLOSING:
            self._close(answer)
        elif not answer.is_positive and not answer.is_refusal:
            self._part(self._said(answer), is_shifted=True)

    def _take_reset(self, answer: Answer, mail: Mail) -> None:
        if not answer.is_positive and answer.code != _CLOSING:
            self._part(f"the relay answered RSET with {answer.code}", is_shifted=True)
            return
        taken_back = Unreachable(
            stage=mail.stage, because="the transaction was taken back", had_turn=True
        )
        self._finish(mail, mail.refusal or taken_back)
        if answer.code == _CLOSING:
            self._close(answer)

    def _take_goodbye(self, _answer: Answer, _: Mail) -> None:
        self.is_over = True  # whatever it says

    def _is_refused(self, answer: Answer, mail: Mail) -> bool:
        """Note a refusal of this mail; False when it is about more, and the mail has ended."""
        if not answer.is_refusal:
            said = f"the relay answered {mail.stage.upper()} with {answer.code}"
            self._part(said, is_shifted=True)
            return False
        if answer.code == _CLOSING:
            if mail.stage is Stage.MAIL:
                self.sent_away_after = self.begun_count - len(self._mails)
            self._finish(mail, mail.refusal or self._reply(mail.stage, answer))
            self._close(answer)
            return False
        if mail.refusal is None and is_about_auth(answer, mail.stage):
            self._want_sign_in(answer, mail)
            return False
        mail.refusal = mail.refusal or self._reply(mail.stage, answer)
        return True

    def _want_sign_in(self, answer: Answer, mail: Mail) -> None:
        said = self._said(answer)
        self.trouble = RelayTrouble(
            stage=Stage.AUTH,
            because=said,
            advice="the relay wants a sign-in: check smtp.username, smtp.password and smtp.tls",
            needs_operator=True,
        )
        self._finish(mail, Unreachable(stage=Stage.AUTH, because=said))
        self.abandon(said)

    def _look_at_code(self, answer: Answer, mail: Mail, *, is_right: bool) -> bool:
        """Hold the answer against the fence of BDAT; return whether BDAT may be used."""
        if not is_right and answer.is_positive:
            self._may_chunk = self.is_chunking = False
            if mail.is_chunked:
                self._part("the relay's answers are out of step", is_shifted=True)
        return self._may_chunk

    # What is said next.

    def _wait_for_permit(self, mail: Mail) -> None:
        self._waiting[mail.delivery_id] = mail
        self._events.append(Ready(delivery_id=mail.delivery_id))

    def _begin(self, mail: Mail) -> None:
        """Send a mail's envelope, and with it whatever may go in the same group."""
        mail.is_said = True
        if mail.is_chunked or self._has_chunked:
            self._has_chunked = True
            self._send(b"RSET\r\n", self._take_fresh, mail, Stage.MAIL)
        if not self._is_pipelined:
            self._send(mail.envelope.partition(b"\n")[0] + b"\n", self._take_mail, mail, Stage.MAIL)
            return
        self._send(mail.envelope, self._take_mail, mail, Stage.MAIL)
        self._expected.append((self._take_rcpt, mail, Stage.RCPT))
        if mail.is_chunked:
            self._send(mail.content, self._take_content, mail, Stage.CONTENT)
        else:
            self._send(b"DATA\r\n", self._take_data, mail, Stage.DATA)

    def _begin_gate(self) -> None:
        """Begin the mail that goes by DATA once all that was offered before it has gone."""
        gate = self._gate
        if gate is not None and not gate.is_said and not self._waiting:
            self._begin(gate)

    def _follow(self, mail: Mail, line: bytes, take: Take) -> None:
        # In lock-step a byte that is here before its command belongs to no command.
        if not self._reader.is_empty:
            self._part("the relay spoke before it was asked", is_shifted=True)
        elif mail.refusal is not None:
            self._reset(mail)
        else:
            self._send(line, take, mail, mail.stage)

    def _reset(self, mail: Mail) -> None:
        """Close a refused transaction; the reply is also the proof that no reply was shifted."""
        self._gate = None
        self._send(b"RSET\r\n", self._take_reset, mail, Stage.DATA)
