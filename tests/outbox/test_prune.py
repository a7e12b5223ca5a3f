"""Removing what is old: what goes, what never does, and that a round reads only what it removes."""

import threading

import pytest

from envoi.core.delivery import FINAL_STATES, Move, State
from envoi.core.retention import DAY_MS, Cut
from envoi.errors import RefusedError
from envoi.outbox import chore, open_outbox
from envoi.outbox.filters import Query
from envoi.outbox.operate import operate
from envoi.outbox.prune import Hand, Place, Prune
from envoi.outbox.removal import FEW, Removed
from envoi.outbox.tombstone import removed_before_ms
from tests.outbox.samples import (
    ATTACHMENT,
    NOW,
    SEALED,
    a_delivery,
    an_event,
    count,
    listed,
    many,
    stored,
)

TABLES = ("event", "message", "attachment", "sealed", "delivery", "attempt", "decision")
MONTH, QUARTER = NOW + 30 * DAY_MS, NOW + 90 * DAY_MS


def ended(outbox, *states, settled_at_ms=NOW, **more):
    """An event whose deliveries are in these states since then; its id."""
    deliveries = [a_delivery(f"user{n:05d}@example.org", ordinal=n + 1) for n in range(len(states))]
    event_id = stored(outbox, deliveries, **more)
    with outbox.transaction() as tx:
        for number, state in enumerate(states, start=1):
            tx.execute(
                """UPDATE envoi_delivery SET state = :state, settled_at_ms = :at_ms
                WHERE event_id = :event_id AND ordinal = :ordinal""",
                {"state": state, "at_ms": settled_at_ms, "event_id": event_id, "ordinal": number},
            )
        tx.execute(
            """INSERT INTO envoi_attempt (delivery_id, outcome)
            SELECT id, 'sent' FROM envoi_delivery WHERE event_id = :event_id""",
            {"event_id": event_id},
        )
        tx.execute(
            """INSERT INTO envoi_decision (event_id, name, because)
            VALUES (:event_id, 'eve', 'is_actor')""",
            {"event_id": event_id},
        )
    return event_id


class Rounds:
    """Rounds on an outbox, each going on from the last one."""

    def __init__(self, outbox, rows=500):
        self.outbox = outbox
        self.place = Place()
        self.rows = rows
        self.steps = 0
        self.most_rows = 0

    def prune(self, cut, now_ms=NOW, **how):
        def keep(_tx, place):
            self.place = place

        hand = Hand(
            transaction=self.outbox.transaction,
            keep=keep,
            rows=lambda: self.rows,
            now_ms=lambda: now_ms,
            **how,
        )
        is_whole = how.get("is_whole", True)
        removed = Removed()
        self.steps = 0
        for step in Prune(cut, hand, self.place if is_whole else Place()).steps():
            removed += step
            self.steps += 1
            self.most_rows = max(self.most_rows, step.deliveries)
        return removed


@pytest.fixture
def rounds(outbox):
    return Rounds(outbox)


def closing(before_ms):
    return Cut(content_before_ms=before_ms)


def deleting(before_ms, **more):
    return Cut(rows_before_ms=before_ms, **more)


def left(outbox):
    return {name: count(outbox, f"envoi_{name}") for name in TABLES}


def test_content_goes_and_rows_stay(outbox, rounds):
    ended(outbox, State.SENT, State.FAILED, attachments=(ATTACHMENT,), to=(), sealed=SEALED)
    before = left(outbox)

    removed = rounds.prune(closing(NOW + 1), now_ms=MONTH)

    assert removed == Removed(contents=1)
    assert left(outbox) == {**before, "attachment": 0, "sealed": 0}
    with outbox.reading() as tx:
        rows = tx.execute(
            """SELECT subject, text, html, headers, blocks, to_json, reply_to, removed_at_ms
            FROM envoi_message""",
            {},
        )
        assert [tuple(row) for row in rows] == [("", "", "", "[]", "{}", "[]", "", MONTH)]
        [[facts, removed_at_ms, ended_at_ms]] = tx.execute(
            "SELECT facts, removed_at_ms, ended_at_ms FROM envoi_event", {}
        )
        assert (facts, removed_at_ms, ended_at_ms) == ("{}", MONTH, NOW)


