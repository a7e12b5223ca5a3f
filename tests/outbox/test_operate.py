"""The operator's hand: every verb, from every state, with an answer for every row."""

import pytest

from envoi.core.delivery import TRANSITIONS, Failed, Move, Sent, State
from envoi.outbox import operate
from envoi.outbox.claim import Settlement
from envoi.outbox.filters import Query
from envoi.outbox.operate import OPERATOR_MOVES, Answer
from tests.outbox.samples import (
    NOW,
    SEALED,
    a_delivery,
    claimed,
    count,
    listed,
    many,
    settled,
    states,
    stored,
)


@pytest.mark.parametrize("move", OPERATOR_MOVES)
@pytest.mark.parametrize("state", State)
def test_a_move_is_made_exactly_where_the_table_allows_it(outbox, move, state):
    stored(outbox, [a_delivery(state=state, due_at_ms=NOW - 9, refusals=3)])
    [item] = listed(outbox)

    [answer] = outbox.operate(move, Query(ids=(item.delivery.id,)), NOW)

    after = TRANSITIONS.get((state, move))
    assert answer.is_changed == (after is not None)
    assert (answer.before, answer.after) == (state, after or state)
    assert states(outbox) == [after or state]
    if after is None:
        assert answer.refused_because.startswith(f"it is {state}; {move} is possible from ")
    [item] = listed(outbox)
    assert item.delivery.due_at_ms == (NOW if after is State.QUEUED else NOW - 9)


def test_named_rows_are_all_answered(outbox):
    stored(outbox)

    answers = outbox.operate(Move.CANCEL, Query(ids=(1, 77)), NOW)

    assert [(answer.id, answer.is_changed) for answer in answers] == [(1, True), (77, False)]
    assert answers[1].refused_because == "there is no such delivery"


@pytest.mark.parametrize(
    "query",
    [
        {"address": "bob@example.org"},
        {"kind": "alarm"},
        {"event_id": 2},
        {"transport": "bulk"},
        {"application": "wiki"},
        {"states": (State.HELD,)},
        {"states": (State.HELD, State.SENT), "kind": "alarm"},
        {"since_ms": NOW + 1},
    ],
    ids=str,
)
def test_a_condition_finds_what_it_says(outbox, query):
    stored(outbox, [a_delivery("eve@example.org")])
    chosen = a_delivery(transport="bulk", state=State.HELD)
    stored(outbox, [chosen], kind="alarm", application="wiki", date_ms=NOW + 1)

    answers = outbox.operate(Move.CANCEL, Query(**query), NOW)

    assert answers == (Answer(id=2, before=State.HELD, after=State.CANCELLED),)
    assert states(outbox) == [State.QUEUED, State.CANCELLED]


def test_a_condition_leaves_alone_what_the_verb_is_not_for(outbox):
    stored(outbox, [a_delivery(state=State.SENT), a_delivery("eve@example.org")])

    assert [a.id for a in outbox.operate(Move.HOLD, Query(), NOW)] == [2]


def test_a_long_list_goes_in_batches(outbox, monkeypatch):
    monkeypatch.setattr(operate, "BATCH_ROWS", 3)
    stored(outbox, many(7))

    answers = outbox.operate(Move.CANCEL, Query(), NOW)

    assert [answer.id for answer in answers] == list(range(1, 8))
    assert outbox.operate(Move.CANCEL, Query(), NOW) == ()


@pytest.mark.parametrize("move", [Move.RELEASE, Move.RETRY])
def test_what_has_expired_is_not_sent_by_hand(outbox, move):
    state = State.HELD if move is Move.RELEASE else State.FAILED
    stored(outbox, [a_delivery(state=state, expires_at_ms=NOW)])

    [answer] = outbox.operate(move, Query(ids=(1,)), NOW)

    assert "deadline has passed" in answer.refused_because
    assert states(outbox) == [state]


def test_a_retry_is_refused_when_the_secrets_are_gone(outbox):
    stored(outbox, sealed=SEALED)
    [claim] = claimed(outbox)
    settled(outbox, [Settlement(claim=claim, verdict=Failed(because="550"))])

    [answer] = outbox.operate(Move.RETRY, Query(ids=(claim.id,)), NOW)

    assert "secret values were deleted" in answer.refused_because
    assert states(outbox) == [State.FAILED]


def test_cancelling_the_last_waiting_delivery_deletes_the_secrets(outbox):
    stored(outbox, many(2), sealed=SEALED)
    [claim] = claimed(outbox, 1)
    settled(outbox, [Settlement(claim=claim, verdict=Sent(because="250"))])
    assert count(outbox, "envoi_sealed") == 1

    outbox.operate(Move.CANCEL, Query(), NOW)

    assert count(outbox, "envoi_sealed") == 0


def test_a_retry_by_hand_starts_its_back_off_anew(outbox):
    stored(outbox, [a_delivery(state=State.FAILED)])
    with outbox.transaction() as tx:
        tx.execute("UPDATE envoi_delivery SET refusals = 9", {})

    outbox.operate(Move.RETRY, Query(), NOW)

    assert claimed(outbox)[0].delivery.refusals == 0


def test_mail_released_after_a_week_is_as_patient_as_new_mail(outbox):
    week_ms = 7 * 86_400_000
    stored(outbox, [a_delivery(state=State.HELD, created_at_ms=NOW - week_ms)])

    outbox.operate(Move.RELEASE, Query(), NOW)

    assert claimed(outbox)[0].delivery.created_at_ms == NOW


def test_a_release_does_not_change_when_mail_was_stored(outbox):
    stored(outbox, [a_delivery(state=State.HELD)])

    outbox.operate(Move.RELEASE, Query(), NOW + 9)

    assert [item.stored_at_ms for item in listed(outbox, since_ms=NOW)] == [NOW]
    assert listed(outbox, since_ms=NOW + 1) == []
