"""This room proves that a sheet written tag by tag says what one written by a library says."""

from html.parser import HTMLParser

import pytest

from envoi.templates.catalogue import Catalogue
from envoi.templates.render import Templates
from envoi.templates.sheet import read_sheet
from envoi.templates.styles import Inliner

SHEET = """
/* Every .thing here is simple. */
body { margin: 0; }
P.line, .small { color: #111; top: 0 }
h1 { font-family: "Segoe UI", Arial }
.line { color: red }
p { color: blue; padding: 1px }
@media (prefers-color-scheme: dark) {
.line { color: white !important; }
}
"""

RICH = [kind for kind in Catalogue.shipped().kinds() if Catalogue.shipped().part(kind, "html.html")]


class Elements(HTMLParser):
    """Collects each element with its attributes, the style apart as declarations."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        lines = (attributes.pop("style", "") or "").split(";")
        style = dict([part.strip() for part in line.split(":")] for line in lines if line.strip())
        # The library adds tbody, as a browser would, and moves what is left of the sheet.
        if tag not in {"tbody", "style"}:
            self.found.append((tag, sorted(attributes.items()), style))


class Kept(Inliner):
    """Keeps the last document as it was before."""

    def __call__(self, html):
        self.html = html
        return super().__call__(html)


def written(body, sheet=SHEET):
    sheet = read_sheet(sheet)
    assert sheet is not None
    return sheet.written(body)


@pytest.mark.parametrize("kind", RICH)
def test_every_shipped_mail_looks_as_the_library_would_make_it(kind, monkeypatch):
    inliner = Kept()
    monkeypatch.setattr("envoi.templates.render.Inliner", lambda: inliner)
    ours = Templates(Catalogue.shipped()).prove(kind).html
    monkeypatch.setattr("envoi.templates.styles.read_sheet", lambda _: None)
    theirs = Inliner()(inliner.html)

    found, expected = Elements(ours).found, Elements(theirs).found
    assert found == expected
    assert any(style for _, _, style in found)
    assert "@media" in ours


def test_a_shipped_mail_needs_no_library(monkeypatch):
    def refuse():
        raise AssertionError("the library was loaded")

    monkeypatch.setattr("envoi.templates.styles._load", refuse)

    assert 'style="' in Templates(Catalogue.shipped()).prove("pull_request").html


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("<p>", '<p style="color: blue;padding: 1px;">'),
        (
            '<p class="line">',
            '<p class="line" style="color: blue;padding: 1px;color: red;color: #111;top: 0;">',
        ),
        ("<h1>", "<h1 style=\"font-family: 'Segoe UI', Arial;\">"),
        ("<DIV CLASS=line id=x>", '<DIV CLASS=line id=x style="color: red;">'),
        ("<div id=x class='a line'>", "<div id=x class='a line' style=\"color: red;\">"),
        ('<div style="margin: 0" class="line">', '<div class="line" style="color: red;margin: 0">'),
        (
            """<div class="line" style='font-family: "X"'>""",
            """<div class="line" style="color: red;font-family: &quot;X&quot;">""",
        ),
        (
            '<div title="a > b class=\'small\'" class="line">',
            '<div title="a > b class=\'small\'" class="line" style="color: red;">',
        ),
        ('<div class="line"/>', '<div style="color: red;" class="line"/>'),
        ('<div class="lines Line" class="line">', '<div class="lines Line" class="line">'),
        ('<!-- <p class="line"> -->', '<!-- <p class="line"> -->'),
        ("<title><p></title>", "<title><p></title>"),
        ("a < b and c > d", "a < b and c > d"),
    ],
)
def test_a_tag_gets_what_its_type_and_classes_say(tag, expected):
    assert written(tag) == expected
    assert written(f"{tag}{tag}") == expected * 2


def test_equal_tags_are_kept_and_a_link_is_not():
    sheet = read_sheet("a { color: red }")
    assert sheet is not None
    sheet.written('<a class="x"><a class="x"><a href="https://example.org/secret">')

    assert list(sheet._tags) == ['<a class="x">']


@pytest.mark.parametrize(
    "sheet",
    [
        "td > p { color: red }",
        "p a { color: red }",
        "p:first-child { color: red }",
        "#id { color: red }",
        "* { color: red }",
        "a[href] { color: red }",
        "p, { color: red }",
        '@import "x.css";',
        "@font-face { font-family: x }",
        "@supports (color: red) { p { color: red } }",
        "p { background: url(x.png) }",
        'p { content: "}" }',
        "p { font-family: 'X' }",
        "p { content: '\\201C' }",
        "p { color red }",
        "p { filter: progid:x }",
        "p { color: red",
        "p } color: red {",
        'p { content: "x }',
    ],
)
def test_a_sheet_that_looks_further_goes_to_the_library(sheet):
    assert read_sheet(sheet) is None

    inliner = Inliner()
    html = f"<html><head><style>{sheet}</style></head><body><p>x</p></body></html>"
    inliner(html)
    assert inliner._library is not None


@pytest.mark.parametrize(
    "head",
    [
        '<link rel="stylesheet" href="x.css"><style>p { color: red }</style>',
        "<style>p { color: red }</style><STYLE>p { margin: 0 }</STYLE>",
        '<style media="screen">p { color: red }</style>',
        "<style>p { color: red }",
    ],
)
def test_a_document_with_other_sheets_goes_to_the_library(head):
    inliner = Inliner()

    inliner(f"<html><head>{head}</head><body><p>x</p></body></html>")

    assert inliner._library is not None


def test_what_cannot_be_inlined_stays_and_nothing_else():
    html = Inliner()(f"<html><head><style>{SHEET}</style></head><body>x</body></html>")

    assert html == (
        "<html><head><style>@media (prefers-color-scheme: dark) {\n"
        ".line { color: white !important; }\n}</style></head>"
        '<body style="margin: 0;">x</body></html>'
    )
    assert "<style" not in Inliner()("<head><style>p { margin: 0 }</style></head><p>x</p>")


def test_sheets_without_end_fill_no_memory(monkeypatch):
    monkeypatch.setattr("envoi.templates.styles.MAX_SHEETS", 2)
    inliner = Inliner()

    for size in range(5):
        found = inliner(f"<style>p {{ margin: {size}px }}</style><p>x</p>")
        assert f'<p style="margin: {size}px;">' in found

    assert len(inliner._sheets) == 2