def test_rows_go_with_all_that_belongs_to_them(outbox, rounds):
    ended(outbox, State.SENT, attachments=(ATTACHMENT,), sealed=SEALED)
    kept = ended(outbox, State.SENT, settled_at_ms=NOW + 2)
    theirs = left(outbox)

    removed = rounds.prune(deleting(NOW + 2))

    assert removed == Removed(contents=1, events=1, deliveries=1)
    assert left(outbox) == {name: number - 1 if name not in {"attachment", "sealed"} else 0
                            for name, number in theirs.items()}  # fmt: skip
    assert [item.delivery.event_id for item in listed(outbox)] == [kept]


@pytest.mark.parametrize("state", sorted(set(State) - FINAL_STATES))
def test_an_event_with_anything_open_is_never_touched(outbox, rounds, state):
    ended(outbox, State.SENT, state)
    before = left(outbox)

    removed = rounds.prune(deleting(NOW + 1_000 * DAY_MS))

    assert removed == Removed()
    assert left(outbox) == before
    assert listed(outbox)[0].subject == "Something happened"


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_every_final_state_is_an_end(outbox, rounds, state):
    ended(outbox, state)

    assert rounds.prune(deleting(NOW + 1)).events == 1


def test_an_event_that_mailed_nobody_ends_when_it_is_stored(outbox, rounds):
    ended(outbox)

    assert rounds.prune(deleting(NOW)) == Removed()
    assert rounds.prune(deleting(NOW + 1)) == Removed(contents=1, events=1)


def test_an_event_whose_recipients_are_not_found_yet_stays(outbox, rounds):
    with outbox.transaction() as tx:
        event = an_event()
        outbox.put_event(tx, event, NOW, to_route=event.facts)

    assert rounds.prune(deleting(NOW + 1_000 * DAY_MS)) == Removed()
    assert count(outbox, "envoi_event") == 1


def test_the_age_counts_from_the_end_of_the_last_delivery(outbox, rounds):
    ended(outbox, State.SENT, State.SENT, settled_at_ms=NOW + 1_000)

    assert rounds.prune(closing(NOW + 1_000)) == Removed()
    assert rounds.prune(closing(NOW + 1_001)) == Removed(contents=1)


def test_what_was_late_is_looked_at_again_in_every_round(outbox, rounds):
    late = ended(outbox, State.HELD)
    ended(outbox, State.SENT)
    assert rounds.prune(closing(NOW + 1)) == Removed(contents=1)
    with outbox.transaction() as tx:
        tx.execute(
            "UPDATE envoi_delivery SET state = 'cancelled' WHERE event_id = :id", {"id": late}
        )

    removed = rounds.prune(closing(NOW + 1))

    assert removed == Removed(contents=1)
    with outbox.reading() as tx:
        assert not tx.execute("SELECT 1 FROM envoi_event WHERE is_late = 1", {})


def test_a_round_does_not_go_through_what_an_earlier_one_did(outbox):
    rounds = Rounds(outbox, rows=20)
    for _ in range(60):
        ended(outbox, State.SENT)
    rounds.prune(closing(NOW + 1))
    first = rounds.steps

    assert rounds.prune(closing(NOW + 1)) == Removed()
    assert (first, rounds.steps) == (3, 0)


def test_a_broadcast_whose_order_is_not_carried_out_stays(outbox, rounds):
    event_id = ended(outbox, State.CANCELLED)
    with outbox.transaction() as tx:
        tx.execute(
            """INSERT INTO envoi_broadcast (event_id, message_id, state, is_swept)
            SELECT event_id, id, 'cancelled', 0 FROM envoi_message WHERE event_id = :id""",
            {"id": event_id},
        )

    assert rounds.prune(deleting(NOW + 1)) == Removed()
    with outbox.transaction() as tx:
        tx.execute("UPDATE envoi_broadcast SET is_swept = 1", {})
    assert rounds.prune(deleting(NOW + 1)).events == 1
    assert count(outbox, "envoi_broadcast") == 0


