"""This room does what time makes due beside the deliveries, once per process.

There is no second scheduler: whatever is due is a row with a due time or a folder with files,
and the worker looks at them between its turns. None of it may stop the worker, so what the
outbox refuses is done at the next time.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from envoi.assembly import Parts
from envoi.broadcasting import Broadcasting
from envoi.broken_links import BrokenLinks
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
from envoi.outbox import ahead
from envoi.outbox.route import EventClaim
from envoi.outbox.spool import Spooled
from envoi.retention import Pruner
from envoi.serving import Overseer
from envoi.walk import Walk

# How often expired mail, unrouted events, the spool and the other workers are looked at.
CHORES_EVERY_MS = 1_000
# By how much hosts' clocks may differ. A worker that starts takes what lies further ahead for the
# work of a wrong clock; one that saw its own clock go back, more.
START_SLACK_MS, BACK_SLACK_MS = 1_800_000, 60_000
# So many events are routed in turns: a password reset must not wait for a large audience.
MAX_ROUTED_AT_ONCE = 4
# The wait between two tries of a spooled event doubles from a second; ten tries take 8 minutes.
MAX_SPOOL_TRIES = 10


class Chores:
    """Expiry, routing of events stored alone, orders to broadcasts, what is old, the spool.

    Args:
        parts: The outbox's parts.
        walk: Routes events that were stored alone.
        take_in: Stores what lay in the spool, once; raises `InputError` when it cannot be read.
        worker: Name of the worker that does them.
    """

    def __init__(
        self,
        parts: Parts,
        walk: Walk,
        take_in: Callable[[Mapping[str, Plain], str], None],
        worker: str,
    ) -> None:
        """Start with everything due."""
        self._intake = Intake(parts, take_in)
        self._parts = parts
        self._walk = walk
        self._worker = worker
        self._lease_ms = parts.settings.delivery.lease_s * 1000
        self._chores_at_ms = 0
        self._sweeper = Broadcasting(parts).sweeper()
        self._closer = Closer(parts, walk.store)
        self._overseer = Overseer(parts, walk.store)
        self._pruner = Pruner(parts, worker)
        self._incidents = Incidents(parts, walk.store)
        self._links = BrokenLinks(parts, walk.store)
        self._routing: deque[tuple[EventClaim, Iterator[None]]] = deque()
        self._has_routed = False
        self._slack_ms: int | None = START_SLACK_MS

    @property
    def next_due_ms(self) -> int:
        """When something is due next; 0 for at once."""
        due_ms = min(self._chores_at_ms, self._pruner.next_due_ms)
        return 0 if self.is_routing else due_ms

    @property
    def is_routing(self) -> bool:
        """Whether an event's recipients are being found, or the next event is looked for now."""
        return bool(self._routing) or not self._chores_at_ms

    def take_routed(self) -> bool:
        """Whether an event was routed since the last question: its deliveries are due now."""
        routed, self._has_routed = self._has_routed, False
        return routed

    def begin_anew(self) -> None:
        """Take everything as due, because the clock went back."""
        self._chores_at_ms = self._pruner.next_due_ms = 0
        self._intake.begin_anew()
        self._slack_ms = BACK_SLACK_MS

    def keep_up(self, now_ms: int) -> None:
        """Do what is due now."""
        if now_ms >= self._chores_at_ms:
            self._look(now_ms)
        self._route_on(now_ms)
        self._pruner.look(now_ms)

    def sign_off(self) -> None:
        """Leave what is under way to the other workers."""
        try:
            self._pruner.sign_off()
        except OutboxError as err:
            self._parts.breakdown.begin(self._worker, err)

    def _look(self, now_ms: int) -> None:
        self._chores_at_ms = now_ms + CHORES_EVERY_MS
        try:
            self._set_right(now_ms)
            self._expire(now_ms)
            self._sweeper.look()
            self._has_routed |= self._closer.look(now_ms) | self._overseer.look(now_ms)
            self._has_routed |= self._incidents.look(now_ms) | self._links.look(now_ms)
            self._begin_routing(now_ms)
            self._intake.look(now_ms)
        except OutboxError as err:
            self._parts.breakdown.begin(self._worker, err)

    def _set_right(self, now_ms: int) -> None:
        if self._slack_ms is None:
            return
        count, found = 0, ahead.BATCH_ROWS
        while found >= ahead.BATCH_ROWS:
            with self._parts.outbox.transaction(is_synced=False) as tx:
                found = ahead.set_right(
                    tx, now_ms, lease_ms=self._lease_ms, slack_ms=self._slack_ms
                )
            count += found
        self._slack_ms = None
        if count:
            self._has_routed = True
            self._parts.journal.note(Fact.CLOCK_WAS_AHEAD, count=count)

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
            self._parts.breakdown.begin(self._worker, err)
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
            self._parts.breakdown.begin(self._worker, err)
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


class NoChores:
    """The chores of a worker beside which another one does them."""

    next_due_ms = 2**62
    is_routing = False

    def begin_anew(self) -> None:
        """Do nothing."""

    def keep_up(self, now_ms: int) -> None:
        """Do nothing."""

    def take_routed(self) -> bool:
        """Say that no event was routed here."""
        return False

    def sign_off(self) -> None:
        """Do nothing."""


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

    def begin_anew(self) -> None:
        """Take every file as due."""
        self._due_at_ms.clear()

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
