"""Every shipped and example kind, in every language."""

import re
from html.parser import HTMLParser

import pytest

from envoi.core.kind import Plain
from envoi.templates.catalogue import Catalogue
from envoi.templates.render import PERSONAL_MARK, Templates
from tests.templates.samples import BASE_URL, BILLING, context_of, identity

CATALOGUE = Catalogue.shipped([BILLING])
TEMPLATES = Templates(CATALOGUE)
KINDS = list(CATALOGUE.kinds())
every_kind = pytest.mark.parametrize("kind", KINDS)
every_locale = pytest.mark.parametrize("locale", ["en", "de"])


class Elements(HTMLParser):
    """Every start tag of a document with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))


def subject_of(kind: str, **facts: Plain) -> str:
    return TEMPLATES.render(kind, "en", "UTC", context_of(CATALOGUE, kind, facts)).subject


@every_kind
@every_locale
def test_a_sample_renders_in_full(kind, locale):
    words = TEMPLATES.prove(kind, locale, "Europe/Berlin", identity())

    assert words.subject
    assert "\n" not in words.subject
    assert words.text.strip()
    assert not re.search(r"\n\n\n\n|\bNone\b|Undefined|%\(", words.text)


@every_kind
def test_a_sample_shows_everything_that_it_says(kind):
    words = TEMPLATES.prove(kind, "en", "UTC", identity())

    for name, value in CATALOGUE.sample(kind).facts.items():
        if isinstance(value, str) and name not in {"status_change", "revision", "message"}:
            assert value.split("\n")[0] in words.text + words.subject, name


@every_kind
@every_locale
def test_html_carries_its_styles_in_its_elements(kind, locale):
    html = TEMPLATES.prove(kind, locale, "UTC", identity()).html
    styled = [attrs for _, attrs in Elements(html).elements if attrs.get("class")]

    assert all(attrs.get("style") for attrs in styled)
    for sheet in re.findall(r"<style[^>]*>(.*?)</style>", html, re.DOTALL):
        assert sheet.strip().startswith("@media")


@every_kind
@every_locale
def test_links_are_absolute_and_nothing_is_loaded(kind, locale):
    elements = Elements(TEMPLATES.prove(kind, locale, "UTC", identity()).html).elements

    assert {attrs["href"].startswith(f"{BASE_URL}/") for tag, attrs in elements if tag == "a"} <= {
        True
    }
    assert not {
        tag for tag, attrs in elements if "src" in attrs or tag in {"img", "link", "script"}
    }


@every_kind
@every_locale
def test_html_has_one_button_at_most_and_one_place_for_the_person(kind, locale):
    html = TEMPLATES.prove(kind, locale, "UTC", identity()).html
    buttons = [attrs for _, attrs in Elements(html).elements if attrs.get("class") == "button"]

    assert len(buttons) <= 1
    assert not html or html.count(PERSONAL_MARK) == 1


@every_kind
def test_html_is_readable_on_a_phone_and_in_the_dark(kind):
    html = TEMPLATES.prove(kind, "de", "UTC", identity()).html
    if not html:
        return

    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert '<html lang="de" dir="ltr">' in html
    widths = {attrs.get("width", "") for _, attrs in Elements(html).elements}
    assert widths == {""}  # nothing has a fixed width


RESTORE = '"Explain how to restore a backup" from restore-chapter by ann'
BACKUP = '"backup: Say how to restore one." on stable by ann'


@pytest.mark.parametrize(
    ("kind", "facts", "subject"),
    [
        (
            "cs_comment",
            {"status_change": ""},
            f"[Comment] docs changeset 3f8a1c09d2e4 {BACKUP}",
        ),
        (
            "cs_comment",
            {"status_change": "approved", "message": "x" * 60},
            f'[Approved: Comment] docs changeset 3f8a1c09d2e4 "{"x" * 47}..." on stable by ann',
        ),
        ("pull_request", {}, f"[Review] docs PR #7 {RESTORE}"),
        (
            "pull_request_comment",
            {"status_change": "", "closing": False},
            f"[Comment] docs PR #7 {RESTORE}",
        ),
        (
            "pull_request_comment",
            {"status_change": "", "closing": True},
            f"[Closing: Comment] docs PR #7 {RESTORE}",
        ),
        (
            "pull_request_comment",
            {"status_change": "rejected", "closing": True},
            f"[Not approved, Closing: Comment] docs PR #7 {RESTORE}",
        ),
        (
            "pull_request_comment",
            {"status_change": "Needs work", "closing": False, "title": "y" * 51},
            f'[Needs work: Comment] docs PR #7 "{"y" * 47}..." from restore-chapter by ann',
        ),
        ("registration", {"username": "hans"}, "New user hans registered"),
        ("password_reset", {}, "Password reset link"),
        ("message", {"title": "Test Message"}, "Test Message"),
        ("server_up", {}, "Server started"),
        ("server_down", {}, "Server shutdown"),
        ("failed_login", {"username": "root"}, "Login failed for 'root'"),
        ("new_user", {"username": "hans"}, "New user hans"),
        ("new_comment", {}, "New comment by Ann Lee (ben) on mitosis-2026-02-27.tiff"),
    ],
)
def test_subjects_are_those_that_peoples_filters_know(kind, facts, subject):
    assert subject_of(kind, **facts) == subject


@pytest.mark.parametrize(
    ("status", "label"),
    [
        ("not_reviewed", "Not reviewed"),
        ("under_review", "Under review"),
        ("Under review", "Under review"),
        ("rejected", "Not approved"),
        ("not_approved", "Not approved"),
        ("approved", "Approved"),
    ],
)
def test_a_vote_is_shown_by_its_label(status, label):
    words = TEMPLATES.render(
        "cs_comment", "en", "UTC", context_of(CATALOGUE, "cs_comment", {"status_change": status})
    )

    assert words.subject.startswith(f"[{label}: Comment]")
    assert f"\nStatus change: {label}\n" in words.text
    assert f"Status change: {label}</p>" in words.html


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("cs_comment", "comment_url"),
        ("pull_request", "url"),
        ("pull_request_comment", "comment_url"),
        ("registration", "url"),
    ],
)
def test_a_text_begins_with_its_target_and_ends_with_the_button(kind, first):
    data = context_of(CATALOGUE, kind)
    target = data[first]

    lines = TEMPLATES.render(kind, "en", "UTC", data).text.rstrip("\n").split("\n")

    assert lines[:2] == [target, ""]
    assert lines[3:5] == ["", ""]  # below the title line
    assert re.fullmatch(rf"View [a-z ]+: {re.escape(str(target))}", lines[-1])
    assert lines[-2] == ""


def test_link_and_token_of_a_reset_stand_alone_on_their_lines():
    data = context_of(CATALOGUE, "password_reset")

    words = TEMPLATES.render("password_reset", "en", "UTC", data)

    assert data["reset_url"] in words.text.split("\n")
    assert data["token"] in words.text.split("\n")


def test_a_reset_link_cannot_lead_elsewhere():
    data = context_of(CATALOGUE, "password_reset", {"reset_url": "https://evil.test/reset?t=1"})

    words = TEMPLATES.render("password_reset", "en", "UTC", data)

    assert "evil.test" not in words.text + words.html
    assert f"{BASE_URL}/reset?t=1" in words.text


def test_a_masked_reset_shows_masks_and_links_nowhere():
    data = {**context_of(CATALOGUE, "password_reset"), "reset_url": "********", "token": "********"}

    words = TEMPLATES.render("password_reset", "en", "UTC", data)

    assert words.text.count("********") == 2
    assert words.html.count("********") == 2
    assert "<a " not in words.html


def test_paths_without_a_base_url_are_shown_and_not_linked():
    data = {**context_of(CATALOGUE, "registration"), "url": "/admin/users/17"}
    data["application"] = {"name": "", "base_url": ""}

    words = TEMPLATES.render("registration", "en", "UTC", data)

    assert "View user profile: /admin/users/17" in words.text
    assert "View user profile: /admin/users/17" in words.html
    assert "<a " not in words.html


def test_paths_in_rows_become_links_below_the_base_url():
    words = TEMPLATES.render("pull_request", "en", "UTC", context_of(CATALOGUE, "pull_request"))

    assert f'href="{BASE_URL}/ann/docs/changeset/3f8a1c09d2e4"' in words.html
