"""Several mails under way on one connection: what is in doubt, and what no stray reply may do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.core.delivery import Doubtful, Reply, Stage, Unreachable
from envoi.seams import Capabilities, Ready
from envoi.transport.protocol import MAX_CHUNK_BYTES, Session
from tests.transport.model_relay import STEPS, ModelRelay, converse, is_sent
from tests.transport.rounds import FULL, parcel, told

COUNT = 9
WINDOW = 4
GONE = b"421 4.3.2 closing\r\n"

refusals = st.sampled_from(
    [
        b"450 4.2.1 busy\r\n",
        b"451 4.3.0 later\r\n",
        b"550 5.1.1 no such user\r\n",
        b"554-5.6.0 we do\r\n554 5.6.0 not want it\r\n",
        b"503 5.5.1 bad sequence\r\n",
        GONE,
        None,
    ]
)
oddities = st.sampled_from([b"250 ok\r\n", b"250 2.6.0 ok\r\n", b"354 go\r\n", b"nonsense\r\n"])
scripts = st.dictionaries(
    st.tuples(st.integers(1, COUNT), st.sampled_from(STEPS)), refusals | oddities, max_size=4
)
strays = st.dictionaries(
    st.integers(0, 4 * COUNT),
    st.sampled_from([b"250 ok\r\n", b"250 2.1.0 ok\r\n", b"250 2.1.5 ok\r\n", b"550 5.1.1 no\r\n"]),
    min_size=1,
    max_size=2,
)
chops = st.lists(st.integers(1, 60), max_size=60)
windows = st.integers(2, 6)


@given(scripts, chops, windows)
@settings(max_examples=400, deadline=None)
def test_each_mail_ends_once_and_truly(script, sizes, window):
    # `Client` asserts that nobody hears twice, and that at most a window is permitted at once.
    relay = ModelRelay(script=script)
    outcomes = converse(relay, COUNT, sizes, FULL, window=window)

    sent = {number for number, outcome in outcomes.items() if is_sent(outcome)}
    unreachable = {number for number, o in outcomes.items() if isinstance(o, Unreachable)}
    assert sorted(outcomes) == list(range(1, len(outcomes) + 1))
    assert sent <= relay.completed - relay.refused
    assert unreachable & (relay.completed - relay.refused) == set()


@given(scripts, strays, chops, windows)
@settings(max_examples=400, deadline=None)
def test_a_stray_reply_makes_no_mail_sent_that_was_refused(script, stray, sizes, window):
    relay = ModelRelay(script=script, stray=stray)
    outcomes = converse(relay, COUNT, sizes, FULL, window=window)

    sent = {number for number, outcome in outcomes.items() if is_sent(outcome)}
    by_data = {1, 2}  # a mail by DATA has its own fence, and a stray behind its 354 its own test
    assert sent & relay.refused <= by_data


@given(st.integers(8, 4 * COUNT), windows)
@settings(max_examples=100, deadline=None)
def test_one_reply_too_many_fails_nobody(place, window):
    relay = ModelRelay(stray={place: b"250 2.1.5 ok\r\n"})
    outcomes = converse(relay, COUNT, [], FULL, window=window)

    assert not any(
        isinstance(outcome, Reply) and outcome.code > 299 for outcome in outcomes.values()
    )


def test_a_window_is_used_behind_the_mails_that_proved_it():
    relay = ModelRelay()

    outcomes = converse(relay, COUNT, [], FULL, window=WINDOW)

    assert all(map(is_sent, outcomes.values()))
    assert relay.chunks == COUNT - 2


UNFIT = [
    ("no codes at all", {(1, "MAIL"): b"250 ok\r\n"}),
    ("a recipient's answer that could be a content's", {(1, "RCPT"): b"250 2.0.0 ok\r\n"}),
    ("a content's answer that could be a recipient's", {(1, "CONTENT"): b"250 2.1.5 ok\r\n"}),
    ("a content's answer without a code", {(1, "CONTENT"): b"250 ok, queued as 1234\r\n"}),
]


@pytest.mark.parametrize(("name", "script"), UNFIT, ids=[name for name, _ in UNFIT])
def test_a_relay_whose_answers_cannot_be_told_apart_gets_one_mail_at_a_time(name, script):
    relay = ModelRelay(script=script)

    outcomes = converse(relay, COUNT, [], FULL, window=WINDOW)

    assert all(map(is_sent, outcomes.values()))
    assert relay.chunks == 0


@pytest.mark.parametrize("lacking", ["has_pipelining", "has_chunking", "has_enhanced_codes"])
def test_what_the_relay_does_not_offer_is_not_used(lacking):
    offered = {"has_pipelining", "has_chunking", "has_enhanced_codes"} - {lacking}
    relay = ModelRelay()

    converse(relay, COUNT, [], Capabilities(**dict.fromkeys(offered, True)), window=WINDOW)

    assert len(relay.completed) == COUNT
    assert relay.chunks == 0


def test_without_a_window_everything_goes_by_data():
    relay = ModelRelay()

    converse(relay, COUNT, [], FULL)

    assert len(relay.completed) == COUNT
    assert relay.chunks == 0


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_a_refusal_in_the_window_is_nobody_elses(step):
    relay = ModelRelay(script={(5, step): b"550 5.7.1 no\r\n"})

    outcomes = converse(relay, COUNT, [], FULL, window=WINDOW)

    assert outcomes[5] == Reply(stage=Stage(step.lower()), code=550, text="5.7.1 no")
    assert {number for number, outcome in outcomes.items() if not is_sent(outcome)} == {5}


def test_a_mail_that_is_taken_although_its_recipient_was_refused_is_in_doubt():
    relay = ModelRelay(script={(5, "RCPT"): b"550 5.1.1 no\r\n", (5, "DATA"): b""})
    session = chunking()
    session.offer(parcel(5, "m5"))
    session.permit(5)
    session.wrote(len(session.outgoing))
    session.received(b"250 2.0.0 a\r\n250 2.1.0 b\r\n550 5.1.1 no\r\n250 2.0.0 queued\r\n")

    assert isinstance(told(session.take_events())[5], Doubtful)
    assert session.is_over
    assert relay.completed == set()


def chunking(window=WINDOW):
    """A session that has just gone over to BDAT."""
    session = Session(FULL, window=window)
    session.offer(parcel(1, "m1"))
    session.wrote(len(session.outgoing))
    session.received(b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n")
    session.permit(1)
    session.wrote(len(session.outgoing))
    session.received(b"250 2.0.0 ok\r\n")
    session.take_events()
    return session


def begin(session, *numbers, **changes):
    for number in numbers:
        session.offer(parcel(number, f"m{number}", **changes))
        session.permit(number)
    session.wrote(len(session.outgoing))


GOOD = b"250 2.0.0 a\r\n250 2.1.0 b\r\n250 2.1.5 c\r\n250 2.0.0 d\r\n"


def test_a_mail_in_the_window_is_ready_at_once_and_silent_until_permitted():
    session = chunking()
    session.offer(parcel(2, "m2"))

    assert session.take_events() == [Ready(delivery_id=2)]
    assert not session.outgoing
    session.permit(2)
    assert bytes(session.outgoing) == (
        b"RSET\r\nMAIL FROM:<noreply@example.org> SIZE=60\r\nRCPT TO:<m2@example.org>\r\n"
        b"BDAT 60 LAST\r\nMessage-ID: <2@example.org>\r\nSubject: hello\r\n\r\n.a dot\r\nend\r\n"
    )


def test_no_more_than_the_window_may_begin():
    session = chunking(window=3)
    begin(session, 2, 3, 4)

    assert not session.can_take
    session.received(GOOD)
    assert session.can_take


def test_what_was_under_way_when_the_connection_broke_is_in_doubt():
    session = chunking()
    begin(session, 2, 3)
    session.offer(parcel(4, "m4"))
    session.received(GOOD)
    session.lost("cut")

    outcomes = told(session.take_events())
    assert is_sent(outcomes[2])
    assert isinstance(outcomes[3], Doubtful)
    assert outcomes[4] == Unreachable(stage=Stage.MAIL, because="cut")


def test_a_relay_that_closes_has_not_looked_at_what_came_behind():
    session = chunking()
    begin(session, 2, 3, 4)
    session.received(GOOD + b"250 2.0.0 a\r\n" + GONE)
    assert session.is_leaving
    session.lost("the relay closed the connection")

    outcomes = told(session.take_events())
    assert is_sent(outcomes[2])
    assert outcomes[3] == Reply(stage=Stage.MAIL, code=421, text="4.3.2 closing")
    assert outcomes[4] == Unreachable(stage=Stage.MAIL, because="the relay closed the connection")
    assert session.sent_away_after == 2


def test_a_relay_that_says_it_closes_and_keeps_silent_may_still_be_at_work():
    session = chunking()
    begin(session, 2, 3)
    session.received(b"250 2.0.0 a\r\n" + GONE)
    session.expired("no answer")

    assert isinstance(told(session.take_events())[3], Doubtful)


def test_a_relay_that_goes_on_after_its_421_is_heard():
    session = chunking()
    begin(session, 2, 3, 4)
    session.received(b"250 2.0.0 a\r\n250 2.1.0 b\r\n" + GONE + b"503 5.5.1 none\r\n" + GOOD)
    session.lost("cut")

    outcomes = told(session.take_events())
    assert outcomes[2] == Reply(stage=Stage.RCPT, code=421, text="4.3.2 closing")
    assert is_sent(outcomes[3])
    # Whoever goes on may have gone on with this one too.
    assert isinstance(outcomes[4], Doubtful)


def test_a_relay_that_wants_a_sign_in_leaves_nobody_in_doubt():
    session = chunking()
    begin(session, 2, 3)
    unsigned = b"250 2.0.0 a\r\n530 5.7.0 sign in\r\n503 5.5.1 no\r\n503 5.5.1 no\r\n"
    session.received(unsigned + unsigned)

    outcomes = told(session.take_events())
    assert {outcome.stage for outcome in outcomes.values() if isinstance(outcome, Unreachable)} == {
        Stage.AUTH
    }
    assert session.trouble is not None
    assert session.is_over


def test_a_relay_that_does_not_know_the_bdat_it_offered_refuses_no_mail():
    session = chunking()
    begin(session, 2)
    session.received(b"250 2.0.0 a\r\n250 2.1.0 b\r\n250 2.1.5 c\r\n502 5.5.2 what?\r\n")

    outcome = told(session.take_events())[2]
    assert isinstance(outcome, Unreachable)
    assert not outcome.had_turn
    assert session.dislikes_chunks
    assert session.is_over


def test_a_large_mail_goes_by_data_behind_those_that_were_offered_before():
    session = chunking()
    large = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * MAX_CHUNK_BYTES
    session.offer(parcel(2, "m2"))
    session.offer(parcel(3, "m3", content=large))
    assert not session.can_take
    assert not session.outgoing
    session.permit(2)

    outgoing = bytes(session.outgoing)
    assert b"BDAT 60 LAST\r\nMessage-ID: <2@" in outgoing
    assert outgoing.endswith(b"RCPT TO:<m3@example.org>\r\nDATA\r\n")
    session.wrote(len(outgoing))
    session.take_events()
    session.received(GOOD + b"250 2.0.0 a\r\n250 2.1.0 b\r\n250 2.1.5 c\r\n354 go\r\n")
    assert session.take_events()[1:] == [Ready(delivery_id=3)]


@pytest.mark.parametrize("is_large", [False, True], ids=["by BDAT", "by DATA"])
def test_a_mail_that_is_withdrawn_before_a_word_of_it_costs_nothing(is_large):
    session = chunking()
    session.offer(parcel(2, "m2"))
    content = b"x\r\n" * MAX_CHUNK_BYTES if is_large else b""
    session.offer(parcel(3, "m3", content=content))
    session.withdraw(3)
    session.take_events()
    session.permit(3)
    session.permit(2)
    session.wrote(len(session.outgoing))
    session.received(GOOD)

    assert is_sent(told(session.take_events())[2])
    assert session.is_idle


def test_dots_need_no_stuffing_by_bdat():
    session = chunking()
    content = b"Message-ID: <2@example.org>\r\n\r\n.\r\n..\r\n"
    session.offer(parcel(2, "m2", content=content))
    session.permit(2)

    assert bytes(session.outgoing).endswith(b"BDAT 38 LAST\r\n" + content)


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\rb\nc\r\n"])
def test_a_line_end_that_is_not_crlf_never_reaches_the_wire_by_bdat(content):
    session = chunking()

    with pytest.raises(ValueError, match="CRLF"):
        session.offer(parcel(2, content=content))

    assert session.is_idle
