"""Senders as TOML tables: read, merged, or refused with the place and the nearest right word."""

from typing import Any

import pytest

from envoi.core.condition import Condition, Operator
from envoi.core.kind import Fact, FactType, Kind, MailClass
from envoi.core.routing import Chain, Selector, SelectorType, Sender
from envoi.core.rules import SENDER_KEYS, merged, problems_of, read_senders
from tests.core.samples import role

KINDS = {
    "pull_request": Kind(
        name="pull_request",
        facts={
            "state": Fact(type=FactType.LINE),
            "size": Fact(type=FactType.INTEGER),
            "title": Fact(type=FactType.LINE, is_required=False),
            "token": Fact(is_secret=True),
        },
        roles=("reviewers", "author"),
    ),
    "reset": Kind(name="reset", facts={}, roles=("user",), mail_class=MailClass.SECURITY),
}
RIGHT: dict[str, Any] = {"kind": "pull_request", "recipients": ["role:reviewers"]}


def table(**changes: Any) -> dict[str, Any]:
    return {**RIGHT, **changes}


def read(**changes: Any) -> Sender:
    [sender], problems = read_senders({"review": table(**changes)}, KINDS)
    assert problems == ()
    return sender


def test_a_table_with_the_least_becomes_a_sender():
    assert read() == Sender(name="review", kind="pull_request", recipients=(role("reviewers"),))


def test_a_table_with_everything_becomes_a_sender():
    sender = read(
        recipients=["role:author | role:reviewers", "admins", "ops@example.org"],
        exclude=["role:actor"],
        template="short",
        when={"state": "open", "size": {"at_least": 1, "at_most": 9}},
        tells_actor=True,
        tells_inactive=True,
        enabled=False,
        headers={"X-Team": "core"},
        facts={"title": "a\nb"},
        to_matched_address=True,
        fallback=False,
        transport="bulk",
        description="Tells reviewers.",
        **{"class": "report"},
    )

    assert sender == Sender(
        name="review",
        kind="pull_request",
        recipients=(
            Chain((role("author"), role("reviewers"))),
            Selector(SelectorType.ADMINS),
            Selector(SelectorType.ADDRESS, "ops@example.org"),
        ),
        exclude=(role("actor"),),
        template="short",
        when=(
            Condition(fact="state", operator=Operator.IN, value=["open"]),
            Condition(fact="size", operator=Operator.AT_LEAST, value=1),
            Condition(fact="size", operator=Operator.AT_MOST, value=9),
        ),
        tells_actor=True,
        tells_inactive=True,
        is_enabled=False,
        mail_class=MailClass.REPORT,
        transport="bulk",
        headers=(("X-Team", "core"),),
        facts={"title": "a b"},
        to_matched_address=True,
        fallback=False,
        description="Tells reviewers.",
    )


@pytest.mark.parametrize(
    ("wanted", "operator", "value"),
    [
        ("open", Operator.IN, ["open"]),
        (["open", "new"], Operator.IN, ["open", "new"]),
        (True, Operator.IN, [True]),
        ({"not_in": ["closed"]}, Operator.NOT_IN, ["closed"]),
        ({"contains": "x"}, Operator.CONTAINS, "x"),
        ({"present": False}, Operator.PRESENT, False),
    ],
)
def test_a_condition_is_read(wanted, operator, value):
    assert read(when={"state": wanted}).when == (
        Condition(fact="state", operator=operator, value=value),
    )


@pytest.mark.parametrize("fact", ["actor", "subject", "application"])
def test_a_condition_may_ask_for_what_every_event_has(fact):
    assert read(when={fact: "x"}).when[0].fact == fact


