"""Variables that an application marked are told nowhere, whatever they are called."""

import asyncio
import functools
from typing import Any

import pytest

from envoi import sensitive
from envoi.errors import InputError
from tests.walk.test_reporting import ERRORS
from tests.walk.test_reporting_secrets import told

PIN = "Zq4471PinW"
# Of no type that a checker would refuse before we do.
NUMBER: Any = 42


@pytest.fixture
def loud(make_mailer):
    dumps = {"dump_local_frames": True, "dump_local_frames_count": 20}
    return make_mailer(errors={**ERRORS, **dumps})


def pay(amount, pin):
    raise LookupError(f"{amount} refused for {pin}")


async def pay_later(amount, pin):
    raise LookupError(f"{amount} refused for {pin}")


def pay_slowly(amount, pin):
    yield amount
    raise LookupError(f"{amount} refused for {pin}")


class Till:
    @sensitive("pin")
    def pay(self, amount, pin):
        raise LookupError(f"{amount} refused for {pin}")

    @staticmethod
    @sensitive("pin")
    def pay_here(amount, pin):
        raise LookupError(f"{amount} refused for {pin}")


WAYS = {
    "function": lambda: sensitive("pin")(pay)("Okapi", PIN),
    "coroutine": lambda: asyncio.run(sensitive("pin")(pay_later)("Okapi", PIN)),
    "generator": lambda: list(sensitive("pin")(pay_slowly)("Okapi", PIN)),
    "method": lambda: Till().pay("Okapi", PIN),
    "static method": lambda: Till.pay_here("Okapi", PIN),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_marked_variable_is_told_nowhere_and_the_others_are(loud, caplog, way):
    with pytest.raises(LookupError) as caught:
        way()

    loud.report(caught.value, wait_s=60)

    text = told(loud, caplog)
    assert PIN not in text
    assert "Okapi" in text
    assert "refused for ********" in text


def test_without_names_all_of_them_are_hidden(loud, caplog):
    @sensitive
    def pay(amount, pin):
        doubled = [f"{pin}{pin}" for _ in amount]
        raise LookupError(len(doubled))

    with pytest.raises(LookupError) as caught:
        pay("Okapi", PIN)
    loud.report(caught.value, wait_s=60)

    text = told(loud, caplog)
    assert PIN not in text
    assert "Okapi" not in text
    assert "amount = ********" in text


def test_what_a_marked_variable_holds_is_hidden_too(loud, caplog):
    @sensitive("order")
    def pay(order):
        raise LookupError(f"refused for {order['card']['pin']}, {order['codes'][1]}")

    with pytest.raises(LookupError) as caught:
        pay({"card": {"pin": PIN}, "codes": ("first", 4471_4471)})
    loud.report(caught.value, wait_s=60)

    text = told(loud, caplog)
    assert [word for word in (PIN, "44714471") if word in text] == []


def test_a_marked_function_is_the_function_itself():
    assert sensitive("pin")(pay) is pay
    assert sensitive(pay) is pay


def test_a_function_that_something_wraps_is_marked_all_the_same(loud, caplog):
    def wrapped(function):
        @functools.wraps(function)
        def around(*words):
            return function(*words)

        return around

    @sensitive("pin")
    @wrapped
    def pay(amount, pin):
        raise LookupError(f"{amount} refused for {pin}")

    with pytest.raises(LookupError) as caught:
        pay("Okapi", PIN)
    loud.report(caught.value, wait_s=60)

    # The wrapper's own variables are its own.
    assert "refused for ********" in told(loud, caplog)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (lambda: sensitive("pn", "pin")(pay), "names of variables of pay, got 'pn'"),
        (lambda: sensitive(NUMBER), "expected a function, got int"),
        (lambda: sensitive("pin")(Till), "expected a function, got type"),
    ],
)
def test_a_mark_that_means_nothing_is_refused(mark, said):
    with pytest.raises(InputError, match=said):
        mark()


class Login:
    def __init__(self, password):
        self.user, self._password = "Okapi", password


def test_a_secret_in_an_object_is_known_in_a_message_that_repeats_it(loud, caplog):
    def fail(login):
        raise LookupError(f"{login.user} typed {login._password}")

    with pytest.raises(LookupError) as caught:
        fail(Login("Zq0Passwordx7W"))
    loud.report(caught.value, wait_s=60)

    text = told(loud, caplog)
    assert "Zq0Passwordx7W" not in text
    assert "Okapi typed ********" in text
