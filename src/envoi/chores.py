"""This room does what time makes due beside the deliveries.

There is no second scheduler: whatever is due is a row with a due time or a folder with files,
and the worker looks at them between its turns. None of it may stop the worker, so what the
outbox refuses is done at the next time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from envoi.assembly import Parts
from envoi.core.kind import Plain
from envoi.errors import EnvoiError, InputError, OutboxError, RefusedError
from envoi.journal import Fact
from envoi.outbox.claim import Claim
from envoi.seams import Carrier
from envoi.walk import Walk

# How often expired mail, unrouted events and the spool are looked at.
CHORES_EVERY_MS = 1_000


class Chores:
    """Heartbeat, leases, expiry, routing of events stored alone, and the spool.

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
        self._take_in = take_in
        self._parts = parts
        self._walk = walk
        self._worker = worker
        self._transport = transport
        self._lease_ms = parts.settings.delivery.lease_s * 1000
        self._beat_at_ms = 0
        self._chores_at_ms = 0
        self._share = 1

    @property
    def next_due_ms(self) -> int:
        """When something is due next."""
        return min(self._beat_at_ms, self._chores_at_ms)

    @property
    def stands_by(self) -> bool:
        """Whether other workers already use all connections that the relay may be asked for."""
        return self._share == 0

    def keep_up(self, now_ms: int, claims: Iterable[Claim], carrier: Carrier) -> None:
        """Do what is due now."""
        try:
            if now_ms >= self._beat_at_ms:
                # A third of the lease: two beats may be lost before somebody takes our claims.
                self._beat_at_ms = now_ms + self._lease_ms // 3
                self._beat(now_ms, claims, carrier)
            if now_ms >= self._chores_at_ms:
                self._chores_at_ms = now_ms + CHORES_EVERY_MS
                self._expire(now_ms)
                self._take_spool()
                self._route(now_ms)
        except OutboxError as err:
            self._parts.journal.note(Fact.WORKER_BROKEN, worker=self._worker, because=err)

    def hurry(self) -> None:
        """Look for events to route and spooled ones at the next turn."""
        self._chores_at_ms = 0

    def sign_off(self) -> None:
        """Leave the list of live workers, so that the others take our connections at once."""
        try:
            self._parts.outbox.sign_off(self._worker)
        except OutboxError as err:
            self._parts.journal.note(Fact.WORKER_BROKEN, worker=self._worker, because=err)

    def _beat(self, now_ms: int, claims: Iterable[Claim], carrier: Carrier) -> None:
        outbox = self._parts.outbox
        with outbox.transaction(is_synced=False) as tx:
            outbox.extend(tx, tuple(claims), now_ms, self._lease_ms)
        workers = outbox.heartbeat(self._worker, self._transport, now_ms, self._lease_ms)
        connections = self._parts.settings.smtp.connections
        self._share = share_of(self._worker, workers, connections)
        carrier.limit_connections(max(self._share, 1))

    def _expire(self, now_ms: int) -> None:
        count = self._parts.outbox.expire_due(now_ms)
        if count:
            self._parts.journal.note(Fact.DELIVERY_EXPIRED, count=count)

    def _route(self, now_ms: int) -> None:
        outbox = self._parts.outbox
        while (claim := outbox.claim_event(now_ms, self._lease_ms)) is not None:
            try:
                self._walk.route(claim)
            except RefusedError:
                continue  # the lease was lost: another worker routes it
            except OutboxError:
                raise
            except EnvoiError as err:
                # A kind or template that is gone must not stop the events behind it.
                outbox.put_off_routing(claim, now_ms, str(err))
                self._parts.journal.note(
                    Fact.ROUTING_BROKEN, event=claim.event_id, kind=claim.event.kind, because=err
                )

    def _take_spool(self) -> None:
        spool, taken = self._parts.spool, 0
        for entry in spool.take():
            try:
                self._take_in(entry.form, entry.uid)
            except InputError as err:
                entry.reject(str(err))
                continue
            entry.done()
            taken += 1
        if taken:
            self._parts.journal.note(Fact.EVENT_UNSPOOLED, count=taken, path=spool.folder)


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
