"""Limits: how much of one sender a person gets within a window, and what is counted."""

import pytest

from envoi.core.holdback import Earlier, Tally, hold_back
from envoi.core.kind import Kind
from envoi.core.limit import DEFAULT_LIMIT, Limit, limit_problems
from envoi.core.people import Address, Person
from envoi.core.reason import Because, Why
from envoi.core.routing import Recipient
from envoi.core.rules import read_senders

LIMIT = Limit(count=2, window_s=60)
NOW = 1_000_000
ROOT = Recipient(
    person=Person(id="1", login="root"),
    address=Address("Root", "example.test"),
    sender="failed_login",
    because=Because(Why.ADMINS),
)
KEY = "root@example.test"


@pytest.mark.parametrize(
    ("before", "told", "after", "earlier"),
    [
        pytest.param(
            None, True, Tally(address=KEY, ends_at_ms=NOW + 60_000, told=1), None, id="the-first"
        ),
        pytest.param(
            Tally(address=KEY, ends_at_ms=NOW + 5, told=1), True,
            Tally(address=KEY, ends_at_ms=NOW + 5, told=2), None, id="the-last-one",
        ),
        pytest.param(
            Tally(address=KEY, ends_at_ms=NOW + 5, told=2), False,
            Tally(address=KEY, ends_at_ms=NOW + 5, told=2, held_back=1, held_since_ms=NOW), None,
            id="one-too-many",
        ),
        pytest.param(
            Tally(address=KEY, ends_at_ms=NOW + 5, told=2, held_back=6, held_since_ms=7), False,
            Tally(address=KEY, ends_at_ms=NOW + 5, told=2, held_back=7, held_since_ms=7), None,
            id="another",
        ),
        pytest.param(
            Tally(address=KEY, ends_at_ms=NOW, told=2, held_back=7, held_since_ms=7), True,
            Tally(address=KEY, ends_at_ms=NOW + 60_000, told=1), Earlier(7, 7),
            id="the-first-of-a-new-window-counts-the-old-one",
        ),
    ],
)  # fmt: skip
def test_a_person_is_counted(before, told, after, earlier):
    held = hold_back([ROOT], LIMIT, {KEY: before} if before else {}, NOW)

    assert held.tallies == (after,)
    assert bool(held.recipients) is told
    assert [str(one.because) for one in held.skipped] == (
        [] if told else ["is held back by the limit of 2 per 1 min"]
    )
    assert held.earlier.get(KEY) == earlier


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"count": 3, "window_s": 60}, ""),
        ({"count": -1}, "a number from 0 to 1000000"),
        ({"count": True}, "a number from 0 to 1000000"),
        ({"window_s": 0}, "a number from 1 to"),
        ({"window": 60}, "one of count, window_s"),
        (10, "a table { count = 10, window_s = 3600 }"),
    ],
    ids=["fits", "negative", "a-truth", "no-window", "unknown-key", "no-table"],
)
def test_a_limit_is_checked(value, problem):
    problems = [str(one) for one in limit_problems("senders.x.limit", value)]

    assert len(problems) == bool(problem)
    assert all(problem in one for one in problems)


@pytest.mark.parametrize(
    ("is_limited", "table", "limit"),
    [
        (True, {}, DEFAULT_LIMIT),
        (False, {}, None),
        (False, {"count": 3}, Limit(count=3)),
        (True, {"count": 0}, None),
    ],
    ids=["by-its-kind", "none-by-its-kind", "of-its-own", "switched-off"],
)
def test_a_sender_has_the_limit_of_its_table_or_kind(is_limited, table, limit):
    kind = Kind(name="note", facts={}, is_limited=is_limited)
    tables = {
        "x": {"kind": "note", "recipients": ["admins"], **({"limit": table} if table else {})}
    }

    senders, problems = read_senders(tables, {"note": kind})

    assert not problems
    assert senders[0].limit == limit
