"""This room does what time makes due beside the deliveries.

There is no second scheduler: whatever is due is a row with a due time or a folder with files,
and the worker looks at them between its turns. None of it may stop the worker, so what the
outbox refuses is done at the next time.
"""

import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from envoi.assembly import Parts
from envoi.broadcasting import Broadcasting
from envoi.core.kind import Plain
from envoi.errors import (
    EnvoiError,
    InputError,
    NotStoredError,
    OutboxError,
    OutboxUnavailableError,
    RefusedError,
    SchemaError,
)
from envoi.incidents import Incidents
from envoi.journal import Fact
from envoi.limiting import Closer
from envoi.outbox.claim import Claim
from envoi.outbox.relay import workers
from envoi.outbox.route import EventClaim
from envoi.outbox.spool import Spooled
from envoi.seams import Carrier, Tx
from envoi.serving import Overseer, is_alive
from envoi.walk import Walk

# How often expired mail, unrouted events, the spool and the other workers are looked at.
CHORES_EVERY_MS = 1_000
# So many events are routed in turns: a password reset must not wait for a large audience.
MAX_ROUTED_AT_ONCE = 4
# The wait between two tries of a spooled event doubles from a second; ten tries take 8 minutes.
MAX_SPOOL_TRIES = 10
# A worker that joins others lets them hear of it before it uses the relay's connections.
JOIN_MS = 2 * CHORES_EVERY_MS


