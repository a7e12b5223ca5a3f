"""Subjects, character by character, as people who come from Kallithea filter and read them."""

import pytest

from tests.templates.kallithea import ANN, BEN, HEX, read

LONG, CUT = "x" * 60, "x" * 47 + "..."
EXACT = "y" * 50
NO_VOTE = {"status_change": None, "closing": None}
CHANGESET = (
    '[Comment] docs changeset 3f8a1c09d2e4 "backup: Say how to restore one." on stable by ann'
)
PULL = '"Explain how to restore a backup" from restore-chapter by ann'


@pytest.mark.parametrize(
    ("kind", "facts", "subject"),
    [
        ("cs_comment", NO_VOTE, CHANGESET),
        ("pull_request", {}, f"[Review] docs PR #7 {PULL}"),
        ("pull_request_comment", NO_VOTE, f"[Comment] docs PR #7 {PULL}"),
        ("registration", {"username": "hans"}, "New user hans registered"),
        ("message", {"title": "Test Message"}, "Test Message"),
        ("password_reset", {}, "Password reset link"),
        ("password_external", {}, "Password reset link"),
        ("password_changed", {}, "Password reset notification"),
    ],
)
def test_each_type_has_its_pattern(site, kind, facts, subject):
    assert site().mail(kind, BEN, **facts)["Subject"] == subject


@pytest.mark.parametrize(
    ("kind", "fact", "text", "shown"),
    [
        ("cs_comment", "message", LONG, CUT),
        ("cs_comment", "message", EXACT, EXACT),
        ("cs_comment", "message", "First line\n\nand why", "First line"),
        ("cs_comment", "message", "\n\n  First  line \r\nmore", "First line"),
        ("pull_request", "title", LONG, CUT),
        ("pull_request", "title", EXACT, EXACT),
        ("pull_request_comment", "title", LONG, CUT),
        ("pull_request_comment", "title", 'say "hi" [now]', 'say "hi" [now]'),
        ("pull_request_comment", "title", "two\nlines", "two lines"),
    ],
)
def test_a_title_is_one_line_of_fifty_characters(site, kind, fact, text, shown):
    assert f' "{shown}" ' in site().mail(kind, **{**NO_VOTE, fact: text})["Subject"]


def test_twelve_digits_of_the_hash_are_shown(site):
    subject = site().mail("cs_comment", revision="0123456789abcdef", **NO_VOTE)["Subject"]

    assert subject.startswith('[Comment] docs changeset 0123456789ab "')


@pytest.mark.parametrize(
    ("status", "closing", "bracket"),
    [
        (None, False, "[Comment]"),
        ("not_reviewed", False, "[Not reviewed: Comment]"),
        ("under_review", False, "[Under review: Comment]"),
        ("rejected", False, "[Not approved: Comment]"),
        ("approved", False, "[Approved: Comment]"),
        ("Approved", False, "[Approved: Comment]"),
        (None, True, "[Closing: Comment]"),
        ("rejected", True, "[Not approved, Closing: Comment]"),
        ("approved", True, "[Approved, Closing: Comment]"),
        ("Needs ] work", False, "[Needs work: Comment]"),
    ],
)
@pytest.mark.parametrize("kind", ["cs_comment", "pull_request_comment"])
def test_votes_stand_in_the_first_bracket(site, kind, status, closing, bracket):
    subject = site().mail(kind, status_change=status, closing=closing)["Subject"]

    assert subject.startswith(f"{bracket} docs ")


@pytest.mark.parametrize(
    ("prefix", "begin"),
    [
        ("", "[Approved: Comment] docs"),
        ("Ours:", "Ours: [Approved: Comment] docs"),
        ("[Kallithea]", "[Kallithea] [Approved: Comment] docs"),
        ("  [Kallithea]  ", "[Kallithea] [Approved: Comment] docs"),
    ],
)
def test_a_prefix_stands_before_everything_with_one_space(site, prefix, begin):
    mail = site(email_prefix=prefix).mail("cs_comment", status_change="approved")

    assert mail["Subject"].startswith(begin)


def test_the_prefix_stands_before_mail_of_other_types_too(site):
    mail = site(email_prefix="[K]").mail("password_reset")

    assert mail["Subject"] == "[K] Password reset link"


def test_a_subject_ends_with_the_author_not_with_who_commented(site):
    assert site().mail("cs_comment", BEN, author="ann")["Subject"].endswith(" by ann")
    assert site().mail("pull_request", BEN, owner="ann")["Subject"].endswith(" by ann")


def test_a_changeset_without_branch_names_none(site):
    subject = site().mail("cs_comment", branch="", message="m", **NO_VOTE)["Subject"]

    assert subject == '[Comment] docs changeset 3f8a1c09d2e4 "m" by ann'


@pytest.mark.parametrize(
    "title",
    [
        "Grüße überall schön",
        "ä ö ü ß é à ñ ç ø å æ œ",
        "漢字 かな 交じり 文 です",
        "one två three fyra five sex",
        "Ω",
        "plain then ümläut and plain again over the fold",
    ],
)
@pytest.mark.parametrize("prefix", ["", "[Kärnten]"])
def test_non_ascii_subjects_read_back_exactly(site, title, prefix):
    subject = site(email_prefix=prefix).mail("pull_request", title=title)["Subject"]

    shown = " ".join(filter(None, [prefix, f'[Review] docs PR #7 "{title}" from']))
    assert subject == f"{shown} restore-chapter by ann"


@pytest.mark.parametrize("text", ["two\nlines", "two\r\nBcc: v@x.test", "=?utf-8?q?=0ABcc?="])
def test_a_line_break_in_a_title_adds_no_header_and_costs_no_mail(site, text):
    mail = site().mail("pull_request", title=text)

    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[Review] docs PR #7 ")


def test_who_reads_german_gets_a_german_subject_with_the_same_brackets(site):
    octets = site().raw("pull_request_comment", ANN, locale="de", status_change="rejected")

    assert read(octets)["Subject"].startswith("[Nicht angenommen, Abschluss: Kommentar] docs PR #7")


def test_the_full_hash_stands_in_the_thread_though_not_in_the_subject(site):
    mail = site().mail("cs_comment", revision=HEX)

    assert HEX not in mail["Subject"]
    assert f"docs-rev-{HEX}@" in mail["References"]
