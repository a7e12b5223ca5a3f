"""What the words of each mail hold, in both parts."""

import re
from dataclasses import replace

import pytest

from tests.templates.kallithea import ANN, BEN, HEX, html_of, text_of

SITE = "https://code.example.com"
NO_LINE = {"inline_path": None, "inline_line": None}
COMMENT = {**NO_LINE, "status_change": None, "closing": None}
PLAIN = re.compile(r"<style.*?</style>|<title>.*?</title>|<[^>]+>", re.DOTALL)


def readable(html: str) -> str:
    text = PLAIN.sub(" ", html).replace("&#34;", '"').replace("&#39;", "'").replace("&amp;", "&")
    return " ".join(text.replace("&nbsp;", " ").split())


def both(mail) -> tuple[str, str]:
    return " ".join(text_of(mail).split()), readable(html_of(mail))


def title_of(mail) -> tuple[str, str]:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", html_of(mail), re.DOTALL)
    assert found
    return text_of(mail).split("\n")[2], readable(found[1])


@pytest.mark.parametrize(
    ("kind", "facts", "title"),
    [
        ("cs_comment", {}, 'Comment on changeset "m"'),
        ("cs_comment", {"is_mention": True}, 'Mention in a comment on changeset "m"'),
        ("pull_request", {}, 'ben asks for a review of pull request #7 "t"'),
        ("pull_request", {"is_mention": True}, 'ben mentioned you on pull request #7 "t"'),
        ("pull_request_comment", {"closing": False}, 'Comment on pull request #7 "t"'),
        ("pull_request_comment", {"closing": True}, 'Pull request #7 "t" closed'),
        (
            "pull_request_comment",
            {"closing": False, "is_mention": True},
            'Mention in a comment on pull request #7 "t"',
        ),
        (
            "pull_request_comment",
            {"closing": True, "is_mention": True},
            'Mention in a comment on pull request #7 "t"',
        ),
        ("registration", {}, "New user registration"),
    ],
    ids=[
        "comment", "comment mention", "invitation", "mention", "discussion", "closed",
        "discussion mention", "mention wins over closed", "registration",
    ],
)  # fmt: skip
def test_the_title_says_why_the_mail_comes(site, kind, facts, title):
    said = {"cs_comment": {"message": "m"}, "registration": {}}.get(kind, {"title": "t"})

    assert title_of(site().mail(kind, BEN, **said, **facts)) == (title, title)


def test_the_title_of_a_changeset_holds_two_hundred_characters(site):
    mail = site().mail("cs_comment", message="z" * 300)

    assert title_of(mail)[0] == f'Comment on changeset "{"z" * 197}..."'


@pytest.mark.parametrize(
    ("kind", "facts", "pieces"),
    [
        (
            "cs_comment",
            {**COMMENT, "comment": "Why not?"},
            [
                "Ann Lee (ann):",
                "Why not?",
                'backup: Say how to restore one." by Ann Lee (ann).',
            ],
        ),
        (
            "cs_comment",
            {**COMMENT, "status_change": "rejected", "comment": None},
            ["Ann Lee (ann):", "Status change: Not approved"],
        ),
        (
            "pull_request",
            {},
            [
                'Pull request #7 "Explain how to restore a backup" by Ann Lee (ann)',
                "branch restore-chapter",
                "branch stable",
                "Description:",
                "The chapter on backups ended where it gets interesting.",
                "@dan, is the part about tapes still true?",
                "Changesets:",
                "backup: Say how to restore one.",
                "backup: Warn of tapes older than the index.",
            ],
        ),
        (
            "pull_request_comment",
            {**NO_LINE, "status_change": "approved", "closing": True},
            [
                "Ann Lee (ann):",
                "Status change: Approved",
                "Tried every command on the spare machine, they work.",
                "The pull request has been closed.",
                'Pull request #7 "Explain how to restore a backup" by Ann Lee (ann)',
                "branch restore-chapter",
                "branch stable",
            ],
        ),
        (
            "pull_request_comment",
            {"inline_path": "a/b.rst", "inline_line": "n12"},
            ["On a/b.rst, line n12"],
        ),
        (
            "registration",
            {},
            ["User name: eve", "Full name: Eve Okafor", "E-mail: eve@example.org"],
        ),
        ("password_reset", {}, ["Password reset request", "Hello Ann Lee,"]),
        (
            "password_external",
            {},
            ["Password reset request", "Hello Ann Lee,", "your password is kept elsewhere"],
        ),
        ("password_changed", {}, ["the password of your account ann has been changed."]),
        ("message", {"title": "T", "body": "Some words."}, ["Some words."]),
    ],
    ids=[
        "comment", "vote", "invitation", "closing", "inline", "registration", "reset",
        "elsewhere", "changed", "message",
    ],
)  # fmt: skip
def test_both_parts_say_it_in_this_order(site, kind, facts, pieces):
    for words in both(site().mail(kind, ANN, **facts)):
        found = [words.find(piece) for piece in pieces]

        assert -1 not in found, words
        assert found == sorted(found)


