"""The life of a delivery: its transitions, and what every answer of a relay means."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.delivery import (
    FINAL_STATES,
    TRANSITIONS,
    Doubtful,
    Failed,
    GiveBack,
    Hold,
    Move,
    Patience,
    Reply,
    Retry,
    Sent,
    Stage,
    State,
    Uncertain,
    Unreachable,
    Unsuitable,
    judge,
    retry_wait_ms,
    states_for,
)
from envoi.core.kind import MailClass
from tests.core.samples import NOON_MS, delivery

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
PATIENCE = Patience()
# What only an operator does; everything else happens by itself.
BY_HAND = {Move.RELEASE, Move.RETRY, Move.CANCEL, Move.HOLD}


def verdict(outcome, *, age_ms=0, dice=0.0, **changes):
    claimed = delivery(state=State.SENDING, **{"claims": 1, **changes})
    return judge(claimed, outcome, NOON_MS + age_ms, PATIENCE, dice)


def test_every_state_is_reached_from_queued():
    reached = {State.QUEUED}
    while new := {to for (start, _), to in TRANSITIONS.items() if start in reached} - reached:
        reached |= new

    # A delivery starts as queued or, without a relay, as held.
    assert reached == set(State)


def test_every_move_is_in_the_table():
    assert {move for _, move in TRANSITIONS} == set(Move)


def test_nothing_leaves_a_final_state_by_itself():
    leaving = {move for state, move in TRANSITIONS if state in FINAL_STATES}

    assert leaving <= BY_HAND


@pytest.mark.parametrize("state", [State.SENT, State.SUPPRESSED, State.EXPIRED])
def test_sent_suppressed_and_expired_are_left_by_nothing(state):
    assert [move for start, move in TRANSITIONS if start is state] == []


def test_every_other_state_can_be_left():
    left = {state for state, _ in TRANSITIONS}

    assert left >= set(State) - FINAL_STATES


def test_held_is_left_by_an_operator_or_by_its_deadline():
    moves = {move for state, move in TRANSITIONS if state is State.HELD}

    assert moves == {Move.RELEASE, Move.CANCEL, Move.EXPIRE}


def test_only_a_claim_makes_a_delivery_sending():
    assert {move for (_, move), to in TRANSITIONS.items() if to is State.SENDING} == {Move.CLAIM}


def test_every_settle_starts_at_sending():
    settles = [move for move in Move if move.startswith("settle") or move is Move.GIVE_BACK]

    assert {states_for(move) for move in settles} == {(State.SENDING,)}


def test_states_for_a_move_come_in_table_order():
    assert states_for(Move.CLAIM) == (State.QUEUED, State.UNCERTAIN)


@pytest.mark.parametrize("state", list(State))
def test_a_state_knows_whether_it_is_final(state):
    finals = {"sent", "failed", "suppressed", "cancelled", "expired"}

    assert state.is_final is (state.value in finals)


@pytest.mark.parametrize("stage", list(Stage))
def test_only_replies_to_a_mail_are_about_a_mail(stage):
    assert stage.is_transaction is (stage.value in {"mail", "rcpt", "data", "content"})


TRANSACTION = [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.CONTENT]
BEFORE = [Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.TLS, Stage.AUTH]
CLASSES = list(MailClass)


@pytest.mark.parametrize("mail_class", CLASSES)
@pytest.mark.parametrize("age_ms", [0, 30 * DAY_MS])
@pytest.mark.parametrize("code", [200, 250, 251, 299])
def test_2xx_to_the_content_is_sent_whatever_the_age(code, age_ms, mail_class):
    outcome = Reply(stage=Stage.CONTENT, code=code, text="ok queued as 7")

    assert verdict(outcome, age_ms=age_ms, mail_class=mail_class) == Sent(
        because=f"{code} ok queued as 7"
    )


@pytest.mark.parametrize("mail_class", CLASSES)
@pytest.mark.parametrize("age_ms", [0, 30 * DAY_MS])
@pytest.mark.parametrize("code", [500, 550, 554, 599])
@pytest.mark.parametrize("stage", TRANSACTION)
def test_5xx_to_a_mail_is_final(stage, code, age_ms, mail_class):
    outcome = Reply(stage=stage, code=code, text="no such user")

    assert verdict(outcome, age_ms=age_ms, mail_class=mail_class) == Failed(
        because=f"{code} no such user"
    )


@pytest.mark.parametrize("code", [421, 450, 500, 535, 550, 554])
@pytest.mark.parametrize("stage", BEFORE)
def test_what_a_relay_says_of_itself_never_fails_a_mail(stage, code):
    assert verdict(Reply(stage=stage, code=code)) == GiveBack(because=str(code))


# Temporary refusals, and everything that the grammar does not allow at that point (R13).
LATER = [
    *[(stage, code) for stage in TRANSACTION for code in (400, 421, 450, 451, 452, 499)],
    *[(stage, code) for stage in TRANSACTION[:3] for code in (200, 250)],
    *[(stage, code) for stage in TRANSACTION for code in (300, 354)],
]


@pytest.mark.parametrize("mail_class", CLASSES)
@pytest.mark.parametrize(("stage", "code"), LATER)
def test_anything_else_is_temporary(stage, code, mail_class):
    assert verdict(Reply(stage=stage, code=code), mail_class=mail_class) == Retry(
        because=str(code), due_at_ms=NOON_MS + MINUTE_MS, is_refusal=True
    )


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [(5 * DAY_MS - 1, Retry), (5 * DAY_MS, Failed), (30 * DAY_MS, Failed)],
)
def test_a_refusal_after_five_days_is_final_and_names_the_last_answer(age_ms, expected):
    told = verdict(Reply(stage=Stage.RCPT, code=450, text="greylisted"), age_ms=age_ms)

    assert type(told) is expected
    assert "450 greylisted" in told.because


def test_a_relay_that_hangs_up_on_this_mail_is_like_a_refusal():
    outcome = Unreachable(stage=Stage.DATA, because="connection closed", had_turn=True)

    assert verdict(outcome, refusals=2) == Retry(
        because="connection closed", due_at_ms=NOON_MS + 4 * MINUTE_MS, is_refusal=True
    )


@pytest.mark.parametrize("stage", list(Stage))
def test_a_mail_that_never_had_its_turn_goes_back_untouched(stage):
    outcome = Unreachable(stage=stage, because="connection refused")

    assert verdict(outcome, refusals=9) == GiveBack(because="connection refused")


def test_a_mail_that_waited_five_days_for_the_relay_is_given_up():
    outcome = Unreachable(stage=Stage.CONNECT, because="connection refused")

    assert verdict(outcome, age_ms=5 * DAY_MS) == Failed(
        because="given up, never reached the relay: connection refused"
    )


@pytest.mark.parametrize(
    ("mail_class", "claims", "wait_ms"),
    [
        (MailClass.NOTICE, 1, MINUTE_MS),
        (MailClass.NOTICE, 2, 2 * MINUTE_MS),
        (MailClass.NOTICE, 7, 64 * MINUTE_MS),
        (MailClass.NOTICE, 99, 64 * MINUTE_MS),
        (MailClass.REPORT, 1, MINUTE_MS),
        (MailClass.BROADCAST, 1, MINUTE_MS),
        (MailClass.SECURITY, 1, 0),
        (MailClass.SECURITY, 2, 2 * MINUTE_MS),
    ],
)
def test_a_doubt_is_its_own_state_and_waits(mail_class, claims, wait_ms):
    told = verdict(Doubtful(because="no answer"), mail_class=mail_class, claims=claims)

    assert told == Uncertain(because="no answer", due_at_ms=NOON_MS + wait_ms)


@pytest.mark.parametrize(
    ("waited_ms", "wait_ms"),
    [(0, 4 * MINUTE_MS), (MINUTE_MS, 3 * MINUTE_MS), (4 * MINUTE_MS, 0), (9 * MINUTE_MS, 0)],
)
def test_a_doubt_that_has_lasted_waits_so_much_shorter(waited_ms, wait_ms):
    """A dead worker's delivery has waited for the end of its lease (third claim: 4 minutes)."""
    told = verdict(Doubtful(because="died", waited_ms=waited_ms), claims=3)

    assert told == Uncertain(because="died", due_at_ms=NOON_MS + wait_ms)


