"""Broadcasts in the outbox: halted by one row, followed in steps, counted so that it adds up."""

from dataclasses import replace

import pytest

from envoi.core.broadcast import BROADCAST_KIND, Broadcast, event_of
from envoi.core.delivery import Failed, Move, Retry, Sent, Stage, State, Uncertain
from envoi.core.kind import MailClass
from envoi.core.people import Person
from envoi.core.routing import Because, Selector, Skipped, Why
from envoi.errors import NotFoundError, RefusedError
from envoi.outbox import audit, broadcast_report, broadcasts
from envoi.outbox.broadcasts import Order
from envoi.outbox.claim import Settlement
from envoi.outbox.filters import Query
from tests.outbox.samples import (
    MINUTE,
    NOW,
    a_delivery,
    a_message,
    claimed,
    count,
    listed,
    many,
    settled,
    states,
)

EVENT = event_of(
    Broadcast(subject="Sunday", body="Hi", recipients=(Selector.parse("everyone"),), author="root")
)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    """Steps of three rows, so that a handful of people take several."""
    monkeypatch.setattr(broadcasts, "BATCH_ROWS", 3)


def begun(outbox):
    """Store a broadcast whose people are still to be found; the lease on the search."""
    message = a_message(0, kind=BROADCAST_KIND, mail_class=MailClass.BROADCAST, subject="Sunday")
    with outbox.transaction() as tx:
        kept = broadcasts.put_broadcast(
            tx, EVENT, message, newest="user:9", stored_by="ops", now_ms=NOW
        )
        return broadcasts.claim_finding(tx, kept.event_id, EVENT, NOW, MINUTE)


def add_people(outbox, claim, people, *, state=State.QUEUED, cursor="user:1"):
    deliveries = [replace(one, mail_class=MailClass.BROADCAST, state=state) for one in people]
    with outbox.transaction() as tx:
        kept = broadcasts.find(tx, claim.event_id)
        broadcasts.put_people(tx, kept, broadcasts.message_of(tx, kept), deliveries)
        outbox.keep_cursor(tx, claim, cursor, NOW)


def complete(outbox, people, **more):
    """Store a broadcast with all its people; its id."""
    claim = begun(outbox)
    add_people(outbox, claim, people, **more)
    outbox.finish_routing(claim, NOW)
    return claim.event_id


def order(outbox, event_id, wanted, now_ms=NOW):
    with outbox.transaction() as tx:
        broadcasts.order(tx, event_id, wanted, "ops", now_ms)


def sweep(outbox, event_id, steps=100, now_ms=NOW):
    """Take steps of a sweep, each in its own transaction; where the next one would begin."""
    after = ""
    for _ in range(steps):
        with outbox.transaction() as tx:
            next_after = broadcasts.sweep(tx, event_id, after, now_ms)
        if next_after is None:
            return None
        after = next_after
    return after


def found(outbox, event_id):
    with outbox.reading() as tx:
        return broadcasts.find(tx, event_id)


def reported(outbox, event_id):
    with outbox.reading() as tx:
        return broadcast_report.report(tx, broadcasts.find(tx, event_id))


def settle(outbox, claim, verdict, stage=Stage.RCPT):
    settled(outbox, [Settlement(claim=claim, verdict=verdict, stage=stage)])


def test_a_broadcast_is_one_message_and_a_row_per_person(outbox):
    claim = begun(outbox)
    add_people(outbox, claim, many(2))
    add_people(outbox, claim, [a_delivery("eve@example.org"), a_delivery("zoe@example.org")])

    kept = found(outbox, claim.event_id)
    assert (kept.subject, kept.author, kept.stored_by) == ("Sunday", "root", "ops")
    assert (kept.newest, kept.order, kept.is_finding) == ("user:9", Order.GOING, True)
    assert count(outbox, "envoi_message") == 1
    # Numbered on from step to step: the number is a part of each Message-ID.
    assert [one.delivery.ordinal for one in listed(outbox)] == [1, 2, 3, 4]


def test_a_step_that_finds_nobody_adds_nobody(outbox):
    claim = begun(outbox)

    add_people(outbox, claim, [])

    assert found(outbox, claim.event_id).ordinal == 0


def test_nothing_is_due_before_all_are_found(outbox):
    claim = begun(outbox)
    add_people(outbox, claim, many(2))

    assert claimed(outbox) == ()
    outbox.finish_routing(claim, NOW)
    assert len(claimed(outbox)) == 2


