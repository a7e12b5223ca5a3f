"""Whatever anybody hands in is refused in our words or arrives as it is documented.

Sixty examples per property here; HYPOTHESIS_PROFILE=thorough tries 10,000.
"""

import base64
import io
import json
import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi import forms
from envoi.core.kind import FactType, clean_line, clean_text
from envoi.core.ready import READY_KIND
from envoi.directory.importing import import_users
from envoi.directory.records import UserDraft
from envoi.errors import InputError
from envoi.mailer import Receipt, Stored
from tests.hostile.catalogue import FILE_NAMES, NOT_ADDRESSES, TEXTS
from tests.hostile.house import HEADERS, OURS, THREADED, House, Read, people, read

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "hostile")
generated = settings(parent=settings.get_profile(PROFILE))
pytestmark = pytest.mark.timeout(120 if PROFILE == "hostile" else 7_200)

# Half surrogate pairs are letters here; the catalogue's values are the seeds of worse ones.
_SEEDS = [text.value[:400] for text in TEXTS.values()]
pieces = st.sampled_from(
    [*_SEEDS, *NOT_ADDRESSES.values(), "\r\n", "\n.\n", "=?", "?=", "\0", "<", '"', "@", "  ", "%"]
)
texts = st.one_of(
    st.text(st.characters(), max_size=100),
    st.lists(pieces | st.text(st.characters(), max_size=5), max_size=6).map("".join),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just(10**4_000))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
BY_TYPE = {
    FactType.TEXT: texts,
    FactType.LINE: texts,
    FactType.LINK: texts,
    FactType.OWN_LINK: texts,
    FactType.INTEGER: st.integers(-(2**63) + 1, 2**63 - 1),
    FactType.NUMBER: st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
    FactType.BOOLEAN: st.booleans(),
    FactType.MOMENT: st.integers(-(2**63) + 1, 2**63 - 1),
    FactType.LINES: st.lists(texts, max_size=4),
    FactType.ROWS: st.lists(
        st.dictionaries(
            texts | st.sampled_from(["text", "url", "name", "amount", "message"]),
            texts | st.none() | st.booleans() | st.integers(-9, 9),
            max_size=6,
        ),
        max_size=4,
    ),
}


def arrived(house: House, receipt: Receipt) -> dict[str, Read]:
    """Deliver; return every mail of the event, each address having got exactly one."""
    assert receipt.is_kept, receipt
    if receipt.stored is Stored.ROUTING:
        house.routing.append(receipt.event_id)
    elif receipt.event_id:
        chosen = [one.address for one in house.explained(receipt.event_id).chosen]
        assert len(chosen) == receipt.deliveries
        house.expected += chosen
    else:
        assert "is counted and not mailed" in receipt.because  # one more of an equal error
    return {recipient: read(kept) for recipient, kept in house.deliver().items()}


def _events(kind):
    facts = st.fixed_dictionaries(
        {}, optional={name: BY_TYPE[fact.type] for name, fact in kind.facts.items()}
    )
    return st.fixed_dictionaries(
        {"facts": facts},
        optional={"actor": texts, "subject": texts, "people": st.fixed_dictionaries(
            {}, optional={role: st.lists(texts, max_size=3) for role in kind.roles})},
    )  # fmt: skip


@generated
@given(data=st.data())
def test_any_facts_of_any_kind_arrive_in_either_language(house, data):
    catalogue = house.mailer.parts.catalogue
    name = data.draw(st.sampled_from([name for name in catalogue.kinds() if name != "probe"]))
    kind = catalogue.kind(name)
    form = data.draw(_events(kind))
    form["facts"] = {**catalogue.sample(name).facts, **form["facts"]}
    login = f"reader-{data.draw(st.sampled_from(['en', 'de']))}"
    _ensure_readers(house)
    roles = {role: [*names, login] for role, names in form.get("people", {}).items()}
    form["people"] = {role: [login] for role in kind.roles} | roles

    if any(len(form.get(word, "")) > 512 for word in ("actor", "subject")):
        return  # refused, see below

    receipt = house.mailer.notify(forms.read_event({"kind": name, **form}))

    for mail in arrived(house, receipt).values():
        assert set(mail.own_headers) <= set(THREADED)
        assert len(set(mail.own_headers)) == len(mail.own_headers)
        assert [str(one.addr_spec) for one in people(mail.message, "From")] == [OURS]
        assert mail.text.strip()


def _ensure_readers(house: House) -> None:
    if not house.count:
        house.count = 1
        for locale in ("en", "de"):
            login = f"reader-{locale}"
            house.add_user(UserDraft(login=login, locale=locale, addresses=(f"{login}@ok.test",)))


@generated
@given(line=texts, text=texts, items=st.lists(texts, max_size=3))
def test_any_fact_reads_back_as_it_was_cleaned(house, line, text, items):
    facts = {"line": line, "text": text, "items": items, "secret": line}
    form = {"kind": "probe", "facts": facts, "people": {"readers": ["ann@ok.test"]}}

    receipt = house.mailer.notify(forms.read_event(form))
    mail = arrived(house, receipt)["ann@ok.test"]

    subject = clean_line(line) or "Probe"
    shown = subject if len(subject) <= 255 else subject[:254].rstrip() + "\u2026"
    assert mail.message["Subject"] == shown
    assert mail.fact("line") == mail.fact("secret") == [clean_line(line)]
    assert mail.fact("text") == [clean_text(text)]
    assert mail.fact("item") == [clean_line(item) for item in items]
    assert mail.own_headers == list(HEADERS)


