"""This room carries parcels over several connections to one relay, in one loop and one thread.

How parcels are spread:

* An idle connection comes first, then one that is being opened, and only then the place behind
  the mail that another connection is busy with.
* A connection that dies takes down nothing but the mail whose content it had. Mails that the relay
  had not answered go again over another connection, and nobody hears of it.
* A mail that waits behind a content whose answer is slow is taken to another connection, where
  there is one: a password reset never waits ten minutes for somebody else's newsletter.
* When the relay is in trouble, everything that was not permitted is given back.
"""

import contextlib
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from envoi.core.delivery import Outcome, Stage, Unreachable, Unsuitable
from envoi.seams import CarrierEvent, Finished, Parcel, Ready, RelayTrouble
from envoi.transport.line import Line
from envoi.transport.options import RelayOptions
from envoi.transport.pace import Pace
from envoi.transport.pool import Pool

# A parcel that was first on a new connection may be the reason why the relay hung up; two such
# deaths are evidence, and it waits as after a refusal.
_MAX_BARREN = 2
# Bounds the moves of a parcel that was never the reason.
_MAX_MOVES = 5
# How long a deadline may be overlooked: under load nobody looks at each at every turn.
_LOOK_S = 0.1
# After so long the mail behind a slow content is taken elsewhere.
_OVERTAKE_S = 5.0


@dataclass(slots=True, eq=False)
class _Held:
    """A parcel in our hands.

    Args:
        parcel: As loaded.
        line: Where it goes; None while it waits.
        moves: How often it was taken from a connection.
        barren: How often that connection had died without a single answer.
    """

    parcel: Parcel
    line: Line | None = None
    moves: int = 0
    barren: int = 0


