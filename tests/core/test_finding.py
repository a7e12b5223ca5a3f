"""People found in raw authors and texts, and what is asked of a directory for that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.event import Event
from envoi.core.finding import (
    MAX_MENTIONS,
    author_label,
    author_names,
    is_named,
    mentions,
    question,
    unanswered,
    with_found,
)
from envoi.core.kind import Fact, FactType, Kind, Seek
from envoi.core.routing import Chain, Selector, SelectorType, Sender
from tests.core.samples import person, role

AUTHOR, OWNER, MENTIONED, ACTOR = role("author"), role("owner"), role("mentioned"), role("actor")
ADMINS, EVERYONE = Selector(SelectorType.ADMINS), Selector(SelectorType.EVERYONE)
ANN = Selector(SelectorType.USER, "ann")
RAW = "Ann Lee <Ann@Example.org>"
KIND = Kind(
    name="comment",
    facts={
        "author": Fact(type=FactType.LINE),
        "author_name": Fact(type=FactType.LINE, is_required=False),
        "text": Fact(),
        "earlier": Fact(is_required=False),
    },
    roles=("author", "owner", "mentioned"),
    seeks={
        "author": Seek(name_in="author", full_name_in="author_name"),
        "mentioned": Seek(mentions_in="text", except_in="earlier"),
    },
)


def event(facts=None, **changes) -> Event:
    said = {"author": RAW, "text": "", **(facts or {})}
    return Event(kind="comment", facts=said, **changes)


def sender(*recipients, **changes) -> Sender:
    return Sender(name="s", kind="comment", recipients=recipients, **changes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ann", ("ann",)),
        ("see @ann, @bob.", ("ann", "bob")),
        ("@ann's @ann @ANN", ("ann",)),
        ("(@ann)\n-@bob", ("ann", "bob")),
        ("@a @1 @-x @.y", ()),
        ("@ab @a1 @1a", ("ab", "a1", "1a")),
        ("@ann-lee_2.x-", ("ann-lee_2.x",)),
        ("ann@example.org", ()),
        ("ann.@example", ("example",)),
        ("é@ann", ("ann",)),
        ("@änn", ()),
        ("@@ann", ("ann",)),
        ("", ()),
    ],
    ids=[
        "alone", "with punctuation", "once, whatever its capitals", "behind a sign",
        "one sign is no name", "two signs are", "signs within, none at the end", "an address",
        "a dot before", "a letter that is not ASCII before", "and in the name", "twice", "nothing",
    ],
)  # fmt: skip
def test_who_is_mentioned(text, expected):
    assert [name.lower() for name in mentions(text)] == list(expected)


def test_who_was_mentioned_before_is_not_new():
    assert mentions("@ann @bob", "cc @ANN") == ("bob",)


def test_a_text_may_not_ask_for_the_whole_directory():
    text = " ".join(f"@user{n}" for n in range(10_000))

    assert len(mentions(text)) == MAX_MENTIONS


@given(st.text(alphabet="@ab.-_ \n<é", max_size=200))
def test_a_mention_begins_and_ends_with_a_letter_or_digit(text):
    for name in mentions(text):
        assert f"@{name}" in text
        assert len(name) > 1
        assert name[0].isalnum()
        assert name[-1].isalnum()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["@", "@a", "@a.", "a.", "<", "<a", "@a-"])
def test_searching_takes_time_in_proportion_to_the_text(piece):
    """Twenty times the longest text: a search that is not linear would take hours."""
    text = piece * 1_000_000

    mentions(text)
    author_names(text)


@pytest.mark.parametrize(
    ("raw", "names", "label"),
    [
        (RAW, ("Ann@Example.org", "Ann Lee"), "Ann Lee"),
        ('"Lee, Ann" <ann@example.org>', ("ann@example.org", "Lee, Ann"), "Lee, Ann"),
        ("ann", ("ann",), "ann"),
        ("ann@example.org", ("ann@example.org",), "ann"),
        ("<ann@example.org>", ("ann@example.org",), "ann"),
        ("Ann Lee <>", ("Ann Lee",), "Ann Lee"),
        ("Ann Lee <ann", ("Ann Lee <ann",), "Ann Lee <ann"),
        ("Ann Lee ann@example.org", ("ann@example.org", "Ann Lee"), "Ann Lee"),
        ("Ann Lee (ann@example.org)", ("ann@example.org", "Ann Lee"), "Ann Lee"),
        ('ann@example.org ("Ann Lee")', ("ann@example.org", "Ann Lee"), "Ann Lee"),
        ("Ann Lee <ann@example.org", ("ann@example.org", "Ann Lee"), "Ann Lee"),
        ("Ann @ home", ("Ann @ home",), "Ann"),
        ("me@here <ann@example.org>", ("ann@example.org", "me@here"), "me"),
        ("", (), ""),
        ("<>", (), ""),
    ],
)
def test_a_raw_author_is_tried_by_address_and_then_by_name(raw, names, label):
    assert author_names(raw) == names
    assert author_label(raw) == label


@given(st.text(alphabet='<>@"a. ', max_size=40))
def test_no_address_of_an_author_is_ever_shown(raw):
    assert "@" not in author_label(raw)


def test_the_question_names_everything_that_the_senders_ask_for():
    said = event(actor="cyd", people={"owner": ("bob",)})

    asked = question(
        said, KIND, iter([sender(Chain((AUTHOR, OWNER)), exclude=(ACTOR,)), sender(ADMINS)])
    )

    assert asked.selectors == {AUTHOR, OWNER, ACTOR, ADMINS}
    assert asked.references == {"bob", "cyd"}
    assert asked.actor == "cyd"
    assert asked.roles == {"owner": ("bob",), "actor": ("cyd",)}


def test_the_question_seeks_whom_the_facts_name():
    asked = question(event({"text": "@dan @eva", "earlier": "@dan"}), KIND, [sender(MENTIONED)])

    assert asked.sought == {"author": (("Ann@Example.org", "Ann Lee"),), "mentioned": (("eva",),)}


def test_the_question_asks_who_may_not_read_where_the_event_says_so():
    said = event(people={"may_not_read": ("dan",)})

    assert role("may_not_read") in question(said, KIND, [sender(AUTHOR)]).selectors
    assert role("may_not_read") not in question(event(), KIND, [sender(AUTHOR)]).selectors


def test_without_an_actor_the_role_is_empty():
    assert question(event(), KIND, [sender(ACTOR)]).roles == {"actor": ()}


def test_who_was_found_is_shown_as_the_directory_knows_him():
    ann = person("ann", first_name="Ann", last_name="Lee")

    said = with_found(event(), KIND, {"author": (ann,)})

    assert (said.facts["author"], said.facts["author_name"]) == ("ann", "Ann Lee")


def test_a_full_name_that_the_event_gives_is_kept():
    said = with_found(event({"author_name": "Dr. Lee"}), KIND, {"author": (person("ann"),)})

    assert said.facts["author_name"] == "Dr. Lee"


def test_who_was_not_found_is_shown_without_his_address():
    said = with_found(event(), KIND, {})

    assert said.facts["author"] == "Ann Lee"
    assert "author_name" not in said.facts


@pytest.mark.parametrize(
    ("facts", "people", "name", "expected"),
    [
        ({}, {}, "author", True),
        ({"author": ""}, {}, "author", False),
        ({"author": ""}, {"author": ("ann",)}, "author", True),
        ({}, {}, "owner", False),
        ({}, {"owner": ()}, "owner", False),
        ({"text": "@nobody"}, {}, "mentioned", False),
        ({}, {}, "actor", False),
    ],
)
def test_whether_an_event_names_somebody(facts, people, name, expected):
    assert is_named(event(facts, people=people), KIND, name) is expected


@pytest.mark.parametrize(
    ("recipients", "people", "answered", "missing"),
    [
        ((AUTHOR,), {}, (), (AUTHOR,)),
        ((AUTHOR,), {}, (AUTHOR,), ()),
        ((Chain((AUTHOR, OWNER)),), {"owner": ("bob",)}, (OWNER,), ()),
        ((Chain((AUTHOR, OWNER)),), {"owner": ("bob",)}, (), (Chain((AUTHOR, OWNER)),)),
        ((OWNER,), {}, (), ()),
        ((OWNER,), {"owner": ("ghost",)}, (), (OWNER,)),
        ((MENTIONED,), {}, (), ()),
        ((EVERYONE,), {}, (), ()),
        ((ADMINS, ANN), {}, (ANN,), (ADMINS,)),
    ],
    ids=[
        "author unknown", "author known", "owner stands in", "nobody of the chain", "nobody named",
        "named and unknown", "mentions are nobody's names", "a place without users", "no admins",
    ],
)  # fmt: skip
def test_recipients_that_nobody_answers_to(recipients, people, answered, missing):
    said = event({"text": "@todo"}, people=people)

    assert unanswered(said, KIND, sender(*recipients), frozenset(answered)) == missing
