"""A window of mails by BDAT, over real sockets to a relay that misbehaves by name."""

import pytest

from envoi.core.delivery import Doubtful, Reply, Stage, Unreachable
from envoi.seams import Ready
from envoi.testing import Fault, FaultyRelay, RelayTraits
from envoi.transport.carrier import SmtpCarrier
from tests.transport.rounds import Round, drive, options, parcel
from tests.transport.test_faults import MAIL_FAULTS, summary

WINDOW = 4
# Two mails go by DATA and prove the relay, the next is the first of those by BDAT.
PROOF = 2
# What a relay does between DATA and the content has no place where there is no 354.
BY_DATA_ONLY = {Fault.DATA_250}


@pytest.fixture
def carrying():
    """Makes carriers with a window and closes them."""
    carriers = []

    def make(relay, **changes):
        changes = {"window": WINDOW, "content_timeout_s": 1, **changes}
        carriers.append(SmtpCarrier(options(relay.port, **changes)))
        return carriers[-1]

    yield make
    for carrier in carriers:
        carrier.close(1)


def send_all(carrier, count, recipients=None):
    """Carry mails 1 to `count`, the `recipients` by number."""
    recipients = recipients or {}
    waiting = [parcel(number, recipients.get(number, "ann")) for number in range(1, count + 1)]
    result = Round()
    drive(carrier, result, until=lambda: len(result.outcomes) == count, waiting=waiting)
    return result


def ids(relay):
    return [kept.message_id for kept in relay.kept]


def test_mails_go_by_bdat_and_each_arrives_once(relay, carrying):
    result = send_all(carrying(relay), 40)

    assert {summary(outcome) for outcome in result.outcomes.values()} == {"content 250"}
    assert ids(relay) == [f"<{number}@example.org>" for number in range(1, 41)]
    assert relay.ledger.chunks == 40 - PROOF
    assert relay.ledger.connections == 1
    assert relay.ledger.violations == []


def test_several_connections_share_a_window_each(carrying):
    with FaultyRelay(RelayTraits(slow_s=0.01)) as relay:
        slow = dict.fromkeys(range(1, 81), "slowack-ann")

        result = send_all(carrying(relay, connections=3), 80, slow)

        assert {summary(outcome) for outcome in result.outcomes.values()} == {"content 250"}
        assert len(set(ids(relay))) == len(ids(relay)) == 80
        assert len({kept.connection for kept in relay.kept}) == 3
        assert relay.ledger.violations == []


EXPECTED = {
    # Without a 354 to hang up at, the content has left before the relay is gone.
    Fault.DROP_ON_354: "doubtful",
    # What the relay says instead of taking a content is its answer to the content.
    Fault.DATA_421: "content 421",
    Fault.DATA_451: "content 451",
    Fault.DATA_554: "content 554",
}


@pytest.mark.parametrize(
    ("fault", "expected", "kept"),
    [case for case in MAIL_FAULTS if case[0] not in BY_DATA_ONLY],
    ids=[fault or "clean" for fault, _, _ in MAIL_FAULTS if fault not in BY_DATA_ONLY],
)
def test_what_comes_of_a_mail_in_the_window(relay, carrying, fault, expected, kept):
    relay.messages.play([""] * (PROOF + 1) + [fault])

    result = send_all(carrying(relay), 8)

    faulty = PROOF + 2
    assert summary(result.outcomes[faulty]) == EXPECTED.get(fault, expected)
    assert ids(relay).count(f"<{faulty}@example.org>") == kept
    assert relay.ledger.violations == []
    # The others arrived, or the connection broke behind them and they are in doubt: never lost.
    for number in {*range(1, 9)} - {faulty}:
        outcome = summary(result.outcomes[number])
        assert outcome in {"content 250", "doubtful"}
        assert ids(relay).count(f"<{number}@example.org>") == 1 or outcome == "doubtful"
    in_doubt = [o for o in result.outcomes.values() if isinstance(o, Doubtful)]
    assert len(in_doubt) <= WINDOW
    assert result.troubles == []


def test_refused_recipients_among_the_others_stand_for_themselves(relay, carrying):
    odd = {6: "perm-bob", 9: "temp-cy", 10: "dataperm-dee"}

    result = send_all(carrying(relay), 16, odd)

    outcomes = {number: summary(outcome) for number, outcome in result.outcomes.items()}
    assert outcomes.pop(6) == "rcpt 550"
    assert outcomes.pop(9) == "rcpt 450"
    assert outcomes.pop(10) == "content 554"
    assert set(outcomes.values()) == {"content 250"}
    assert relay.ledger.violations == []