LARGE = 3 * FEW


@pytest.fixture
def large(outbox):
    """An event with many deliveries, all sent, and many who were passed over."""
    event_id = stored(outbox, many(LARGE, state=State.SENT))
    with outbox.transaction() as tx:
        tx.execute("UPDATE envoi_delivery SET settled_at_ms = :at_ms", {"at_ms": NOW})
        tx.execute(
            """INSERT INTO envoi_decision (event_id, name, because)
            SELECT event_id, name, 'is_actor' FROM envoi_delivery""",
            {},
        )
    return event_id


def test_an_event_with_many_deliveries_goes_in_steps(outbox, large):
    rounds = Rounds(outbox, rows=60)
    ended(outbox, State.SENT)

    removed = rounds.prune(deleting(NOW + 1))

    assert removed == Removed(contents=2, events=2, deliveries=LARGE + 1)
    assert set(left(outbox).values()) == {0}
    assert rounds.most_rows <= 60


@pytest.mark.parametrize("number", [1, 61, LARGE])
def test_one_open_delivery_among_many_keeps_all_of_them(outbox, large, number):
    rounds = Rounds(outbox, rows=60)
    with outbox.transaction() as tx:
        tx.execute("UPDATE envoi_delivery SET state = 'held' WHERE ordinal = :n", {"n": number})

    assert rounds.prune(deleting(NOW + 1)) == Removed()
    assert count(outbox, "envoi_delivery") == LARGE


def test_a_round_that_broke_off_in_an_event_is_finished_by_the_next(outbox, large):
    rounds = Rounds(outbox, rows=60)
    rounds.prune(closing(NOW + 1))
    hand = Hand(
        transaction=outbox.transaction,
        keep=lambda _tx, _place: None,
        rows=lambda: 60,
        now_ms=lambda: NOW,
    )
    steps = Prune(deleting(NOW + 1), hand, rounds.place).steps()
    while not next(steps).deliveries:
        pass
    steps.close()
    assert 0 < count(outbox, "envoi_delivery") < LARGE

    removed = rounds.prune(deleting(NOW + 1))

    assert removed.events == 1
    assert set(left(outbox).values()) == {0}


# What somebody retries at the same moment. Two connections, each with its transaction open.


def retried(outbox, tx):
    """Retry the first delivery in this transaction; what is answered."""
    [answer] = operate(tx, Move.RETRY, Query(ids=(listed(outbox)[0].delivery.id,)), NOW)
    return answer


def has_content(outbox):
    with outbox.reading() as tx:
        [[subject]] = tx.execute("SELECT subject FROM envoi_message", {})
    return bool(subject)