@pytest.mark.parametrize("mail_class", MailClass)
def test_a_doubt_is_held_for_a_person_where_its_class_says_so(mail_class):
    patience = Patience(hold_uncertain=frozenset({MailClass.BROADCAST}))
    claimed = delivery(state=State.SENDING, claims=1, mail_class=mail_class)

    told = judge(claimed, Doubtful(because="no answer"), NOON_MS, patience, 0.0)

    held = Hold(because="perhaps sent, for you to decide: no answer")
    assert (told == held) is (mail_class is MailClass.BROADCAST)
    assert isinstance(told, Hold | Uncertain)


def test_a_doubt_of_five_days_waits_for_an_operator():
    told = verdict(Doubtful(because="no answer"), age_ms=5 * DAY_MS, claims=70)

    assert told == Hold(because="still unknown after 70 attempts: no answer")


@pytest.mark.parametrize("age_ms", [0, 30 * DAY_MS])
@pytest.mark.parametrize(("is_final", "expected"), [(True, Failed), (False, Hold)])
def test_a_mail_that_the_relay_cannot_carry_is_held_or_failed(is_final, expected, age_ms):
    outcome = Unsuitable(because="the address needs SMTPUTF8", is_final=is_final)

    assert verdict(outcome, age_ms=age_ms) == expected(because="the address needs SMTPUTF8")


