"""RELIABILITY B and C through every door of an event: cleaned, and the mail still goes."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from envoi import forms
from envoi.core.kind import FactType, Plain
from envoi.errors import EventError
from tests.hostile.catalogue import TEXTS, Text
from tests.hostile.house import HEADERS, OURS, THREADED, House, Read, read

# From here on the thread's id, the log and `explain` would only say how long it is.
MAX_NAMED_CHARS = 512


@dataclass(frozen=True, slots=True)
class Door:
    """Where an event holds a text.

    Args:
        form: Fields of an event that holds the text there.
        fact: What `probe` calls it in the mail; empty where it is not shown.
        shown: What a reader sees of it there.
        is_subject: Whether the mail's subject shows it too.
        is_threaded: Whether the mail is part of a thread.
        takes: Whether the door takes the text at all.
    """

    form: Callable[[str], dict[str, Plain]]
    fact: str = ""
    shown: Callable[[Text], str] = field(default=lambda text: text.as_line)
    is_subject: bool = False
    is_threaded: bool = False
    takes: Callable[[Text], bool] = field(default=lambda text: True)


def _fact(name: str, shape: Callable[[str], Plain] = str) -> Callable[[str], dict[str, Plain]]:
    return lambda value: {"facts": {name: shape(value)}}


def _written_out(text: Text) -> str:
    value = text.value.strip(" ")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in value
    )


def _label(text: Text) -> str:
    return " ".join(_written_out(text)[:512].split())[:320]


def _is_name(text: Text) -> bool:
    return len(text.value) <= MAX_NAMED_CHARS


def _is_key(text: Text) -> bool:
    return len(text.value) <= 256 and not text.is_refused


DOORS = {
    "line": Door(_fact("line"), "line", is_subject=True),
    "text": Door(_fact("text"), "text", lambda text: text.as_text),
    "link": Door(_fact("link"), "link", lambda text: text.link),
    "own link": Door(_fact("own"), "own", lambda text: text.own),
    "secret": Door(_fact("secret"), "secret"),
    "lines": Door(_fact("items", lambda value: [value]), "item"),
    "cell": Door(_fact("table", lambda value: [{"text": value, "url": ""}]), "cell",
                 lambda text: text.as_text),
    "link cell": Door(_fact("table", lambda value: [{"text": "", "url": value}]), "url",
                      lambda text: text.link),
    "cell's name": Door(_fact("table", lambda value: [{value: 1, "text": "", "url": ""}])),
    "subject": Door(lambda value: {"subject": value}, "about", is_threaded=True, takes=_is_name),
    "actor": Door(lambda value: {"actor": value}, "actor", _label, takes=_is_name),
    "key": Door(lambda value: {"key": value}, takes=_is_key),
}  # fmt: skip
CASES = [pytest.param(door, case, id=f"{door}-{case}") for door in DOORS for case in TEXTS]


def _hand_in(house: House, door: Door, text: Text) -> tuple[str, str]:
    """Notify; return the address that will get the mail, or nothing and the refusal."""
    address = house.address()
    form = {"kind": "probe", "people": {"readers": [address]}, **door.form(text.value)}
    # As every door that is not Python brings it: surrogates survive JSON.
    event = forms.read_event(json.loads(json.dumps(form)))
    before = house.rows()
    try:
        receipt = house.mailer.notify(event)
    except EventError as err:
        assert house.rows() == before
        return "", str(err)
    assert receipt.deliveries == 1, receipt
    house.expected.append(address)
    return address, ""


@pytest.fixture(scope="module")
def outcomes(house) -> dict[tuple[str, str], Read | str]:
    """Every text through every door, delivered together: each mail as read, or the refusal."""
    handed = {
        (name, case): _hand_in(house, door, text)
        for name, door in DOORS.items()
        for case, text in TEXTS.items()
    }
    arrived = house.deliver()
    return {
        key: read(arrived[address]) if address else refusal
        for key, (address, refusal) in handed.items()
    }


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_mail_goes_and_shows_it_cleaned(outcomes, name, case):
    door, text, outcome = DOORS[name], TEXTS[case], outcomes[name, case]
    if not door.takes(text):
        assert len(outcome.splitlines()) == 1
        assert outcome.startswith(f"probe: {name}: expected")
        return
    mail, shown = outcome, door.shown(text)

    assert mail.own_headers == list(THREADED if door.is_threaded and shown else HEADERS)
    assert mail.kept.mail_from == OURS
    assert mail.message["From"] == f"Code <{OURS}>"
    assert mail.message["To"] == mail.kept.recipient
    assert mail.message["X-Envoi-Notification-Type"] == "probe"
    subject = (door.is_subject and shown) or "Probe"
    if len(subject) > 255:
        subject = subject[:254].rstrip() + "\u2026"
    assert mail.message["Subject"] == subject
    if door.fact:
        assert mail.fact(door.fact) == [shown]
    assert mail.text.count("-- \n") >= 1


@pytest.mark.parametrize(("name", "case"), CASES)
def test_html_shows_the_same_and_has_nothing_that_acts(outcomes, name, case):
    door, text, outcome = DOORS[name], TEXTS[case], outcomes[name, case]
    if not door.takes(text):
        return
    page, shown = outcome.html, door.shown(text)

    assert set(page.tags) <= {"html", "body", "pre", "a", "p", "div", "span", "hr", "br"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert all(
        not link or link.startswith(("http://", "https://", "mailto:"))
        for links in page.links.values()
        for link in links
    )
    if door.fact in {"link", "own", "url"}:
        assert page.links[door.fact] == [shown]
    elif door.fact:
        assert page.shown[door.fact] == [shown]


@pytest.mark.parametrize("case", TEXTS)
def test_whoever_a_hostile_name_means_is_nobody_and_the_others_are_told(house, case):
    text = TEXTS[case]
    address = house.address()
    form = {"kind": "probe", "people": {"readers": [text.value, address]}}

    receipt = house.mailer.notify(forms.read_event(form))
    mail = read(_deliver_also(house, address, *_meant(text))[address])

    skipped = house.explained(receipt.event_id).skipped
    if not text.value or _meant(text):
        assert skipped == ()
    else:
        assert [(one.name, str(one.because)) for one in skipped] == [
            (_label(text), "is not in the directory")
        ]
    named = [] if not text.value else [" ".join(_written_out(text)[:512].split())]
    assert mail.fact("reader") == [*(named or [""]), address]


def _meant(text: Text) -> list[str]:
    # B12's name is an address: somebody outside the directory.
    return [text.value] if re.fullmatch(r"[a-z]+@[a-z]+\.test", text.value) else []


def _deliver_also(house: House, *addresses: str):
    house.expected += addresses
    return house.deliver()


@pytest.mark.parametrize("case", [case for case in TEXTS if case != "C13"])
@pytest.mark.parametrize("place", ["application", "kind", "facts", "people", "field"])
def test_a_name_that_must_be_known_is_refused_on_one_line(house, case, place):
    value = TEXTS[case].value[:1_000]
    places: dict[str, dict[str, Plain]] = {
        "application": {"application": value},
        "kind": {"kind": value},
        "facts": {"facts": {value: "x"}},
        "people": {"people": {value: ["x"]}},
        "field": {value: "x"},
    }
    form = {"kind": "probe", **places[place]}
    before = house.rows()

    with pytest.raises(EventError) as caught:
        house.mailer.notify(forms.read_event(form))

    assert len(str(caught.value).splitlines()) == 1
    str(caught.value).encode()
    assert house.rows() == before


SHOWN = {
    FactType.TEXT: lambda value: value,
    FactType.LINE: lambda value: value,
    FactType.LINK: lambda value: value,
    FactType.OWN_LINK: lambda value: value,
    FactType.LINES: lambda value: [value, value],
    FactType.ROWS: lambda value: [dict.fromkeys(("message", "url", "name", "amount"), value)],
}


@pytest.mark.parametrize("locale", ["en", "de"])
def test_every_shipped_kind_carries_every_text(house, locale):
    mailer = house.mailer
    kinds = [kind for kind in mailer.parts.catalogue.kinds().values() if kind.name != "probe"]
    house.execute("UPDATE envoi_user SET locale = :locale", locale=locale)
    for kind in kinds:
        for text in _for(house, locale):
            # The long ones are `probe`'s; here they would only cost time.
            facts = {
                name: SHOWN[fact.type](text.value[:1_000])
                for name, fact in kind.facts.items()
                if fact.type in SHOWN
            }
            facts = {**mailer.parts.catalogue.sample(kind.name).facts, **facts}
            address = house.address()
            about = text.value[:500]
            form = {"kind": kind.name, "facts": facts, "actor": about, "subject": about,
                    "people": {role: [address] for role in kind.roles}}  # fmt: skip
            receipt = mailer.notify(forms.read_event(form))
            assert receipt.is_kept, receipt
            if not receipt.event_id:
                assert "is counted and not mailed" in receipt.because  # one more of an equal error
                continue
            house.expected += [chosen.address for chosen in
                               house.explained(receipt.event_id).chosen]  # fmt: skip

    arrived = house.deliver()

    names = {*THREADED}
    for kept in arrived.values():
        mail = read(kept)
        assert set(mail.own_headers) <= names
        assert len(mail.own_headers) == len(set(mail.own_headers))
        assert mail.message["From"] == f"Code <{OURS}>"
        assert mail.text.strip()


def _for(house: House, locale: str) -> list[Text]:
    # Each text in one language, the generated ones in both; on the second engine those that it
    # might mind.
    texts = [text for case, text in TEXTS.items() if not case.startswith("C2 lf ")]
    if house.mailer.parts.settings.outbox.url.startswith("postgresql"):
        texts = [text for text in texts if text.is_refused]
    return texts[locale == "de" :: 2]


def test_a_list_is_no_longer_than_a_text_may_be(house):
    address = house.address()
    facts = {"items": ["z" * 100_000] * 1_000, "table": [{"text": "z" * 60_000, "url": ""}] * 1_000}
    form = {"kind": "probe", "facts": facts, "people": {"readers": [address]}}

    house.mailer.notify(forms.read_event(form))
    mail = read(_deliver_also(house, address)[address])

    assert len(mail.fact("item")) == 1
    assert len(mail.kept.content) < 1_000_000