def wait_until_blocked(outbox, thread):
    """Until the thread waits for a lock of another connection, or has ended without one."""
    blocked = """SELECT 1 FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    for _ in range(200):
        thread.join(0.05)
        if not thread.is_alive():
            return
        with outbox.reading() as tx:
            # On SQLite a writer that waits is nowhere to be seen.
            if tx.dialect == "sqlite" or tx.execute(blocked, {}):
                return


@pytest.fixture
def other(outbox_url):
    """A second connection to the outbox."""
    other = open_outbox(outbox_url)
    yield other
    other.close()


@pytest.mark.parametrize("deliveries", [1, LARGE])
def test_a_retry_that_is_not_committed_yet_is_waited_for(outbox, other, deliveries):
    ended(outbox, *[State.FAILED] * deliveries)
    found = []
    rounds = Rounds(outbox, rows=60)
    rival = threading.Thread(target=lambda: found.append(rounds.prune(closing(NOW + 1))))
    with other.transaction() as tx:
        assert retried(outbox, tx).is_changed
        rival.start()
        wait_until_blocked(outbox, rival)
    rival.join(30)

    assert found == [Removed()]
    assert listed(outbox)[0].delivery.state is State.QUEUED
    assert has_content(outbox)


@pytest.mark.parametrize("deliveries", [1, LARGE])
def test_a_retry_of_what_is_being_removed_is_refused(outbox, other, deliveries):
    ended(outbox, *[State.FAILED] * deliveries)
    answers = []

    def retry():
        with other.transaction() as tx:
            answers.append(retried(outbox, tx))

    rival = threading.Thread(target=retry)

    def keep(tx, _place):
        """At the end of a step, which is not committed yet."""
        [[removed_at_ms]] = tx.execute("SELECT removed_at_ms FROM envoi_message", {})
        if removed_at_ms and not rival.ident:
            rival.start()
            wait_until_blocked(outbox, rival)

    hand = Hand(transaction=outbox.transaction, keep=keep, rows=lambda: 60, now_ms=lambda: NOW)
    removed = sum(Prune(closing(NOW + 1), hand, Place()).steps(), start=Removed())
    rival.join(30)

    assert removed.contents == 1
    assert listed(outbox)[0].delivery.state is State.FAILED
    assert [answer.is_changed for answer in answers] == [False]
    assert answers[0].refused_because.startswith("its content was removed on ")


def test_a_retry_that_is_not_committed_yet_keeps_the_secrets(outbox, other):
    """They go when the last delivery of a message is final; here the one that is cancelled."""
    stored(outbox, [a_delivery(state=State.FAILED), a_delivery("eve@example.org")], sealed=SEALED)
    [_, waiting] = [item.delivery.id for item in listed(outbox)]
    cancelled = threading.Thread(
        target=lambda: outbox.operate(Move.CANCEL, Query(ids=(waiting,)), NOW)
    )
    with other.transaction() as tx:
        assert retried(outbox, tx).is_changed
        cancelled.start()
        wait_until_blocked(outbox, cancelled)
    cancelled.join(30)

    assert [item.delivery.state for item in listed(outbox)] == [State.QUEUED, State.CANCELLED]
    assert count(outbox, "envoi_sealed") == 1


def test_a_retry_between_two_steps_keeps_the_whole_event(outbox, other):
    """Of a delivery that the first of these steps has looked at."""
    ended(outbox, *[State.FAILED] * LARGE)
    hand = Hand(
        transaction=outbox.transaction,
        keep=lambda _tx, _place: None,
        rows=lambda: 60,
        now_ms=lambda: NOW,
    )
    steps = Prune(closing(NOW + 1), hand, Place()).steps()
    assert [next(steps), next(steps)] == [Removed()] * 2
    with other.transaction() as tx:
        assert retried(outbox, tx).is_changed

    assert sum(steps, start=Removed()) == Removed()
    assert has_content(outbox)


def test_only_events_in_the_states_that_are_asked_for(outbox, rounds):
    for states in ((State.SENT,), (State.SENT, State.FAILED), (State.FAILED,), ()):
        ended(outbox, *states)

    removed = rounds.prune(deleting(NOW + 1, states=(State.SENT,)), is_whole=False)

    assert removed == Removed(contents=1, events=1, deliveries=1)
    assert [item.delivery.state for item in listed(outbox)] == ["sent", "failed", "failed"]


@pytest.mark.parametrize("was_closed", [False, True])
@pytest.mark.parametrize("state", [State.SENT, State.FAILED])
def test_many_deliveries_in_the_states_that_are_asked_for(outbox, large, state, was_closed):
    rounds = Rounds(outbox, rows=60)
    if was_closed:
        rounds.prune(closing(NOW + 1))
    cut = deleting(NOW + 1, states=(state,))

    removed = rounds.prune(cut, is_whole=False)

    assert removed.events == (1 if state is State.SENT else 0)
    assert removed.deliveries == (LARGE if state is State.SENT else 0)


def test_what_a_person_asks_for_marks_nothing_late(outbox, rounds):
    ended(outbox, State.HELD)

    rounds.prune(deleting(NOW + 1), is_whole=False)

    with outbox.reading() as tx:
        assert not tx.execute("SELECT 1 FROM envoi_event WHERE is_late = 1", {})


@pytest.mark.parametrize("was_closed", [False, True])
def test_a_trial_counts_what_a_round_removes_and_changes_nothing(outbox, large, was_closed):
    rounds = Rounds(outbox, rows=60)
    ended(outbox, State.SENT)
    ended(outbox, State.HELD)
    ended(outbox, State.SENT, settled_at_ms=NOW + 5)
    if was_closed:
        rounds.prune(closing(NOW + 1))
    cut = Cut(content_before_ms=NOW + 10, rows_before_ms=NOW + 1)
    before = left(outbox)

    counted = rounds.prune(cut, is_trial=True, is_whole=False)

    assert left(outbox) == before
    assert counted == rounds.prune(cut, is_whole=False)
    assert (counted.events, counted.deliveries) == (2, LARGE + 1)


def test_when_events_were_removed_is_remembered(outbox, rounds):
    def known():
        with outbox.reading() as tx:
            return removed_before_ms(tx)

    ended(outbox, State.SENT)
    rounds.prune(closing(NOW + 5))
    assert known() == 0

    rounds.prune(deleting(NOW + 5), now_ms=NOW + 9)
    assert known() == NOW + 5
    ended(outbox, State.SENT)
    rounds.prune(deleting(NOW + 3), now_ms=NOW + 9, is_whole=False)
    assert known() == NOW + 5


def test_nothing_is_remembered_as_removed_that_has_not_ended_yet(outbox, rounds):
    ended(outbox, State.SENT)

    rounds.prune(deleting(NOW + 365 * DAY_MS), now_ms=NOW + 9, is_whole=False)

    with outbox.reading() as tx:
        assert removed_before_ms(tx) == NOW + 9


# The chore.


def claimed(outbox, now_ms=NOW, **how):
    with outbox.transaction() as tx:
        return chore.claim(tx, "prune", now_ms, 60_000, **how)


def gone_on(outbox, turn, cursor, now_ms=NOW):
    with outbox.transaction() as tx:
        return chore.go_on(tx, turn, now_ms, cursor)


def finished(outbox, turn, due_at_ms=None):
    with outbox.transaction() as tx:
        chore.end(tx, turn, due_at_ms)


def end_lease(outbox):
    with outbox.transaction() as tx:
        tx.execute("UPDATE envoi_chore SET lease_until_ms = 1", {})


def test_a_chore_is_one_process_s_at_a_time(outbox):
    turn = claimed(outbox)

    assert turn.cursor == ""
    assert claimed(outbox) is None
    assert claimed(outbox, is_asked_for=True) is None


def test_a_chore_that_is_done_comes_round_when_it_is_due(outbox):
    finished(outbox, gone_on(outbox, claimed(outbox), "17"), NOW + 1_000)

    assert claimed(outbox, NOW + 999) is None
    assert claimed(outbox, NOW + 1_000).cursor == "17"


def test_a_person_need_not_wait_until_it_is_due(outbox):
    finished(outbox, claimed(outbox), NOW + 1_000)

    assert claimed(outbox, is_asked_for=True) is not None


def test_an_unfinished_chore_is_another_process_s_at_once(outbox):
    finished(outbox, gone_on(outbox, claimed(outbox), "17"))

    assert claimed(outbox).cursor == "17"


def test_who_lost_the_lease_changes_nothing(outbox):
    first = claimed(outbox)
    end_lease(outbox)
    second = claimed(outbox)
    gone_on(outbox, second, "18")

    with pytest.raises(RefusedError, match="another process"):
        gone_on(outbox, first, "17")
    finished(outbox, first, NOW)
    assert claimed(outbox) is None
    finished(outbox, second)
    with pytest.raises(RefusedError, match="another process"):
        gone_on(outbox, second, "19")
