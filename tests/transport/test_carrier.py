"""The loop over several connections: who goes where, what a dead one costs, how it ends."""

import threading
import time

import pytest

from envoi.core.delivery import Doubtful, Reply, Stage, Unreachable, Unsuitable
from envoi.seams import CarrierEvent, Finished, Parcel, Ready, RelayWell
from envoi.testing import Fault, FaultyRelay, RelayTraits
from envoi.transport.carrier import SmtpCarrier
from tests.transport.rounds import Round, carry, drive, options, parcel, reason, send, told


@pytest.fixture
def carrying():
    """Makes carriers and closes them."""
    carriers = []

    def make(opts, **changes):
        carriers.append(SmtpCarrier(opts, **changes))
        return carriers[-1]

    yield make
    for carrier in carriers:
        carrier.close(1)


def codes(result):
    return {number: outcome.code for number, outcome in result.outcomes.items()}


def codes_of_refused(result):
    return [outcome.code for outcome in result.outcomes.values() if isinstance(outcome, Reply)]


def parcels(count, first=1, recipient="ann"):
    return [parcel(number, recipient) for number in range(first, first + count)]


def until_ready(carrier, count):
    """Turn without permitting anything until so many wait; returns all events."""
    events: list[CarrierEvent] = []
    end = time.monotonic() + 10
    while sum(isinstance(event, Ready) for event in events) < count:
        assert time.monotonic() < end, events
        events.extend(carrier.turn(0.1))
    return events


def test_one_connection_carries_in_order_and_pipelines(relay, carrying):
    carrier = carrying(options(relay.port))

    result = carry(carrier, parcels(20))

    assert set(codes(result).values()) == {250}
    assert [kept.message_id for kept in relay.kept] == [f"<{n}@example.org>" for n in range(1, 21)]
    assert relay.ledger.connections == 1
    assert relay.ledger.violations == []


def test_in_the_steady_state_a_turn_tells_of_one_mail_and_the_next(relay, carrying):
    carrier = carrying(options(relay.port))
    carrier.load(parcel(1))
    until_ready(carrier, 1)
    carrier.permit([1])
    carrier.load(parcel(2))

    events = until_ready(carrier, 1)

    assert [type(event) for event in events] == [Finished, Ready]
    assert len(relay.kept) == 1


def test_nothing_leaves_without_permit(relay, carrying):
    carrier = carrying(options(relay.port))
    carrier.load(parcel(1))
    until_ready(carrier, 1)

    assert carrier.turn(0.05) == []
    assert relay.kept == []


def test_several_connections_share_the_work_and_never_exceed_the_limit(carrying):
    # Slow enough that all connections are wanted before the work is done.
    with FaultyRelay(RelayTraits(slow_s=0.05)) as relay:
        carrier = carrying(options(relay.port, connections=3))

        result = carry(carrier, parcels(30, recipient="slowack-ann"))

        assert set(codes(result).values()) == {250}
        assert relay.ledger.most_open == 3
        assert len({kept.connection for kept in relay.kept}) == 3
        assert len(relay.kept) == len({kept.message_id for kept in relay.kept}) == 30
        assert len(result.wells) == 1
        carrier.close(1)


def test_room_is_two_for_each_connection(relay, carrying):
    carrier = carrying(options(relay.port, connections=3))
    before = carrier.room()
    carrier.load(parcel(1))

    assert (before, carrier.room()) == (6, 5)


def test_a_delivery_is_not_loaded_twice(relay, carrying):
    carrier = carrying(options(relay.port))
    carrier.load(parcel(1))

    with pytest.raises(ValueError, match="loaded twice"):
        carrier.load(parcel(1))


def test_a_connection_is_renewed_after_its_share(relay, carrying):
    carrier = carrying(options(relay.port, messages_per_connection=5))

    result = carry(carrier, parcels(12))

    assert set(codes(result).values()) == {250}
    assert [kept.connection for kept in relay.kept] == [1] * 5 + [2] * 5 + [3] * 2


def test_an_idle_connection_says_goodbye_after_its_time(relay, carrying):
    carrier = carrying(options(relay.port, idle_s=0.05))
    carry(carrier, parcels(1))

    drive(carrier, Round(), until=lambda: relay.ledger.open == 0)

    assert relay.ledger.violations == []
    result = carry(carrier, parcels(1, first=2))
    assert codes(result) == {2: 250}


