"""RELIABILITY A, B, D and F where an operator types: settings, senders, templates, passwords."""

from pathlib import Path

import pytest

from envoi import forms
from envoi.core.kind import Kind
from envoi.errors import SettingsError
from envoi.journal import Fact
from envoi.settings import from_mapping
from envoi.templates.catalogue import Catalogue
from envoi.testing import FaultyRelay, RelayTraits
from tests.hostile.catalogue import (
    HEADER_NAMES,
    LISTS,
    NOT_ADDRESSES,
    TEMPLATES,
    TEXTS,
)
from tests.hostile.house import HEADERS, OURS, make_house, read

FOLDER = Path(__file__).parent
PROBE = {"kind": "probe", "people": {"readers": ["ann@ok.test"]}}
LINES = {case: text for case, text in TEXTS.items() if text.is_refused}
# A configured sender may be local.
ADDRESSES = {case: text for case, text in {**NOT_ADDRESSES, **LISTS}.items() if case != "A22 local"}


def problems(**sections: object) -> list[str]:
    try:
        from_mapping(sections, FOLDER)
    except SettingsError as err:
        return [str(problem) for problem in err.problems]
    return []


@pytest.mark.parametrize("case", ADDRESSES)
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("application", "from"), ("application", "reply_to"), ("application", "admins"),
        ("smtp", "mail_from"), ("guard", "redirect"), ("guard", "allow"),
    ],
)  # fmt: skip
def test_a_bad_address_is_refused_on_one_line(section, key, case):
    value = ADDRESSES[case]
    if key == "allow" and value.startswith("@"):
        return  # so a whole domain is written

    [told] = problems(**{section: {key: [value] if key in {"admins", "allow"} else value}})

    assert told.startswith(f"{section}.{key}: expected")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("case", LINES)
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("application", "from"), ("application", "name"), ("application", "prefix"),
        ("application", "type_header"), ("application", "base_url"), ("application", "locale"),
        ("application", "time_zone"), ("smtp", "host"), ("smtp", "helo"), ("smtp", "username"),
        ("outbox", "schema"),
    ],
)  # fmt: skip
def test_a_text_that_is_not_one_line_is_refused(section, key, case):
    [told] = problems(**{section: {key: LINES[case].value}})

    assert told.startswith(f"{section}.{key}: expected")
    assert len(told.splitlines()) == 1
    told.encode()


@pytest.mark.parametrize("helo", ["x\r\nMAIL FROM:<e@x>", "a b", "[x]", "a@b", "-", "x\0"])
def test_b15_a_name_to_greet_with_is_a_host_name(helo):
    assert len(problems(smtp={"helo": helo})) == 1


@pytest.mark.parametrize("case", [case for case in HEADER_NAMES if case != "B7 nothing"])
def test_the_type_header_is_one_that_a_mail_may_carry(case):
    assert len(problems(application={"type_header": HEADER_NAMES[case]})) == 1


@pytest.mark.parametrize("case", [case for case in TEXTS if case != "C13"])
def test_an_application_has_a_plain_name(case):
    found = problems(application={TEXTS[case].value[:1_000]: {"base_url": "https://x.test"}})

    assert len(found) == 1
    assert len(found[0].splitlines()) == 1


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0", "\ud800"])
def test_f2_a_password_that_breaks_the_line_is_refused_and_not_told(end):
    [told] = problems(smtp={"password": f"S3CRET{end}"})

    assert "S3CRET" not in told


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize(
    "password", ["p\u00e4ss%#\" '", " x ", "\\r\\n", "\u4f8b\u5b50 \U0001f600"]
)
def test_f2_any_other_password_signs_in(sqlite_url, tmp_path, mechanism, password):
    traits = RelayTraits(
        username="w\u00efki", password=password, mechanisms=(mechanism,), demands_auth=True
    )
    with FaultyRelay(traits) as relay:
        house = make_house(
            sqlite_url, tmp_path, relay,
            smtp={"username": "w\u00efki", "password": password},
        )  # fmt: skip
        house.expected.append("ann@ok.test")
        house.mailer.send(forms.read_mail({"to": "ann@ok.test", "subject": "s", "text": "t"}))

        assert house.deliver()["ann@ok.test"].username == "w\u00efki"
        house.mailer.close()


# Senders


