"""What an event says, and what of it is refused or cleaned."""

from typing import Any

import pytest

from envoi.core.event import MAX_NAMED, Event, check_event, cleaned
from envoi.core.kind import Fact, FactType, Kind

KIND = Kind(
    name="pull_request",
    facts={"title": Fact(type=FactType.LINE)},
    roles=("reviewers", "owner"),
)
RIGHT: dict[str, Any] = {
    "kind": "pull_request",
    "facts": {"title": "Fix it"},
    "actor": "ann",
    "subject": "docs/pull/7",
    "people": {"reviewers": ("bob", "cyd"), "owner": ("ann",)},
    "key": "pull 7 opened",
    "occurred_at_ms": 1_700_000_000_000,
}


def event(**changes: Any) -> Event:
    return Event(**{**RIGHT, **changes})


def test_an_event_that_fits_has_no_problems():
    assert check_event(KIND, event()) == ()


def test_an_event_needs_nothing_but_its_kind():
    assert check_event(Kind(name="server_up", facts={}), Event(kind="server_up")) == ()


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"facts": {}}, "facts.title"),
        ({"people": {"watchers": ("ann",)}}, "people.watchers"),
        ({"people": {"reviewers": "ann"}}, "people.reviewers"),
        ({"people": {"reviewers": 5}}, "people.reviewers"),
        ({"people": {"reviewers": (5,)}}, "people.reviewers"),
        ({"people": {"reviewers": None}}, "people.reviewers"),
        ({"people": {"reviewers": ["x"] * (MAX_NAMED + 1)}}, "people"),
        ({"people": {"reviewers": ["x"] * MAX_NAMED, "owner": ["x"]}}, "people"),
        ({"actor": "x" * 513}, "actor"),
        ({"actor": None}, "actor"),
        ({"subject": "x" * 513}, "subject"),
        ({"key": "x" * 257}, "key"),
        ({"key": "a\0b"}, "key"),
        ({"key": "a\nb"}, "key"),
        ({"key": "a\ud800"}, "key"),
        ({"key": 7}, "key"),
        ({"application": "x" * 257}, "application"),
        ({"occurred_at_ms": -1}, "occurred_at_ms"),
        ({"occurred_at_ms": 1.5}, "occurred_at_ms"),
        ({"occurred_at_ms": True}, "occurred_at_ms"),
        ({"occurred_at_ms": 253_402_300_800_000}, "occurred_at_ms"),
    ],
)
def test_what_does_not_fit_is_named(changes, where):
    [problem] = check_event(KIND, event(**changes))

    assert problem.where == where


def test_every_problem_is_told_at_once():
    wrong = event(facts={}, people={"watchers": ()}, key=7, occurred_at_ms=-1)

    places = [problem.where for problem in check_event(KIND, wrong)]

    assert places == ["facts.title", "people.watchers", "key", "occurred_at_ms"]


def test_a_kind_without_roles_knows_who_may_not_read():
    [problem] = check_event(
        Kind(name="bare", facts={}), Event(kind="bare", people={"owner": ("ann",)})
    )

    assert problem.expected == "one of may_not_read"


def test_an_event_names_its_people_and_its_actor():
    assert event().references == {"ann", "bob", "cyd"}
    assert Event(kind="server_up").references == frozenset()


def test_a_cleaned_event_can_be_stored_and_sent():
    hostile = event(
        facts={"title": "Fix\nit\0"},
        actor="ann\0",
        subject="docs\r\npull\ud800",
        people={"reviewers": ("bob\0", "bob", " cyd "), "owner": ()},
    )

    assert cleaned(hostile, KIND) == event(
        facts={"title": "Fix it"},
        actor="ann\\x00",
        subject="docs pull\ufffd",
        people={"reviewers": ("bob\\x00", "bob", "cyd"), "owner": ()},
    )


def test_cleaning_a_clean_event_changes_nothing():
    assert cleaned(event(), KIND) == event()


def test_the_repr_of_an_event_shows_no_fact():
    assert "Geheim" not in repr(Event(kind="password_reset", facts={"token": "Geheim4711"}))
