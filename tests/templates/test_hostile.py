"""RELIABILITY B and C: what users type into an application, in every fact of every kind."""

import re
from html.parser import HTMLParser
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.core.kind import FactType, Plain
from envoi.core.message import finished
from envoi.templates.catalogue import Catalogue
from envoi.templates.render import PERSONAL_MARK, Templates
from tests.templates.samples import BILLING, context_of

CATALOGUE = Catalogue.shipped([BILLING])
TEMPLATES = Templates(CATALOGUE)
SAFE_LINK = re.compile(r"(https?|mailto):[^\s<>\"']+")

HOSTILE = {
    "B1": "hi =?UTF-8?Q?=0D=0A?=Bcc: evil@evil.test",
    "B2": "A \U0001f4a9 subject\n",
    "B3": "x\r\nBcc: evil@evil.test\r\n\r\nbody",
    "B4": "a\x0bb\x0cc\x85d\u2028e",
    "B5": "a\x00b",
    "B6": "half \ud800 pair",
    "B9": "hi =?UTF-8?Q?=0A?=To: evil@evil.test",
    "B11": '"q" <a@b>\nBcc: v@x.test',
    "B12": "security@bank.test",
    "B13": "invoice\u202egpj.exe",
    "B14": "x" * 5000,
    "C1": "\r\n.\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<v@x.test>\r\nDATA\r\n",
    "C5": "From here\n.\n.x",
    "C6": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "C7": "javascript:alert(1)",
    "C7 data": "data:text/html,<script>alert(1)</script>",
    "C7 quoted": 'https://x.test/" onclick="alert(1)',
    "C9": "Your prize: evil.test/9b939 \u25c4\u25c4\u25c4",
    "C10": '{{7*7}}{% include "../../etc/passwd" %}{# x',
    "C11": 'Tom & "Jerry" <x>',
    "C12": "\U0001f600 e\u0301 \u05e9\u05dc\u05d5\u05dd \ufeff \ufffe",
    "marker": f"x {PERSONAL_MARK} y <!-- </body></html> -->",
    "percent": "100% %(name)s %s %d {0}",
    "empty": "",
}
_TEXTS = {FactType.TEXT, FactType.LINE, FactType.LINK, FactType.OWN_LINK}


class Page(HTMLParser):
    """What a reader's program would see: tags, attributes, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.words += data


def hostile_facts(kind: str, text: str) -> dict[str, Plain]:
    made: dict[str, Plain] = {}
    for name, fact in CATALOGUE.kind(kind).facts.items():
        if fact.type in _TEXTS:
            made[name] = text
        elif fact.type is FactType.LINES:
            made[name] = [text, text]
        elif fact.type is FactType.ROWS:
            rows = cast("list[dict[str, Plain]]", CATALOGUE.sample(kind).facts[name])
            made[name] = [dict.fromkeys(rows[0], text)]
    return made


@pytest.fixture(scope="module")
def harmless() -> dict[str, list[str]]:
    """The tags of every kind's sample: hostile facts may drop some, never add one."""
    return {kind: Page(TEMPLATES.prove(kind).html).tags for kind in CATALOGUE.kinds()}


@pytest.mark.parametrize("kind", list(CATALOGUE.kinds()))
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_facts_render_harmlessly(harmless, kind, text):
    data = context_of(CATALOGUE, kind, hostile_facts(kind, text))

    words = TEMPLATES.render(kind, "de", "Europe/Berlin", data)
    page = Page(words.html)

    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e\ud800-\udfff]", words.subject)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", words.text + words.html)
    assert set(page.tags) <= {*harmless[kind], "br", "a", "p", "div", "span", "ul", "li"}
    assert not {name for name, _ in page.attributes if name.startswith("on") or name == "src"}
    links = [value for name, value in page.attributes if name == "href"]
    assert [link for link in links if not SAFE_LINK.fullmatch(link)] == []
    assert words.html.count(PERSONAL_MARK) == bool(words.html)
    assert "49" not in words.text


@pytest.mark.parametrize("kind", list(CATALOGUE.kinds()))
@pytest.mark.parametrize("case", ["C11", "C12", "C6", "C10"])
def test_text_that_looks_odd_arrives_literally(kind, case):
    text = HOSTILE[case]
    found = CATALOGUE.kind(kind)
    # A changeset's message is shown in one line; an earlier form of a text is only compared.
    hidden = {"message", *(seek.except_in for seek in found.seeks.values())}
    shown = [
        name
        for name, fact in found.facts.items()
        if fact.type is FactType.TEXT and name not in hidden
    ]

    data = context_of(CATALOGUE, kind, dict.fromkeys(shown, text))
    words = TEMPLATES.render(kind, "en", "UTC", data)

    assert words.text.count(text) == len(shown)
    if words.html:
        assert Page(words.html).words.count(text) == len(shown)


def test_a_very_long_subject_is_cut_and_the_whole_stands_in_the_body():
    data = context_of(CATALOGUE, "message", {"title": "x" * 5000})

    words = finished(TEMPLATES.render("message", "en", "UTC", data), "[App]")

    assert len(words.subject) <= 255
    assert "x" * 5000 in words.html


def test_an_address_in_a_strangers_name_is_not_made_a_link():
    data = context_of(
        CATALOGUE, "registration", {"full_name": "Your prize: http://evil.test/9b939"}
    )

    words = TEMPLATES.render("registration", "en", "UTC", data)

    assert "http://evil.test" not in [v for n, v in Page(words.html).attributes if n == "href"]


def test_a_name_as_long_as_an_advertisement_is_cut():
    data = context_of(CATALOGUE, "registration", {"full_name": "Buy " * 1000})

    words = TEMPLATES.render("registration", "en", "UTC", data)

    assert max(len(line) for line in words.text.split("\n")) < 200


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(), max_size=200))
@pytest.mark.parametrize("kind", ["pull_request_comment", "password_reset", "new_user"])
def test_any_text_renders_harmlessly(harmless, kind, text):
    data = context_of(CATALOGUE, kind, hostile_facts(kind, text))

    words = TEMPLATES.render(kind, "de", "Europe/Berlin", data)
    page = Page(words.html)

    words.html.encode()
    words.text.encode()
    assert set(page.tags) <= {*harmless[kind], "br", "a", "p", "div", "span", "ul", "li"}
    assert words.html.count(PERSONAL_MARK) == 1