REPLIES = st.builds(Reply, stage=st.sampled_from(Stage), code=st.integers(200, 599))
WORDS = st.sampled_from(["closed", "time-out"])
OUTCOMES = st.one_of(
    REPLIES,
    st.builds(Unreachable, stage=st.sampled_from(Stage), because=WORDS, had_turn=st.booleans()),
    st.builds(Doubtful, because=WORDS),
    st.builds(Unsuitable, because=WORDS, is_final=st.booleans()),
)


@given(
    outcome=OUTCOMES,
    mail_class=st.sampled_from(MailClass),
    refusals=st.integers(0, 10_000),
    claims=st.integers(1, 10_000),
    age_ms=st.integers(0, 10 * DAY_MS),
    dice=st.floats(0, 1),
)
def test_every_outcome_has_one_verdict_with_a_reason(
    outcome, mail_class, refusals, claims, age_ms, dice
):
    told = verdict(
        outcome, age_ms=age_ms, dice=dice,
        mail_class=mail_class, refusals=refusals, claims=claims,
    )  # fmt: skip

    assert told.because
    assert isinstance(told, Sent) is (
        isinstance(outcome, Reply) and outcome.stage is Stage.CONTENT and outcome.code < 300
    )
    if isinstance(told, Retry | Uncertain):
        assert told.due_at_ms >= NOON_MS + age_ms


@given(
    refusals=st.integers(0, 10_000),
    first_ms=st.integers(1, HOUR_MS),
    longest_ms=st.integers(1, DAY_MS),
    dice=st.floats(0, 1),
)
def test_waits_double_up_to_the_longest_and_jitter_only_lengthens(
    refusals, first_ms, longest_ms, dice
):
    patience = Patience(first_retry_ms=first_ms, longest_retry_ms=longest_ms)

    plain = retry_wait_ms(refusals, patience, 0.0)
    wait = retry_wait_ms(refusals, patience, dice)

    assert plain == min(first_ms * 2 ** max(refusals - 1, 0), longest_ms)
    assert plain <= wait <= plain * 1.25
    assert retry_wait_ms(refusals + 1, patience, 0.0) >= plain


def test_the_shortest_first_wait_is_a_minute():
    assert retry_wait_ms(1, PATIENCE, 0.0) == MINUTE_MS
    assert retry_wait_ms(1, PATIENCE, 1.0) == 75_000


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(stage=Stage.RCPT, code=550, text="5.1.1 unknown"), "550 5.1.1 unknown"),
        (Reply(stage=Stage.RCPT, code=550), "550"),
    ],
)
def test_a_reply_reads_as_the_relay_wrote_it(reply, expected):
    assert str(reply) == expected


def test_a_delivery_is_a_value():
    assert replace(delivery(), claims=1) == delivery(claims=1)
