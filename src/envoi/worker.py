"""This room delivers by one relay: steps 10 to 14 of the walk in order.

One thread, one loop. A turn lets the connections do what they can, judges what they say, and
writes it down together with what may go next in one short transaction; only after that commit
are the next contents permitted to leave. So at any moment at most one delivery per open
connection is begun and not yet recorded, and a crash leaves at most that many in doubt.

When the record cannot be written (disk full, database restarting), nothing new is claimed and
nothing is permitted; the verdicts stay in memory and are written again, never sent again.
"""

import os
import random
import socket
import uuid
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from threading import Event as Signal

from envoi.assembly import Parts
from envoi.book import Book, Setback
from envoi.chores import Chores, NoChores
from envoi.core.delivery import GiveBack, Outcome, Uncertain, judge, stage_of
from envoi.core.failover import weakened
from envoi.core.rate import Rates
from envoi.errors import OutboxError, OutboxUnavailableError
from envoi.journal import Fact
from envoi.outage import Outage
from envoi.outbox import rates
from envoi.outbox.claim import Claim, ClaimOrder
from envoi.parcels import Parcels
from envoi.seams import (
    CarrierEvent,
    Finished,
    Parcel,
    Ready,
    RelayTrouble,
    RelayWell,
    Tx,
)
from envoi.shift import Post, Shift

# Work that waits is looked for at least this often while the relay is busy with us.
BUSY_TURN_S = 1.0
# A clock that goes back by less than this makes everything late by no more than this.
STEP_BACK_MS = 1_000
# How long a reply waits at most for those of other connections, to be written down with them.
GATHER_MS = 2
# What is said of a delivery that a stopping worker did not begin.
GIVEN_BACK = "the worker stopped"
# What is said of one whose relay an operator paused before it was begun.
PAUSED = "its relay was paused"
# How long a relay may take to answer goodbye.
GOODBYE_S = 1.0