def test_a_dead_idle_connection_costs_nothing(relay, carrying):
    carrier = carrying(options(relay.port))
    carry(carrier, parcels(1))
    relay.cut()

    # Loaded before the loop could see the end of the connection.
    result = carry(carrier, parcels(3, first=2))

    assert set(codes(result).values()) == {250}
    assert result.troubles == []


def test_a_relay_that_comes_back_is_used_again(relay, carrying):
    carrier = carrying(options(relay.port, connections=3))
    carry(carrier, parcels(3))
    relay.stop()

    down = carry(carrier, parcels(6, first=4))

    assert len(down.troubles) == 1
    assert set(down.outcomes) == set(range(4, 10))
    assert all(isinstance(o, Unreachable) and not o.had_turn for o in down.outcomes.values())
    assert carrier.room() == 0

    carrier.retry_now()
    still_down = Round()
    drive(carrier, still_down, until=lambda: bool(still_down.troubles))
    assert [trouble.stage for trouble in still_down.troubles] == [Stage.CONNECT]
    assert "connection refused" in still_down.troubles[0].because
    assert carrier.room() == 0

    relay.start()
    carrier.retry_now()
    back = Round()
    drive(carrier, back, until=lambda: bool(back.wells))
    assert carrier.room() == 6
    assert set(codes(carry(carrier, parcels(6, first=4))).values()) == {250}


def test_only_one_connection_knocks_at_a_relay_in_trouble(relay, carrying):
    relay.connections.play([Fault.GREET_421] * 3)
    carrier = carrying(options(relay.port, connections=4))

    first = carry(carrier, parcels(8))
    assert relay.ledger.connections == 1
    for attempt in (2, 3):
        carrier.retry_now()
        carrier.retry_now()
        refused = Round()
        drive(carrier, refused, until=lambda: bool(refused.troubles))  # noqa: B023 # used at once
        assert relay.ledger.connections == attempt
    carrier.retry_now()
    well = Round()
    drive(carrier, well, until=lambda: bool(well.wells))

    assert len(first.troubles) == 1
    assert set(codes(carry(carrier, parcels(8))).values()) == {250}


def test_a_relay_that_allows_fewer_connections_lowers_their_number_only(carrying):
    with FaultyRelay(RelayTraits(max_connections=2, slow_s=0.05)) as relay:
        carrier = carrying(options(relay.port, connections=4))

        result = carry(carrier, parcels(20, recipient="slowack-ann"))

        assert set(codes(result).values()) == {250}
        assert result.troubles == []
        # 1 goes ahead, 3 follow, 2 of these are refused; nobody knocks again for a while.
        assert relay.ledger.connections == 4
        carrier.close(1)


@pytest.mark.parametrize("fault", [Fault.RCPT_421, Fault.DATA_421, Fault.END_421])
def test_a_421_on_one_of_several_connections_lowers_their_number(carrying, fault):
    with FaultyRelay(RelayTraits(slow_s=0.05)) as relay:
        carrier = carrying(options(relay.port, connections=3))
        names = ["slowack-ann"] * 9 + [f"{fault}-ann"] + ["slowack-ann"] * 14

        result = carry(carrier, [parcel(n, name) for n, name in enumerate(names, start=1)])

        assert sorted(codes(result).values()) == [250] * 23 + [421]
        assert result.troubles == []
        # Nobody takes the place of the one that was sent away.
        assert relay.ledger.most_open == relay.ledger.connections == 3
        carrier.close(1)


@pytest.mark.parametrize("fault", [Fault.MAIL_421, Fault.RCPT_421, Fault.DATA_421, Fault.END_421])
def test_a_relay_that_sends_every_connection_away_is_in_trouble(relay, carrying, fault):
    relay.messages.play([], then=fault)
    carrier = carrying(options(relay.port))

    result = carry(carrier, parcels(30))

    assert [trouble.stage for trouble in result.troubles] == [Stage.MAIL]
    assert "421" in result.troubles[0].because
    assert relay.ledger.connections == 3
    untried = [o for o in result.outcomes.values() if isinstance(o, Unreachable)]
    assert all(not outcome.had_turn for outcome in untried)

    carrier.retry_now()
    well = Round()
    drive(carrier, well, until=lambda: bool(well.wells))
    again = carry(carrier, parcels(30, first=100))

    # One mail more is offered, until the relay deals with one.
    assert relay.ledger.connections == 4
    assert len(again.troubles) == 1
    assert codes_of_refused(again) == [421]