class TestSenders:
    """Senders that cannot be read are left out and told of; the others speak."""

    @pytest.fixture
    def tell(self, outbox_url, tmp_path, faulty_relay):
        """Return what is told of bad senders beside a good one, whose mail must arrive."""

        def tell(tables) -> list[str]:
            senders = {
                name: {"kind": "probe", "recipients": ["everyone"], **keys}
                for name, keys in tables.items()
            }
            house = make_house(outbox_url, tmp_path, faulty_relay, senders=senders)
            told = told_of(house, Fact.SENDER_BROKEN)
            house.mailer.notify(forms.read_event(PROBE))
            house.expected.append("ann@ok.test")
            assert read(house.deliver()["ann@ok.test"]).own_headers == list(HEADERS)
            house.mailer.close()
            assert all(len(problem.splitlines()) == 1 for problem in told)
            return told

        return tell

    def test_a_name_that_is_not_one_line_is_left_out(self, tell):
        told = tell({text.value: {} for text in LINES.values()})

        assert len(told) == len(LINES)
        assert {problem.partition(":")[0] for problem in told} == {"senders"}

    def test_any_other_name_is_taken(self, tell):
        names = [text.value for case, text in TEXTS.items() if case not in LINES]

        told = tell({name: {} for name in names})

        assert len(told) == sum(not 0 < len(name) <= 128 for name in names)

    def test_a_header_that_is_none_or_ours_leaves_it_out(self, tell):
        told = tell({f"bad{n}": {"headers": {name: "x"}}
                     for n, name in enumerate(HEADER_NAMES.values())})  # fmt: skip

        assert len(told) == len(HEADER_NAMES)

    def test_a_header_value_that_is_not_one_line_leaves_it_out(self, tell):
        told = tell({f"bad {case}": {"headers": {"X-Case": text.value}}
                     for case, text in LINES.items()})  # fmt: skip

        assert len(told) == len(LINES)

    def test_a_recipient_that_nobody_is_reaches_nobody(self, tell):
        tell({f"bad {case}": {"recipients": [address]}
              for case, address in (NOT_ADDRESSES | LISTS).items()})  # fmt: skip

    @pytest.mark.parametrize("selector", ["user", "group", "role"])
    def test_a_selector_that_finds_nobody_costs_nothing(self, tell, selector):
        tell({f"bad {case}": {"recipients": [f"{selector}:{text.value[:5_000]}"]}
              for case, text in TEXTS.items()})  # fmt: skip

    @pytest.mark.parametrize("key", ["template", "transport", "class", "kind"])
    def test_a_word_that_names_nothing_costs_nothing(self, tell, key):
        tell({f"bad {case}": {"recipients": ["user:nobody"], key: text.value[:5_000]}
              for case, text in TEXTS.items()})  # fmt: skip


def told_of(house, wanted: Fact) -> list[str]:
    """Return a list that fills with the reasons of every fact of one sort."""
    told: list[str] = []
    house.mailer.parts.journal.subscribe(
        lambda fact, fields: told.append(str(fields["because"])) if fact is wanted else None
    )
    return told


def test_headers_of_a_sender_arrive_exactly(outbox_url, tmp_path, faulty_relay):
    headers = {"X-Word": "=?utf-8?q?=0D=0ABcc=3A?= x", "List-Id": "Caf\u00e9 <x.test>",
               "List-Unsubscribe": "<https://x.test/" + "u" * 1_500 + ">"}  # fmt: skip
    sender = {"kind": "probe", "recipients": ["ann@ok.test"], "headers": headers}
    house = make_house(outbox_url, tmp_path, faulty_relay, senders={"own": sender})
    house.expected.append("ann@ok.test")

    house.mailer.notify(forms.read_event({"kind": "probe"}))
    mail = read(house.deliver()["ann@ok.test"])
    house.mailer.close()

    assert mail.own_headers == [*HEADERS[:8], *headers, *HEADERS[8:]]
    assert {name: mail.message[name] for name in headers} == headers