def test_who_stored_it_searches_and_nobody_else_until_his_lease_ends(outbox):
    claim = begun(outbox)

    assert outbox.claim_event(NOW, MINUTE) is None
    with outbox.transaction() as tx:
        broadcasts.give_back_finding(tx, claim, NOW)
    assert outbox.claim_event(NOW, MINUTE).event == EVENT


def test_another_event_is_no_broadcast(outbox):
    with outbox.transaction() as tx:
        event_id = outbox.put_event(tx, EVENT, NOW).id

        assert not broadcasts.is_broadcast(tx, event_id)
        with pytest.raises(NotFoundError, match="envoi broadcast list"):
            broadcasts.find(tx, event_id)


@pytest.mark.parametrize("wanted", [Order.PAUSED, Order.CANCELLED])
def test_a_halt_holds_from_its_commit_before_any_delivery_has_followed(outbox, wanted):
    event_id = complete(outbox, many(7))

    order(outbox, event_id, wanted)

    assert claimed(outbox) == ()
    assert states(outbox) == [State.QUEUED] * 7


def test_a_halt_is_its_own_broadcasts_and_no_other_mails(outbox):
    paused, other = complete(outbox, many(2)), complete(outbox, many(1))
    order(outbox, paused, Order.PAUSED)

    assert {claim.delivery.event_id for claim in claimed(outbox)} == {other}


def test_a_paused_broadcast_is_held_and_goes_on_as_it_was(outbox):
    event_id = complete(outbox, many(7))
    order(outbox, event_id, Order.PAUSED)
    sweep(outbox, event_id)
    held = states(outbox)

    order(outbox, event_id, Order.GOING)
    sweep(outbox, event_id)

    assert held == [State.HELD] * 7
    assert states(outbox) == [State.QUEUED] * 7
    assert len(claimed(outbox)) == 7


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_sweep_that_died_is_done_by_the_next_one(outbox, steps):
    event_id = complete(outbox, many(7))
    order(outbox, event_id, Order.PAUSED)
    sweep(outbox, event_id, steps)
    with outbox.reading() as tx:
        left = broadcasts.unswept(tx)

    sweep(outbox, left)

    assert left == event_id
    assert states(outbox) == [State.HELD] * 7
    assert found(outbox, event_id).is_swept


def test_one_that_cannot_be_swept_yet_keeps_no_other_waiting(outbox):
    first, second = complete(outbox, many(1)), complete(outbox, many(1))
    order(outbox, first, Order.CANCELLED)
    order(outbox, second, Order.CANCELLED)

    with outbox.reading() as tx:
        assert broadcasts.unswept(tx) == first
        assert broadcasts.unswept(tx, behind=first) == second
        assert broadcasts.unswept(tx, behind=second) == 0


def test_resumed_in_the_middle_of_a_pause_nothing_stays_behind(outbox):
    event_id = complete(outbox, many(7))
    order(outbox, event_id, Order.PAUSED)
    sweep(outbox, event_id, 1)
    order(outbox, event_id, Order.GOING)

    sweep(outbox, event_id)

    assert states(outbox) == [State.QUEUED] * 7


def test_what_an_operator_held_stays_held_when_its_broadcast_goes_on(outbox):
    event_id = complete(outbox, many(2))
    first, _ = listed(outbox)
    outbox.operate(Move.HOLD, Query(ids=(first.delivery.id,)), NOW)
    order(outbox, event_id, Order.PAUSED)
    sweep(outbox, event_id)

    order(outbox, event_id, Order.GOING)
    sweep(outbox, event_id)

    assert states(outbox) == [State.HELD, State.QUEUED]


def test_what_was_held_for_want_of_a_relay_goes_with_a_resume(outbox):
    event_id = complete(outbox, many(2), state=State.HELD)

    order(outbox, event_id, Order.GOING, NOW + MINUTE)
    sweep(outbox, event_id, now_ms=NOW + MINUTE)

    # Patience counts from the release, or a week without a relay would be the end of it.
    assert [one.delivery.created_at_ms for one in listed(outbox)] == [NOW + MINUTE] * 2
    assert states(outbox) == [State.QUEUED] * 2