def test_a_relay_that_hangs_up_after_many_refusals_is_not_in_trouble(relay, carrying):
    """Postfix says 421 after twenty errors; the recipients are to blame."""
    relay.messages.play(([Fault.RCPT_550] * 4 + [Fault.RCPT_421]) * 4)
    carrier = carrying(options(relay.port))

    result = carry(carrier, parcels(24))

    assert sorted(codes(result).values()) == [250] * 4 + [421] * 4 + [550] * 16
    assert result.troubles == []


def test_a_relay_that_sends_us_away_after_some_mails_is_asked_for_no_more(carrying):
    with FaultyRelay(RelayTraits(max_messages=3)) as relay:
        carrier = carrying(options(relay.port))

        result = carry(carrier, parcels(12))

        # The fourth is refused, and from then on a connection gets three.
        refused = [number for number, code in codes(result).items() if code == 421]
        assert refused == [4]
        assert len(relay.kept) == 11
        assert result.troubles == []
        carrier.close(1)


def test_fewer_connections_are_kept_when_the_limit_falls(relay, carrying):
    carrier = carrying(options(relay.port, connections=4))
    carry(carrier, parcels(40))
    carrier.limit_connections(1)

    drive(carrier, Round(), until=lambda: relay.ledger.open <= 1)

    assert carrier.room() == 2
    assert set(codes(carry(carrier, parcels(5, first=100))).values()) == {250}


def test_no_connection_at_all_while_the_limit_is_zero(relay, carrying):
    carrier = carrying(options(relay.port))
    carrier.limit_connections(0)

    assert carrier.room() == 0


def test_wake_ends_a_turn_from_another_thread(relay, carrying):
    carrier = carrying(options(relay.port))
    waker = threading.Timer(0.05, carrier.wake)
    waker.start()
    began = time.monotonic()

    events = carrier.turn(10)

    waker.join()
    assert events == []
    assert time.monotonic() - began < 5


def test_a_wake_before_the_turn_is_not_lost(relay, carrying):
    carrier = carrying(options(relay.port))
    carrier.wake()
    began = time.monotonic()

    carrier.turn(10)

    assert time.monotonic() - began < 5


def test_a_mail_behind_a_slow_one_is_taken_elsewhere(carrying, monkeypatch):
    monkeypatch.setattr("envoi.transport.carrier._OVERTAKE_S", 0.05)
    with FaultyRelay(RelayTraits(slow_s=1)) as relay:
        carrier = carrying(options(relay.port, connections=2))
        carrier.load(parcel(1, "slowack-newsletter"))
        until_ready(carrier, 1)
        carrier.limit_connections(1)
        carrier.permit([1])
        carrier.load(parcel(2, "ann"))
        carrier.turn(0)
        carrier.limit_connections(2)
        result = Round()

        drive(carrier, result, until=lambda: len(result.outcomes) == 2)

        assert [kept.recipient for kept in relay.kept][-1] == "ann@example.org"
        assert list(result.outcomes) == [2, 1]
        assert set(codes(result).values()) == {250}


def test_a_withdrawn_parcel_never_goes_and_nothing_is_told(relay, carrying):
    carrier = carrying(options(relay.port))
    carrier.load(parcel(1))
    carrier.load(parcel(2))
    carrier.load(parcel(3))
    until_ready(carrier, 1)
    carrier.withdraw([1, 3, 99])
    result = Round()

    drive(carrier, result, until=lambda: 2 in result.outcomes)

    assert codes(result) == {2: 250}
    assert [kept.message_id for kept in relay.kept] == ["<2@example.org>"]
    assert carrier.room() == 2


def test_a_mail_that_cannot_be_made_stops_nobody_else(relay):
    def broken(_):
        raise ValueError("a part is missing")

    bad = Parcel(delivery_id=1, mail_from=None, recipient=parcel(1).recipient, wire=broken)

    result = send(options(relay.port), bad, parcel(2), parcel(3, content=b"bare\nLF\r\n"))

    assert "a part is missing" in reason(result.outcomes[1])
    assert isinstance(result.outcomes[2], Reply)
    assert "CRLF" in reason(result.outcomes[3])
    assert len(relay.kept) == 1


@pytest.mark.parametrize("is_permitted", [True, False], ids=["permitted", "only ready"])
def test_closing_finishes_what_was_permitted_and_gives_the_rest_back(relay, is_permitted):
    carrier = SmtpCarrier(options(relay.port))
    carrier.load(parcel(1))
    carrier.load(parcel(2))
    until_ready(carrier, 1)
    if is_permitted:
        carrier.permit([1])

    outcomes = told(carrier.close(5))

    assert len(relay.kept) == is_permitted
    assert isinstance(outcomes[1], Reply if is_permitted else Unreachable)
    assert outcomes[2] == Unreachable(stage=Stage.CONNECT, because="the worker stops")


