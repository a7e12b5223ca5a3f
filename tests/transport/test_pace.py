"""How many parcels are worth having at hand: as many as leave within a moment."""

from envoi.transport.carrier import SmtpCarrier
from envoi.transport.pace import AHEAD_S, MOST_AHEAD, SPAN_S, Pace
from tests.transport.rounds import carry, options, parcel


def paced(finished, passed_s):
    pace = Pace(0.0)
    pace.note(finished, passed_s)
    return pace.ahead


def test_at_first_nothing_is_taken_ahead():
    assert Pace(5.0).ahead == 0


def test_as_many_as_leave_within_the_time_are_taken_ahead():
    assert paced(40, 1.0) == int(40 * AHEAD_S)


def test_a_slow_relay_has_nothing_ahead():
    assert paced(1, 10.0) == 0


def test_a_fast_one_has_no_more_than_the_bound():
    assert paced(1_000_000, 1.0) == MOST_AHEAD


def test_a_figure_is_taken_from_a_whole_span():
    assert paced(1_000, SPAN_S / 2) == 0


def test_a_relay_that_becomes_slow_is_found_out():
    pace = Pace(0.0)
    pace.note(1_000, 1.0)
    pace.note(0, 2.0)

    assert pace.ahead == 0


def test_a_carrier_asks_for_more_only_when_its_connections_have_room(relay):
    now_s = 0.0
    carrier = SmtpCarrier(options(relay.port), clock=lambda: now_s)
    first_room = carrier.room()
    carry(carrier, [parcel(number) for number in range(1, 31)])
    now_s = 1.0
    carrier.turn(0)

    room = carrier.room()
    for number in range(31, 31 + room):
        carrier.load(parcel(number))

    assert room > first_room
    assert carrier.room() == 0
    carrier.close(0)
