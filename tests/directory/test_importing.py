"""Taking in users from files: every form, every mishap, and nothing half stored."""

import csv
import io
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.core.routing import Selector
from envoi.directory import groups, people
from envoi.directory.importing import ROWS_PER_TRANSACTION, import_users, rehearse_import
from envoi.directory.own import OwnDirectory
from envoi.directory.records import UserChange, UserDraft
from envoi.errors import InputError, OutboxUnavailableError
from tests.directory.contract import ask
from tests.directory.hostile import BLANK, LISTS, NORMALISED, NOT_ADDRESSES


def take(outbox, content, **more):
    source = io.BytesIO(content if isinstance(content, bytes) else content.encode())
    report = import_users(outbox.transaction, "main", source, now_ms=9, **more)
    assert not source.closed
    return report


def rehearse(outbox, content):
    return rehearse_import(outbox.reading, "main", io.BytesIO(content.encode()))


def stored(outbox):
    with outbox.reading() as tx:
        return {user.login: user for user in people.list_users(tx, "main", limit=1000)}


def texts(user):
    return [address.text for address in user.addresses]


def counts(report):
    return (report.added, report.changed, report.unchanged, report.refused_count)


@pytest.fixture
def sqlite(sqlite_url):
    from envoi.outbox import open_outbox

    outbox = open_outbox(sqlite_url)
    yield outbox
    outbox.close()