@pytest.mark.parametrize(
    "name", ["\u4f8b" * 90, 'Caf\u00e9, "Ann" <x>', "=?utf-8?q?=0ABcc:?=", "a" * 400]
)
def test_a_configured_name_arrives_quoted(outbox_url, tmp_path, faulty_relay, name):
    quoted = name.replace('"', '\\"')
    house = make_house(
        outbox_url, tmp_path, faulty_relay,
        application={"from": f'"{quoted}" <{OURS}>', "prefix": name, "name": name},
    )  # fmt: skip
    house.expected.append("ann@ok.test")

    assert house.mailer.notify(forms.read_event(PROBE)).is_kept
    mail = read(house.deliver()["ann@ok.test"])
    house.mailer.close()

    [mailbox] = mail.message["From"].addresses
    assert "".join(mailbox.display_name.split()) == "".join(name.split())
    assert str(mailbox.addr_spec) == OURS
    assert len(mail.message["Subject"]) <= 255


# Templates


class TestTemplates:
    @pytest.mark.parametrize("case", TEMPLATES)
    @pytest.mark.parametrize("part", ["subject.txt", "text.txt", "html.html"])
    def test_a_template_that_does_not_render_costs_its_words_alone(
        self, sqlite_url, tmp_path, faulty_relay, case, part
    ):
        folder = tmp_path / "own"
        (folder / "probe" / part).parent.mkdir(parents=True)
        (folder / "probe" / part).write_text(TEMPLATES[case], "utf-8")
        house = make_house(sqlite_url, tmp_path, faulty_relay, folders=[str(folder)])
        broken: list[str] = []
        house.mailer.parts.journal.subscribe(
            lambda fact, fields: (
                broken.append(str(fields["because"])) if fact is Fact.TEMPLATE_BROKEN else None
            )
        )
        form = {**PROBE, "facts": {"line": "The words", "secret": "S3CRET"}}

        assert house.mailer.notify(forms.read_event(form)).is_kept
        house.expected.append("ann@ok.test")
        mail = read(house.deliver()["ann@ok.test"])
        house.mailer.close()

        assert bool(broken) == (case != "empty")
        assert "The words" in mail.text
        assert "S3CRET" in mail.text
        assert "S3CRET" not in str(broken)
        assert not any(word in mail.text for word in ("uid=", "root:", "<class", "built-in"))

    @pytest.mark.parametrize("case", LINES)
    def test_d10_a_subject_of_two_lines_becomes_one(self, sqlite_url, tmp_path, faulty_relay, case):
        text = LINES[case]
        if "\ud800" in text.value:
            return  # no file holds it
        folder = tmp_path / "own"
        (folder / "probe").mkdir(parents=True)
        raw = "{% raw %}" + text.value + "{% endraw %}"
        (folder / "probe" / "subject.txt").write_bytes(raw.encode())
        house = make_house(sqlite_url, tmp_path, faulty_relay, folders=[str(folder)])

        house.mailer.notify(forms.read_event(PROBE))
        house.expected.append("ann@ok.test")
        mail = read(house.deliver()["ann@ok.test"])
        house.mailer.close()

        assert mail.message["Subject"] == text.as_line[:255]
        assert mail.own_headers == list(HEADERS)

    def test_d11_a_template_deleted_while_mail_waits_changes_no_word(
        self, sqlite_url, tmp_path, faulty_relay
    ):
        folder = tmp_path / "own"
        (folder / "probe").mkdir(parents=True)
        path = folder / "probe" / "text.txt"
        path.write_text("As it was: {{ line }}", "utf-8")
        house = make_house(sqlite_url, tmp_path, faulty_relay, folders=[str(folder)])
        people = [house.address() for _ in range(20)]
        form = {"kind": "probe", "people": {"readers": people}, "facts": {"line": "x"}}
        house.mailer.notify(forms.read_event(form))
        house.mailer.close()

        path.unlink()
        later = make_house(sqlite_url, tmp_path, faulty_relay)
        later.expected += people
        arrived = later.deliver()
        later.mailer.close()

        assert {read(kept).text.startswith("As it was: x\n") for kept in arrived.values()} == {True}

    @pytest.mark.parametrize("case", LINES)
    @pytest.mark.parametrize("key", ["type_header", "roles"])
    def test_a_kind_whose_words_are_not_one_line_is_refused_at_load(self, case, key):
        value = LINES[case].value
        kind = Kind(name="own", facts={}, roles=(value,))
        if key == "type_header":
            kind = Kind(name="own", facts={}, type_header=value)

        with pytest.raises(SettingsError) as caught:
            Catalogue().add(kind)

        assert len(str(caught.value).splitlines()) == 1
