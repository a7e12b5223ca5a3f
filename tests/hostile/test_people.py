"""RELIABILITY A, and the names of B: people as an event, a form, a file or a table brings them."""

import io
import json
import re
import unicodedata

import pytest

from envoi import forms
from envoi.directory.importing import import_users
from envoi.directory.people import change_user, find_user
from envoi.directory.records import UserChange, UserDraft
from envoi.errors import InputError
from tests.hostile.catalogue import (
    BLANK,
    LISTS,
    NORMALISED,
    NOT_ADDRESSES,
    TEXTS,
)
from tests.hostile.house import HEADERS, OURS, House, people, read

UNUSABLE = {**NOT_ADDRESSES, **LISTS}
NEITHER = {**UNUSABLE, **BLANK}
NAMES = {case: text for case, text in TEXTS.items() if case != "C13"}


def notify(house: House, *readers: str, actor: str = ""):
    form = {"kind": "probe", "actor": actor, "people": {"readers": list(readers)}}
    receipt = house.mailer.notify(forms.read_event(json.loads(json.dumps(form))))
    assert receipt.is_kept, receipt
    return house.explained(receipt.event_id)


def whom(explained) -> list[str]:
    return [chosen.address for chosen in explained.chosen]


def skipped(explained) -> list[tuple[str, str]]:
    return [(one.name, one.because.why.value) for one in explained.skipped]


# Addresses


class TestAddressesInAnEvent:
    @pytest.mark.parametrize("case", UNUSABLE)
    def test_as_a_reference_it_is_nobody_and_the_others_are_told(self, house, case):
        neighbour = house.address()

        found = notify(house, UNUSABLE[case], neighbour)

        house.expected.append(neighbour)
        assert whom(found) == [neighbour]
        assert [why for _, why in skipped(found)] == ["unknown"]

    @pytest.mark.parametrize("case", UNUSABLE)
    def test_as_the_actor_it_is_nobody_and_from_stays_ours(self, house, case):
        address = house.address()

        # Longer ones are refused: no login and no address has 512 characters.
        found = notify(house, address, actor=UNUSABLE[case][:512])

        house.expected.append(address)
        assert whom(found) == [address]
        assert read(house.deliver()[address]).message["From"] == f"Code <{OURS}>"

    @pytest.mark.parametrize("case", BLANK)
    def test_a_blank_reference_is_nobody(self, house, case):
        address = house.address()

        found = notify(house, BLANK[case], address)

        house.expected.append(address)
        assert (whom(found), skipped(found)) == ([address], [])


def test_a_good_address_is_mailed_in_its_normal_form_and_nowhere_else(house):
    stored = {case: kept for case, (_, kept) in NORMALISED.items()}
    for case, (typed, kept) in NORMALISED.items():
        found = notify(house, typed, typed)
        assert whom(found) == [kept], case
        house.expected.append(kept)

    arrived = house.deliver()

    for kept in stored.values():
        mail = read(arrived[kept])
        # As it stands on the wire: Python 3.11 parses no address beyond ASCII.
        assert f"\r\nTo: {kept}\r\n".encode() in b"\r\n" + mail.kept.content


class TestTypedAddresses:
    @pytest.mark.parametrize("case", list(NEITHER))
    def test_a_user_with_it_is_refused_and_nothing_is_stored(self, house, case):
        address = NEITHER[case]
        before = house.rows()

        with pytest.raises(InputError) as caught:
            house.add_user(UserDraft(login=f"typed {case}", addresses=("good@ok.test", address)))

        assert len(str(caught.value).splitlines()) == 1
        assert house.rows() == before

    @pytest.mark.parametrize("case", list(NEITHER))
    def test_a_change_to_it_is_refused_and_changes_nothing(self, house, case):
        login = f"changed {case}"
        house.add_user(UserDraft(login=login, addresses=("good@ok.test",)))

        with pytest.raises(InputError), house.mailer.parts.outbox.transaction() as tx:
            change_user(tx, "main", login, UserChange(addresses=(NEITHER[case],)))

        with house.mailer.parts.outbox.reading() as tx:
            user = find_user(tx, "main", login)
        assert [address.text for address in user.addresses] == ["good@ok.test"]


@pytest.mark.parametrize("form", ["csv", "json", "lines"])
def test_imported_it_is_kept_as_unusable_and_its_owner_is_skipped_by_name(house, form):
    # A cell with a comma is read as several addresses: all good, or kept as one that is none.
    rows = [
        (f"{form} {case}", "First", "Last", text)
        for case, text in NOT_ADDRESSES.items()
        if text.isprintable() and text.strip() == text
    ]
    rows.append((f"{form} good", "First", "Last", f"{form}-good@ok.test"))

    report = import_users(
        house.mailer.parts.outbox.transaction, "main", _file(form, rows), now_ms=1
    )

    assert (report.added, report.refused_count) == (len(rows), 0)
    assert report.unusable_count == len(rows) - 1
    found = notify(house, *(login for login, *_ in rows))
    house.expected.append(f"{form}-good@ok.test")
    assert whom(found) == [f"{form}-good@ok.test"]
    assert sorted(skipped(found)) == sorted((login, "unusable") for login, *_ in rows[:-1])