class Chores:
    """Heartbeat, leases, expiry, routing of events stored alone, orders to broadcasts, the spool.

    Args:
        parts: The outbox's parts.
        walk: Routes events that were stored alone.
        take_in: Stores what lay in the spool, once; raises `InputError` when it cannot be read.
        worker: Name of the worker.
        transport: Name of its transport.
    """

    def __init__(
        self,
        parts: Parts,
        walk: Walk,
        take_in: Callable[[Mapping[str, Plain], str], None],
        worker: str,
        transport: str,
    ) -> None:
        """Start with everything due."""
        self._intake = Intake(parts, take_in)
        self._parts = parts
        self._walk = walk
        self._worker = worker
        self._transport = transport
        self._lease_ms = parts.settings.delivery.lease_s * 1000
        self._beat_at_ms = 0
        self._beaten_at_ms = 0
        self._chores_at_ms = 0
        self._crew = Crew(parts, worker, transport)
        self._sweeper = Broadcasting(parts).sweeper()
        self._closer = Closer(parts, walk.store)
        self._overseer = Overseer(parts, walk.store)
        self._incidents = Incidents(parts, walk.store)
        self._routing: deque[tuple[EventClaim, Iterator[None]]] = deque()
        self._has_routed = False

    @property
    def next_due_ms(self) -> int:
        """When something is due next; 0 for at once."""
        return 0 if self.is_routing else min(self._beat_at_ms, self._chores_at_ms)

    @property
    def is_routing(self) -> bool:
        """Whether an event's recipients are being found, or the next event is looked for now."""
        return bool(self._routing) or not self._chores_at_ms

    def take_routed(self) -> bool:
        """Whether an event was routed since the last question: its deliveries are due now."""
        routed, self._has_routed = self._has_routed, False
        return routed

    @property
    def stands_by(self) -> bool:
        """Whether other workers already use all connections that the relay may be asked for."""
        return self._crew.share == 0

    def is_behind(self, now_ms: int) -> bool:
        """Whether our leases may have run out because no beat could be written for long."""
        return now_ms - self._beaten_at_ms > self._lease_ms // 2

    def keep_up(self, now_ms: int, claims: Iterable[Claim], carrier: Carrier) -> tuple[int, ...]:
        """Do what is due now; return the ids whose lease was lost."""
        lost = self.beat(now_ms, claims)
        if now_ms >= self._chores_at_ms:
            self._look(now_ms, carrier)
        self._route_on(now_ms)
        return lost

    def beat(self, now_ms: int, claims: Iterable[Claim]) -> tuple[int, ...]:
        """Say that the worker lives and keep its claims, when it is time for that.

        Returns:
            The ids whose lease was lost.
        """
        if now_ms < self._beat_at_ms:
            return ()
        # A third of the lease: two beats may be lost before somebody takes our claims.
        self._beat_at_ms = now_ms + self._lease_ms // 3
        try:
            with self._parts.outbox.transaction(is_synced=False) as tx:
                lost = self.extend(tx, now_ms, claims)
            self._beaten_at_ms = now_ms
            self._crew.sign_on(now_ms, self._lease_ms)
        except OutboxError as err:
            self._parts.journal.note(Fact.WORKER_BROKEN, worker=self._worker, because=err)
            return ()
        return lost

    def extend(self, tx: Tx, now_ms: int, claims: Iterable[Claim]) -> tuple[int, ...]:
        """Keep the claims for another lease; return the ids whose lease was lost."""
        return self._parts.outbox.extend(tx, tuple(claims), now_ms, self._lease_ms)

    def sign_off(self) -> None:
        """Leave the list of live workers, so that the others take our connections at once."""
        try:
            self._parts.outbox.sign_off(self._worker)
        except OutboxError as err:
            self._parts.journal.note(Fact.WORKER_BROKEN, worker=self._worker, because=err)

    def _look(self, now_ms: int, carrier: Carrier) -> None:
        self._chores_at_ms = now_ms + CHORES_EVERY_MS
        try:
            self._crew.look_around(now_ms)
            carrier.limit_connections(max(self._crew.share, 1))
            self._expire(now_ms)
            self._sweeper.look()
            self._has_routed |= self._closer.look(now_ms) | self._overseer.look(now_ms)
            self._has_routed |= self._incidents.look(now_ms)
            self._begin_routing(now_ms)
            self._intake.look(now_ms)
        except OutboxError as err:
            self._parts.journal.note(Fact.WORKER_BROKEN, worker=self._worker, because=err)

    def _expire(self, now_ms: int) -> None:
        count = self._parts.outbox.expire_due(now_ms)
        if count:
            self._parts.journal.note(Fact.DELIVERY_EXPIRED, count=count)

    def _begin_routing(self, now_ms: int) -> None:
        if len(self._routing) >= MAX_ROUTED_AT_ONCE:
            return
        claim = self._parts.outbox.claim_event(now_ms, self._lease_ms)
        if claim is not None:
            # Before those that have had a turn: whoever came last is the one that is short.
            self._routing.appendleft((claim, self._walk.route(claim)))

    def _route_on(self, now_ms: int) -> None:
        """Take one step of an event that is being routed, and of the others in their turn."""
        if not self._routing:
            return
        try:
            self._begin_routing(now_ms)
        except OutboxError as err:
            self._parts.journal.note(Fact.WORKER_BROKEN, worker=self._worker, because=err)
        self._step(*self._routing.popleft(), now_ms)

    def _step(self, claim: EventClaim, steps: Iterator[None], now_ms: int) -> None:
        try:
            next(steps)
        except StopIteration:
            self._has_routed = True
            self._look_again()
        except RefusedError:
            self._look_again()  # the lease was lost: another worker routes it
        except OutboxError as err:
            # The lease runs out, and whoever claims it then goes on behind the last chunk.
            self._parts.journal.note(Fact.WORKER_BROKEN, worker=self._worker, because=err)
        except EnvoiError as err:
            # A kind or an application that is gone must not stop the events behind it.
            self._put_off(claim, now_ms, err)
            self._look_again()
        else:
            self._routing.append((claim, steps))

    def _look_again(self) -> None:
        self._chores_at_ms = 0

    def _put_off(self, claim: EventClaim, now_ms: int, err: EnvoiError) -> None:
        with suppress(OutboxError):  # then its lease runs out
            self._parts.outbox.put_off_routing(claim, now_ms, str(err))
        self._parts.journal.note(
            Fact.ROUTING_BROKEN, event=claim.event_id, kind=claim.event.kind, because=err
        )


