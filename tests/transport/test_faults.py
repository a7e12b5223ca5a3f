"""Every misbehaviour of a relay by name, against what must come of it."""

import pytest

from envoi.core.delivery import Doubtful, Reply, Stage, Unreachable
from envoi.testing import Fault, FaultyRelay, RelayTraits
from envoi.testing.ledger import EXTENSIONS
from tests.transport.rounds import options as options_for
from tests.transport.rounds import parcel, send

LOCK_STEP = tuple(word for word in EXTENSIONS if word != "PIPELINING")


def summary(outcome):
    """An outcome in the words of the tables below."""
    match outcome:
        case Reply(stage=stage, code=code):
            return f"{stage} {code}"
        case Unreachable(stage=stage, had_turn=had_turn):
            return f"unreachable {stage}{', had turn' if had_turn else ''}"
        case Doubtful():
            return "doubtful"
        case _:
            return "unsuitable"


def options(port, **changes):
    return options_for(port, content_timeout_s=changes.pop("content_timeout_s", 1), **changes)


@pytest.fixture(params=[EXTENSIONS, LOCK_STEP], ids=["pipelined", "lock-step"])
def any_relay(request):
    with FaultyRelay(RelayTraits(extensions=request.param)) as relay:
        yield relay


MAIL_FAULTS = [
    # What the relay does, what comes of the mail, how many are on the relay's disk.
    (Fault.NONE, "content 250", 1),
    (Fault.MAIL_451, "mail 451", 0),
    (Fault.MAIL_421, "mail 421", 0),
    (Fault.MAIL_550, "mail 550", 0),
    (Fault.RCPT_421, "rcpt 421", 0),
    (Fault.RCPT_450, "rcpt 450", 0),
    (Fault.RCPT_550, "rcpt 550", 0),
    (Fault.RCPT_550_354, "rcpt 550", 0),
    (Fault.DATA_250, "unreachable data, had turn", 0),
    (Fault.DATA_421, "data 421", 0),
    (Fault.DATA_451, "data 451", 0),
    (Fault.DATA_554, "data 554", 0),
    (Fault.DROP_IN_DATA, "doubtful", 0),  # small: it left us whole, and nobody knows better
    (Fault.END_421, "content 421", 0),
    (Fault.END_451, "content 451", 0),
    (Fault.END_452, "content 452", 0),
    (Fault.END_554, "content 554", 0),
    (Fault.SLOW_554, "content 554", 0),
    (Fault.DROP_UNKEPT, "doubtful", 0),
    (Fault.DROP_KEPT, "doubtful", 1),
    (Fault.HANG_KEPT, "doubtful", 1),
    (Fault.KEPT_451, "content 451", 1),
    (Fault.KEPT_421, "content 421", 1),
    (Fault.SLOW_ACK, "content 250", 1),
    (Fault.CLOSE_AFTER_250, "content 250", 1),
    (Fault.LIE_250, "content 250", 0),  # beyond us (R14)
]


@pytest.mark.parametrize(
    ("fault", "expected", "kept"),
    MAIL_FAULTS,
    ids=[fault or "clean" for fault, _, _ in MAIL_FAULTS],
)
def test_what_comes_of_a_mail(any_relay, fault, expected, kept):
    any_relay.messages.play([fault])

    result = send(options(any_relay.port), parcel(1))

    assert summary(result.outcomes[1]) == expected
    assert len(any_relay.kept) == kept
    assert any_relay.ledger.violations == []
    assert result.troubles == []


@pytest.mark.parametrize("fault", [fault for fault, _, _ in MAIL_FAULTS if fault])
def test_the_mails_beside_a_faulty_one_arrive(any_relay, fault):
    any_relay.messages.play(["", "", fault])

    result = send(options(any_relay.port), *(parcel(number) for number in range(1, 7)))

    others = [summary(result.outcomes[number]) for number in (1, 2, 4, 5, 6)]
    assert others == ["content 250"] * 5
    assert sorted(kept.message_id for kept in any_relay.kept) == sorted(
        f"<{number}@example.org>"
        for number in range(1, 7)
        if number != 3 or fault in {*_KEEPING, Fault.SLOW_ACK, Fault.CLOSE_AFTER_250}
    )
    assert any_relay.ledger.violations == []


_KEEPING = {Fault.DROP_KEPT, Fault.HANG_KEPT, Fault.KEPT_421, Fault.KEPT_451}


def test_a_relay_that_hangs_up_right_behind_354(any_relay):
    any_relay.messages.play([Fault.DROP_ON_354])

    result = send(options(any_relay.port), parcel(1))

    # Whether our content left before the end of the connection came is a race on the wire.
    assert summary(result.outcomes[1]) in {"doubtful", "unreachable data, had turn"}
    assert any_relay.kept == []


def test_a_content_that_did_not_leave_whole_is_not_in_doubt(any_relay):
    any_relay.messages.play([Fault.DROP_IN_DATA])
    large = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 500_000

    result = send(options(any_relay.port), parcel(1, content=large))

    assert summary(result.outcomes[1]) == "unreachable data, had turn"


def test_one_hang_up_without_an_answer_costs_nothing(any_relay):
    any_relay.messages.play([Fault.MAIL_DROP])

    result = send(options(any_relay.port), parcel(1))

    assert summary(result.outcomes[1]) == "content 250"


