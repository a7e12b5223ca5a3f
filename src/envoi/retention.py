"""This room removes what is old, in rounds: a worker by itself, or a person by a command.

A round comes once an hour over all machines: it is a chore, and one process has it at a time. It
goes in steps of about 25 ms, with four times as much rest behind each, so that mail does not wait
for it.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from envoi.assembly import Parts
from envoi.core.retention import DAY_MS, MOST_ROWS, Cut, Retention, next_rows, rest_ms
from envoi.errors import OutboxError, RefusedError
from envoi.journal import Fact
from envoi.outbox import chore, leftovers
from envoi.outbox.leftovers import Cleared
from envoi.outbox.prune import Hand, Place, Prune
from envoi.outbox.removal import Removed
from envoi.seams import Tx
from envoi.settings.sections import RetentionSettings

CHORE = "prune"
# How often what has become old is removed, and how often a worker asks whether it is time.
ROUND_MS = 3_600_000
ASK_MS = 60_000
# A process that dies in a round leaves it to the next one after this.
LEASE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed, or would be.

    Args:
        mail: Of the mail.
        beside: Beside it.
    """

    mail: Removed = field(default_factory=Removed)
    beside: Cleared = field(default_factory=Cleared)

    def __add__(self, other: "Pruned") -> "Pruned":
        """Return both together."""
        return Pruned(mail=self.mail + other.mail, beside=self.beside + other.beside)


class Round:
    """A round of removing.

    Args:
        parts: The outbox's parts.
        cut: What is old enough.
        turn: The chore; None for a trial, which changes nothing.
        is_whole: Whether it goes on from the last round; what a person asks for does not.
    """

    def __init__(
        self, parts: Parts, cut: Cut, turn: chore.Turn | None, *, is_whole: bool = True
    ) -> None:
        """Begin nothing yet."""
        self._parts = parts
        self._turn = turn
        self._rows = MOST_ROWS
        self._steps = self._trial(cut) if turn is None else self._taken(cut, turn, is_whole)
        self.rest_ms = 0

    def step(self) -> Pruned | None:
        """Take one step; None when there was no more.

        Raises:
            OutboxError: It could not be written.
            RefusedError: The round is another process's by now.
        """
        began_ms = self._parts.clock()
        pruned = next(self._steps, None)
        took_ms = max(0, self._parts.clock() - began_ms)
        self._rows, self.rest_ms = next_rows(self._rows, took_ms), rest_ms(took_ms)
        return pruned

    def end(self, due_at_ms: int | None = None) -> None:
        """Give the chore back: done until then, or for another process to go on with."""
        if self._turn is not None:
            with self._parts.outbox.transaction(is_synced=False) as tx:
                chore.end(tx, self._turn, due_at_ms)

    def _trial(self, cut: Cut) -> Iterator[Pruned]:
        hand = Hand(
            transaction=self._parts.outbox.reading,
            keep=lambda _tx, _place: None,
            rows=lambda: self._rows,
            now_ms=self._parts.clock,
            is_trial=True,
            is_whole=False,
        )
        for removed in Prune(cut, hand, Place()).steps():
            yield Pruned(mail=removed)

    def _taken(self, cut: Cut, turn: chore.Turn, is_whole: bool) -> Iterator[Pruned]:  # noqa: FBT001 # private
        cursor = turn.cursor

        def keep(tx: Tx, place: Place) -> None:
            nonlocal cursor
            cursor = place.text if is_whole else cursor
            chore.go_on(tx, turn, self._parts.clock(), cursor)

        @contextmanager
        def fenced() -> Generator[Tx]:
            with self._transaction() as tx:
                chore.go_on(tx, turn, self._parts.clock(), cursor)
                yield tx

        hand = Hand(
            transaction=self._transaction,
            keep=keep,
            rows=lambda: self._rows,
            now_ms=self._parts.clock,
            is_whole=is_whole,
        )
        place = Place.read(cursor) if is_whole else Place()
        for removed in Prune(cut, hand, place).steps():
            yield Pruned(mail=removed)
        for cleared in leftovers.steps(fenced, cut, self._parts.clock(), MOST_ROWS):
            yield Pruned(beside=cleared)

    @contextmanager
    def _transaction(self) -> Generator[Tx]:
        # What a power cut brings back is removed by the next round.
        with self._parts.outbox.transaction(is_synced=False) as tx:
            yield tx


