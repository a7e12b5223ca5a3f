"""The pieces that commands are made of: moments, screen, questions, unforeseen errors."""

import doctest
import importlib
import io
import os
import pkgutil
import pty
import re

import pytest

import envoi.cli
from envoi.cli import moments
from envoi.cli.events import facts_typed
from envoi.cli.faults import code_of
from envoi.cli.screen import Screen
from envoi.core.kind import Fact, FactType, Kind
from envoi.errors import (
    EventError,
    InputError,
    NotStoredError,
    OutboxUnavailableError,
    RefusedError,
    SchemaError,
    TemplateError,
    UnknownKindError,
)
from tests.cli.conftest import BOUND_S

MODULES = [module.name for module in pkgutil.iter_modules(envoi.cli.__path__)]
HOUR_MS = 3_600_000


@pytest.mark.parametrize("name", MODULES)
def test_what_docstrings_show_is_so(name):
    assert doctest.testmod(importlib.import_module(f"envoi.cli.{name}")).failed == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownKindError("x"), 3),
        (EventError("x"), 2),
        (OutboxUnavailableError("x"), 4),
        (SchemaError("x"), 4),
        (RefusedError("x"), 1),
        (TemplateError("x"), 1),
        (NotStoredError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_exit_code(error, code):
    assert code_of(error) == code


def test_what_was_not_stored_because_the_outbox_failed_ends_with_4():
    error = NotStoredError("x")
    error.__cause__ = OutboxUnavailableError("y")

    assert code_of(error) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 10 * HOUR_MS - 90_000),
        ("30m", 10 * HOUR_MS - 30 * 60_000),
        ("2h", 8 * HOUR_MS),
        ("7d", 1),  # before 1970 is from the beginning
        ("1970-01-01T01:00:00+00:00", HOUR_MS),
    ],
)
def test_moments_are_typed_as_people_say_them(text, expected):
    assert moments.moment_typed(text, 10 * HOUR_MS, "--since") == expected