near_events = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.just("probe") | values,
        "facts": st.dictionaries(st.sampled_from(["line", "text", "table"]) | texts, values)
        | values,
        "people": st.dictionaries(st.just("readers") | texts, st.lists(texts) | values) | values,
        **dict.fromkeys(("actor", "subject", "key", "application"), texts | values),
        "occurred_at_ms": st.integers() | values,
    },
)


@generated
@given(form=near_events | values, kind=st.sampled_from(["", "probe"]))
def test_any_json_is_an_event_or_refused_in_words(house, form, kind):
    try:
        receipt = house.mailer.notify(forms.read_event(form, kind))
    except InputError as err:
        str(err).encode()
        return

    arrived(house, receipt)


boxes = st.one_of(
    st.just("ann@ok.test"),
    texts,
    texts.map("{} <ben@ok.test>".format),
    st.lists(values, max_size=3),
)
near_files = st.fixed_dictionaries(
    {}, optional={"name": texts, "content": texts, "media_type": texts | st.just("text/plain")}
)
near_mails = st.fixed_dictionaries(
    {"to": st.lists(boxes, max_size=2).map(lambda found: ["cleo@ok.test", *found])},
    optional={
        **dict.fromkeys(("cc", "bcc", "from", "reply_to"), boxes),
        **dict.fromkeys(("subject", "text", "html", "key"), texts | values),
        "headers": st.dictionaries(texts | st.just("X-Case"), texts | values, max_size=3) | values,
        "attachments": st.lists(near_files | values, max_size=2) | values,
        "class": st.sampled_from(["notice", "security"]) | values,
        "application": st.just("main") | values,
    },
)  # fmt: skip


@generated
@given(form=near_mails | values)
def test_any_json_is_a_mail_or_refused_in_words(house, form):
    before = house.rows()
    try:
        receipt = house.mailer.send(forms.read_mail(form))
    except InputError as err:
        str(err).encode()
        assert house.rows() == before
        return

    for mail in arrived(house, receipt).values():
        assert mail.message["X-Envoi-Notification-Type"] == READY_KIND


@generated
@given(
    name=texts | st.sampled_from([name for name, _ in FILE_NAMES.values()]),
    content=st.binary(max_size=2_000),
    text=texts,
)
def test_any_bytes_under_any_name_arrive_as_they_were(house, name, content, text):
    file = {"name": name, "content": base64.b64encode(content).decode()}
    form = {"to": "ann@ok.test", "subject": "s", "text": f"t{text}", "attachments": [file]}

    receipt = house.mailer.send(forms.read_mail(form))
    mail = arrived(house, receipt)["ann@ok.test"]

    [part] = mail.message.iter_attachments()
    assert part.get_payload(decode=True) == content
    shown = part.get_filename()
    assert shown
    assert not set(shown) & set('/\\\r\n\0<>"')
    assert mail.text.removesuffix("\n") == clean_text(f"t{text}").removesuffix("\n")


@generated
@given(first=texts, last=texts, login=texts)
def test_any_name_is_refused_or_shown(house, first, last, login):
    house.execute("DELETE FROM envoi_user WHERE login NOT LIKE 'reader-%'")
    draft = UserDraft(
        login=login, first_name=first, last_name=last, addresses=("somebody@ok.test",)
    )
    try:
        house.add_user(draft)
    except InputError as err:
        str(err).encode()
        return
    form = {"kind": "probe", "people": {"readers": [login, "ann@ok.test"]}}

    mails = arrived(house, house.mailer.notify(forms.read_event(form)))

    assert set(mails) == {"somebody@ok.test", "ann@ok.test"}
    [mailbox] = people(mails["somebody@ok.test"].message, "To")
    full_name = f"{first} {last}" if first and last else login
    expected = clean_line(unicodedata.normalize("NFC", full_name))[:100]
    assert "".join(mailbox.display_name.split()) == "".join(expected.split())


cells = texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=20)
files = st.one_of(
    st.binary(max_size=300),
    st.lists(cells, max_size=8).map(lambda row: b"login,email\n" + b",".join(row)),
    st.lists(values, max_size=3).map(lambda rows: _dumped(rows).encode()),
    st.lists(st.dictionaries(st.sampled_from(["login", "email", "name", "groups"]), values)).map(
        lambda rows: "\n".join(map(_dumped, rows)).encode()
    ),
)


def _dumped(value: object) -> str:
    return json.dumps(value, default=str).replace("Infinity", "1e999")


@generated
@given(content=files)
def test_any_file_of_users_is_taken_in_or_told_of(house, content):
    begin = house.mailer.parts.outbox.transaction
    try:
        report = import_users(begin, "main", io.BytesIO(content), now_ms=1)
    except InputError as err:
        str(err).encode()
        return

    told = [one.why for one in report.refused]
    told += [report.stopped.why] if report.stopped else []
    assert all(len(why.splitlines()) == 1 for why in told)
    [[stored]] = house.execute("SELECT COUNT(*) FROM envoi_user WHERE created_at_ms = 1")
    assert int(str(stored)) >= report.added
