"""This room removes what is old: first the content of mail, later all that is known of an event.

An event has *ended* when its recipients were found and its last delivery is final; its age counts
from then. It goes as a whole, and in two acts:

* It is *closed*: the words and files of its messages, and its facts, are emptied. From then on no
  delivery of it can be retried, so the moment at which it ended is written down for good.
* It is *deleted*, with its key, deliveries, attempts and decisions.

Events are closed in the order in which they were stored, behind a place that only moves on. What
has not ended when its time comes is marked as late and looked at again in every round; that is
what somebody holds, mostly. What is closed stands in an index by its end. So a round reads what
it removes, and not what it has looked at before.

A step is one short transaction. An event with many deliveries is looked through, and deleted, in
several; the one that closes it looks at all of them once more, which takes about as long as a step
for 50,000. Meanwhile nobody else can put one back into the queue.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias, cast

from envoi.core.retention import Cut
from envoi.outbox import removal
from envoi.outbox import statements as st
from envoi.outbox.records import packed_ids
from envoi.outbox.removal import FEW, Removed, Standing
from envoi.outbox.tombstone import note_removed
from envoi.seams import Tx

Transaction: TypeAlias = Callable[[], AbstractContextManager[Tx]]

# Each takes up behind a moment and an id, and finds what comes before another moment.
_STORED = """
    SELECT id, stored_at_ms, stored_at_ms, state FROM envoi_event
    WHERE (stored_at_ms, id) > (:at_ms, :id) AND stored_at_ms < :before_ms AND removed_at_ms = 0
    ORDER BY stored_at_ms, id LIMIT :limit"""
_LATE = """
    SELECT id, stored_at_ms, stored_at_ms, state FROM envoi_event
    WHERE is_late = 1 AND id > :id AND stored_at_ms < :before_ms ORDER BY id LIMIT :limit"""
_ENDED = """
    SELECT id, ended_at_ms, stored_at_ms, state FROM envoi_event
    WHERE ended_at_ms > 0 AND (ended_at_ms, id) > (:at_ms, :id) AND ended_at_ms < :before_ms
    ORDER BY ended_at_ms, id LIMIT :limit"""
_WEIGHT = f"""
    SELECT e.id, (SELECT COUNT(*) FROM (SELECT 1 FROM envoi_delivery d
            WHERE d.event_id = e.id LIMIT {FEW + 1}) AS few)
        + (SELECT COUNT(*) FROM (SELECT 1 FROM envoi_decision d
            WHERE d.event_id = e.id LIMIT {FEW + 1}) AS few)
    FROM envoi_event e WHERE e.id IN """  # noqa: S608 # our own number


@dataclass(frozen=True, slots=True)
class Place:
    """How far closing got: every event stored up to here was looked at.

    Args:
        at_ms: When the last one was stored.
        event_id: Its row id.
    """

    at_ms: int = 0
    event_id: int = 0

    @property
    def text(self) -> str:
        """The place as a chore keeps it."""
        return f"{self.at_ms} {self.event_id}"

    @classmethod
    def read(cls, text: str) -> "Place":
        """Return the place that a chore kept; the beginning where it kept none.

        >>> Place.read("1800000000000 17").event_id, Place.read("")
        (17, Place(at_ms=0, event_id=0))
        """
        at_ms, _, event_id = text.partition(" ")
        return cls(int(at_ms or 0), int(event_id or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """How a round is made.

    Args:
        transaction: Opens the transaction of a step; one to read in is enough for a trial.
        keep: Says in it how far closing got; raises `RefusedError` where the round is another
            process's by now.
        rows: How many rows a step takes.
        now_ms: The clock.
        is_trial: Whether everything is only counted.
        is_whole: Whether rounds go on from each other; then what has not ended is marked as late.
            A round that a person asks for leaves no marks.
    """

    transaction: Transaction
    keep: Callable[[Tx, Place], None]
    rows: Callable[[], int]
    now_ms: Callable[[], int]
    is_trial: bool = False
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class _Candidate:
    place: Place
    stored_at_ms: int
    is_routed: bool

    @property
    def id(self) -> int:
        return self.place.event_id


class Prune:
    """One round.

    Args:
        cut: What is old enough.
        hand: How it is made.
        place: How far closing got in earlier rounds.
    """

    def __init__(self, cut: Cut, hand: Hand, place: Place) -> None:
        """Begin nothing yet."""
        self._cut = cut
        self._hand = hand
        self._place = place

    def steps(self) -> Generator[Removed]:
        """Take one step after the other; each is one transaction and yields what it removed.

        Raises:
            OutboxError: A step could not be written; a later round goes on from there.
            RefusedError: The round is another process's by now.
        """
        if self._cut.closes_before_ms:
            if self._hand.is_whole:
                yield from self._walk(_LATE, Place(), self._close_few, self._close_one)
            yield from self._walk(_STORED, self._place, self._close_few, self._close_one)
        if self._cut.rows_before_ms:
            yield from self._walk(_ENDED, Place(), self._delete_few, self._delete_one)

    def _walk(
        self,
        statement: str,
        place: Place,
        few: Callable[[Tx, Sequence[_Candidate]], Removed],
        one: Callable[[_Candidate], Iterator[Removed]],
    ) -> Iterator[Removed]:
        is_closing = statement is not _ENDED
        before_ms = self._cut.closes_before_ms if is_closing else self._cut.rows_before_ms
        while True:
            with self._hand.transaction() as tx:
                rows = self._hand.rows()
                found = _candidates(tx, statement, place, before_ms, rows)
                small = _small(tx, found, rows)
                removed = few(tx, small) if small else Removed()
                place = small[-1].place if small else place
                self._keep(tx, place if statement is _STORED else self._place)
            if not found:
                return
            yield removed
            if not small:
                yield from one(found[0])
                place = found[0].place

    def _keep(self, tx: Tx, place: Place) -> None:
        self._place = place
        self._hand.keep(tx, place)

    # Closing.

    def _close_few(self, tx: Tx, events: Sequence[_Candidate]) -> Removed:
        ids = [event.id for event in events]
        self._lock(tx, events)
        standings = removal.standings(tx, ids, self._cut.states)
        unswept = removal.unswept(tx, ids)
        ended: list[tuple[int, int]] = []
        removed = Removed()
        for event in events:
            standing = standings.get(event.id, Standing())
            if self._has_ended(event, standing) and event.id not in unswept:
                ended.append((event.id, max(event.stored_at_ms, standing.settled_at_ms)))
                removed += self._closing(ended[-1][1], standing.deliveries)
        self._close(tx, ended, ids)
        return removed

    def _close_one(self, event: _Candidate) -> Iterator[Removed]:
        """Look through an event with many deliveries in steps; close it when all have ended."""
        after, whole = "", Standing()
        while True:
            with self._hand.transaction() as tx:
                part, after = removal.next_standing(
                    tx, event.id, after, self._cut.states, self._hand.rows()
                )
                whole = Standing(
                    deliveries=whole.deliveries + part.deliveries,
                    others=whole.others + part.others,
                    settled_at_ms=max(whole.settled_at_ms, part.settled_at_ms),
                )
                if not after and self._has_ended(event, whole):
                    whole = self._last_look(tx, event)
                is_open = not self._has_ended(event, whole) or bool(removal.unswept(tx, [event.id]))
                ended_at_ms = max(event.stored_at_ms, whole.settled_at_ms)
                is_last = is_open or not after
                if is_last:
                    self._close(tx, [] if is_open else [(event.id, ended_at_ms)], [event.id])
                self._keep(tx, self._place)
            if is_last:
                break
            yield Removed()
        yield Removed() if is_open else self._closing(ended_at_ms, whole.deliveries)

    def _last_look(self, tx: Tx, event: _Candidate) -> Standing:
        """Look at a large event once more, as a whole: what was looked at may have been retried."""
        self._lock(tx, [event])
        found = removal.standings(tx, [event.id], self._cut.states)
        return found.get(event.id, Standing())

    def _lock(self, tx: Tx, events: Sequence[_Candidate]) -> None:
        if not self._hand.is_trial:
            removal.lock(tx, [event.id for event in events if event.is_routed])

    def _has_ended(self, event: _Candidate, standing: Standing) -> bool:
        # A state of its deliveries that somebody asks for is one that an event without any lacks.
        is_meant = self._cut.is_any_state or standing.deliveries > 0
        is_old = max(event.stored_at_ms, standing.settled_at_ms) < self._cut.closes_before_ms
        return event.is_routed and is_meant and is_old and not standing.others

    def _close(self, tx: Tx, ended: Sequence[tuple[int, int]], ids: Sequence[int]) -> None:
        if self._hand.is_trial:
            return
        removal.close(tx, ended, self._hand.now_ms())
        if self._hand.is_whole:
            removal.mark_late(tx, sorted({*ids} - {event_id for event_id, _ in ended}))

    def _closing(self, ended_at_ms: int, deliveries: int) -> Removed:
        # What is closed in earnest is deleted, and counted, later in the round.
        if self._hand.is_trial and ended_at_ms < self._cut.rows_before_ms:
            return Removed(contents=1, events=1, deliveries=deliveries)
        return Removed(contents=1)

    # Deleting.

    def _delete_few(self, tx: Tx, events: Sequence[_Candidate]) -> Removed:
        ids = [event.id for event in events]
        standings = removal.standings(tx, ids, self._cut.states)
        meant = [id_ for id_ in ids if self._is_meant(standings.get(id_, Standing()))]
        self._delete(tx, meant)
        deliveries = sum(standings[id_].deliveries for id_ in meant if id_ in standings)
        return Removed(events=len(meant), deliveries=deliveries)

    def _delete_one(self, event: _Candidate) -> Iterator[Removed]:
        """Delete an event with many deliveries in steps, itself in the last one."""
        after, whole = "", Standing()
        while not self._cut.is_any_state or self._hand.is_trial:
            with self._hand.transaction() as tx:
                part, after = removal.next_standing(
                    tx, event.id, after, self._cut.states, self._hand.rows()
                )
                self._keep(tx, self._place)
            whole = Standing(
                deliveries=whole.deliveries + part.deliveries, others=whole.others + part.others
            )
            if whole.others or not after:
                break
            yield Removed()
        if not self._is_meant(whole) and not self._cut.is_any_state:
            return
        if self._hand.is_trial:
            yield Removed(events=1, deliveries=whole.deliveries)
            return
        yield from self._delete_parts(event)

    def _delete_parts(self, event: _Candidate) -> Iterator[Removed]:
        left = 1
        while left:
            with self._hand.transaction() as tx:
                deliveries, left = removal.delete_some(tx, event.id, self._hand.rows())
                if not left:
                    self._delete(tx, [event.id])
                self._keep(tx, self._place)
            yield Removed(deliveries=deliveries, events=0 if left else 1)

    def _is_meant(self, standing: Standing) -> bool:
        return self._cut.is_any_state or (standing.deliveries > 0 and not standing.others)

    def _delete(self, tx: Tx, ids: Sequence[int]) -> None:
        if ids and not self._hand.is_trial:
            removal.delete(tx, ids)
            # Somebody may ask for a moment that has not come: nothing has ended behind now.
            note_removed(tx, min(self._cut.rows_before_ms, self._hand.now_ms()))


def _candidates(
    tx: Tx, statement: str, place: Place, before_ms: int, limit: int
) -> list[_Candidate]:
    rows = tx.execute(
        statement,
        {"at_ms": place.at_ms, "id": place.event_id, "before_ms": before_ms, "limit": limit},
    )
    return [
        _Candidate(
            place=Place(cast("int", at_ms), cast("int", event_id)),
            stored_at_ms=cast("int", stored_at_ms),
            is_routed=state == "routed",
        )
        for event_id, at_ms, stored_at_ms, state in rows
    ]


def _small(tx: Tx, events: Sequence[_Candidate], limit: int) -> list[_Candidate]:
    """Return the first of these events, as long as they are small and together within the limit."""
    if not events:
        return []
    ids = f"({st.sql(tx.dialect).ids()})"
    rows = tx.execute(_WEIGHT + ids, {"rows": packed_ids([event.id for event in events])})
    weights = {cast("int", event_id): int(str(weight)) for event_id, weight in rows}
    small: list[_Candidate] = []
    left = max(limit, FEW)
    for event in events:
        weight = weights.get(event.id, 0)
        if weight > min(FEW, left):
            break
        left -= weight
        small.append(event)
    return small
