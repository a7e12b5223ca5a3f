"""This room keeps the connections to one relay: how many, when one more, and what trouble means.

With no connection open a single one goes ahead and the others follow when it is well: a relay that
is down, or refuses our password, hears of us once per attempt. Trouble of one more connection
while others work lowers their number for a while (R3), and so does a 421 on one of several;
trouble of the only one is the relay's.
A relay that sends a connection away with 421 after some mails gets so many on each from then on.
"""

import selectors
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf

from envoi.core.delivery import Stage
from envoi.seams import RelayTrouble, RelayWell
from envoi.transport.line import Line
from envoi.transport.opening import Openings
from envoi.transport.options import RelayOptions
from envoi.transport.protocol import MAX_MAILS, Session
from envoi.transport.smtp import Door, Opened

# How long a limit is kept to that the relay did not announce but showed by a refusal.
_LOWERED_S = 60.0
# So many new connections in a row that die before a mail was dealt with are the relay's doing.
_MAX_BARREN = 3


class Pool:
    """The connections to one relay.

    Args:
        options: The relay.
        selector: The loop's.
        ring: Ends the loop's wait when a connection was opened.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        options: RelayOptions,
        selector: selectors.BaseSelector,
        ring: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """Begin with none."""
        self.lines: list[Line] = []
        self.is_down = False
        self._options = options
        self._selector = selector
        self._clock = clock
        self._openings = Openings(Door(options), ring)
        self._limit = options.connections
        self._lowered = options.connections
        self._share = options.messages_per_connection
        self._lowered_until = 0.0
        self._window = options.window
        self._failure: RelayTrouble | None = None
        self._is_well = False
        self._barren_count = 0

    @property
    def allowed(self) -> int:
        """How many connections may be open at the moment."""
        return min(self._limit, self._lowered)

    @property
    def usable(self) -> list[Line]:
        """The connections that may get more mail: those within the limit."""
        return self.lines[: self.allowed]

    @property
    def capacity(self) -> int:
        """How many mails are worth having in hand."""
        lines = self.usable
        unopened = self.allowed - len(lines)
        return sum(line.session.capacity for line in lines) + MAX_MAILS * unopened

    @property
    def opening_count(self) -> int:
        """How many are being opened."""
        return self._openings.count

    @property
    def can_grow(self) -> bool:
        """Whether one more may be opened now."""
        return (
            not self.is_down
            and self._failure is None
            and len(self.lines) + self._openings.count < self.allowed
            # The first one goes ahead alone.
            and bool(self.lines or not self._openings.count)
        )

    def grow(self, wanted: int) -> None:
        """Open more, up to the wanted number of connections."""
        while self.can_grow and len(self.lines) + self._openings.count < wanted:
            self._openings.start()

    def probe(self) -> None:
        """Try the relay with one connection after trouble."""
        if self.is_down and not self._openings.count:
            self._openings.start()

    def limit(self, connections: int) -> None:
        """Change how many may be open; `expire` closes idle ones above it."""
        self._limit = max(0, connections)
        self._lowered = self._limit

    def admit(self) -> Iterator[RelayWell | RelayTrouble]:
        """Take in what was opened; tell when the relay became well or unusable."""
        for result in self._openings.take():
            if isinstance(result, Opened):
                self.lines.append(Line(result, self._present, self._selector, self._clock))
                self.is_down = False
                if not self._is_well:
                    self._is_well = True
                    # Connections that were refused while the relay went down say nothing now.
                    self._raise_again()
                    yield RelayWell(relay=self._options.relay)
            else:
                self._failure = self._failure or result
        if self._failure is None or self._openings.count:
            return
        failure, self._failure = self._failure, None
        if self.lines and not self.is_down:
            self._lower(connections=max(1, len(self.lines)))
        else:
            yield self.fail(failure)

    def fail(self, trouble: RelayTrouble) -> RelayTrouble:
        """Take the relay for unusable until `probe` opens a connection; returns the trouble."""
        self.is_down = True
        self._is_well = False
        self._barren_count = 0
        return trouble

    def bury(self, line: Line) -> RelayTrouble | None:
        """Close a connection that is over; returns what it tells about the relay, if anything."""
        self.lines.remove(line)
        line.close()
        session = line.session
        if session.trouble is not None:
            return self.fail(session.trouble)
        if session.dislikes_chunks:
            self._window = 1
        if session.sent_away_after:
            self._lower(share=session.sent_away_after)
        elif session.was_closed and self.lines:
            self._lower(connections=len(self.lines))
        if not _is_barren(session):
            self._barren_count = 0
        elif session.begun_count:
            self._barren_count += 1
        if self._barren_count < _MAX_BARREN or self.lines:
            return None
        trouble = RelayTrouble(
            stage=Stage.MAIL,
            because=f"the relay hangs up whenever it is offered mail: {session.because}",
            advice="see the relay's log",
        )
        self.fail(trouble)
        # Until it deals with a mail, one connection more is enough to know.
        self._barren_count = _MAX_BARREN - 1
        return trouble

    @property
    def has_excess(self) -> bool:
        """Whether more are open than may be: another worker counts on them."""
        going = sum(line.session.is_quitting for line in self.lines)
        return len(self.lines) - going > self._limit

    def expire(self) -> None:
        """End what is late, close what is idle for long or above the limit."""
        now = self._clock()
        excess = len(self.lines) - self._limit
        for line in self.lines:
            line.expire(now)
            if line.session.is_idle and excess > 0:
                line.leave()
                excess -= 1
        if now >= self._lowered_until:
            self._raise_again()

    def deadline(self) -> float:
        """Return when `expire` has something to do next, in monotonic seconds."""
        raised_at = self._lowered_until if self._lowered < self._limit else inf
        return min(raised_at, *(line.deadline for line in self.lines), inf)

    def stop_opening(self) -> None:
        """Give up what is being opened."""
        self._openings.close()

    @property
    def _present(self) -> RelayOptions:
        return replace(self._options, messages_per_connection=self._share, window=self._window)

    def _lower(self, *, connections: int = 0, share: int = 0) -> None:
        """Keep to what the relay seems to allow, for a while: nobody announces such limits."""
        self._lowered = min(connections or self._lowered, self._lowered)
        self._share = share or self._share
        self._lowered_until = self._clock() + _LOWERED_S

    def _raise_again(self) -> None:
        self._lowered = self._limit
        self._share = self._options.messages_per_connection


def _is_barren(session: Session) -> bool:
    """Whether the relay hung up before it had dealt with a mail: kept silent, or said 421."""
    has_dealt = session.sent_count > 0 or session.begun_count > MAX_MAILS
    return not session.answer_count or (session.was_closed and not has_dealt)
