"""This room is a worker's shift: that it lives, what it may use, and for whom it stands in.

All of it is agreed with the other workers by rows of the outbox: who is there, which relay is in
trouble, and which one an operator has paused. Everybody looks once per second.
"""

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from envoi.assembly import Parts
from envoi.core.failover import stand_in, wards
from envoi.errors import OutboxError
from envoi.journal import Fact
from envoi.outage import OPERATOR_TRY_MS
from envoi.outbox.claim import Claim
from envoi.outbox.relay import CAPTURE, Pause, paused_by_hand, relays_down, workers
from envoi.seams import Carrier, Tx
from envoi.serving import is_alive

# How often the other workers and relays are looked at.
LOOK_EVERY_MS = 1_000
# A worker that joins others lets them hear of it before it uses the relay's connections.
JOIN_MS = 2 * LOOK_EVERY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Where a worker stands.

    Args:
        name: Unique name: host, process id and chance.
        relay: Name of the relay whose mail it takes.
        carrier: Carries it.
        is_capturing: Whether it sends nothing, and takes the mail of all relays.
    """

    name: str
    relay: str
    carrier: Carrier
    is_capturing: bool = False

    @property
    def signs_as(self) -> str:
        """Under which name it stands in the list of workers."""
        return CAPTURE if self.is_capturing else self.relay


class Shift:
    """What one worker knows of the others.

    Args:
        parts: The outbox's parts.
        post: Where it stands.
    """

    def __init__(self, parts: Parts, post: Post) -> None:
        """Stand by until signed on."""
        self._parts = parts
        self._post = post
        self._lease_ms = parts.settings.delivery.lease_s * 1000
        self._connections = parts.settings.relay(post.relay).connections
        self._beat_at_ms = 0
        self._beaten_at_ms = 0
        self._look_at_ms = 0
        self._joined_at_ms = 0
        self._waits_until_ms = 0
        self._share = 0
        self._is_warned = False
        # Whether this worker has found out by itself how its relay is.
        self.knows_relay = False
        self.is_paused = False
        # Whether another relay carries its mail, should this one be in trouble.
        self.has_stand_in = False
        # A relay that captures takes everything; any other begins with its own mail alone.
        everything = tuple(name for name in parts.relays.names if name != post.relay)
        self.wards: tuple[str, ...] = everything if post.is_capturing else ()

    @property
    def share(self) -> int:
        """How many of the relay's connections are this worker's, at least one."""
        return max(self._share, 1)

    @property
    def stands_by(self) -> bool:
        """Whether nothing may be claimed.

        Others use all connections, a hand has paused the relay, or another worker was refused by
        it for what only an operator can mend.
        """
        return self._share == 0 or self.is_paused or self._is_warned

    @property
    def next_due_ms(self) -> int:
        """When something is due next."""
        return min(self._beat_at_ms, self._look_at_ms)

    def is_behind(self, now_ms: int) -> bool:
        """Whether our leases may have run out because no beat could be written for long."""
        return now_ms - self._beaten_at_ms > self._lease_ms // 2

    def look_soon(self) -> None:
        """Look at the others with the next turn."""
        self._look_at_ms = 0

    def begin_anew(self) -> None:
        """Take everything as due, because the clock went back; our leases may run out."""
        self._beat_at_ms = self._beaten_at_ms = self._look_at_ms = self._waits_until_ms = 0

    def let_others_wake(self, now_ms: int) -> None:
        """Claim nothing for a while, because a lease has passed between two turns.

        The clock went ahead, or this machine slept. Where all workers go by that clock, those
        who live look dead for a moment, and what they are sending must not be taken from them.
        """
        self._share = 0
        # Until each has had its beat.
        self._waits_until_ms = now_ms + self._lease_ms // 3 + LOOK_EVERY_MS

    def look(self, now_ms: int) -> bool:
        """Take in what the others did, when it is time for that; whether it was."""
        if now_ms < self._look_at_ms:
            return False
        self._look_at_ms = now_ms + LOOK_EVERY_MS
        try:
            self._look_around(now_ms)
        except OutboxError as err:
            self._parts.breakdown.begin(self._post.name, err)
        return True

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
            self._sign_on(now_ms)
            self._parts.breakdown.end(self._post.name)
        except OutboxError as err:
            self._parts.breakdown.begin(self._post.name, err)
            return ()
        return lost

    def extend(self, tx: Tx, now_ms: int, claims: Iterable[Claim]) -> tuple[int, ...]:
        """Keep the claims for another lease; return the ids whose lease was lost."""
        return self._parts.outbox.extend(tx, tuple(claims), now_ms, self._lease_ms)

    def sign_off(self) -> None:
        """Leave the list of live workers, so that the others take our connections at once."""
        try:
            self._parts.outbox.sign_off(self._post.name)
        except OutboxError as err:
            self._parts.breakdown.begin(self._post.name, err)

    def _sign_on(self, now_ms: int) -> None:
        # Who joins others waits until they have seen him, so that the relay never meets both
        # their old shares and his new one.
        is_first = not self._joined_at_ms
        if is_first:
            self._joined_at_ms = now_ms
            self._sign_off_dead()
        found = self._parts.outbox.heartbeat(
            self._post.name, self._post.signs_as, now_ms, self._lease_ms
        )
        if is_first and len(found) > 1:
            self._waits_until_ms = now_ms + JOIN_MS

    def _sign_off_dead(self) -> None:
        # After a kill -9 the next start must not wait a lease for a share that nobody uses.
        host = socket.gethostname()
        with self._parts.outbox.reading() as tx:
            dead = [each for each in workers(tx) if each.host == host and not is_alive(each.pid)]
        for each in dead:
            self._parts.outbox.sign_off(each.name)

    def _look_around(self, now_ms: int) -> None:
        with self._parts.outbox.reading() as tx:
            found = workers(tx)
            down = {pause.relay: pause for pause in relays_down(tx)}
            by_hand = paused_by_hand(tx)
        ours = [each.name for each in found if each.transport == self._post.signs_as]
        is_waiting = now_ms < self._waits_until_ms
        self._share = 0 if is_waiting else share_of(self._post.name, ours, self._connections)
        if self._post.is_capturing:
            return
        self._heed(down.get(self._post.relay), now_ms)
        self.is_paused = self._post.relay in by_hand
        served = {each.transport for each in found}
        paused, failover = down.keys() | by_hand.keys(), self._parts.relays.failover
        self.has_stand_in = bool(stand_in(failover[self._post.relay], paused, served))
        self._stand_in(wards(self._post.relay, failover, paused, served))

    def _heed(self, pause: Pause | None, now_ms: int) -> None:
        """Leave a relay alone that refuses our password: sixteen processes would be sixteen tries.

        Once it is time for the next try, one of those who wait makes it.
        """
        if pause is None or self.knows_relay or not pause.needs_operator:
            self._is_warned = False
            return
        if now_ms >= pause.paused_until_ms and self._parts.outbox.may_try(
            pause.relay, now_ms, OPERATOR_TRY_MS
        ):
            self._is_warned, self.knows_relay = False, True
            return
        if not self._is_warned:
            self._parts.journal.note(
                Fact.RELAY_DOWN, relay=pause.relay, because=pause.because, advice=pause.advice
            )
        self._is_warned = True

    def _stand_in(self, names: tuple[str, ...]) -> None:
        before, self.wards = self.wards, names
        note, relay = self._parts.journal.note, self._post.relay
        for name in names:
            if name not in before:
                note(Fact.RELAY_STANDS_IN, relay=relay, ward=name)
        for name in before:
            if name not in names:
                note(Fact.RELAY_STANDS_DOWN, relay=relay, ward=name)


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