@pytest.mark.parametrize(
    ("changes", "where", "hint"),
    [
        ({"recipient": []}, "senders.review.recipient", "did you mean recipients?"),
        ({"colour": 1}, "senders.review.colour", ""),
        *[
            ({key: 5}, f"senders.review.{key}", "")
            for key in SENDER_KEYS
        ],
        ({"enabled": "yes"}, "senders.review.enabled", ""),
        ({"kind": "pull_requets"}, "senders.review.kind", "did you mean pull_request?"),
        ({"kind": "zzz"}, "senders.review.kind", "known: pull_request, reset"),
        ({"kind": ""}, "senders.review.kind", "known: pull_request, reset"),
        ({"recipients": []}, "senders.review.recipients", ""),
        ({"recipients": ["reviewers"]}, "senders.review.recipients", ""),
        ({"recipients": [5]}, "senders.review.recipients", ""),
        ({"recipients": ["role:owner"]}, "senders.review.recipients", ""),
        ({"recipients": ["role:author|role:owner"]}, "senders.review.recipients", ""),
        ({"recipients": ["role:author|"]}, "senders.review.recipients", ""),
        (
            {"exclude": ["role:author|role:reviewers"]},
            "senders.review.exclude",
            "a chain of selectors is for recipients",
        ),
        ({"facts": {"colour": "red"}}, "senders.review.facts.colour", ""),
        ({"facts": {"size": "red"}}, "senders.review.facts.size", ""),
        ({"facts": {"token": "x"}}, "senders.review.facts.token", ""),
        (
            {"kind": "reset", "recipients": ["role:user"], "fallback": True},
            "senders.review.fallback",
            "",
        ),
        ({"class": "security", "fallback": True}, "senders.review.fallback", ""),
        ({"exclude": ["nobody"]}, "senders.review.exclude", ""),
        ({"when": {"colour": "red"}}, "senders.review.when.colour", ""),
        ({"when": {"token": "x"}}, "senders.review.when.token", ""),
        ({"when": {"state": {"like": "x"}}}, "senders.review.when.state", ""),
        ({"when": {"state": {"in": "x"}}}, "senders.review.when.state", ""),
        ({"when": {"state": {"not_in": "x"}}}, "senders.review.when.state", ""),
        ({"when": {"state": {"present": 1}}}, "senders.review.when.state", ""),
        ({"when": {"size": {"at_least": "1"}}}, "senders.review.when.size", ""),
        ({"when": {"size": {"at_most": True}}}, "senders.review.when.size", ""),
        ({"class": "urgent"}, "senders.review.class", ""),
        ({"headers": {"Bcc": "x"}}, "senders.review.headers.'Bcc'", ""),
        ({"headers": {"X-A": 5}}, "senders.review.headers.'X-A'", ""),
        ({"headers": {"X-A": "a\nb"}}, "senders.review.headers.'X-A'", ""),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_place(changes, where, hint):
    senders, problems = read_senders({"review": table(**changes)}, KINDS)

    assert senders == ()
    assert [(problem.where, problem.hint) for problem in problems] == [(where, hint)]


@pytest.mark.parametrize(
    ("changes", "falls_back"),
    [
        ({}, True),
        ({"recipients": ["admins"]}, True),
        ({"recipients": ["ops@example.org|role:author"]}, True),
        ({"recipients": ["everyone", "group:staff", "user:ann", "ops@example.org"]}, False),
        ({"fallback": False}, False),
        ({"recipients": ["group:staff"], "fallback": True}, True),
    ],
)
def test_a_sender_falls_back_where_events_name_its_people(changes, falls_back):
    assert read(**changes).may_fall_back is falls_back


def test_one_wrong_sender_does_not_silence_the_others():
    senders, problems = read_senders({"bad": {}, "good": table()}, KINDS)

    assert [sender.name for sender in senders] == ["good"]
    assert [problem.where for problem in problems] == ["senders.bad.kind"]


def test_every_problem_of_a_table_is_told_at_once():
    wrong = table(recipients=["x", "y"], when={"a": 1}, headers={"To": "x"})

    assert len(problems_of("review", wrong, KINDS)) == 4


def test_a_later_layer_changes_single_keys():
    shipped = {"review": table(), "owner": table(enabled=False)}

    tables = merged([shipped, {"review": {"enabled": False}, "mine": {"kind": "x"}}])

    assert tables == {
        "review": table(enabled=False),
        "owner": table(enabled=False),
        "mine": {"kind": "x"},
    }
    assert shipped["review"] == RIGHT
