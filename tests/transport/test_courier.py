"""A courier behind the carriers' contract: what it answers, raises, and never answers."""

import socket
import threading
import time
from dataclasses import replace
from urllib.error import URLError

import pytest

from envoi.core.delivery import Doubtful, Reply, Stage, Unreachable, Unsuitable
from envoi.seams import Finished, Ready, RelayTrouble, RelayWell
from envoi.transport.courier import CourierCarrier
from envoi.transport.custom import accepted, denied, down, later, refused
from tests.transport.rounds import Round, carry, drive, parcel, told

OVERDUE_S = 0.05


class Desk:
    """A courier that answers what a test says, by recipient."""

    def __init__(self):
        self.answers = {}
        self.took = []
        self.most_at_once = 0
        self.is_closed = False
        self._at_once = 0
        self._lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()

    def carry(self, outgoing):
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self.gate.wait(20)
            answer = self.answers.get(outgoing.recipient.partition("@")[0], accepted("kept"))
            if isinstance(answer, BaseException):
                raise answer
            if isinstance(answer, Reply) and answer.code == 250:
                self.took.append(outgoing)
            return answer
        finally:
            with self._lock:
                self._at_once -= 1

    def close(self):
        self.is_closed = True


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.gate.set()


@pytest.fixture
def carrying(desk):
    """Return `carrying(calls, timeout_s)`: a carrier of the desk."""
    carriers = []

    def make(calls=2, timeout_s=20.0):
        carriers.append(CourierCarrier(desk, name="desk", calls=calls, timeout_s=timeout_s))
        return carriers[-1]

    yield make
    desk.gate.set()
    for carrier in carriers:
        carrier.close(1)


def test_a_mail_is_handed_over_whole_with_its_envelope(desk, carrying):
    carry(carrying(), [parcel(7, "ann", b"Subject: x\r\n\r\n.dot\r\n")])

    [outgoing] = desk.took
    assert outgoing.delivery_id == 7
    assert (outgoing.mail_from, outgoing.recipient) == ("noreply@example.org", "ann@example.org")
    assert outgoing.content == b"Subject: x\r\n\r\n.dot\r\n"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (accepted("id\n7"), Reply(stage=Stage.CONTENT, code=250, text="id 7")),
        (later("slower"), Reply(stage=Stage.CONTENT, code=451, text="slower")),
        (refused("nobody"), Reply(stage=Stage.CONTENT, code=554, text="nobody")),
        (Unsuitable(because="too large"), Unsuitable(because="too large")),
        (ValueError("x"), Doubtful(because="carry raised ValueError: x")),
        (SystemExit(3), Doubtful(because="carry raised SystemExit: 3")),
        (TimeoutError("slow"), Doubtful(because="carry raised TimeoutError: slow")),
    ],
    ids=["accepted", "later", "refused", "unsuitable", "an error", "an exit", "a time-out"],
)
def test_what_a_courier_answers_is_the_outcome_of_that_mail(desk, carrying, answer, outcome):
    desk.answers["ann"] = answer

    result = carry(carrying(), [parcel(1, "ann"), parcel(2, "bob")])

    assert result.outcomes[1] == outcome
    assert result.outcomes[2] == accepted("kept")
    assert result.troubles == []


@pytest.mark.parametrize("answer", [None, "250 ok", 250], ids=repr)
def test_an_answer_that_means_nothing_is_in_doubt(desk, carrying, answer):
    desk.answers["ann"] = answer

    result = carry(carrying(), [parcel(1, "ann")])

    outcome = result.outcomes[1]
    assert isinstance(outcome, Doubtful)
    assert "expected accepted(...)" in outcome.because