@pytest.mark.parametrize("form", ["csv", "json", "lines"])
def test_a_name_in_a_file_is_cleaned_and_the_other_rows_are_taken(house, form):
    # A byte that is no UTF-8 spoils its row only; JSON writes half a surrogate pair in ASCII.
    texts = {case: text for case, text in NAMES.items() if len(text.value) <= 255}
    rows = [
        (f"{form} name {case}", text.value, "Last", house.address()) for case, text in texts.items()
    ]

    report = import_users(
        house.mailer.parts.outbox.transaction, "main", _file(form, rows), now_ms=1
    )

    taken = {case: row for case, row in zip(texts, rows, strict=True)
             if form != "csv" or case != "B6"}  # fmt: skip
    assert report.stopped is None
    assert (report.added, report.refused_count) == (len(taken), len(rows) - len(taken))
    notify(house, *(login for login, *_ in rows))
    house.expected += [address for *_, address in taken.values()]
    arrived = house.deliver()
    for case, (_, _, _, address) in taken.items():
        assert_named(read(arrived[address]).message, "To", f"{texts[case].as_line} Last")


def _file(form: str, rows: list[tuple[str, str, str, str]]) -> io.BytesIO:
    fields = ("login", "first_name", "last_name", "email")
    if form == "csv":
        cells = ['"' + cell.replace('"', '""') + '"' for row in (fields, *rows) for cell in row]
        lines = [",".join(cells[at : at + 4]) for at in range(0, len(cells), 4)]
        return io.BytesIO("\n".join(lines).encode("utf-8", "surrogatepass"))
    tables = [dict(zip(fields, row, strict=True)) for row in rows]
    if form == "json":
        return io.BytesIO(json.dumps(tables).encode())
    return io.BytesIO("\n".join(json.dumps(table) for table in tables).encode())


@pytest.mark.parametrize("case", list(NEITHER))
def test_a_row_that_somebody_else_wrote_costs_its_owner_alone(house, case):
    address = NEITHER[case]
    if not _is_storable(house, address):
        return
    login, neighbour = f"row {case}", house.address()
    house.add_user(UserDraft(login=login, addresses=("soon@ok.test",)))
    house.execute(
        """UPDATE envoi_user_address SET address = :address, address_key = :address
        WHERE user_id = (SELECT id FROM envoi_user WHERE login = :login)""",
        address=address, login=login,
    )  # fmt: skip

    found = notify(house, login, neighbour)

    house.expected.append(neighbour)
    assert whom(found) == [neighbour]
    assert skipped(found) in ([(login, "unusable")], [(login, "no_address")])


@pytest.mark.parametrize("field", ["first_name", "login", "locale", "time_zone"])
@pytest.mark.parametrize("case", [case for case in NAMES if case != "C4"])
def test_a_field_that_somebody_else_wrote_costs_nobody_his_mail(house, case, field):
    value = NAMES[case].value
    if not _is_storable(house, value):
        return
    neighbour, address = house.address(), house.address()
    login = f"row {field} {case}"
    house.add_user(
        UserDraft(login=login, first_name="First", last_name="Last", addresses=(address,))
    )
    house.execute(
        f"UPDATE envoi_user SET {field} = :value WHERE login = :login", value=value, login=login
    )

    named = notify(house, login, neighbour)
    addressed = notify(house, address, neighbour, actor=login)

    # His login may be none that an event can name.
    assert set(whom(named)) in ({neighbour}, {address, neighbour})
    assert neighbour in whom(addressed)
    house.expected += [*whom(named), *whom(addressed)]
    assert set(read(house.deliver()[neighbour]).own_headers) <= set(HEADERS)


def _is_storable(house: House, text: str) -> bool:
    is_postgresql = "postgresql" in house.mailer.parts.settings.outbox.url
    return "\ud800" not in text and not (is_postgresql and "\0" in text)


# Names


@pytest.mark.parametrize("case", NAMES)
def test_a_typed_name_is_refused_or_shown_quoted(house, case):
    text, address, reader = NAMES[case], house.address(), house.address()
    draft = UserDraft(
        login=f"name {case}", first_name=text.value, last_name="Ray", addresses=(address,)
    )
    if text.is_refused or len(text.value) > 255:
        before = house.rows()
        with pytest.raises(InputError) as caught:
            house.add_user(draft)
        assert len(str(caught.value).splitlines()) == 1
        assert house.rows() == before
        return

    house.add_user(draft)
    found = notify(house, reader, actor=draft.login)
    notify(house, draft.login)
    house.expected += [reader, address]
    arrived = house.deliver()

    assert whom(found) == [reader]
    full_name = f"{unicodedata.normalize('NFC', text.value)} Ray"
    assert_named(read(arrived[address]).message, "To", full_name)
    borrowed = read(arrived[reader]).message
    assert_named(borrowed, "From", re.sub("[@<>]", " ", full_name) + " (no-reply)")
    assert [str(one.addr_spec) for one in people(borrowed, "From")] == [OURS]


def assert_named(message, header: str, name: str) -> None:
    """The header names one mailbox, called so; how a reader shows the seams is his own affair."""
    [mailbox] = people(message, header)
    shown = unicodedata.normalize("NFC", name)
    assert "".join(mailbox.display_name.split()) == "".join(shown.split())
