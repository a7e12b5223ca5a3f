"""The session without a socket: whatever a relay says, and however it is chopped on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.core.delivery import Doubtful, Reply, Stage, Unreachable
from envoi.transport.envelope import Framing
from envoi.transport.protocol import Session
from envoi.transport.reply import MAX_TEXT_CHARS, Scrubber
from tests.transport.model_relay import STEPS, ModelRelay, converse
from tests.transport.rounds import FULL, PLAIN, parcel, told

offers = st.sampled_from([FULL, PLAIN])
codes = st.sampled_from([250, 251, 354, 421, 450, 451, 452, 500, 503, 550, 552, 554])
replies = st.one_of(
    st.none(),
    codes.map(lambda code: f"{code} said\r\n".encode()),
    codes.map(lambda code: f"{code}-first\r\n{code} second\r\n".encode()),
    st.sampled_from(
        [b"250\r\n", b"250 lf only\n", b"nonsense\r\n", b"250-a\r\n451 b\r\n", b"199 x\r\n"]
    ),
)
scripts = st.dictionaries(st.tuples(st.integers(1, 4), st.sampled_from(STEPS)), replies, max_size=5)
chops = st.lists(st.integers(1, 40), max_size=60)


@given(scripts, chops, offers)
@settings(max_examples=400, deadline=None)
def test_chopping_the_relays_bytes_changes_no_outcome(script, sizes, offer):
    whole = converse(ModelRelay(script=script), 4, [], offer)
    chopped = converse(ModelRelay(script=script), 4, sizes, offer)

    assert chopped == whole


@given(scripts, chops, offers)
@settings(max_examples=400, deadline=None)
def test_sent_means_a_2xx_to_the_final_dot_and_nothing_else(script, sizes, offer):
    relay = ModelRelay(script=script)
    outcomes = converse(relay, 4, sizes, offer)

    for number, outcome in outcomes.items():
        is_sent = (
            isinstance(outcome, Reply) and outcome.stage is Stage.CONTENT and outcome.code < 300
        )
        reply = script.get((number, "CONTENT"), b"250")
        if is_sent:
            assert reply
            assert reply[:1] == b"2"
            assert number in relay.completed
        if number in relay.completed and reply is None:
            assert isinstance(outcome, Doubtful)


@given(scripts, chops, offers)
@settings(max_examples=200, deadline=None)
def test_unreachable_means_that_the_relay_has_no_final_dot(script, sizes, offer):
    relay = ModelRelay(script=script)
    outcomes = converse(relay, 4, sizes, offer)

    unreachable = {number for number, o in outcomes.items() if isinstance(o, Unreachable)}
    assert unreachable & relay.completed == set()


@given(
    scripts,
    st.dictionaries(
        st.integers(0, 12), codes.map(lambda code: f"{code} stray\r\n".encode()), max_size=2
    ),
    chops,
    offers,
)
@settings(max_examples=400, deadline=None)
def test_replies_too_many_never_give_two_outcomes_or_a_mail_sent_unseen(
    script, stray, sizes, offer
):
    # `Client.hear` asserts both.
    outcomes = converse(ModelRelay(script=script, stray=stray), 4, sizes, offer)

    assert outcomes


@given(st.lists(st.binary(max_size=300), max_size=20), offers)
@settings(max_examples=300, deadline=None)
def test_any_bytes_at_all_end_in_one_outcome(chunks, offer):
    session = Session(offer)
    session.offer(parcel(1))
    for chunk in chunks:
        session.wrote(len(session.outgoing))
        session.received(chunk)
        session.permit(1)
    session.lost("over")

    assert list(told(session.take_events())) == [1]


SHIFTED = [
    # The script of a relay that says 250 once too often behind MAIL, for a good recipient.
    ("pipelined", FULL, Unreachable(stage=Stage.DATA, because="", had_turn=True)),
    ("lock-step", PLAIN, Unreachable(stage=Stage.RCPT, because="", had_turn=True)),
]


@pytest.mark.parametrize(
    ("name", "offer", "expected"), SHIFTED, ids=[name for name, _, _ in SHIFTED]
)
def test_one_250_too_many_is_found_out(name, offer, expected):
    outcomes = converse(ModelRelay(stray={0: b"250 stray\r\n"}), 1, [], offer)

    outcome = outcomes[1]
    assert isinstance(outcome, Unreachable)
    assert (outcome.stage, outcome.had_turn) == (expected.stage, expected.had_turn)


def test_a_refusal_out_of_step_fails_nobody():
    # MAIL is refused once too often: the 550 in the place of RCPT's answer is not RCPT's.
    relay = ModelRelay(stray={0: b"550 stray\r\n"})

    outcome = converse(relay, 1, [], FULL)[1]

    assert isinstance(outcome, Unreachable)


def test_content_and_the_next_envelope_go_in_one_write():
    session = Session(FULL)
    session.offer(parcel(1))
    session.wrote(len(session.outgoing))
    session.received(b"250 ok\r\n250 ok\r\n354 go\r\n")
    session.permit(1)
    assert session.can_take
    session.offer(parcel(2))

    outgoing = bytes(session.outgoing)

    assert outgoing.startswith(b"Message-ID: <1@example.org>")
    assert outgoing.endswith(
        b"\r\n.\r\nMAIL FROM:<noreply@example.org> SIZE=60\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"
    )


def test_a_refused_recipient_whose_data_is_taken_gets_a_lone_dot():
    session = Session(FULL)
    session.offer(parcel(1))
    session.wrote(len(session.outgoing))
    session.received(b"250 ok\r\n550 no\r\n354 go\r\n")

    assert bytes(session.outgoing) == b".\r\n"
    assert told(session.take_events()) == {1: Reply(stage=Stage.RCPT, code=550, text="no")}


def test_an_answer_before_the_content_left_is_no_answer_to_it():
    session = Session(FULL)
    session.offer(parcel(1))
    session.wrote(len(session.outgoing))
    session.received(b"250 ok\r\n250 ok\r\n354 go\r\n")
    session.permit(1)
    session.wrote(len(session.outgoing) - 1)
    session.received(b"250 already?\r\n")

    outcome = told(session.take_events())[1]
    assert isinstance(outcome, Unreachable)
    assert session.is_over


@pytest.mark.parametrize("is_dot_written", [True, False])
def test_the_last_byte_of_the_final_dot_decides_between_doubt_and_certainty(is_dot_written):
    session = Session(FULL)
    session.offer(parcel(1))
    session.wrote(len(session.outgoing))
    session.received(b"250 ok\r\n250 ok\r\n354 go\r\n")
    session.permit(1)
    session.wrote(len(session.outgoing) - (0 if is_dot_written else 1))
    session.lost("cut")

    outcome = told(session.take_events())[1]
    assert isinstance(outcome, Doubtful if is_dot_written else Unreachable)


@pytest.mark.parametrize(
    "content",
    [b"a\nb\r\n", b"a\rb\r\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\r\r\n", b"a\n"],
)
def test_a_line_end_that_is_not_crlf_never_reaches_the_wire(content):
    session = Session(FULL)

    with pytest.raises(ValueError, match="CRLF"):
        session.offer(parcel(1, content=content))

    assert session.can_take
    assert not session.outgoing


@given(st.lists(st.lists(st.sampled_from([b".", b"", b"a"]), max_size=5), max_size=6))
def test_a_body_that_was_seen_before_goes_out_like_a_new_one(mails):
    framing = Framing()
    for lines in mails:
        content = b"".join(line + b"\r\n" for line in lines)

        for variant in (content, content[:-2]):
            assert Framing().for_data(variant) == framing.for_data(variant)


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"", b".a"]), max_size=8))
def test_stuffed_dots_come_back_as_they_were(lines):
    content = b"".join(line + b"\r\n" for line in lines)

    stuffed = Framing().for_data(content)

    received = stuffed.split(b"\r\n")[:-1]
    assert received[-1] == b"."
    assert [line.removeprefix(b".") for line in received[:-1]] == lines
    assert b"." not in received[:-1]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"535 u hunter22 is wrong\r\n", "u *** is wrong"),
        (b"535 you said aHVudGVyMjI=\r\n", "you said ***="),
        (b"550 \x1b[2J\x00gone\r\n", r"\x1b[2J\x00gone"),
        (b"550-one\r\n550 two\r\n", "one two"),
        (b"550 gr\xfc\xdfe\r\n", r"gr\xfc\xdfe"),
    ],
)
def test_what_a_relay_says_is_harmless_to_show(said, text):
    session = Session(PLAIN, Scrubber("hunter22"))
    session.offer(parcel(1))
    session.received(said.replace(b"535", b"550"))
    session.received(b"250 ok\r\n")

    assert told(session.take_events()) == {1: Reply(stage=Stage.MAIL, code=550, text=text)}


@pytest.mark.parametrize(
    "said",
    [b"550 " + b"x" * 9000 + b"\r\n", b"550-x\r\n" * 101, b"550-" + b"x" * 8000 + b"\r\n"],
    ids=["a line", "many lines", "a long multi-line reply"],
)
def test_an_endless_reply_ends_the_connection(said):
    session = Session(PLAIN)
    session.offer(parcel(1))
    for _ in range(10):
        session.received(said)

    outcome = told(session.take_events())[1]
    assert session.is_over
    assert isinstance(outcome, Unreachable)
    assert "longer than" in outcome.because


def test_a_long_reply_is_cut():
    session = Session(PLAIN)
    session.offer(parcel(1))
    session.received(b"550 " + b"x" * 3000 + b"\r\n")
    session.received(b"250 reset\r\n")

    assert told(session.take_events()) == {
        1: Reply(stage=Stage.MAIL, code=550, text="x" * MAX_TEXT_CHARS)
    }
