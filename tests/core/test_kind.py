"""What a kind demands of an event's facts, and how facts become harmless."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.kind import (
    MASK,
    MAX_ITEMS,
    MAX_TEXT_CHARS,
    Fact,
    FactType,
    Kind,
    MailClass,
    check_facts,
    clean_facts,
    clean_line,
    clean_link,
    clean_text,
    is_one_line,
    mask_facts,
    own_path,
)
from tests.core.samples import HOSTILE_LINES

KIND = Kind(name="note", facts={fact_type.value: Fact(type=fact_type) for fact_type in FactType})
RIGHT: dict[str, Any] = {
    "text": "a\nb",
    "line": "a",
    "link": "https://example.org/",
    "own_link": "/reset",
    "integer": 7,
    "number": 7.5,
    "boolean": True,
    "moment": 1_700_000_000_000,
    "lines": ["a", "b"],
    "rows": [{"title": "a", "count": 1, "ratio": 0.5, "is_new": True, "note": None}],
}


@pytest.mark.parametrize("name", ["a", "pull_request", "x1", "a" * 64])
def test_a_kind_has_a_name_that_is_folder_header_and_key(name):
    assert Kind(name=name, facts={}).header_value == name


@pytest.mark.parametrize("name", ["", "Pull", "1a", "a-b", "a b", "../x", "a\n", "é", "a" * 65])
def test_any_other_name_is_refused(name):
    with pytest.raises(ValueError, match="expected a lower-case name"):
        Kind(name=name, facts={})


def test_the_type_header_may_say_something_else():
    assert Kind(name="note", facts={}, type_header="Note!").header_value == "Note!"


def test_classes_are_ranked_by_urgency():
    assert [c.rank for c in MailClass] == [0, 1, 2, 3]
    assert MailClass.SECURITY.rank < MailClass.BROADCAST.rank


def test_facts_that_fit_have_no_problems():
    assert check_facts(KIND, RIGHT) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 1), ("line", ["a"]), ("link", b"x"), ("own_link", {}),
        ("integer", "7"), ("integer", 7.0), ("integer", True),
        ("number", "7"), ("number", False), ("boolean", 1), ("boolean", "yes"),
        ("moment", 1.5), ("moment", True), ("moment", "2023-11-14"),
        ("lines", "abc"), ("lines", ["a", 1]), ("lines", {"a": 1}),
        ("rows", "abc"), ("rows", ["a"]), ("rows", [{1: "a"}]), ("rows", [{"a": []}]),
        ("rows", {"a": 1}),
    ],
)  # fmt: skip
def test_a_wrong_type_is_named_with_what_was_found(name, value):
    [problem] = check_facts(KIND, {**RIGHT, name: value})

    assert problem.where == f"facts.{name}"
    assert type(value).__name__ in problem.got


def test_every_problem_is_told_at_once():
    problems = check_facts(KIND, {"txt": "a", "integer": "seven"})

    places = [problem.where for problem in problems]
    assert places.count("facts.text") == 1
    assert {"facts.txt", "facts.integer", "facts.rows"} <= set(places)
    assert len(problems) == len(FactType) - 1 + 2


def test_a_kind_without_facts_says_so():
    [problem] = check_facts(Kind(name="bare", facts={}), {"x": 1})

    assert problem.expected == "one of none"


@pytest.mark.parametrize("facts", [{}, {"title": None}])
def test_an_optional_fact_may_be_left_out(facts):
    kind = Kind(name="note", facts={"title": Fact(is_required=False)})

    assert check_facts(kind, facts) == ()


def test_a_missing_fact_brings_its_description():
    kind = Kind(name="note", facts={"title": Fact(description="what it is about")})

    assert str(check_facts(kind, {})[0]) == (
        "facts.title: expected a text, got nothing (what it is about)"
    )


def test_a_secret_of_the_wrong_type_is_not_repeated():
    kind = Kind(name="reset", facts={"token": Fact(is_secret=True)})

    [problem] = check_facts(kind, {"token": 4711})

    assert problem.got == MASK


def test_a_huge_value_is_cut_in_the_message():
    [problem] = check_facts(KIND, {**RIGHT, "integer": "x" * 10_000})

    assert len(problem.got) < 60


def test_secrets_are_masked_and_nothing_stays_nothing():
    kind = Kind(
        name="reset",
        facts={"link": Fact(is_secret=True), "old": Fact(is_secret=True), "name": Fact()},
    )

    masked = mask_facts(kind, {"link": "/r?t=42", "old": "", "name": "Ann"})

    assert masked == {"link": MASK, "old": "", "name": "Ann"}
    assert kind.secrets == {"link", "old"}


def test_facts_that_were_left_out_become_nothing():
    assert clean_facts(KIND, {}) == {
        "text": "", "line": "", "link": "", "own_link": "", "integer": None, "number": None,
        "boolean": None, "moment": None, "lines": [], "rows": [],
    }  # fmt: skip


def test_harmless_facts_stay_as_they_are():
    assert clean_facts(KIND, RIGHT) == RIGHT


def test_facts_that_no_schema_names_are_dropped():
    assert "secret_plan" not in clean_facts(KIND, {**RIGHT, "secret_plan": "x"})


def test_long_texts_and_lists_are_cut():
    facts: dict[str, Any] = clean_facts(
        KIND,
        {
            "text": "x" * (MAX_TEXT_CHARS + 1),
            "line": "x" * (MAX_TEXT_CHARS + 1),
            "lines": ["a"] * (MAX_ITEMS + 1),
            "rows": [{"a": "b"}] * (MAX_ITEMS + 1),
        },
    )

    assert len(facts["text"]) == len(facts["line"]) == MAX_TEXT_CHARS
    assert len(facts["lines"]) == len(facts["rows"]) == MAX_ITEMS


def test_finished_words_are_not_cut():
    assert len(clean_text("x" * (MAX_TEXT_CHARS * 3))) == MAX_TEXT_CHARS * 3


def test_cells_of_rows_are_cleaned_by_their_name():
    rows: list[Any] = [
        {
            "url": "javascript:alert(1)",
            "diff_url": "/diff/7",
            "url\n": "javascript:alert(2)",
            "ti\r\ntle": "a\r\nb\0",
            "count": 3,
        },
        "no row",
    ]

    assert clean_facts(KIND, {"rows": rows})["rows"] == [
        {"url": "", "diff_url": "/diff/7", "ti tle": "a\nb", "count": 3},
        {},
    ]


@pytest.mark.parametrize("value", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_a_cleaned_line_is_one_line_without_controls(value):
    line = clean_line(value)

    assert is_one_line(line)
    assert line == " ".join(line.split(" ")).strip()
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in line)
    assert not set(line) & set("\u2028\u2029\u202a\u202e\u2066\u2069\ud800")


@pytest.mark.parametrize("value", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_a_cleaned_text_can_be_stored_and_sent(value):
    text = clean_text(value)

    text.encode("utf-8")
    assert not set(text) & set("\r\0\x0b\x0c\x1b\x7f\x85\u2028\u2029")


@pytest.mark.parametrize(
    ("value", "text", "line"),
    [
        ("A \U0001f4a9 subject\n", "A \U0001f4a9 subject\n", "A \U0001f4a9 subject"),
        ("hi\r\nBcc: e@x.test", "hi\nBcc: e@x.test", "hi Bcc: e@x.test"),
        ("a\rb", "a\nb", "a b"),
        ("a\x0bb\x0cc\x85d\u2028e\u2029f", "a\nb\nc\nd\ne\nf", "a b c d e f"),
        ("a\x00b", "ab", "ab"),
        ("a\ud800b", "a\ufffdb", "a\ufffdb"),
        ("invoice\u202egpj.exe", "invoice\u202egpj.exe", "invoicegpj.exe"),
        ("\x1b[2Jx", "[2Jx", "[2Jx"),
        ("a\tb", "a\tb", "a b"),
        ("{{7*7}}", "{{7*7}}", "{{7*7}}"),
        ('Tom & "Jerry" <x>', 'Tom & "Jerry" <x>', 'Tom & "Jerry" <x>'),
        ("e\u0301 \u200f\u05d0 \ufeff \ufffe", "e\u0301 \u200f\u05d0 \ufeff \ufffe",
         "e\u0301 \u200f\u05d0 \ufeff \ufffe"),
    ],
)  # fmt: skip
def test_text_and_line_are_cleaned_like_this(value, text, line):
    assert (clean_text(value), clean_line(value)) == (text, line)


@given(st.text())
def test_cleaning_twice_changes_nothing_more(value):
    assert clean_text(clean_text(value)) == clean_text(value)
    assert clean_line(clean_line(value)) == clean_line(value)


@pytest.mark.parametrize(
    "value",
    [
        "https://example.org/a?b=c#d", "http://localhost:5000/", "HTTPS://EXAMPLE.ORG",
        "mailto:ann@example.org", "/pull/7", "/", "https://example.org/schön",
    ],
)  # fmt: skip
def test_a_harmless_link_stays(value):
    assert clean_link(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "", "javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)",
        "java\nscript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
        "//evil.test", "https://", "ftp://x.test", "pull/7", "/a b", '/a"onclick=x', "/a'b", "/<b>",
        "https://x.test/>x",
        "/\\evil.test", "\x01javascript:x", "https:/\\evil.test",
    ],
)  # fmt: skip
def test_any_other_link_becomes_nothing(value):
    assert clean_link(value) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/reset?t=1", "/reset?t=1"),
        ("reset?t=1", "/reset?t=1"),
        ("https://evil.test/reset?t=1", "/reset?t=1"),
        ("https://good.test:@evil.test/reset", "/reset"),
        ("https://evil.test", "/"),
        ("https://evil.test?t=1", "/?t=1"),
        ("//evil.test/reset", "/evil.test/reset"),
        ("\\\\evil.test\\reset", ""),
        ("javascript:alert(1)", "/alert(1)"),
        ("https:https://evil.test/x", "/https://evil.test/x"),
        ("/re set", ""),
        ("", "/"),
        ("/../evil", ""),
        ("/a/%2E./%2e%2e?t=1", ""),
        ("/./reset", ""),
        ("/reset/..#t", ""),
        ("/.reset/...?back=/../x", "/.reset/...?back=/../x"),
    ],
)
def test_an_own_link_leads_nowhere_but_to_us(value, expected):
    assert own_path(value) == expected


@given(st.text())
def test_whatever_a_link_says_its_host_is_ours(value):
    path = own_path(value)

    assert path == "" or (path.startswith("/") and not path.startswith("//"))


@given(
    st.dictionaries(
        st.sampled_from([t.value for t in FactType]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_cleaning_takes_anything_that_json_can_say(facts):
    cleaned = clean_facts(KIND, json.loads(json.dumps(facts)))

    assert set(cleaned) == set(KIND.facts)