def test_moments_are_shown_with_their_zone(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        shown, form = moments.local(1_700_000_000_000), moments.both("at", 1_700_000_000_999)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert shown == "2023-11-14 23:13:20+01:00"
    assert form == {"at_ms": 1_700_000_000_999, "at": "2023-11-14T23:13:20.999+01:00"}


def test_json_is_safe_for_a_terminal_and_means_the_same():
    out = io.StringIO()
    words = "a\x1b\x9b\u202e\ud800 ü"

    Screen(out=out).document({"words": words})

    import json

    assert json.loads(out.getvalue())["words"] == words
    assert "ü" in out.getvalue()
    assert not set(out.getvalue()) & set(words[1:5])


def test_a_block_keeps_lines_and_tabs_and_escapes_the_rest():
    out = io.StringIO()

    Screen(out=out).block("a\tb\n\x1b[2J" + "x" * 5000)

    assert out.getvalue() == "a\tb\n\\x1b[2J" + "x" * 5000 + "\n"


def test_wide_letters_keep_columns_below_each_other():
    out = io.StringIO()

    Screen(out=out).table(("A", "B"), [("日本", 1), ("x", 2)])

    assert out.getvalue() == "A     B\n日本  1\nx     2\n"


KIND = Kind(
    name="deploy",
    facts={
        "host": Fact(type=FactType.LINE),
        "tries": Fact(type=FactType.INTEGER),
        "load": Fact(type=FactType.NUMBER),
        "is_done": Fact(type=FactType.BOOLEAN),
        "at": Fact(type=FactType.MOMENT),
        "files": Fact(type=FactType.LINES),
        "rows": Fact(type=FactType.ROWS),
        "token": Fact(type=FactType.INTEGER, is_secret=True),
    },
)


@pytest.mark.parametrize(
    ("pairs", "facts"),
    [
        (["host=db1=main"], {"host": "db1=main"}),
        (["tries=3", "load=0.5", "is_done=Yes"], {"tries": 3, "load": 0.5, "is_done": True}),
        (["at=1700000000000"], {"at": 1_700_000_000_000}),
        (["at=2023-11-14T23:13:20+01:00"], {"at": 1_700_000_000_000}),
        (["files=a", "files=b"], {"files": ["a", "b"]}),
        (['rows={"a": 1}', 'rows=[{"a": 2}]'], {"rows": [{"a": 1}, {"a": 2}]}),
    ],
)
def test_facts_are_read_by_their_type(pairs, facts):
    assert facts_typed(KIND, pairs) == facts


@pytest.mark.parametrize(
    ("pairs", "part"),
    [
        (["tries=many"], "--fact tries: expected a value of type integer, got 'many'"),
        (["is_done=perhaps"], "--fact is_done: expected a value of type boolean, got 'perhaps'"),
        (["at=yesterday"], "--fact at: expected a value of type moment, got 'yesterday'"),
        (["rows={"], "--fact rows: expected a value of type rows, got '{'"),
        (["host=a", "host=b"], "--fact host: expected it once, got it twice"),
        (["host"], "--fact: expected NAME=VALUE with one of host, tries"),
        (["token=s3cret"], "--fact token: expected a value of type integer, got ********"),
    ],
)
def test_facts_that_do_not_fit_are_refused(pairs, part):
    with pytest.raises(InputError, match=re.escape(part)):
        facts_typed(KIND, pairs)


def test_a_line_without_end_stops_the_reading(home, monkeypatch):
    monkeypatch.setattr("envoi.cli.inputs.MAX_LINE_BYTES", 1000)

    ended = home.run("send", "--jsonl", "-", stdin="x" * 5000)

    assert ended.code == 2
    assert "line 1: not stored: expected a line of at most 1000 bytes" in ended.err


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 1), ("no", 1)])
def test_on_a_terminal_a_person_is_asked(home, answer, code):
    home.run("user", "add", "ann")
    ours, theirs = pty.openpty()
    call = home.spawn("user", "remove", "ann", stdin=theirs, stderr=theirs)
    os.close(theirs)
    read = b""
    while b"[y/N] " not in read:
        read += os.read(ours, 4096)
    os.write(ours, f"{answer}\n".encode())
    out, _ = call.communicate(timeout=BOUND_S)
    os.close(ours)

    assert "Remove user ann? [y/N] " in read.decode()
    assert call.returncode == code
    assert out == ("removed ann\n" if code == 0 else "")
    assert len(home.run("user", "list", "--json").json) == code


def test_long_work_shows_a_bar_on_a_terminal_and_none_beside_it(home):
    (home.folder / "people.csv").write_text("login\n" + "".join(f"u{n}\n" for n in range(1500)))
    ours, theirs = pty.openpty()
    call = home.spawn("user", "import", "people.csv", stderr=theirs, env={"TERM": "xterm"})
    os.close(theirs)
    read = b""
    try:
        while chunk := os.read(ours, 4096):
            read += chunk
    except OSError:  # Linux says so when the other end closes
        pass
    out, _ = call.communicate(timeout=BOUND_S)
    os.close(ours)

    assert "users" in read.decode()
    assert out == "1500 added, 0 changed, 0 unchanged, 0 refused\n"
    assert home.run("user", "import", str(home.folder / "people.csv")).err == ""


def test_an_error_that_nobody_foresaw_is_told_without_traceback_and_without_its_words(
    home, monkeypatch
):
    def fails(*_args, **_more):
        raise KeyError("s3cret")

    monkeypatch.setattr("envoi.directory.people.find_user", fails)

    quiet = home.run("user", "show", "ann")
    loud = home.run("--log-level", "debug", "user", "show", "ann")

    assert quiet.code == loud.code == 1
    assert quiet.err.startswith("error: unforeseen KeyError, a defect of Envoi")
    assert "s3cret" not in quiet.err
    assert "Traceback" in loud.err