HEADER = "login,first_name,last_name,email,admin,active,locale,time_zone,groups"
ANN = "ann,Ann,Lee,ann@x.test,yes,yes,de,Europe/Berlin,dev;ops"
OBJECT = {
    "login": "ann", "first_name": "Ann", "last_name": "Lee", "email": "ann@x.test", "admin": True,
    "active": True, "locale": "de", "time_zone": "Europe/Berlin", "groups": ["dev", "ops"],
}  # fmt: skip
FORMS = {
    "commas": f"{HEADER}\n{ANN}\n",
    "semicolons": f"{HEADER}\n{ANN}\n".replace(";", "|").replace(",", ";").replace("|", ","),
    "tabs": f"{HEADER}\n{ANN}\n".replace(",", "\t"),
    "Windows line ends": f"{HEADER}\r\n{ANN}\r\n",
    "no last line end": f"{HEADER}\n{ANN}",
    "mark": f"\ufeff{HEADER}\n{ANN}\n",
    "UTF-16": f"{HEADER}\n{ANN}\n".encode("utf-16"),
    "Excel's separator line": f"sep=,\n{HEADER}\n{ANN}\n",
    "blank lines": f"\n\n{HEADER}\n\n{ANN}\n,,,,,,,,\n\n",
    "quotes": f"{HEADER}\n" + ",".join(f'"{cell}"' for cell in ANN.split(",")),
    "padding": f"{HEADER}\n" + ANN.replace(",", " , "),
    "other names": f"{HEADER}\n{ANN}\n".replace("login", "User Name")
    .replace("email", "E-Mail")
    .replace("time_zone", "TZ"),
    "upper case names": f"{HEADER.upper()}\n{ANN}\n",
    "JSON array": json.dumps([OBJECT], indent=2),
    "JSON array, marked": "\ufeff" + json.dumps([OBJECT]),
    "JSON Lines": json.dumps(OBJECT) + "\n",
    "JSON Lines, blank lines": "\n" + json.dumps(OBJECT) + "\n\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(sqlite, form):
    report = take(sqlite, FORMS[form])

    ann = stored(sqlite)["ann"]
    assert (report.refused, report.stopped, counts(report)) == ((), None, (1, 0, 0, 0))
    assert (ann.first_name, ann.last_name, texts(ann)) == ("Ann", "Lee", ["ann@x.test"])
    assert (ann.is_admin, ann.is_active, ann.locale) == (True, True, "de")
    assert (ann.time_zone, ann.groups, ann.created_at_ms) == ("Europe/Berlin", ("dev", "ops"), 9)
    assert report.groups_added == ("dev", "ops")


def test_taking_in_a_file_again_changes_nothing(outbox):
    content = f"{HEADER}\n{ANN}\nbob,,,a@x.test;b@x.test,,,,,Dev\ncleo,,,nonsense,,,,,\n"
    first = take(outbox, content)
    before = stored(outbox)
    again = take(outbox, content)

    assert counts(first) == (3, 0, 0, 0)
    assert counts(again) == (0, 0, 3, 0)
    assert stored(outbox) == before
    assert texts(before["bob"]) == ["a@x.test", "b@x.test"]
    assert before["bob"].groups == ("dev",)
    assert again.unusable == first.unusable
    assert again.groups_added == ()


def test_what_the_file_says_is_how_it_is_and_what_it_leaves_out_stays(outbox):
    take(outbox, f"{HEADER}\n{ANN}\n")
    report = take(outbox, "Login;Surname;email;active;groups\nANN;;new@x.test;no;ops\n")

    ann = stored(outbox)["ANN"]
    assert counts(report) == (0, 1, 0, 0)
    assert (ann.first_name, ann.last_name, ann.locale) == ("Ann", "", "de")
    assert (ann.is_admin, ann.is_active) == (True, False)
    assert (texts(ann), ann.groups) == (["new@x.test"], ("ops",))


def test_null_leaves_a_field_and_nothing_empties_it(sqlite):
    take(sqlite, f"{HEADER}\n{ANN}\n")
    take(sqlite, json.dumps([{"login": "ann", "last_name": None, "email": None, "groups": []}]))

    ann = stored(sqlite)["ann"]
    assert (ann.last_name, texts(ann), ann.groups) == ("Lee", ["ann@x.test"], ())


def test_an_empty_flag_leaves_it(sqlite):
    take(sqlite, "login,admin\nann,yes\n")
    take(sqlite, "login,admin\nann,\n")

    assert stored(sqlite)["ann"].is_admin


def test_several_columns_of_addresses_are_taken_together(sqlite):
    take(sqlite, "login,email,addresses\nann,a@x.test,b@x.test;A@x.test\n")

    assert texts(stored(sqlite)["ann"]) == ["a@x.test", "b@x.test"]


def test_columns_that_stand_for_nothing_are_named(sqlite):
    report = take(sqlite, "login,Password,shoe size,\nann,secret,7,\n")

    assert report.ignored_columns == ("Password", "shoe size")
    assert "secret" not in repr(report)


@pytest.mark.parametrize("name", NOT_ADDRESSES)
def test_an_unusable_address_is_kept_and_its_owner_skipped_by_name(sqlite, name):
    text = NOT_ADDRESSES[name]
    report = take(sqlite, json.dumps([{"login": "ann", "email": text}, {"login": "bob"}]))

    assert counts(report) == (2, 0, 0, 0)
    [unusable] = report.unusable
    assert (unusable.line, unusable.login, report.unusable_count) == (1, "ann", 1)
    assert "expected" in unusable.why or "not a usable e-mail address" in unusable.why
    [address] = stored(sqlite)["ann"].addresses
    assert (address.key, address.is_primary, address.text) == ("", True, unusable.text)
    assert address.problem == unusable.why
    assert address.text.isprintable()
    with sqlite.reading() as tx:
        audience = OwnDirectory().audience(tx, ask("role:r", r=("ann",)), limit=9)
    assert audience.candidates[0].person.address is None
    assert audience.candidates[0].person.unusable_address == address.text


@pytest.mark.parametrize("name", NORMALISED)
def test_an_unusual_address_is_stored_in_normal_form(sqlite, name):
    text, normal = NORMALISED[name]
    report = take(sqlite, json.dumps([{"login": "ann", "email": text}]))

    assert report.unusable == ()
    assert texts(stored(sqlite)["ann"]) == [normal]


@pytest.mark.parametrize("name", LISTS)
def test_several_good_addresses_in_one_cell_are_several(sqlite, name):
    report = take(sqlite, f'login,email\nann,"{LISTS[name]}"\n')

    assert report.unusable == ()
    assert len(stored(sqlite)["ann"].addresses) == 2


@pytest.mark.parametrize("cell", ["a@b.test;c@d", "a@b.test, Doe", "a@b.test;;@"])
def test_a_cell_that_is_partly_good_is_kept_whole_and_unusable(sqlite, cell):
    report = take(sqlite, f'login,email\nann,"{cell}"\n')

    assert [one.text for one in report.unusable] == [cell]
    assert texts(stored(sqlite)["ann"]) == [cell]


@pytest.mark.parametrize("name", BLANK)
def test_a_blank_cell_is_no_address(sqlite, name):
    report = take(sqlite, json.dumps([{"login": "ann", "email": BLANK[name]}]))

    assert (report.unusable, texts(stored(sqlite)["ann"])) == ((), [])


def test_an_unusable_first_address_is_not_silently_replaced_by_the_second(sqlite):
    take(sqlite, json.dumps([{"login": "ann", "addresses": ["nonsense", "b@x.test"]}]))

    with sqlite.reading() as tx:
        [candidate] = OwnDirectory().audience(tx, ask("everyone"), limit=9).candidates
    assert candidate.person.address is None
    assert candidate.person.unusable_address == "nonsense"


CSV_REFUSED = {
    "no login": (",Ann,,", "login: expected a text that is not empty"),
    "too few cells": ("ann", "expected 4 cells as the header has, got 1"),
    "too many cells": ("ann,a,b,c,d", "expected 4 cells as the header has, got 5"),
    "invisible login": ("a\u200bnn,,,", "login: .*invisible"),
    "login of two lines": ('"a\nb",,,', "login: expected one line"),
    "NUL": ("a\x00nn,,,", "login: expected one line"),
    "no flag": ("ann,,perhaps,", "is_admin: expected yes or no, got perhaps"),
    "no locale": ("ann,,,xx_YY", "locale: expected a locale"),
    "long name": ("ann," + "x" * 256 + ",,", "first_name: expected at most 255"),
    "text behind quotes": ('"ann"x,,,', "the quotes do not fit"),
    "login twice": ("FIRST,,,", "login: FIRST stands on an earlier line already"),
}


@pytest.mark.parametrize("name", CSV_REFUSED)
def test_a_row_that_does_not_fit_is_refused_by_line_and_the_others_go_on(sqlite, name):
    row, why = CSV_REFUSED[name]
    report = take(sqlite, f"login,first_name,admin,locale\nfirst,,,\n{row}\nlast,,,\n")

    assert counts(report) == (2, 0, 0, 1)
    [refused] = report.refused
    assert refused.line == 3
    assert re.search(why, refused.why), refused.why
    assert refused.why.isprintable()
    assert sorted(stored(sqlite)) == ["first", "last"]


JSON_REFUSED = {
    "no object": ("7", "expected an object with a login, got int"),
    "null": ("null", "got NoneType"),
    "number as login": ('{"login": 5}', "login: expected text, got int"),
    "list as login": ('{"login": ["a"]}', "login: expected text, got list"),
    "number as address": ('{"login": "a", "email": 5}', "addresses: expected text, got int"),
    "object as address": ('{"login": "a", "email": [{}]}', "addresses: expected text, got dict"),
    "number as flag": ('{"login": "a", "admin": 2}', "is_admin: expected yes or no, got 2"),
    "NaN as flag": ('{"login": "a", "admin": NaN}', "is_admin: expected yes or no, got nan"),
    "half a pair": ('{"login": "\\ud800"}', "login: expected one line"),
    "login twice": ('{"login": "a", "Login": "b"}', "login: two columns stand for it"),
    "many addresses": (
        json.dumps({"login": "a", "email": ["a@b.test"] * 101}),
        "addresses: expected at most 100, got 101",
    ),
}


@pytest.mark.parametrize("form", ["array", "lines"])
@pytest.mark.parametrize("name", JSON_REFUSED)
def test_a_value_that_does_not_fit_is_refused_by_line(sqlite, name, form):
    value, why = JSON_REFUSED[name]
    first, last = '{"login": "first"}', '{"login": "last"}'
    content = f"[\n{first},\n{value},\n{last}]" if form == "array" else f"{first}\n{value}\n{last}"
    report = take(sqlite, content if form == "array" else f"\n{content}")

    assert counts(report) == (2, 0, 0, 1)
    assert report.refused[0].line == 3
    assert why in report.refused[0].why


@pytest.mark.parametrize(
    "value", ["{", '{"login": ', "[" * 100_000, '{"login": "a"} x', "nonsense"]
)
def test_a_broken_line_of_json_lines_is_refused_and_the_others_go_on(sqlite, value):
    report = take(sqlite, f'{{"login": "first"}}\n{value}\n{{"login": "last"}}\n')

    assert counts(report) == (2, 0, 0, 1)
    assert report.refused[0].line == 2
    assert "expected one JSON object" in report.refused[0].why


@pytest.mark.parametrize(
    "rest",
    ["", ",", ', {"login": ', ", nonsense]", '] {"login": "x"}', " 7]", ", " + "[" * 100_000],
)
def test_a_broken_json_array_stops_with_its_line(sqlite, rest):
    report = take(sqlite, '[{"login": "first"}\n' + rest)

    assert sorted(stored(sqlite)) == ["first"]
    assert report.stopped is not None
    assert report.stopped.line == 2
    assert report.stopped.why.isprintable()


def test_other_bytes_than_utf8_spoil_their_row_only(sqlite):
    report = take(sqlite, b"login,last_name\nann,Lee\nbob,M\xfcller\ncleo,\n")

    assert counts(report) == (2, 0, 0, 1)
    assert (report.refused[0].line, "UTF-8" in report.refused[0].why) == (3, True)


def test_an_open_quote_says_which_lines_it_swallowed(sqlite):
    lines = "".join(f"u{n},{'x' * 90}\n" for n in range(3_000))
    report = take(sqlite, f'login,last_name\nfirst,\nann,"Lee\n{lines}')

    assert report.refused[0].line == 3
    assert "were read as one row" in report.refused[0].why
    assert report.added > 1_000


NO_HEADER = {
    "empty": "",
    "blank": "\n\n",
    "no login": "name,email\nann,a@x.test\n",
    "no header": "ann@x.test\nbob@x.test\n",
    "login twice": "login,username\na,b\n",
    "open quote": '"login',
    "binary": b"\x89PNG\r\n\x1a\n\x00\x00" * 100,
    "one line": b"x" * 3_000_000,
}


@pytest.mark.parametrize("name", NO_HEADER)
def test_a_file_that_is_no_list_of_users_is_refused_as_a_whole(sqlite, name):
    with pytest.raises(InputError) as refused:
        take(sqlite, NO_HEADER[name])

    assert str(refused.value).isprintable()
    assert stored(sqlite) == {}


@pytest.mark.parametrize(
    "content", ["login\nann\n" + "x" * 2_000_000, '{"login": "ann"}\n{' + "x" * 2_000_000]
)
def test_an_endless_line_stops_the_import_by_its_number(sqlite, content):
    report = take(sqlite, content)

    assert report.added == 1
    assert report.stopped is not None
    assert "longer than" in report.stopped.why


def test_a_rehearsal_reports_the_same_and_stores_nothing(outbox):
    take(outbox, "login,email\nold,old@x.test\nsame,\n")
    before = stored(outbox)
    rows = "".join(f"u{n},u{n}@x.test,g{n % 3}\n" for n in range(1_100))
    content = f"login,email,groups\nold,new@x.test,\nsame,,\n{rows}u5,,\n,,g\nbad,nonsense,\n"
    said = rehearse(outbox, content)
    after_rehearsal = stored(outbox)
    done = take(outbox, content)

    assert said.is_dry_run
    assert after_rehearsal == before
    assert (counts(said), said.unusable) == (counts(done), done.unusable)
    assert (said.refused, said.groups_added) == (done.refused, done.groups_added)
    assert counts(done) == (1_101, 1, 1, 2)


def test_the_database_failing_midway_leaves_whole_transactions_and_says_where(outbox):
    opened = []

    def begin():
        opened.append(1)
        return failing(outbox) if len(opened) == 2 else outbox.transaction()

    rows = ROWS_PER_TRANSACTION * 2 + 500
    content = "login,groups\n" + "".join(f"u{n},g\n" for n in range(rows))
    report = import_users(begin, "main", io.BytesIO(content.encode()), now_ms=9)

    with outbox.reading() as tx:
        members = groups.find_group(tx, "main", "g").members
    assert report.added == members == ROWS_PER_TRANSACTION
    assert report.stopped is not None
    assert report.stopped.line == ROWS_PER_TRANSACTION + 2  # the header is line 1
    assert "the disk is full" in report.stopped.why
    assert take(outbox, content).added == rows - ROWS_PER_TRANSACTION


class failing:  # noqa: N801 # a context manager, used as a function
    """A transaction whose last statement fails: what was written before must be undone."""

    def __init__(self, outbox):
        self.outer = outbox.transaction()

    def __enter__(self):
        self.tx = self.outer.__enter__()
        self.dialect = self.tx.dialect
        return self

    def __exit__(self, *error):
        return self.outer.__exit__(*error)

    def execute(self, sql, params):
        return self.tx.execute(sql, params)

    def execute_many(self, sql, params):
        if "envoi_membership" in sql:
            raise OutboxUnavailableError("the disk is full")
        self.tx.execute_many(sql, params)


def test_progress_is_told_after_each_transaction(sqlite):
    told: list[int] = []
    take(sqlite, "login\n" + "".join(f"u{n}\n" for n in range(2_500)), progress=told.append)

    assert told == [1_000, 2_000, 2_500]


def test_an_import_touches_its_application_only(sqlite):
    with sqlite.transaction() as tx:
        draft = UserDraft(login="ann", first_name="Other")
        people.add_user(tx, "other", draft, now_ms=1)
    take(sqlite, "login,first_name,groups\nann,Ann,g\n")

    with sqlite.reading() as tx:
        assert people.find_user(tx, "other", "ann").first_name == "Other"
        assert groups.list_groups(tx, "other") == ()


def test_an_imported_user_is_one_like_any_other(sqlite):
    take(sqlite, "login,email,groups\nann,nonsense,dev\n")
    with sqlite.transaction() as tx:
        people.change_user(tx, "main", "ann", UserChange(addresses=("a@x.test",)))
        audience = OwnDirectory().audience(tx, ask("group:DEV"), limit=9)

    assert audience.candidates[0].found_by == {Selector.parse("group:DEV")}
    assert str(audience.candidates[0].person.address) == "a@x.test"


def is_whole(report):
    assert report.rows == report.added + report.changed + report.unchanged + report.refused_count
    assert len(report.refused) == report.refused_count
    assert all(broken.line > 0 and broken.why.isprintable() for broken in report.refused)


anything = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
noise = st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
cells = st.one_of(
    noise,
    st.sampled_from(["ann", "bob", "a@b.test", "a@b.test;c@d.test", "x@", "yes", "", " ", "de", '"',
                     "\n", "g,h", "\x00", "\ufeff"]),
)  # fmt: skip


@anything
@given(content=st.binary(max_size=300), start=st.sampled_from([b"", b"login,email\n", b"[", b"{"]))
def test_no_bytes_make_it_fall_over(sqlite, content, start):
    try:
        report = take(sqlite, start + content)
    except InputError:
        return

    is_whole(report)


@anything
@given(
    rows=st.lists(st.lists(cells, min_size=3, max_size=3), max_size=6),
    dialect=st.sampled_from([",", ";", "\t"]),
)
def test_every_row_of_a_csv_file_is_accounted_for(sqlite, rows, dialect):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=dialect, quoting=csv.QUOTE_ALL)
    writer.writerows([["login", "email", "groups"], *rows])
    blank = [row for row in rows if not any(cell.strip() for cell in row)]
    report = take(sqlite, out.getvalue().encode("utf-8", "surrogatepass"))
    again = take(sqlite, out.getvalue().encode("utf-8", "surrogatepass"))

    is_whole(report)
    assert report.rows == len(rows) - len(blank)
    assert report.stopped is None
    assert (again.added, again.changed) == (0, 0)
    assert again.refused == report.refused


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), noise),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(noise, inner, max_size=3)),
    max_leaves=6,
)
objects = st.dictionaries(
    st.sampled_from(["login", "email", "groups", "admin", "locale", "first_name", "x"]),
    st.one_of(cells, plain),
)


@anything
@given(rows=st.lists(st.one_of(objects, plain), min_size=1, max_size=6), is_array=st.booleans())
def test_every_value_of_a_json_file_is_accounted_for(sqlite, rows, is_array):
    lines = [json.dumps(row) for row in [{"login": "first"}, *rows]]
    content = f"[{','.join(lines)}]" if is_array else "\n".join(lines)
    report = take(sqlite, content)
    again = take(sqlite, content)

    is_whole(report)
    assert report.rows == len(rows) + 1
    assert report.stopped is None
    assert (again.added, again.changed) == (0, 0)