class SmtpCarrier:
    """Carries parcels to one relay; see `seams.Carrier` for the contract.

    Args:
        options: The relay.
        clock: Monotonic seconds.
    """

    def __init__(
        self, options: RelayOptions, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; the first connection is opened when there is a parcel for it."""
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._ears, self._bell = socket.socketpair()
        for end in (self._ears, self._bell):
            end.setblocking(False)  # noqa: FBT003 # the standard library's signature
        self._selector.register(self._ears, selectors.EVENT_READ, None)
        self._pool = Pool(options, self._selector, self._ring, clock)
        self._held: dict[int, _Held] = {}
        self._backlog: deque[_Held] = deque()
        self._events: list[CarrierEvent] = []
        self._pace = Pace(clock())
        self._is_woken = False
        self._is_closing = False
        # Connections on which something happened: a turn looks at no others.
        self._stirred: dict[Line, None] = {}
        # When a deadline must be looked at next.
        self._due = 0.0

    # The contract.

    def room(self) -> int:
        """Return how many more parcels can be loaded now; 0 while the relay is in trouble.

        Where it takes mail fast, some more than its connections have room for.
        """
        missing = self._pool.capacity - len(self._held)
        if self._pool.is_down or self._is_closing or missing <= 0:
            return 0
        # A worker asks its database for a hundred as cheaply as for ten.
        return missing + self._pace.ahead

    def load(self, parcel: Parcel) -> None:
        """Take a parcel to be carried.

        Raises:
            ValueError: The delivery is in our hands already.
        """
        if parcel.delivery_id in self._held:
            raise ValueError(f"delivery {parcel.delivery_id} was loaded twice")
        held = _Held(parcel)
        self._held[parcel.delivery_id] = held
        self._backlog.append(held)

    def permit(self, delivery_ids: Sequence[int]) -> None:
        """Let the contents of these deliveries go, at the next turn."""
        for delivery_id in delivery_ids:
            held = self._held.get(delivery_id)
            if held is not None and held.line is not None:
                held.line.session.permit(delivery_id)
                self._stirred[held.line] = None

    def withdraw(self, delivery_ids: Sequence[int]) -> None:
        """Drop parcels: their content never goes, unless it went already, and nothing is told."""
        for delivery_id in delivery_ids:
            held = self._held.pop(delivery_id, None)
            if held is None:
                continue
            if held.line is None:
                self._backlog.remove(held)
            else:
                held.line.session.withdraw(delivery_id)
                self._stirred[held.line] = None

    def turn(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Do what can be done now; wait at most `timeout_s` for the first event."""
        end = self._clock() + timeout_s
        while True:
            self._advance()
            self._poll(end)
            self._advance()
            if self._events or self._is_woken or self._clock() >= end:
                self._is_woken = False
                return self._take_events()

    def wake(self) -> None:
        """Make a waiting `turn` return; the only method that other threads may call."""
        self._ring(b"w")

    def retry_now(self) -> None:
        """Try the relay with one connection; room opens when it is well."""
        self._pool.probe()

    def limit_connections(self, connections: int) -> None:
        """Change how many connections may be open; idle ones above it are closed."""
        self._pool.limit(connections)
        self._due = 0.0

    def close(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Finish what is under way within the time, then close; tells what became of all."""
        end = self._clock() + timeout_s
        self._is_closing = True
        self._pool.stop_opening()
        self._give_back(Unreachable(stage=Stage.CONNECT, because="the worker stops"))
        for line in self._pool.lines:
            if line.session.is_idle:
                line.leave()
        self._stir_all()
        self._advance()
        while self._pool.lines and self._clock() < end:
            self._poll(end)
            self._advance()
        for line in self._pool.lines:
            line.session.lost("the worker stopped before the relay answered")
        self._stir_all()
        self._collect()
        self._selector.close()
        self._ears.close()
        self._bell.close()
        return self._take_events()

    # One turn of the loop.

    def _advance(self) -> None:
        if self._clock() >= self._due:
            self._expire()
        if self._pool.opening_count and not self._is_closing:
            for change in self._pool.admit():
                self._note(change)
        self._collect()
        if self._backlog and not self._pool.is_down:
            self._assign()
        for line in self._stirred:
            if line.session.outgoing:
                line.flush()
        self._collect()
        self._stirred.clear()
        if self._backlog:
            self._pool.grow(len(self._held))

    def _expire(self) -> None:
        self._pool.expire()
        self._stir_all()
        self._due = self._clock() + _LOOK_S
        if self._is_closing:
            return
        for line in self._blocked:
            if line.waited_s >= _OVERTAKE_S and self._has_way:
                line.session.abandon("the mail before it is slow")

    def _poll(self, end: float) -> None:
        """Read and write what is there; wait for it until `end` when nothing is."""
        left_s = 0.0 if self._events else max(0.0, end - self._clock())
        ready = self._selector.select(min(left_s, _LOOK_S))
        if left_s > _LOOK_S and not ready:
            ready = self._selector.select(self._wait_s(end))
        for key, mask in ready:
            line = key.data
            if line is None:
                self._hear()
                continue
            if mask & selectors.EVENT_WRITE:
                line.flush()
            if mask & selectors.EVENT_READ:
                line.read()
            self._stirred[line] = None

    def _wait_s(self, end: float) -> float:
        now = self._clock()
        self._due = self._pool.deadline()
        blocked = self._blocked
        if blocked and self._has_way:
            waited_s = max(line.waited_s for line in blocked)
            self._due = min(self._due, now + _OVERTAKE_S - waited_s)
        return max(0.0, min(end, self._due) - now)

    def _ring(self, why: bytes = b"o") -> None:
        # A full pipe wakes as well, and a closed one has nobody to wake.
        with contextlib.suppress(OSError):
            self._bell.send(why)

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            # An opened connection ends the wait, but is no reason to end the turn.
            self._is_woken = b"w" in self._ears.recv(4096)

    def _take_events(self) -> list[CarrierEvent]:
        events, self._events = self._events, []
        finished = sum([isinstance(event, Finished) for event in events])
        self._pace.note(finished, self._clock())
        return events

    # Parcels on their way out.

    def _assign(self) -> None:
        # One above the limit is to become idle, and closes then.
        takers = [line for line in self._pool.usable if line.can_take]
        for line in takers:
            if line.session.is_idle and self._backlog:
                self._give(line)
        # Every connection that is being opened has its first parcel waiting for it.
        while takers := [line for line in takers if line.can_take]:
            for line in takers:
                if len(self._backlog) <= self._pool.opening_count:
                    return
                self._give(line)

    def _give(self, line: Line) -> None:
        """Begin one parcel on this connection."""
        held = self._backlog.popleft()
        held.line = line
        self._stirred[line] = None
        try:
            line.session.offer(held.parcel)
        except (ValueError, LookupError) as err:
            # A mail that cannot be made stays visible and never stops the others (P8).
            self._finish(held, Unsuitable(because=f"this mail cannot be made: {err}"))

    @property
    def _blocked(self) -> list[Line]:
        return [line for line in self._pool.lines if line.session.is_blocking]

    @property
    def _has_way(self) -> bool:
        return self._pool.can_grow or any(line.session.is_idle for line in self._pool.usable)

    # What became of them.

    def _collect(self) -> None:
        was_down = self._pool.is_down
        for line in tuple(self._stirred):
            if line.session.has_news:
                self._hear_of(line)
            elif line.session.is_idle and (line.is_worn or self._pool.has_excess):
                # Worn by a last reply about no mail (a lone dot), or more than its share.
                line.leave()
        if self._pool.is_down and not was_down:
            # What was given back on the connections before this one.
            self._collect()

    def _hear_of(self, line: Line) -> None:
        session = line.session
        for event in session.take_events():
            held = self._held.get(event.delivery_id)
            if held is None:
                continue  # withdrawn meanwhile
            if isinstance(event, Ready):
                self._events.append(event)
            else:
                self._judge(line, held, event)
        if session.is_over:
            del self._stirred[line]
            trouble = self._pool.bury(line)
            if trouble is not None:
                self._note(trouble)
        elif session.is_idle and (line.is_worn or self._pool.has_excess):
            line.leave()

    def _judge(self, line: Line, held: _Held, finished: Finished) -> None:
        outcome = finished.outcome
        if not isinstance(outcome, Unreachable) or outcome.had_turn or line.session.trouble:
            del self._held[finished.delivery_id]
            self._events.append(finished)
            return
        if self._is_closing or self._pool.is_down or held.moves >= _MAX_MOVES:
            self._finish(held, outcome)
            return
        held.moves += 1
        held.barren += not line.session.answer_count
        if held.barren >= _MAX_BARREN:
            self._finish(held, replace(outcome, had_turn=True))
            return
        held.line = None
        self._backlog.appendleft(held)

    def _finish(self, held: _Held, outcome: Outcome) -> None:
        delivery_id = held.parcel.delivery_id
        del self._held[delivery_id]
        self._events.append(Finished(delivery_id=delivery_id, outcome=outcome))

    def _note(self, change: CarrierEvent) -> None:
        self._events.append(change)
        if isinstance(change, RelayTrouble):
            self._give_back(Unreachable(stage=change.stage, because=change.because))

    def _give_back(self, outcome: Unreachable) -> None:
        """Finish everything whose content did not go; what was permitted goes on."""
        while self._backlog:
            self._finish(self._backlog.popleft(), outcome)
        for line in self._pool.lines:
            if not line.session.is_idle:
                line.session.abandon(outcome.because)
        self._stir_all()

    def _stir_all(self) -> None:
        self._stirred.update(dict.fromkeys(self._pool.lines))
