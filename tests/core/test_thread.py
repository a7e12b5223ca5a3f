"""Which mails stand together: what a kind's patterns make of the facts, and lawful ids."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.event import Event, cleaned
from envoi.core.kind import Fact, FactType, Kind, Plain
from envoi.core.mime import identifiers
from envoi.core.thread import MAX_ID_CHARS, MAX_SUBJECT_CHARS, fields_of, filled, thread_of

HOST = "example.org"
NOTE = Kind(name="note", facts={})
REVIEW = Kind(
    name="review",
    facts={
        "repository": Fact(type=FactType.LINE),
        "number": Fact(type=FactType.INTEGER),
        "first": Fact(type=FactType.INTEGER, is_required=False),
        "line": Fact(type=FactType.LINE, is_required=False),
        "path": Fact(type=FactType.LINE, is_required=False),
    },
    subjects=("{repository}-pr-{first}", "{repository}-pr-{number}"),
    subthread="{subject}-line-{line}-{path}",
)


def ids(subject: str) -> tuple[str, ...]:
    return thread_of(NOTE, subject, {}, HOST)


def ids_of(subject: str = "", **facts: Plain) -> tuple[str, ...]:
    given_facts: dict[str, Plain] = {"repository": "docs", "number": 7, **facts}
    event = cleaned(Event(kind="review", subject=subject, facts=given_facts), REVIEW)
    return thread_of(REVIEW, event.subject, event.facts, HOST)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("docs/pull/7", "docs/pull/7"),
        ("docs_pull-7+x", "docs_pull-7+x"),
        ("#7", "=237"),
        ("my.docs.git", "my.docs.git"),
        (".", "=2E"),
        ("..", "=2E=2E"),
        (".a", "=2Ea"),
        ("a.", "a=2E"),
        ("a..b", "a=2E=2Eb"),
        ("a b", "a=20b"),
        ("a=20b", "a=3D20b"),
        ("ä", "=C3=A4"),
        ("a@b>\r\nBcc: x", "a=40b=3E=0D=0ABcc=3A=20x"),
        ("\ud800", "=3F"),
    ],
)
def test_a_thread_id_is_a_lawful_name_of_the_subject(subject, expected):
    assert ids(subject) == (f"{expected}@example.org",)


def test_a_mail_without_subject_has_no_conversation():
    assert ids("") == ()


def test_long_subjects_that_begin_alike_are_two_conversations():
    one, two = (ids("ü" * 500 + end) for end in "ab")

    assert one != two
    assert len(one[0]) == MAX_ID_CHARS + len("@example.org")


@given(st.text(min_size=1))
def test_any_subject_makes_an_id_that_a_header_can_hold(subject):
    line = identifiers("References", ids(subject))

    local = line.removeprefix("References: <").partition("@")[0]
    assert all(local.split("."))


@given(st.text("ab.=2E", min_size=1, max_size=8), st.text("ab.=2E", min_size=1, max_size=8))
def test_two_subjects_are_two_conversations(one, two):
    assert (ids(one) == ids(two)) == (one == two)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ("docs-pr-7",)),
        ({"first": 3}, ("docs-pr-3",)),
        ({"line": "n12", "path": "a/b.py"}, ("docs-pr-7", "docs-pr-7-line-n12-a/b.py")),
        ({"line": "n12", "path": "c.py"}, ("docs-pr-7", "docs-pr-7-line-n12-c.py")),
        ({"first": 3, "line": "o1", "path": "c"}, ("docs-pr-3", "docs-pr-3-line-o1-c")),
        ({"line": "n12"}, ("docs-pr-7",)),
        ({"repository": ""}, ()),
        ({"subject": "given", "line": "n1", "path": "c"}, ("given", "given-line-n1-c")),
    ],
    ids=[
        "first", "iteration", "line", "same line of another file", "line of an iteration",
        "line without file", "lacking fact", "named by the application",
    ],
)  # fmt: skip
def test_a_kinds_patterns_say_what_belongs_together(facts, expected):
    assert ids_of(**facts) == tuple(f"{name}@example.org" for name in expected)


def test_the_subject_that_a_pattern_makes_is_the_events():
    event = Event(kind="review", facts={"repository": "docs", "number": 7})

    assert cleaned(event, REVIEW).subject == "docs-pr-7"
    assert cleaned(replace(event, subject="mine"), REVIEW).subject == "mine"


def test_a_subject_from_facts_is_no_longer_than_one_that_is_given():
    event = Event(kind="review", facts={"repository": "d" * 5_000, "number": 7})

    assert cleaned(event, REVIEW).subject == "d" * MAX_SUBJECT_CHARS


def test_a_number_of_nought_is_given():
    assert filled("{number}", {"number": 0}) == "0"


def test_braces_in_a_fact_are_no_pattern():
    assert filled("{a}-{b}", {"a": "{b}", "b": "x"}) == "{b}-x"


@pytest.mark.parametrize(
    "pattern", ["", "docs", "{Docs}", "{docs", "docs}", "{}", "{a.b}", "{a}{", "{a!r}"]
)
def test_a_pattern_names_facts_in_braces(pattern):
    with pytest.raises(ValueError, match="facts in braces"):
        fields_of(pattern)