def test_a_mail_that_was_answered_before_the_hang_up_waits_like_a_refused_one(any_relay):
    any_relay.messages.play([Fault.RCPT_DROP])

    result = send(options(any_relay.port), parcel(1))

    assert summary(result.outcomes[1]) == "unreachable rcpt, had turn"


def test_a_mail_that_makes_the_relay_hang_up_is_not_offered_in_a_tight_loop(any_relay):
    any_relay.messages.play([Fault.MAIL_DROP] * 2)

    result = send(options(any_relay.port), parcel(1), parcel(2))

    assert summary(result.outcomes[1]) == "unreachable mail, had turn"
    assert summary(result.outcomes[2]) == "content 250"
    assert any_relay.ledger.connections == 3


def test_a_relay_that_always_hangs_up_is_in_trouble(any_relay):
    any_relay.messages.play([], then=Fault.MAIL_DROP)

    result = send(options(any_relay.port), *(parcel(number) for number in range(1, 4)))

    assert [trouble.stage for trouble in result.troubles] == [Stage.MAIL]
    assert any_relay.ledger.connections == 3


@pytest.mark.parametrize("recipient", ["ann", "perm-ann"])
@pytest.mark.parametrize("fault", [Fault.DESYNC, Fault.DESYNC_DATA])
def test_one_reply_too_many_settles_nothing_wrongly(any_relay, fault, recipient):
    any_relay.messages.play([fault])

    result = send(options(any_relay.port), parcel(1, recipient))

    outcome = summary(result.outcomes[1])
    if recipient == "ann":
        assert outcome.startswith("unreachable")
        assert any_relay.kept == []
    else:
        assert outcome in {"rcpt 550", "unreachable rcpt, had turn", "unreachable data, had turn"}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("perm-", "rcpt 550"),
        ("temp-", "rcpt 450"),
        ("dataperm-", "content 554"),
        ("slowack-", "content 250"),
        ("dropdata-", "doubtful"),
        ("rcpt_421-", "rcpt 421"),
    ],
)
def test_recipients_that_are_always_treated_so(any_relay, prefix, expected):
    result = send(
        options(any_relay.port), parcel(1, "ok-ann"), parcel(2, f"{prefix}bob"), parcel(3, "ok-cy")
    )

    assert {number: summary(outcome) for number, outcome in result.outcomes.items()} == {
        1: "content 250",
        2: expected,
        3: "content 250",
    }


OPENING_FAULTS = [
    # What the relay does, the stage of the trouble, a word of its reason.
    (Fault.GREET_421, Stage.GREETING, "421"),
    (Fault.GREET_554, Stage.GREETING, "554"),
    (Fault.GARBAGE, Stage.GREETING, "not an SMTP server"),
    (Fault.ACCEPT_CLOSE, Stage.GREETING, "hung up"),
    (Fault.HANG_GREET, Stage.GREETING, "no whole reply within 0.3 s"),
    (Fault.SLOWLORIS, Stage.GREETING, "no whole reply within 0.3 s"),
    (Fault.EHLO_421, Stage.EHLO, "421"),
    (Fault.LONG_REPLY, Stage.EHLO, "longer than 100 lines"),
]


@pytest.mark.parametrize(
    ("fault", "stage", "word"), OPENING_FAULTS, ids=[fault for fault, _, _ in OPENING_FAULTS]
)
def test_trouble_while_opening_is_the_relays_and_no_mails(relay, fault, stage, word):
    relay.connections.play([fault])

    result = send(options(relay.port, command_timeout_s=0.3), parcel(1), parcel(2))

    assert [trouble.stage for trouble in result.troubles] == [stage]
    assert word in result.troubles[0].because
    assert not result.troubles[0].needs_operator
    assert {summary(outcome) for outcome in result.outcomes.values()} == {f"unreachable {stage}"}
    assert relay.ledger.connections == 1


def test_a_relay_that_knows_helo_only(relay):
    relay.connections.play([Fault.EHLO_502])

    result = send(options(relay.port), parcel(1), parcel(2))

    assert {summary(outcome) for outcome in result.outcomes.values()} == {"content 250"}


def test_a_relay_that_wants_a_sign_in_is_in_trouble_and_no_mail_fails(any_relay):
    any_relay.messages.play(["", Fault.MAIL_530])

    result = send(options(any_relay.port), *(parcel(number) for number in (1, 2, 3)))

    assert summary(result.outcomes[1]) == "content 250"
    assert [trouble.stage for trouble in result.troubles] == [Stage.AUTH]
    assert "530" in result.troubles[0].because
    assert {summary(outcome) for outcome in list(result.outcomes.values())[1:]} == {
        "unreachable auth"
    }


def test_dots_at_line_starts_arrive_unchanged(any_relay):
    content = b".\r\n..\r\n.hidden\r\n\r\n.\r\n..\r\n"

    send(options(any_relay.port), parcel(1, content=content))

    assert [kept.content for kept in any_relay.kept] == [content]
    assert any_relay.ledger.bare_cr == any_relay.ledger.bare_lf == any_relay.ledger.smuggling == 0