def test_a_resumed_delivery_has_the_relays_last_words_back(outbox):
    event_id = complete(outbox, many(1))
    (claim,) = claimed(outbox)
    settle(outbox, claim, Retry(because="451 later", due_at_ms=NOW + MINUTE, is_refusal=True))
    order(outbox, event_id, Order.PAUSED)
    sweep(outbox, event_id)
    (held,) = listed(outbox)

    order(outbox, event_id, Order.GOING)
    sweep(outbox, event_id)

    (queued,) = listed(outbox)
    assert held.last_reply == "its broadcast is paused"
    assert (queued.last_reply, queued.delivery.due_at_ms) == ("451 later", NOW + MINUTE)


def test_one_in_doubt_stays_in_doubt_while_paused_and_is_not_tried(outbox):
    event_id = complete(outbox, many(1))
    (claim,) = claimed(outbox)
    order(outbox, event_id, Order.PAUSED)
    settle(outbox, claim, Uncertain(because="cut", due_at_ms=NOW))
    sweep(outbox, event_id)

    assert states(outbox) == [State.UNCERTAIN]
    assert claimed(outbox) == ()


def test_what_comes_back_from_a_connection_after_a_pause_is_not_claimed(outbox):
    event_id = complete(outbox, many(1))
    (claim,) = claimed(outbox)
    order(outbox, event_id, Order.PAUSED)
    sweep(outbox, event_id)

    settle(outbox, claim, Retry(because="451 later", due_at_ms=NOW, is_refusal=True))

    assert claimed(outbox) == ()


def test_a_cancelled_broadcast_takes_back_what_was_not_sent(outbox):
    event_id = complete(outbox, many(5))
    sent, _ = claimed(outbox, 2)
    settle(outbox, sent, Sent(because="250 ok"), Stage.CONTENT)
    order(outbox, event_id, Order.CANCELLED)
    sweep(outbox, event_id)

    assert reported(outbox, event_id).sent == 1
    # One is with a connection: it is swept when that is settled, and not before.
    assert not found(outbox, event_id).is_swept
    assert (reported(outbox, event_id).cancelled, reported(outbox, event_id).waiting) == (3, 1)


def test_what_comes_back_from_a_connection_after_a_cancellation_is_cancelled_too(outbox):
    event_id = complete(outbox, many(1))
    (claim,) = claimed(outbox)
    order(outbox, event_id, Order.CANCELLED)
    sweep(outbox, event_id)
    settle(outbox, claim, Retry(because="451 later", due_at_ms=NOW, is_refusal=True))
    between = claimed(outbox)

    sweep(outbox, event_id)

    assert between == ()
    assert states(outbox) == [State.CANCELLED]
    assert found(outbox, event_id).is_swept


def test_a_cancellation_ends_the_search_for_people(outbox):
    claim = begun(outbox)
    add_people(outbox, claim, many(2))

    order(outbox, claim.event_id, Order.CANCELLED)
    sweep(outbox, claim.event_id)

    with pytest.raises(RefusedError, match="lease was lost"):
        add_people(outbox, claim, [a_delivery("late@example.org")])
    assert states(outbox) == [State.CANCELLED] * 2
    assert outbox.claim_event(NOW + 10 * MINUTE, MINUTE) is None


def test_paused_during_the_search_everybody_found_is_held(outbox):
    claim = begun(outbox)
    add_people(outbox, claim, many(2))
    order(outbox, claim.event_id, Order.PAUSED)
    sweep(outbox, claim.event_id)
    add_people(outbox, claim, [a_delivery("late@example.org")])
    outbox.finish_routing(claim, NOW)
    with outbox.transaction() as tx:
        broadcasts.sweep_again(tx, claim.event_id)

    sweep(outbox, claim.event_id)
    held = states(outbox)
    order(outbox, claim.event_id, Order.GOING)
    sweep(outbox, claim.event_id)

    assert held == [State.HELD] * 3
    assert len(claimed(outbox)) == 3


def test_a_cancellation_is_not_taken_back_but_single_mails_can_be_sent(outbox):
    event_id = complete(outbox, many(2))
    order(outbox, event_id, Order.CANCELLED)
    sweep(outbox, event_id)
    first, _ = listed(outbox)

    with pytest.raises(RefusedError, match=f"outbox retry --all --event {event_id}"):
        order(outbox, event_id, Order.GOING)
    outbox.operate(Move.RETRY, Query(ids=(first.delivery.id,)), NOW)

    assert [claim.delivery.id for claim in claimed(outbox)] == [first.delivery.id]