@pytest.mark.parametrize(
    ("kind", "label", "path"),
    [
        ("cs_comment", "View comment", f"/docs/changeset/{HEX}#comment-12"),
        ("pull_request", "View pull request", "/docs/pull-request/7"),
        ("pull_request_comment", "View comment", "/docs/pull-request/7#comment-41"),
        ("registration", "View user profile", "/admin/users/17"),
    ],
)
def test_the_target_opens_the_text_and_is_the_button(site, kind, label, path):
    mail = site().mail(kind)
    lines = text_of(mail).split("\n")

    assert lines[0] == SITE + path
    assert f"{label}: {SITE}{path}" in lines
    assert re.search(rf'<a class="button" href="{re.escape(SITE + path)}"[^>]*>{label}</a>',
                     html_of(mail))  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "links"),
    [
        ("cs_comment", ["/docs"]),
        ("pull_request", ["/ann/docs", "/docs", "/ann/docs/changeset/3f8a1c09d2e4"]),
        ("pull_request_comment", ["/ann/docs", "/docs"]),
    ],
)
def test_repositories_and_changesets_are_links(site, kind, links):
    html = html_of(site().mail(kind))

    assert [link for link in links if f'href="{SITE}{link}"' not in html] == []


def test_from_and_to_name_url_and_branch(site):
    text = text_of(site().mail("pull_request_comment"))

    assert f"\nfrom {SITE}/ann/docs branch restore-chapter\nto {SITE}/docs branch stable\n" in text


@pytest.mark.parametrize("kind", ["pull_request", "pull_request_comment"])
@pytest.mark.parametrize(("source", "shown"), [("ann/docs", "ann/docs"), (None, "docs")])
def test_a_pull_request_from_another_repository_says_from_which(site, kind, source, shown):
    words = readable(html_of(site().mail(kind, source_repository=source)))

    assert f"from {shown} branch restore-chapter to docs branch stable" in words


def test_the_context_of_a_comment_names_the_repository_and_the_branch(site):
    text = text_of(site().mail("cs_comment", message="q" * 70))

    assert f'\nChangeset on {SITE}/docs branch stable:\n"{"q" * 57}..." by Ann Lee (ann).\n' in text


def test_a_changeset_is_listed_by_eighty_characters_of_its_first_line(site):
    changesets = [{"message": f"{'w' * 100}\n\nmore", "url": "/c/1"}]
    mail = site().mail("pull_request", changesets=changesets)

    assert f"\n- {'w' * 77}...\n" in text_of(mail)
    assert f">{'w' * 77}...</a>" in html_of(mail)


def test_a_comment_is_escaped_in_html_and_literal_in_text(site):
    mail = site().mail("cs_comment", comment="<b>& @ann</b>")

    assert "\n<b>& @ann</b>\n" in text_of(mail)
    assert "&lt;b&gt;&amp; @ann&lt;/b&gt;" in html_of(mail)


RESET = "/password-reset/confirm?user=ann&token=d3b07384d113edec49eaa6238ad5ff00c0ffee11"
TOKEN = "d3b07384d113edec49eaa6238ad5ff00c0ffee11"


@pytest.mark.parametrize("locale", ["en", "de"])
def test_link_and_token_of_a_reset_stand_alone_on_their_lines(site, locale):
    mail = site().mail("password_reset", None, locale=locale)
    lines = text_of(mail).split("\n")

    assert f"{SITE}{RESET}" in lines
    assert TOKEN in lines
    assert f'href="{SITE}{RESET.replace("&", "&amp;")}"' in html_of(mail)


def test_a_reset_link_leads_to_the_configured_site_alone(site):
    mail = site().mail("password_reset", reset_url=f"https://evil.test{RESET}")

    assert "evil.test" not in text_of(mail) + html_of(mail)
    assert f"{SITE}{RESET}" in text_of(mail).split("\n")


def test_where_the_password_is_kept_elsewhere_there_is_no_link(site):
    mail = site().mail("password_external", managed_by=None)

    assert "http" not in text_of(mail).partition("-- \n")[0]
    assert "<a " not in html_of(mail)
    assert all("your password is kept elsewhere." in words for words in both(mail))


@pytest.mark.parametrize(
    ("reader", "actors", "subject"),
    [
        ("de", "en", "Neuer Benutzer hans registriert"),
        ("en", "de", "New user hans registered"),
        ("", "de", "New user hans registered"),
    ],
)
def test_the_words_are_in_the_readers_language_not_in_the_actors(site, reader, actors, subject):
    mail = site().mail("registration", replace(ANN, locale=actors), locale=reader, username="hans")

    assert mail["Subject"] == subject
    assert ("eines neuen Benutzers" in title_of(mail)[1]) == (reader == "de")