class Worker:
    """Takes deliveries from the outbox and hands them to a carrier, until told to stop.

    Args:
        parts: The outbox's parts.
        post: Name, relay and carrier.
        chores: What time makes due beside the deliveries.
        stir: Called when the other workers of this process should look around at once.
        dice: Uniform in 0..1; spreads retries.
    """

    def __init__(
        self,
        parts: Parts,
        post: Post,
        chores: Chores | NoChores,
        stir: Callable[[], None] = lambda: None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """Start idle; nothing is claimed before the first turn."""
        self._parts = parts
        self._post = post
        self._carrier = post.carrier
        self._shift = Shift(parts, post)
        self._chores = chores
        self._stir = stir
        self._dice = dice
        self._parcels = Parcels(parts, post.relay)
        self._outage = Outage(parts, post.relay)
        self._lease_ms = parts.settings.delivery.lease_s * 1000
        self._poll_ms = parts.settings.delivery.poll_ms
        self._patience = parts.patience
        # Nothing that is captured leaves.
        self._rates = Rates() if post.is_capturing else parts.settings.relay(post.relay).rates
        # When there may be more to claim although nothing new comes; None: nobody knows.
        self._again_at_ms: int | None = None
        redirect = parts.settings.guard.redirect
        self._book = Book(parts.journal, parts.clock, sent_to=str(redirect or ""))
        self._setback = Setback(parts.breakdown, post.name, self._lease_ms)
        self._look_at_ms = 0
        self._turned_at_ms = 0
        self._is_woken = Signal()
        self._has_given_up = False
        self._is_over = False

    @property
    def under_way(self) -> int:
        """How many deliveries are claimed and not yet recorded."""
        return len(self._book.claims)

    @property
    def name(self) -> str:
        """Its unique name."""
        return self._post.name

    @property
    def relay(self) -> str:
        """Name of the relay whose mail it takes."""
        return self._post.relay

    def wake(self) -> None:
        """Look for work now; other threads may call this."""
        self._is_woken.set()
        if not self._is_over:
            self._carrier.wake()

    def look_around(self) -> None:
        """Look at the other workers and relays now; other threads may call this."""
        self._shift.look_soon()
        self.wake()

    def run(self, must_stop: Callable[[], bool]) -> None:
        """Deliver until `must_stop()`, then finish what is under way and give the rest back."""
        note = self._parts.journal.note
        note(Fact.WORKER_STARTED, worker=self._post.name, relay=self._post.relay)
        try:
            while not must_stop():
                self.turn()
        finally:
            note(Fact.WORKER_STOPPING, worker=self._post.name, under_way=self.under_way)
            self.drain()
            note(Fact.WORKER_STOPPED, worker=self._post.name)

    @property
    def is_idle(self) -> bool:
        """Whether everything that was due is delivered, and nothing is left to be written down.

        Raises:
            OutboxUnavailableError: For `delivery.drain_s` nothing could be written down.
        """
        if self._setback.is_on:
            self._give_up_late()
            return False
        # No room with nothing under way: no relay, or one that is in trouble or paused.
        is_wanted = self._can_claim and (self._look_at_ms <= 0 or self._is_woken.is_set())
        is_busy = is_wanted or self._book.claims or self._book.verdicts
        return not is_busy and not self._chores.is_routing

    def look_again(self) -> None:
        """Look for work with the next turn, whenever it would have been."""
        self._look_at_ms = 0
        # Between two runs nobody slept; a clock that went back meanwhile is noticed as ever.
        self._turned_at_ms = max(self._turned_at_ms, self._parts.clock())

    def _give_up_late(self) -> None:
        drain_s = self._parts.settings.delivery.drain_s
        if self._setback.lasts_ms(self._parts.clock()) >= drain_s * 1000:
            self._has_given_up = True
            raise OutboxUnavailableError(
                f"nothing could be written down for {drain_s:g} s: {self._setback.because}"
            )

    def turn(self) -> None:
        """Walk steps 10 to 14 once; wait at most until there may be something to do."""
        now_ms = self._parts.clock()
        self._mind_clock(now_ms)
        self._drop(self._shift.beat(now_ms, self._book.claims.values()))
        self._look_around(now_ms)
        self._chores.keep_up(now_ms)
        if self._chores.take_routed():
            self._is_woken.set()
            self._stir()
        self._outage.look(now_ms, self._carrier, has_stand_in=self._shift.has_stand_in)
        self._hear(self._carrier.turn(self._timeout_s(now_ms)))
        self._gather()
        self._write_down(self._parts.clock())

    def _mind_clock(self, now_ms: int) -> None:
        # Whatever was to be done at a moment of the old clock is done now: it may be a day ahead.
        before_ms, self._turned_at_ms = self._turned_at_ms, now_ms
        if before_ms and now_ms - before_ms >= self._lease_ms:
            self._shift.let_others_wake(now_ms)
        if before_ms - now_ms < STEP_BACK_MS:
            return
        seconds = (before_ms - now_ms) // 1000
        note = self._parts.journal.note
        note(Fact.CLOCK_WENT_BACK, worker=self._post.name, seconds=seconds)
        self._look_at_ms, self._again_at_ms = 0, None
        self._setback.hurry()
        self._shift.begin_anew()
        self._outage.begin_anew(now_ms)
        self._chores.begin_anew()

    def _gather(self) -> None:
        # One commit costs as much as ten mails, so the other connections share it. Who is alone
        # waits for nobody.
        until_ms = self._parts.clock() + GATHER_MS
        while self._book.is_waiting and self._book.has_begun and self._parts.clock() < until_ms:
            events = self._carrier.turn(GATHER_MS / 1000)
            if not events:
                return
            self._hear(events)

    def _look_around(self, now_ms: int) -> None:
        was_paused, wards = self._shift.is_paused, self._shift.wards
        if not self._shift.look(now_ms):
            return
        self._carrier.limit_connections(self._shift.share)
        if self._shift.is_paused and not was_paused:
            self._give_back_waiting(PAUSED)
        if wards != self._shift.wards:
            self._is_woken.set()

    def drain(self, drain_s: float | None = None) -> None:
        """Give back what did not begin, finish the rest within the drain time, and record it.

        Args:
            drain_s: How long the rest may take. Default `delivery.drain_s`.
        """
        drain_s = self._parts.settings.delivery.drain_s if drain_s is None else drain_s
        until_ms = self._parts.clock() + int(drain_s * 1000)
        self._give_back_waiting(GIVEN_BACK)
        self._write_down(self._parts.clock(), may_claim=False)
        while self._is_unfinished and self._parts.clock() < until_ms:
            self._finish(until_ms)
        events = self._carrier.close(0 if self._book.claims else GOODBYE_S)
        self._hear(event for event in events if not isinstance(event, Ready))
        self._setback.hurry()
        self._write_down(self._parts.clock(), may_claim=False)
        self._is_over = True
        self._book.tell_unwritten()
        self._chores.sign_off()
        self._shift.sign_off()

    @property
    def _is_unfinished(self) -> bool:
        # Who waited for the outbox in vain does not wait for it once more.
        return bool(self._book.claims or (self._book.verdicts and not self._has_given_up))

    def _give_back_waiting(self, because: str) -> None:
        waiting = [claim.delivery.id for claim in self._book.waiting()]
        self._carrier.withdraw(waiting)
        for delivery_id in waiting:
            self._book.settle(delivery_id, GiveBack(because=because))

    def _finish(self, until_ms: int) -> None:
        now_ms = self._parts.clock()
        # A slow relay must not make a living worker look like a dead one.
        self._drop(self._shift.beat(now_ms, self._book.claims.values()))
        due_ms = min(until_ms, self._setback.again_at_ms) if self._book.verdicts else until_ms
        timeout_s = max(0.0, min((due_ms - now_ms) / 1000, BUSY_TURN_S))
        self._hear(self._carrier.turn(timeout_s))
        self._write_down(self._parts.clock(), may_claim=False)

    @property
    def _can_claim(self) -> bool:
        return self._carrier.room() > 0 and not self._shift.stands_by

    def _timeout_s(self, now_ms: int) -> float:
        if self._book.is_waiting:
            again_ms = self._setback.again_at_ms - now_ms
            return max(0.0, min(again_ms, BUSY_TURN_S * 1000) / 1000)
        others_ms = min(self._chores.next_due_ms, self._shift.next_due_ms)
        due_ms = min(others_ms, self._outage.next_due_ms)
        if self._can_claim:
            due_ms = min(due_ms, self._look_at_ms)
        return max(0.0, min((due_ms - now_ms) / 1000, BUSY_TURN_S))

    def _hear(self, events: Iterable[CarrierEvent]) -> None:
        for event in events:
            match event:
                case Ready(delivery_id=delivery_id):
                    self._book.note_ready(delivery_id)
                case Finished(delivery_id=delivery_id, outcome=outcome):
                    self._judge(delivery_id, outcome)
                case RelayTrouble():
                    self._shift.knows_relay = True
                    self._outage.begin(event, self._parts.clock())
                    self._stir()
                case RelayWell():
                    self._shift.knows_relay = True
                    self._outage.end()
                    self._stir()

    def _judge(self, delivery_id: int, outcome: Outcome) -> None:
        claim = self._book.claims[delivery_id]
        counted = outcome
        if claim.relay != claim.delivery.transport and not self._post.is_capturing:
            counted = weakened(outcome, claim.relay)
        now_ms = self._parts.clock()
        verdict = judge(claim.delivery, counted, now_ms, self._patience, self._dice())
        self._book.settle(delivery_id, verdict, stage_of(outcome))
        if isinstance(verdict, Uncertain) and verdict.due_at_ms <= now_ms:
            # Security mail goes again at once, and nobody rings for it.
            self._is_woken.set()

    def _write_down(self, now_ms: int, *, may_claim: bool = True) -> None:
        room = self._room(now_ms) if may_claim else 0
        if now_ms < self._setback.again_at_ms:
            return
        if not (self._book.is_waiting or room):
            return
        outbox = self._parts.outbox
        begun = self._book.ready()
        try:
            with outbox.transaction(is_synced=False) as tx:
                lost = {*outbox.settle(tx, self._book.verdicts, now_ms), *outbox.begin(tx, begun)}
                gone = self._extend_late(tx, now_ms)
                claims = self._claim(tx, room, now_ms)
                self._parcels.fetch(tx, claims)
        except OutboxError as err:
            self._setback.begin(err, now_ms)
            self._look_at_ms = max(self._look_at_ms, self._setback.again_at_ms)
            return
        self._book.written(lost)
        self._setback.end()
        self._release(begun, lost)
        self._drop(gone)
        self._load(claims, room, now_ms)

    def _extend_late(self, tx: Tx, now_ms: int) -> tuple[int, ...]:
        # After a time in which nothing could be written our own leases may have run out. The
        # claim that follows takes back what has run out, and it must not be ours.
        if not self._book.claims or not self._shift.is_behind(now_ms):
            return ()
        return self._shift.extend(tx, now_ms, self._book.claims.values())

    def _claim(self, tx: Tx, room: int, now_ms: int) -> tuple[Claim, ...]:
        if not room:
            return ()
        order = ClaimOrder(
            worker=self._post.name,
            limit=room,
            lease_ms=self._lease_ms,
            transport=self._post.relay,
            wards=self._shift.wards,
            relay=self._post.signs_as,
        )
        taken = rates.claim(tx, order, self._rates, now_ms, self._patience)
        self._again_at_ms = taken.again_at_ms
        return taken.claims

    def _room(self, now_ms: int) -> int:
        # A turn that took longer than a lease was none: see `Shift.let_others_wake`.
        if now_ms - self._turned_at_ms >= self._lease_ms:
            return 0
        if self._shift.stands_by or not (self._is_woken.is_set() or now_ms >= self._look_at_ms):
            return 0
        # Whoever rings from here on is heard at the next turn.
        self._is_woken.clear()
        return self._carrier.room()

    def _release(self, begun: Sequence[Claim], lost: AbstractSet[int]) -> None:
        ids = [claim.delivery.id for claim in begun]
        permitted = [delivery_id for delivery_id in ids if delivery_id not in lost]
        self._book.note_begun(permitted)
        self._carrier.permit(permitted)
        self._drop([delivery_id for delivery_id in ids if delivery_id in lost])

    def _drop(self, lost: Sequence[int]) -> None:
        # Another worker holds them now: their content must not leave from here as well.
        self._carrier.withdraw(self._book.lose(lost))

    def _load(self, claims: Sequence[Claim], room: int, now_ms: int) -> None:
        for claim in claims:
            self._book.take(claim, now_ms)
            parcel = self._parcels.parcel(claim)
            if isinstance(parcel, Parcel):
                self._carrier.load(parcel)
            else:
                self._book.settle(claim.delivery.id, parcel)
        if room:
            again_ms = now_ms + self._poll_ms
            known_ms = again_ms if self._again_at_ms is None else self._again_at_ms
            self._look_at_ms = min(again_ms, known_ms)


def worker_name() -> str:
    """Return a name that no other worker has: host, process id and chance."""
    return f"{socket.gethostname()[:60]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