@pytest.mark.parametrize("wanted", Order)
def test_a_broadcast_that_is_not_there_is_named(outbox, wanted):
    with pytest.raises(NotFoundError, match="broadcast 77"):
        order(outbox, 77, wanted)
    assert sweep(outbox, 77) is None


def test_the_report_tells_everybody_apart_and_adds_up(outbox):
    claim = begun(outbox)
    add_people(outbox, claim, many(6))
    reasons = [Because(Why.INACTIVE), Because(Why.NO_ADDRESS), Because(Why.UNUSABLE, "a@b"),
               Because(Why.SAME_ADDRESS, "ann"), Because(Why.TOLD, "x"),
               Because(Why.UNKNOWN)]  # fmt: skip
    with outbox.transaction() as tx:
        outbox.put_decisions(tx, claim.event_id, [
            Skipped(person=Person(id=f"user:{n}", login=f"p{n}"), sender="broadcast", because=why)
            for n, why in enumerate(reasons)
        ])  # fmt: skip
    outbox.finish_routing(claim, NOW)
    one, two, three, four, _ = claimed(outbox, 5)
    settle(outbox, one, Sent(because="250 ok"), Stage.CONTENT)
    settle(outbox, two, Failed(because="550 5.1.1 no such user"))
    settle(outbox, three, Failed(because="given up, last answer: 451 later"))
    settle(outbox, four, Uncertain(because="cut", due_at_ms=NOW))

    report = reported(outbox, claim.event_id)

    assert (report.sent, report.refused, report.given_up) == (1, 1, 1)
    # One is with a connection and one is queued.
    assert (report.uncertain, report.waiting) == (1, 2)
    assert (report.inactive, report.no_address, report.unusable) == (1, 1, 1)
    assert (report.folded, report.passed_over) == (1, 1)
    # A name that nobody has is no person.
    assert (report.mails, report.skipped, report.audience) == (6, 5, 11)


def test_the_report_names_the_relays_words_and_whom_they_are_about(outbox):
    event_id = complete(outbox, many(3))
    for claim, words in zip(claimed(outbox), ["550 no", "550 no", "552 full"], strict=True):
        settle(outbox, claim, Failed(because=words))

    with outbox.reading() as tx:
        kept = broadcasts.find(tx, event_id)
        assert broadcast_report.replies(tx, kept) == (("550 no", 2), ("552 full", 1))
        assert broadcast_report.failed(tx, kept, 1) == (
            broadcast_report.Missed(name="user00000@example.org", because="550 no"),
        )


def test_the_report_names_who_was_passed_over_and_why(outbox):
    claim = begun(outbox)
    skipped = Skipped(
        person=Person(id="user:1", login="dan"), sender="broadcast", because=Because(Why.INACTIVE)
    )
    with outbox.transaction() as tx:
        outbox.put_decisions(tx, claim.event_id, [skipped])

    with outbox.reading() as tx:
        kept = broadcasts.find(tx, claim.event_id)
        assert broadcast_report.skipped(tx, kept, 5) == (
            broadcast_report.Missed(name="dan", because="is inactive"),
        )


def test_broadcasts_are_listed_newest_first_and_paged(outbox):
    first, second, third = (complete(outbox, []) for _ in range(3))

    with outbox.reading() as tx:
        newest = broadcasts.listed(tx, limit=2)
        older = broadcasts.listed(tx, before_id=second)
        others = broadcasts.listed(tx, application="other")

    assert [one.event_id for one in newest] == [third, second]
    assert [one.event_id for one in older] == [first]
    assert others == []


def test_who_used_an_administrators_command_is_noted_newest_first(outbox):
    used = audit.Note(made_by="ops", login="ann", action="admin email", target="x" * 999,
                      outcome=audit.REFUSED, at_ms=NOW)  # fmt: skip
    with outbox.transaction() as tx:
        audit.note_use(tx, used)
        audit.note_use(tx, audit.Note(made_by="ops", action="broadcast pause", at_ms=NOW + 1))

    with outbox.reading() as tx:
        newest, oldest = audit.notes(tx)

    assert (newest.action, newest.outcome, newest.at_ms) == ("broadcast pause", "allowed", NOW + 1)
    assert oldest == replace(used, target="x" * audit.MAX_CHARS)