class Intake:
    """Takes in what lies in the spool; one file that cannot be stored blocks no other.

    Args:
        parts: The outbox's parts.
        take_in: Stores one entry, once; raises `InputError` when it cannot be read.
    """

    def __init__(self, parts: Parts, take_in: Callable[[Mapping[str, Plain], str], None]) -> None:
        """Start with every file due."""
        self._parts = parts
        self._take_in = take_in
        self._due_at_ms: dict[str, int] = {}

    def look(self, now_ms: int) -> None:
        """Take in every file whose time has come.

        Raises:
            OutboxError: The outbox cannot be used now; the files wait for it.
        """
        spool, taken = self._parts.spool, 0
        for entry in spool.take():
            if now_ms >= self._due_at_ms.get(entry.uid, 0):
                taken += self._take(entry, now_ms)
        if taken:
            self._parts.journal.note(Fact.EVENT_UNSPOOLED, count=taken, path=spool.folder)

    def _take(self, entry: Spooled, now_ms: int) -> int:
        try:
            self._take_in(entry.form, entry.uid)
        except InputError as err:
            self._set_aside(entry, err)
            return 0
        except NotStoredError as err:
            if isinstance(err.__cause__, OutboxUnavailableError | SchemaError):
                raise
            self._fail(entry, err, now_ms)
            return 0
        self._due_at_ms.pop(entry.uid, None)
        entry.done()
        return 1

    def _fail(self, entry: Spooled, err: NotStoredError, now_ms: int) -> None:
        # A template that is being edited mends itself; what still fails later needs a person.
        if entry.tries + 1 >= MAX_SPOOL_TRIES:
            self._set_aside(entry, err)
            return
        self._due_at_ms[entry.uid] = now_ms + (CHORES_EVERY_MS << entry.tries)
        entry.failed()

    def _set_aside(self, entry: Spooled, err: EnvoiError) -> None:
        self._due_at_ms.pop(entry.uid, None)
        entry.reject(str(err))
        self._parts.journal.note(Fact.SPOOL_SET_ASIDE, path=entry.path, because=err)


class Crew:
    """The live workers of one relay, which together keep to its number of connections.

    Everybody looks at the list once per second and takes his share by his place in it. Who joins
    others waits until they have seen him, so that the relay never meets both their old shares and
    his new one.

    Args:
        parts: The outbox's parts.
        worker: Name of this worker.
        transport: Name of the relay.
    """

    def __init__(self, parts: Parts, worker: str, transport: str) -> None:
        """Stand by until signed on."""
        self._parts = parts
        self._worker = worker
        self._transport = transport
        self._joined_at_ms = 0
        self._waits_until_ms = 0
        self.share = 0

    def sign_on(self, now_ms: int, lease_ms: int) -> None:
        """Say that this worker lives; the first time, take in who else does."""
        is_first = not self._joined_at_ms
        if is_first:
            self._joined_at_ms = now_ms
            self._sign_off_dead()
        found = self._parts.outbox.heartbeat(self._worker, self._transport, now_ms, lease_ms)
        if is_first and len(found) > 1:
            self._waits_until_ms = now_ms + JOIN_MS

    def look_around(self, now_ms: int) -> None:
        """Take the share that is left by the workers there are now."""
        with self._parts.outbox.reading() as tx:
            found = [each.name for each in workers(tx) if each.transport == self._transport]
        connections = self._parts.settings.smtp.connections
        is_waiting = now_ms < self._waits_until_ms
        self.share = 0 if is_waiting else share_of(self._worker, found, connections)

    def _sign_off_dead(self) -> None:
        # After a kill -9 the next start must not wait a lease for a share that nobody uses.
        host = socket.gethostname()
        with self._parts.outbox.reading() as tx:
            dead = [each for each in workers(tx) if each.host == host and not is_alive(each.pid)]
        for each in dead:
            self._parts.outbox.sign_off(each.name)


def share_of(worker: str, workers: Sequence[str], connections: int) -> int:
    """Return how many of a relay's connections one of several live workers may open.

    >>> [share_of(name, ["a", "b", "c"], 4) for name in "abc"]
    [2, 1, 1]
    >>> share_of("c", ["a", "b", "c"], 2)
    0
    """
    if worker not in workers:
        return connections
    whole, rest = divmod(connections, len(workers))
    return whole + (1 if workers.index(worker) < rest else 0)
