"""What an error report says, and which errors are equal."""

from dataclasses import replace

import pytest

from envoi.core.incident import (
    Frame,
    Link,
    Raised,
    Request,
    Sighting,
    event_of,
    fingerprint,
    message_template,
    traceback_text,
)
from envoi.core.kind import MAX_TEXT_CHARS

OURS = Frame(
    module="wiki.pages",
    function="save",
    file="wiki/pages.py",
    line=42,
    source=((41, "    page.lock()"), (42, "    page.write(text)"), (43, "")),
    variables=(("text", "'Hello'"),),
)
THEIRS = Frame(module="shelf", function="write", file="shelf.py", line=7, is_ours=False)
LOST = Raised(type="LookupError", message="page 7 is gone", frames=(OURS, THEIRS))


def facts(raised=LOST, **changes):
    return event_of(Sighting(raised=raised, **changes), ()).facts


@pytest.mark.parametrize(
    ("message", "template"),
    [
        ("page 7 of 12", "page * of *"),
        ("no user 'ann'", "no user *"),
        ('no user "ann"', "no user *"),
        ("<Page object at 0x7f00a1b2>", "<Page object at *>"),
        ("0b6c7a52-9d0e-4a0c-8f5a-1c2d3e4f5a6b is gone", "* is gone"),
        ("commit 3f8a1c09d2e4 is gone", "commit * is gone"),
        ("deadbeef accede", "deadbeef accede"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_message_loses_what_changes_from_one_time_to_the_next(message, template):
    assert message_template(message) == template


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(LOST, message="page 8 is gone"), id="another page"),
        pytest.param(
            replace(LOST, frames=(replace(OURS, line=43, file="/srv/wiki/pages.py"), THEIRS)),
            id="another line and place",
        ),
        pytest.param(replace(LOST, frames=(OURS,)), id="another way within a library"),
        pytest.param(replace(LOST, before=Raised(type="OSError")), id="another cause"),
    ],
)
def test_equal_errors_share_a_fingerprint(other):
    assert fingerprint(other) == fingerprint(LOST)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(LOST, type="KeyError"), id="type"),
        pytest.param(replace(LOST, message="user 7 is gone"), id="message"),
        pytest.param(replace(LOST, frames=(replace(OURS, function="load"), THEIRS)), id="function"),
        pytest.param(replace(LOST, members=(Raised(type="OSError"),)), id="member of the group"),
    ],
)
def test_other_errors_have_another(other):
    assert fingerprint(other) != fingerprint(LOST)


def test_the_place_is_the_applications_own_call_nearest_to_the_error():
    found = facts()

    assert (found["place"], found["code"]) == ("wiki/pages.py:42, save", "page.write(text)")


def test_an_error_within_a_library_alone_has_a_place_too():
    assert facts(replace(LOST, frames=(THEIRS,)))["place"] == "shelf.py:7, write"


def test_an_error_without_a_traceback_has_none():
    assert facts(Raised(type="LookupError"))["place"] == ""


def test_the_whole_chain_is_told_oldest_first():
    cause = Raised(type="OSError", message="disk full", frames=(THEIRS,))

    text = traceback_text(replace(LOST, before=cause, link=Link.CAUSE))

    assert text.splitlines() == [
        "Traceback (most recent call last):",
        "  shelf.py:7, write",
        "OSError: disk full",
        "",
        "The exception above was the direct cause of the following one:",
        "",
        "Traceback (most recent call last):",
        "  wiki/pages.py:42, save",
        "       41     page.lock()",
        "  >    42     page.write(text)",
        "       43",
        "          text = 'Hello'",
        "  shelf.py:7, write",
        "LookupError: page 7 is gone",
    ]


def test_the_members_of_a_group_are_told_each():
    group = Raised(
        type="ExceptionGroup",
        message="two failed",
        members=(Raised(type="OSError", message="a"), Raised(type="KeyError", message="b")),
        left_out=3,
    )

    lines = traceback_text(group).splitlines()

    assert "  | 1 of 5:" in lines
    assert "  | OSError: a" in lines
    assert "  | KeyError: b" in lines


def test_of_a_long_traceback_the_end_is_kept():
    frames = (replace(OURS, source=((42, "x" * 5_000),)),) * 60

    text = str(facts(replace(LOST, frames=frames))["traceback"])

    assert len(text) <= MAX_TEXT_CHARS
    assert text.startswith("[...]\n")
    assert text.endswith("LookupError: page 7 is gone")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://wiki.test/pages/7?draft=1", "/pages/7"),
        ("https://wiki.test", ""),
        ("/pages/7", "/pages/7"),
        ("", ""),
    ],
)
def test_the_path_of_a_request_is_that_of_its_url(url, path):
    assert Request(url=url).path == path


def test_an_event_names_those_who_are_told():
    event = event_of(Sighting(raised=LOST, at_ms=17, application="second"), ["ops@example.org"])

    assert event.people == {"recipients": ("ops@example.org",)}
    assert (event.kind, event.application, event.occurred_at_ms) == ("error_report", "second", 17)
