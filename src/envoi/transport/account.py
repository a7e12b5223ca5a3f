"""This room keeps one connection's account: what went out, whose answer is due, how it ends.

The lower half of a `Session`; it knows no SMTP but that answers come in the order of commands.
"""

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from envoi.core.delivery import Outcome, Reply, Stage, Unreachable
from envoi.seams import Finished, Ready
from envoi.transport.reply import Answer, Scrubber
from envoi.transport.transaction import Mail, fate

# Takes the answer to one command of a mail.
Take: TypeAlias = Callable[[Answer, Mail], None]


class Account:
    """The mails and the bytes of one connection.

    Args:
        scrubber: Knows the secrets that no reply may carry further.

    Attributes:
        outgoing: What must be written next; tell `wrote` how much of it was.
        is_quitting: Whether no further mail may begin.
        is_over: Whether to close the connection.
        because: Why it is over.
        begun_count: Mails so far.
        answer_count: Replies so far.
        sent_count: Mails that the relay took.
        was_closed: Whether the relay said 421.
    """

    def __init__(self, scrubber: Scrubber) -> None:
        """Begin with nothing said."""
        self._scrubber = scrubber
        # Who takes each reply, for which mail, and the stage it answers.
        self._expected: deque[tuple[Take, Mail, Stage]] = deque()
        self._mails: deque[Mail] = deque()
        # The mail whose DATA was sent or will be: until its content went, no other command may go.
        self._gate: Mail | None = None
        # Mails whose content may go as soon as it is permitted.
        self._waiting: dict[int, Mail] = {}
        self._queued_bytes = 0
        self._written_bytes = 0
        self._events: list[Ready | Finished] = []
        self._is_closing = False
        self.outgoing = bytearray()
        self.is_quitting = False
        self.is_over = False
        self.because = ""
        self.begun_count: int = 0
        self.answer_count: int = 0
        self.sent_count: int = 0
        self.was_closed: bool = False

    # What the loop asks.

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way; a connection that quits is not idle."""
        return not (self._expected or self._mails or self.is_quitting or self.is_over)

    @property
    def is_leaving(self) -> bool:
        """Whether nothing more is wanted of the relay but that it hangs up."""
        return self._is_closing or (self.is_quitting and not self._mails)

    @property
    def awaits(self) -> Stage | None:
        """The stage of the reply that must come next; None while the relay owes us nothing."""
        return self._expected[0][2] if self._expected else None

    @property
    def has_news(self) -> bool:
        """Whether something happened that nobody has taken yet."""
        return self.is_over or bool(self._events)

    def take_events(self) -> list[Ready | Finished]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    # What the loop tells.

    def wrote(self, count: int) -> None:
        """Note that the first `count` bytes of `outgoing` left."""
        self._written_bytes += count
        del self.outgoing[:count]

    def lost(self, because: str) -> None:
        """Note that the connection is gone; says what became of every mail."""
        self._part(because, is_shifted=False)

    def expired(self, because: str) -> None:
        """Note that the relay keeps silent; as `lost`, but it may still be at work."""
        self._is_closing = False
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

    # For the session.

    def _send(self, line: bytes, take: Take, mail: Mail, stage: Stage) -> None:
        self.outgoing += line
        self._queued_bytes += len(line)
        self._expected.append((take, mail, stage))

    def _finish(self, mail: Mail, outcome: Outcome) -> None:
        self._mails.remove(mail)
        mail.is_finished = True
        if self._gate is mail:
            self._gate = None
        self._waiting.pop(mail.delivery_id, None)
        self._events.append(Finished(delivery_id=mail.delivery_id, outcome=outcome))

    def _close(self, answer: Answer) -> None:
        """The relay hangs up: what it was told after this it will not look at."""
        self._is_closing = self.was_closed = True
        self.abandon(self._said(answer))

    def _part_if_done(self, answer: Answer) -> None:
        # Behind an abandoned envelope the relay may wait for a content that never comes.
        if self.is_quitting and not self._mails:
            self._part(self._said(answer), is_shifted=False)

    def _part(self, because: str, *, is_shifted: bool) -> None:
        """End the connection and say what became of every mail on it."""
        if self.is_over:
            return
        self.is_over = True
        self.because = because
        may_look = is_shifted or not self._is_closing
        for mail in tuple(self._mails):
            is_whole = may_look and 0 < mail.dot_at <= self._written_bytes
            self._finish(mail, fate(mail, because, is_whole=is_whole, is_shifted=is_shifted))
        self.outgoing.clear()
        self._expected.clear()

    def _reply(self, stage: Stage, answer: Answer) -> Reply:
        return Reply(stage=stage, code=answer.code, text=self._scrubber.text(answer))

    def _said(self, answer: Answer) -> str:
        return f"the relay said {answer.code} {self._scrubber.text(answer)}".rstrip()
