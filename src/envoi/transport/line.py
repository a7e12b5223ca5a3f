"""This room drives one open connection: bytes between a socket and its session, and time-outs."""

import contextlib
import selectors
import ssl
from collections.abc import Callable
from math import inf

from envoi.core.delivery import Stage
from envoi.transport.options import RelayOptions
from envoi.transport.protocol import Session
from envoi.transport.smtp import Opened

_CHUNK_BYTES = 64 * 1024
# A relay must take at least so much within each time-out.
_STRETCH_BYTES = 256 * 1024
# Enough for an honest 221; a relay that does not answer QUIT is not worth a connection.
_QUIT_TIMEOUT_S = 5
# A relay that answered nothing for so long gets no more of a window.
_STUCK_S = 1.0
_READ = selectors.EVENT_READ
_BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE


class Line:
    """One open connection in the carrier's loop.

    Args:
        opened: A connection that is ready for mail.
        options: Its time-outs.
        selector: The loop's; the line registers itself.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        opened: Opened,
        options: RelayOptions,
        selector: selectors.BaseSelector,
        clock: Callable[[], float],
    ) -> None:
        """Take the connection over; from now on it never blocks."""
        self.session = Session(opened.capabilities, opened.scrubber, window=options.window)
        self._sock = opened.sock
        self._is_tls = isinstance(opened.sock, ssl.SSLSocket)
        self._options = options
        self._selector = selector
        self._clock = clock
        self._events = _READ
        self._written_bytes = 0
        self._progress: tuple[int, bool, Stage | None] = (0, False, None)
        self._since = clock()
        self._sock.setblocking(False)  # noqa: FBT003 # the standard library's signature
        selector.register(self._sock, self._events, self)

    @property
    def can_take(self) -> bool:
        """Whether another mail may begin here."""
        return self.session.can_take and not self.is_worn and not self._is_stuck

    @property
    def _is_stuck(self) -> bool:
        # By BDAT what went cannot be taken back: it would wait for this answer to its end.
        session = self.session
        return session.is_chunking and not session.is_idle and self.waited_s >= _STUCK_S

    @property
    def is_worn(self) -> bool:
        """Whether it has carried all that one connection may."""
        return 0 < self._options.messages_per_connection <= self.session.begun_count

    @property
    def waited_s(self) -> float:
        """How long the line has waited for the present step."""
        return self._clock() - self._since

    @property
    def deadline(self) -> float:
        """When patience ends: for the reply that is awaited, or for being idle."""
        limit_s = self._limit_s()
        return inf if limit_s is None else self._since + limit_s

    def expire(self, now: float) -> None:
        """End what the relay did not answer in time; say goodbye on an idle connection."""
        if now < self.deadline:
            return
        if self.session.is_idle:
            self.leave()
        else:
            stage = self.session.awaits or Stage.DATA
            self.session.expired(f"no answer to {stage.upper()} within {self._limit_s():g} s")

    def leave(self) -> None:
        """Say goodbye; the connection closes when the relay has answered."""
        self.session.quit()
        self.flush()

    def flush(self) -> None:
        """Write what can be written now."""
        session = self.session
        outgoing = session.outgoing
        while outgoing and not session.is_over:
            try:
                count = self._sock.send(outgoing)
            except (BlockingIOError, ssl.SSLWantWriteError):
                break
            except ssl.SSLWantReadError:
                return  # goes on after the next read
            except OSError as err:
                # What the relay said before it closed may still be here, and tells why.
                self.read()
                session.lost(_because(err))
                return
            session.wrote(count)
            self._note_written(count)
        self._watch(_BOTH if outgoing else _READ)
        self._mark()

    def read(self) -> None:
        """Read all that is here; TLS may hold more than the selector knows of."""
        session = self.session
        while not session.is_over:
            try:
                received = self._sock.recv(_CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as err:
                session.lost(_because(err))
                return
            if not received:
                session.lost("the relay closed the connection")
                return
            session.received(received)
            if len(received) < _CHUNK_BYTES and not self._is_tls:
                break
        self._mark()

    def close(self) -> None:
        """Close the connection without a word."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(self._sock)
        self._sock.close()

    def _limit_s(self) -> float | None:
        session = self.session
        if session.is_leaving:
            return _QUIT_TIMEOUT_S
        if session.awaits is Stage.CONTENT:
            return self._options.content_timeout_s
        if session.is_idle:
            return self._options.idle_s
        # A mail that waits for the worker's permit is not late: the relay owes nothing.
        return None if session.awaits is None else self._options.command_timeout_s

    def _mark(self) -> None:
        """Start the clock anew when a whole reply came, all was written, or a new wait began.

        Never for single bytes, or a relay that dribbles would hold us for ever.
        """
        session = self.session
        progress = (session.answer_count, bool(session.outgoing), session.awaits)
        if progress != self._progress:
            self._progress = progress
            self._since = self._clock()

    def _note_written(self, count: int) -> None:
        # A large mail over a thin wire may take longer than any limit; it only must get on.
        self._written_bytes += count
        if self._written_bytes >= _STRETCH_BYTES:
            self._written_bytes = 0
            self._since = self._clock()

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._events = events
            self._selector.modify(self._sock, events, self)


def _because(err: OSError) -> str:
    if isinstance(err, ConnectionResetError | BrokenPipeError):
        return "the relay cut the connection"
    return f"the connection broke: {err.strerror or err}"