@pytest.mark.parametrize(
    ("answer", "stage", "needs_operator"),
    [
        (down("maintenance"), Stage.CONNECT, False),
        (denied("wrong key"), Stage.AUTH, True),
        (Reply(stage=Stage.AUTH, code=535, text="no"), Stage.AUTH, True),
        (ConnectionRefusedError("nobody there"), Stage.CONNECT, False),
        (socket.gaierror("no such host"), Stage.CONNECT, False),
        (URLError(ConnectionRefusedError("nobody there")), Stage.CONNECT, False),
    ],
    ids=["down", "denied", "a reply to the sign-in", "refused", "no name", "wrapped"],
)
def test_a_service_in_trouble_blames_no_mail_and_is_paused(
    desk, carrying, answer, stage, needs_operator
):
    desk.answers["ann"] = answer
    carrier = carrying(calls=1)

    result = carry(carrier, [parcel(1, "ann"), parcel(2, "bob")])

    [trouble] = result.troubles
    assert (trouble.stage, trouble.needs_operator) == (stage, needs_operator)
    assert trouble.advice
    outcome = result.outcomes[1]
    assert isinstance(outcome, Unreachable)
    assert not outcome.had_turn
    assert carrier.room() == 0
    assert desk.took == []


def test_a_paused_service_is_tried_with_one_mail_and_is_well_after_it(desk, carrying):
    desk.answers["ann"] = down("maintenance")
    carrier = carrying(calls=3)
    carry(carrier, [parcel(1, "ann")])

    carrier.retry_now()
    room_while_trying = carrier.room()
    again = carry(carrier, [parcel(1, "ann")])
    carrier.retry_now()
    well = carry(carrier, [parcel(2, "bob")])

    assert room_while_trying == 1
    assert len(again.troubles) == 1
    assert [event.relay for event in well.wells] == ["desk"]
    assert carrier.room() == 3


def test_what_was_loaded_and_not_permitted_is_given_back_in_trouble(desk, carrying):
    desk.answers["ann"] = down("maintenance")
    carrier = carrying(calls=2)
    carrier.load(parcel(1, "ann"))
    carrier.load(parcel(2, "bob"))
    events = list(carrier.turn(0))
    carrier.permit([1])

    while not any(isinstance(event, RelayTrouble) for event in events):
        events += carrier.turn(1)

    assert set(told(events)) == {1, 2}
    assert desk.took == []


def test_nothing_leaves_without_permit(desk, carrying):
    carrier = carrying()
    carrier.load(parcel(1))

    assert carrier.turn(0) == [Ready(delivery_id=1)]
    assert carrier.turn(0.02) == []
    assert desk.took == []


def test_as_many_calls_at_once_as_are_allowed(desk, carrying):
    carrier = carrying(calls=3)
    desk.gate.clear()
    waiting = [parcel(number) for number in range(1, 10)]
    result = Round()

    drive(carrier, result, until=lambda: desk.most_at_once == 3, waiting=waiting)
    room_when_full = carrier.room()
    desk.gate.set()
    drive(carrier, result, until=lambda: len(result.outcomes) == 9, waiting=waiting)

    assert room_when_full == 0
    assert desk.most_at_once == 3
    assert len(desk.took) == 9


def test_fewer_calls_are_made_when_others_share_the_service(carrying):
    carrier = carrying(calls=3)
    carrier.limit_connections(1)

    assert carrier.room() == 1


def test_a_call_that_does_not_come_back_is_in_doubt_and_its_place_is_not_counted_on(desk, carrying):
    carrier = carrying(calls=2, timeout_s=OVERDUE_S)
    desk.gate.clear()
    result = Round()

    drive(carrier, result, until=lambda: bool(result.outcomes), waiting=[parcel(1)])

    assert result.outcomes[1] == Doubtful(because=f"no answer within {OVERDUE_S} s")
    assert carrier.room() == 1
    desk.gate.set()
    drive(carrier, result, until=lambda: carrier.room() == 2)
    assert list(result.outcomes) == [1]