def test_closing_does_not_wait_longer_than_it_may(relay):
    relay.messages.play([Fault.HANG_KEPT])
    carrier = SmtpCarrier(options(relay.port))
    carrier.load(parcel(1))
    until_ready(carrier, 1)
    carrier.permit([1])
    carrier.turn(0.05)
    began = time.monotonic()

    outcomes = told(carrier.close(0.2))

    assert isinstance(outcomes[1], Doubtful)
    assert time.monotonic() - began < 3


def test_closing_while_a_connection_opens_leaves_nothing_open(relay):
    relay.connections.play([Fault.HANG_GREET])
    carrier = SmtpCarrier(options(relay.port))
    carrier.load(parcel(1))
    carrier.turn(0.05)

    assert isinstance(told(carrier.close(0.1))[1], Unreachable)


def test_a_relay_that_does_not_read_is_given_up(carrying):
    # The clock runs fast: every reading is a second later.
    ticks = iter(range(10_000_000))
    with FaultyRelay(RelayTraits(extensions=("PIPELINING",))) as relay:
        relay.messages.play([Fault.HANG_IN_DATA])
        patient = options(relay.port, command_timeout_s=1e9, content_timeout_s=30)
        carrier = carrying(patient, clock=lambda: next(ticks))
        large = b"0123456789abcdef\r\n" * 1_000_000

        result = carry(carrier, [parcel(1, content=large)])

        assert result.outcomes[1] == Unreachable(
            stage=Stage.DATA, because="no answer to CONTENT within 30 s", had_turn=True
        )


def test_well_is_told_once(relay, carrying):
    carrier = carrying(options(relay.port, connections=2, idle_s=0.01))
    first = carry(carrier, parcels(4))
    drive(carrier, first, until=lambda: relay.ledger.open == 0)

    second = carry(carrier, parcels(4, first=10))

    assert first.wells == [RelayWell(relay=f"127.0.0.1:{relay.port}")]
    assert second.wells == []


@pytest.mark.parametrize(
    ("extensions", "content", "recipient", "expected"),
    [
        (("PIPELINING",), "grüße\r\n".encode(), "ann", "8BITMIME"),
        (("SIZE 10",), b"more than ten\r\n", "ann", "552"),
        ((), b"hello\r\n", "änn", "SMTPUTF8"),
    ],
    ids=["8bitmime", "size", "smtputf8"],
)
def test_what_the_relay_cannot_carry_is_known_before_a_byte_is_sent(
    extensions, content, recipient, expected
):
    with FaultyRelay(RelayTraits(extensions=extensions)) as relay:
        result = send(options(relay.port), parcel(1, recipient, content), parcel(2))

        outcome = result.outcomes[1]
        assert isinstance(outcome, Unsuitable)
        assert expected in outcome.because
        assert outcome.is_final == (expected == "552")
        assert len(relay.ledger.offers) == (expected != "552")


def test_what_the_relay_offers_is_used(relay):
    content = "grüße\r\n".encode()

    result = send(options(relay.port), parcel(1, "änn", content))

    assert codes(result) == {1: 250}
    assert relay.ledger.violations == []
    assert relay.kept[0].recipient == "änn@example.org"


def test_a_relay_on_ipv6():
    with FaultyRelay(host="::1") as relay:
        assert codes(send(options(relay.port, host="::1"), parcel(1))) == {1: 250}


def test_a_name_that_nobody_knows():
    result = send(options(25, host="nowhere.invalid"), parcel(1))

    assert result.troubles[0].stage is Stage.CONNECT
    assert "nowhere.invalid" in result.troubles[0].because


@pytest.mark.parametrize("last", ["rcpt_550_354", "rcpt_550", "data_451", "mail_451"])
def test_a_connection_is_renewed_whatever_its_last_reply_was_about(relay, last):
    """Behind a lone dot comes a reply that is about no mail: nobody hears of it."""
    relay.messages.play(["", last, ""])
    opts = options(relay.port, messages_per_connection=2, connections=1, idle_s=600)

    result = send(opts, *(parcel(number) for number in (1, 2, 3)))

    assert result.outcomes.keys() == {1, 2, 3}
    assert [kept.connection for kept in relay.kept] == [1, 2]
