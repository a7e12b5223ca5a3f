"""This room keeps a worker's book: what it holds, what is begun, and what is to be written down.

A delivery is in hand from its claim until its verdict is recorded, or until another worker has
it. While the outbox cannot be written the verdicts stay here, and are written again.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from envoi.breakdown import Breakdown
from envoi.core.delivery import (
    Failed,
    Hold,
    Retry,
    Sent,
    Stage,
    Suppress,
    Uncertain,
    Verdict,
)
from envoi.errors import OutboxError
from envoi.journal import Fact, Journal
from envoi.outbox.claim import Claim, Settlement
from envoi.outbox.relay import CAPTURE

# A record that cannot be written is tried again after this, doubling to the second figure or a
# quarter of the lease.
FIRST_REWRITE_MS, LONGEST_REWRITE_MS = 200, 5_000

_FACT_OF: dict[type, Fact] = {
    Sent: Fact.DELIVERY_SENT,
    Retry: Fact.DELIVERY_RETRY,
    Failed: Fact.DELIVERY_FAILED,
    Uncertain: Fact.DELIVERY_UNCERTAIN,
    Hold: Fact.DELIVERY_HELD,
    Suppress: Fact.DELIVERY_SUPPRESSED,
}


class Book:
    """The deliveries in one worker's hands, and the verdicts that are not written down yet.

    Args:
        journal: Told of what became of them.
        clock: Milliseconds since 1970 UTC.
        sent_to: Where everything goes instead, under the staging guard; empty: to its address.
    """

    def __init__(self, journal: Journal, clock: Callable[[], int], sent_to: str = "") -> None:
        """Start with nothing in hand."""
        self._journal = journal
        self._clock = clock
        self._sent_to = sent_to
        self.claims: dict[int, Claim] = {}
        self.verdicts: list[Settlement] = []
        self._ready: dict[int, None] = {}
        self._started: dict[int, int] = {}
        # Those whose content may have left.
        self._begun: set[int] = set()

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be written down."""
        return bool(self.verdicts or self._ready)

    @property
    def has_begun(self) -> bool:
        """Whether contents are on their way whose replies are waited for."""
        return bool(self._begun)

    def take(self, claim: Claim, now_ms: int) -> None:
        """Take a delivery in hand."""
        self.claims[claim.delivery.id] = claim
        self._started[claim.delivery.id] = now_ms

    def note_ready(self, delivery_id: int) -> None:
        """Note that a content could leave now: its beginning is to be written down first."""
        self._ready[delivery_id] = None

    def ready(self) -> list[Claim]:
        """Return the deliveries whose content could leave now, in the order of their turn."""
        return [self.claims[delivery_id] for delivery_id in self._ready]

    def note_begun(self, delivery_ids: Iterable[int]) -> None:
        """Note that these contents may leave: that they begin is written down."""
        self._begun.update(delivery_ids)

    def waiting(self) -> list[Claim]:
        """Return the deliveries whose content has not begun."""
        return [claim for id_, claim in self.claims.items() if id_ not in self._begun]

    def settle(self, delivery_id: int, verdict: Verdict, stage: Stage | None = None) -> None:
        """Note what became of a delivery in hand; it is to be written down.

        Args:
            delivery_id: Row id.
            verdict: What became of it.
            stage: How far its attempt came; None: there was none.
        """
        settlement = Settlement(
            claim=self.claims[delivery_id],
            verdict=verdict,
            stage=stage,
            started_at_ms=self._started[delivery_id],
            ended_at_ms=self._clock(),
            sent_to=self._sent_to if stage else "",
        )
        self.verdicts.append(settlement)
        self._forget(delivery_id)

    def lose(self, delivery_ids: Iterable[int]) -> list[int]:
        """Forget deliveries that another worker holds now; return those that were in hand."""
        gone = [delivery_id for delivery_id in delivery_ids if delivery_id in self.claims]
        for delivery_id in gone:
            self._forget(delivery_id)
            self._journal.note(Fact.LEASE_LOST, delivery=delivery_id)
        return gone

    def written(self, lost: AbstractSet[int]) -> None:
        """Note that all of it is written down.

        Args:
            lost: Row ids that another worker holds now: about those nothing was written.
        """
        for settlement in self.verdicts:
            delivery, verdict = settlement.claim.delivery, settlement.verdict
            if delivery.id in lost:
                self._journal.note(Fact.LEASE_LOST, delivery=delivery.id)
            elif type(verdict) in _FACT_OF:
                self._journal.note(
                    _FACT_OF[type(verdict)],
                    delivery=delivery.id,
                    address=delivery.address,
                    because=_told(settlement),
                    relay=settlement.claim.relay,
                )
        self.verdicts.clear()
        self._ready.clear()

    def tell_unwritten(self) -> None:
        """Tell of the verdicts that could not be written down until the end."""
        for settlement in self.verdicts:
            # A delivery that did not begin is given back by the end of its lease as well.
            if type(settlement.verdict) in _FACT_OF:
                self._journal.note(
                    Fact.VERDICT_LOST,
                    delivery=settlement.claim.delivery.id,
                    address=settlement.claim.delivery.address,
                    verdict=_FACT_OF[type(settlement.verdict)].rpartition(".")[2],
                    because=settlement.verdict.because,
                )

    def _forget(self, delivery_id: int) -> None:
        del self.claims[delivery_id]
        del self._started[delivery_id]
        self._begun.discard(delivery_id)
        self._ready.pop(delivery_id, None)


def _told(settlement: Settlement) -> str:
    # Which relay it was goes without saying, unless another one stood in.
    claim, because = settlement.claim, settlement.verdict.because
    is_lent = claim.relay not in {"", claim.delivery.transport, CAPTURE}
    return f"by {claim.relay}: {because}" if is_lent else because


class Setback:
    """The time in which nothing can be written down: disk full, database restarting.

    Args:
        breakdown: Told when it begins and ends.
        worker: Name of the worker.
        lease_ms: How long its claims are its own. What the relay said must be written down
            before they are not, or another worker sends again what was sent.
    """

    def __init__(self, breakdown: Breakdown, worker: str, lease_ms: int) -> None:
        """Start well."""
        self._breakdown = breakdown
        self._worker = worker
        self._longest_ms = min(LONGEST_REWRITE_MS, lease_ms // 4)
        self._wait_ms = 0
        self._since_ms = 0
        self.again_at_ms = 0
        self.because = ""

    @property
    def is_on(self) -> bool:
        """Whether nothing could be written down the last time."""
        return self._wait_ms > 0

    def lasts_ms(self, now_ms: int) -> int:
        """Return for how long nothing could be written down."""
        return now_ms - self._since_ms if self.is_on else 0

    def begin(self, err: OutboxError, now_ms: int) -> None:
        """Note that nothing could be written down, for the first time or again."""
        self.because = str(err)
        if not self.is_on:
            self._since_ms = now_ms
            self._breakdown.begin(self._worker, err)
        self._wait_ms = max(min(self._wait_ms * 2, self._longest_ms), FIRST_REWRITE_MS)
        self.again_at_ms = now_ms + self._wait_ms

    def end(self) -> None:
        """Note that all could be written down."""
        if self.is_on:
            self._wait_ms = self.again_at_ms = 0
            self._breakdown.end(self._worker)

    def hurry(self) -> None:
        """Try again at once."""
        self.again_at_ms = 0