def test_when_every_call_hangs_the_service_is_in_trouble_until_one_comes_back(desk, carrying):
    carrier = carrying(calls=2, timeout_s=OVERDUE_S)
    desk.gate.clear()
    result = Round()

    drive(carrier, result, until=lambda: bool(result.troubles), waiting=[parcel(1), parcel(2)])
    desk.gate.set()
    drive(carrier, result, until=lambda: len(desk.took) == 2)
    carrier.retry_now()
    well = carry(carrier, [parcel(3)])

    assert result.troubles[0].because == "every call of it hangs"
    assert set(well.outcomes) == {3}
    assert carrier.room() == 2


def test_a_mail_that_cannot_be_made_stops_nobody(desk, carrying):
    unmade = replace(parcel(1), wire=_cannot_be_made)

    result = carry(carrying(), [unmade, parcel(2)])

    assert isinstance(result.outcomes[1], Unsuitable)
    assert result.outcomes[2] == accepted("kept")


def _cannot_be_made(_capabilities):
    raise ValueError("a bare LF")


def test_a_withdrawn_mail_is_not_carried_and_not_told_of(desk, carrying):
    carrier = carrying()
    carrier.load(parcel(1))
    carrier.load(parcel(2))

    carrier.withdraw([1, 99])
    carrier.permit([1])
    result = carry(carrier, [])
    drive(carrier, result, until=lambda: 2 in result.outcomes)

    assert set(result.outcomes) == {2}
    assert [outgoing.delivery_id for outgoing in desk.took] == [2]


def test_a_call_whose_lease_was_lost_goes_on_and_is_not_told_of(desk, carrying):
    carrier = carrying(calls=2)
    desk.gate.clear()
    carrier.load(parcel(1))
    carrier.permit([1])

    carrier.withdraw([1])
    room_meanwhile = carrier.room()
    desk.gate.set()
    result = Round()
    drive(carrier, result, until=lambda: carrier.room() == 2)

    assert room_meanwhile == 1
    assert result.outcomes == {}


def test_a_delivery_is_not_loaded_twice(carrying):
    carrier = carrying()
    carrier.load(parcel(1))

    with pytest.raises(ValueError, match="loaded twice"):
        carrier.load(parcel(1))


def test_another_thread_ends_the_wait(carrying):
    carrier = carrying()
    timer = threading.Timer(0.01, carrier.wake)
    timer.start()

    assert carrier.turn(20) == []
    timer.join()


def test_closing_waits_for_calls_and_gives_the_rest_back(desk, carrying):
    carrier = carrying(calls=2)
    desk.gate.clear()
    for number in (1, 2):
        carrier.load(parcel(number))
    carrier.permit([1])
    threading.Timer(0.01, desk.gate.set).start()

    outcomes = told(carrier.close(20))

    assert outcomes[1] == accepted("kept")
    assert isinstance(outcomes[2], Unreachable)
    assert desk.is_closed
    assert carrier.room() == 0


def test_closing_leaves_a_call_that_does_not_end_in_doubt(desk, carrying):
    carrier = carrying()
    desk.gate.clear()
    carrier.load(parcel(1))
    carrier.permit([1])

    outcomes = told(carrier.close(0.01))

    assert isinstance(outcomes[1], Doubtful)
    assert not desk.is_closed


def test_all_threads_end_with_the_carrier(desk, carrying):
    carrier = carrying(calls=3)
    carry(carrier, [parcel(number) for number in range(1, 7)])
    carrier.close(5)

    end = time.monotonic() + 20
    while any(thread.name == "envoi-desk" for thread in threading.enumerate()):
        assert time.monotonic() < end, "a thread is left"


def test_the_first_answer_says_that_the_service_is_well_once(carrying):
    result = carry(carrying(calls=1), [parcel(1), parcel(2)])

    kinds = [type(event) for turn in result.events for event in turn]
    assert kinds.count(RelayWell) == 1
    assert kinds.index(RelayWell) > kinds.index(Finished)