@pytest.mark.parametrize("fault", [Fault.DESYNC, Fault.DESYNC_DATA])
def test_one_reply_too_many_makes_nothing_sent_that_is_not_there(relay, carrying, fault):
    relay.messages.play([""] * 5 + [fault])

    result = send_all(carrying(relay), 12)

    for number, outcome in result.outcomes.items():
        if isinstance(outcome, Reply):
            assert (outcome.stage, outcome.code) == (Stage.CONTENT, 250)
            assert f"<{number}@example.org>" in ids(relay)
    assert sum(isinstance(o, Doubtful) for o in result.outcomes.values()) <= WINDOW


def test_a_relay_that_sends_us_away_costs_no_doubt(carrying):
    with FaultyRelay(RelayTraits(max_messages=5)) as relay:
        result = send_all(carrying(relay), 30)

        outcomes = [summary(outcome) for outcome in result.outcomes.values()]
        assert set(outcomes) == {"content 250", "mail 421"}
        # Told once; from then on a connection gets five.
        assert outcomes.count("mail 421") == 1
        assert len(ids(relay)) == 29
        assert result.troubles == []


def test_a_relay_that_does_not_know_bdat_gets_everything_by_data(relay, carrying):
    relay.messages.play([], then=Fault.BDAT_502)

    result = send_all(carrying(relay), 12)

    assert {summary(outcome) for outcome in result.outcomes.values()} == {"content 250"}
    assert len(set(ids(relay))) == len(ids(relay)) == 12
    assert relay.ledger.connections == 2


def test_a_mail_is_not_put_behind_a_content_whose_answer_does_not_come(
    relay, carrying, monkeypatch
):
    monkeypatch.setattr("envoi.transport.line._STUCK_S", 0.05)
    carrier = carrying(relay, connections=2, content_timeout_s=30)
    carrier.limit_connections(1)
    send_all(carrier, 6)
    carrier.load(parcel(10, "hang_kept-newsletter"))
    result = Round()
    drive(carrier, result, until=lambda: len(relay.kept) == 7)
    carrier.limit_connections(2)
    carrier.turn(0.1)

    carrier.load(parcel(11, "password-reset"))
    drive(carrier, result, until=lambda: 11 in result.outcomes)

    assert list(result.outcomes) == [11]
    assert summary(result.outcomes[11]) == "content 250"


def test_a_window_of_large_contents_goes_through_tls(carrying, certificates):
    line = b"x" * 70 + b"\r\n"
    contents = [b"Subject: %d\r\n\r\n" % n + line * 800 for n in range(1, 31)]
    traits = RelayTraits(tls="tls", context=certificates.contexts["good"])
    with FaultyRelay(traits) as relay:
        carrier = carrying(
            relay, host="localhost", tls="tls", ca_file=certificates.ca_file, content_timeout_s=20
        )
        result = Round()
        waiting = [parcel(n, content=content) for n, content in enumerate(contents, start=1)]
        drive(carrier, result, until=lambda: len(result.outcomes) == 30, waiting=waiting)

        assert {summary(outcome) for outcome in result.outcomes.values()} == {"content 250"}
        assert [kept.content for kept in relay.kept] == contents
        assert relay.ledger.chunks == 30 - PROOF
        carrier.close(1)


def test_room_grows_with_the_window_once_the_relay_is_known(relay, carrying):
    carrier = carrying(relay)
    before = carrier.room()
    send_all(carrier, 3)

    assert (before, carrier.room()) == (2, 2 * WINDOW)


def test_no_more_than_the_window_waits_for_a_permit(relay, carrying):
    carrier = carrying(relay)
    send_all(carrier, 3)
    for number in range(10, 10 + carrier.room()):
        carrier.load(parcel(number))

    events = carrier.turn(0.2)

    assert [event.delivery_id for event in events if isinstance(event, Ready)] == [10, 11, 12, 13]
    assert carrier.turn(0.05) == []
    assert len(relay.kept) == 3


def test_closing_finishes_what_was_permitted_of_a_window(relay, carrying):
    carrier = carrying(relay)
    send_all(carrier, 3)
    for number in (10, 11, 12):
        carrier.load(parcel(number))
    carrier.turn(0.2)
    carrier.permit([10, 11])
    result = Round()

    result.take(carrier, carrier.close(5))

    assert {number: type(outcome) for number, outcome in result.outcomes.items()} == {
        10: Reply,
        11: Reply,
        12: Unreachable,
    }
    assert ids(relay)[3:] == ["<10@example.org>", "<11@example.org>"]