class Pruner:
    """A worker's part in it: asks whether a round is due, and takes its steps.

    Args:
        parts: The outbox's parts.
        worker: Name of the worker.
    """

    def __init__(self, parts: Parts, worker: str) -> None:
        """Start with asking."""
        self._parts = parts
        self._worker = worker
        self._retention = retention_of(parts.settings.retention)
        self._round: Round | None = None
        self._pruned = Pruned()
        self.next_due_ms = 0

    def look(self, now_ms: int) -> None:
        """Take the next step when it is time; what cannot be written is taken up later."""
        if now_ms < self.next_due_ms:
            return
        self.next_due_ms = now_ms + ASK_MS
        try:
            if self._round is None:
                self._round = begun(self._parts, self._retention.cut(now_ms))
            if self._round is not None:
                self._step(self._round)
        except RefusedError:
            self._part_with()  # the lease was lost: another process goes on
        except OutboxError as err:
            self._part_with()
            self._parts.breakdown.begin(self._worker, err)

    def sign_off(self) -> None:
        """Leave an unfinished round to another process, at once.

        Raises:
            OutboxError: It cannot be written; then the lease runs out.
        """
        unfinished = self._round
        self._part_with()
        if unfinished is not None:
            unfinished.end()

    def _step(self, current: Round) -> None:
        pruned = current.step()
        now_ms = self._parts.clock()
        if pruned is not None:
            self._pruned += pruned
            self.next_due_ms = now_ms + current.rest_ms
            return
        current.end(now_ms + ROUND_MS)
        self._part_with()

    def _part_with(self) -> None:
        """Have no round any more, and tell what was removed in it."""
        mail, self._pruned, self._round = self._pruned.mail, Pruned(), None
        if not mail.is_nothing:
            self._parts.journal.note(
                Fact.OUTBOX_PRUNED,
                contents=mail.contents,
                events=mail.events,
                deliveries=mail.deliveries,
            )


def begun(
    parts: Parts, cut: Cut, *, is_asked_for: bool = False, is_whole: bool = True
) -> Round | None:
    """Return a round that is ours now; None when none is due, or another process has it.

    Args:
        parts: The outbox's parts.
        cut: What is old enough.
        is_asked_for: Whether a person wants it now, due or not.
        is_whole: Whether it goes on from the last round.
    """
    with parts.outbox.transaction(is_synced=False) as tx:
        turn = chore.claim(tx, CHORE, parts.clock(), LEASE_MS, is_asked_for=is_asked_for)
    return None if turn is None else Round(parts, cut, turn, is_whole=is_whole)


def prune(
    parts: Parts, cut: Cut, *, is_whole: bool, is_trial: bool, rest: Callable[[float], None]
) -> Pruned:
    """Remove what is old enough, now, beside whatever else writes.

    Args:
        parts: The outbox's parts.
        cut: What is old enough.
        is_whole: Whether it is the round that a worker would make.
        is_trial: Whether everything is only counted.
        rest: Waits so many seconds between two steps.

    Raises:
        RefusedError: A worker is removing at this moment.
        OutboxError: A step could not be written; those before it are done.
    """
    whole = Pruned()
    one = Round(parts, cut, None) if is_trial else begun(
        parts, cut, is_asked_for=True, is_whole=is_whole
    )  # fmt: skip
    if one is None:
        raise RefusedError("a worker removes what is old at this moment; try again in a minute")
    try:
        while (pruned := one.step()) is not None:
            whole += pruned
            if not is_trial:  # who only reads is in nobody's way
                rest(one.rest_ms / 1000)
    finally:
        one.end()
    return whole


def retention_of(settings: RetentionSettings) -> Retention:
    """Return how long the `[retention]` section keeps things."""
    return Retention(
        content_ms=settings.content_days * DAY_MS,
        rows_ms=settings.rows_days * DAY_MS,
        audit_ms=settings.audit_days * DAY_MS,
        incidents_ms=settings.incidents_days * DAY_MS,
    )
