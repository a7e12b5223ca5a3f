"""Users, their addresses and groups, as somebody types them."""

from typing import Any

import pytest

from envoi.addresses import parse_address
from envoi.directory import groups, mailboxes, people
from envoi.directory.records import AddressRecord, UserChange, UserDraft, UserFilter
from envoi.directory.typed import address_key, login_key
from envoi.errors import AddressError, InputError, NotFoundError, RefusedError
from tests.directory.hostile import BLANK, LISTS, NORMALISED, NOT_ADDRESSES

ANN = UserDraft(
    login="ann",
    first_name="Ann",
    last_name="Lee",
    addresses=("Ann@Example.org", "ann@old.test"),
    is_admin=True,
    locale="pt-BR",
    time_zone="Europe/Berlin",
)


@pytest.fixture
def tx(outbox):
    with outbox.transaction() as tx:
        yield tx


@pytest.fixture
def sqlite_tx(sqlite_url):
    """For tables of typed values: what is refused never reaches an engine."""
    from envoi.outbox import open_outbox

    outbox = open_outbox(sqlite_url)
    with outbox.transaction() as tx:
        yield tx
    outbox.close()


def add(tx, login, *addresses, **more):
    draft = UserDraft(login=login, addresses=addresses, **more)
    return people.add_user(tx, "main", draft, now_ms=7).user


def texts(user):
    return [address.text for address in user.addresses]


def test_a_user_is_stored_as_he_was_typed_in_normal_form(tx):
    added = people.add_user(tx, "main", ANN, now_ms=7)

    assert people.find_user(tx, "main", "ANN") == added.user
    assert added.user.addresses == (
        AddressRecord(text="Ann@example.org", key="ann@example.org", is_primary=True),
        AddressRecord(text="ann@old.test", key="ann@old.test"),
    )
    assert (added.user.locale, added.user.time_zone) == ("pt_BR", "Europe/Berlin")
    assert (added.user.is_admin, added.user.is_active, added.user.created_at_ms) == (True, True, 7)
    assert added.notes == ()


@pytest.mark.parametrize("login", ["ann", "ANN", "Ann"])
def test_a_taken_login_is_refused(tx, login):
    add(tx, "ann")

    with pytest.raises(
        InputError, match=r"login: expected a login that nobody has, got \w+, which"
    ):
        add(tx, login)
    assert len(people.list_users(tx, "main")) == 1


def test_the_same_login_in_another_application_is_another_user(tx):
    add(tx, "ann")
    people.add_user(tx, "other", UserDraft(login="ann", first_name="Other"), now_ms=7)

    assert people.find_user(tx, "other", "ann").first_name == "Other"
    assert people.find_user(tx, "main", "ann").first_name == ""
    with pytest.raises(NotFoundError):
        people.find_user(tx, "main", people.find_user(tx, "other", "ann").id)


def test_a_shared_address_is_taken_with_a_note(tx):
    add(tx, "ann", "team@example.org")
    bob = people.add_user(
        tx, "main", UserDraft(login="bob", addresses=("Team@example.org",)), now_ms=7
    )

    assert bob.notes == ("team@example.org is also an address of ann",)
    with pytest.raises(InputError, match=r"an address of ann, bob.*name a login"):
        people.find_user(tx, "main", "team@example.org")


def test_one_address_typed_twice_is_stored_once(tx):
    assert texts(add(tx, "ann", "a@x.test", "A@X.TEST")) == ["a@x.test"]


@pytest.mark.parametrize("name", [*NOT_ADDRESSES, *LISTS, *BLANK])
def test_what_is_no_address_is_refused_and_nothing_is_stored(sqlite_tx, name):
    text = {**NOT_ADDRESSES, **LISTS, **BLANK}[name]

    with pytest.raises(AddressError, match=r"addresses\[1\]: .*ann@example.org") as refused:
        add(sqlite_tx, "ann", "good@x.test", text)
    assert str(refused.value).isprintable()
    assert people.list_users(sqlite_tx, "main") == ()


@pytest.mark.parametrize("name", NORMALISED)
def test_an_unusual_address_is_stored_in_normal_form(tx, name):
    text, stored = NORMALISED[name]

    assert texts(add(tx, "ann", text)) == [stored]
    assert people.find_user(tx, "main", text).login == "ann"


@pytest.mark.parametrize(
    ("one", "other"),
    [("mike@example.org", "m\u0131ke@example.org"), ("stra\u00dfe@x.test", "strasse@x.test"),
     ("sam@x.test", "\u017fam@x.test")],
)  # fmt: skip
def test_addresses_that_only_look_alike_are_different_people(sqlite_tx, one, other):
    add(sqlite_tx, "one", one)
    add(sqlite_tx, "other", other)

    assert people.find_user(sqlite_tx, "main", one).login == "one"
    assert people.find_user(sqlite_tx, "main", other).login == "other"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no login": ({"login": ""}, "login: expected a text that is not empty"),
    "spaces around": ({"login": " ann"}, "login: .*no spaces around"),
    "login of two lines": ({"login": "a\nb"}, "login: expected one line"),
    "login with NUL": ({"login": "a\x00"}, "login: expected one line"),
    "invisible login": ({"login": "a\u200bnn"}, "login: .*invisible"),
    "half a pair": ({"login": "a\ud800"}, "login: expected one line"),
    "long login": ({"login": "x" * 129}, "login: expected at most 128 characters, got 129"),
    "number as login": ({"login": 5}, "login: expected text, got int"),
    "name of two lines": ({"first_name": "Evil\nBcc: v@x.test"}, "first_name: expected one line"),
    "long name": ({"last_name": "x" * 256}, "last_name: expected at most 255"),
    "no locale": ({"locale": "xx_YY"}, "locale: expected a locale such as de"),
    "path as locale": ({"locale": "../../etc"}, "locale: "),
    "no zone": ({"time_zone": "Mars/Base"}, "time_zone: expected a time zone such as Europe"),
    "folder as zone": ({"time_zone": "Europe"}, "time_zone: "),
    "path as zone": ({"time_zone": "../../etc/passwd"}, "time_zone: "),
    "one text as list": ({"addresses": "a@b.test"}, "addresses: expected a list"),
    "no text as address": ({"addresses": (None,)}, r"addresses\[0\]: expected one e-mail address"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_field_that_does_not_fit_is_refused_by_name(sqlite_tx, name):
    fields, message = REFUSED[name]

    with pytest.raises(InputError, match=message) as refused:
        people.add_user(sqlite_tx, "main", UserDraft(**{"login": "x", **fields}), now_ms=7)
    assert str(refused.value).isprintable()

    ann = add(sqlite_tx, "ann", "a@x.test")
    with pytest.raises(InputError, match=message):
        people.change_user(sqlite_tx, "main", "ann", UserChange(**fields))
    assert people.list_users(sqlite_tx, "main") == (ann,)


def test_a_name_may_hold_the_joiners_that_its_script_needs(tx):
    assert add(tx, "ali", first_name="\u0639\u0644\u06cc\u200c").first_name.endswith("\u200c")


def test_a_change_changes_what_it_names_and_nothing_else(tx):
    before = people.add_user(tx, "main", ANN, now_ms=7).user
    after = people.change_user(tx, "main", "ann", UserChange(first_name="", is_active=False)).user

    assert (after.first_name, after.is_active) == ("", False)
    assert (after.last_name, after.addresses) == (before.last_name, before.addresses)
    assert (after.locale, after.is_admin, after.id) == ("pt_BR", True, before.id)


def test_a_change_of_addresses_replaces_them_all(tx):
    people.add_user(tx, "main", ANN, now_ms=7)
    after = people.change_user(tx, "main", "ann", UserChange(addresses=("new@x.test",))).user

    assert texts(after) == ["new@x.test"]
    with pytest.raises(NotFoundError):
        people.find_user(tx, "main", "ann@old.test")


def test_a_login_can_be_respelled_but_not_taken_from_another(tx):
    add(tx, "ann")
    add(tx, "bob")

    assert people.change_user(tx, "main", "ann", UserChange(login="Ann")).user.login == "Ann"
    with pytest.raises(InputError, match="taken"):
        people.change_user(tx, "main", "ann", UserChange(login="BOB"))


def test_a_removed_user_is_gone_with_all_that_is_his(tx):
    groups.add_group(tx, "main", "g")
    ann = add(tx, "ann", "a@x.test")
    groups.add_members(tx, "main", "g", ["ann"])
    removed = people.remove_user(tx, "main", "ann")

    assert (removed.id, removed.groups) == (ann.id, ("g",))
    assert groups.find_group(tx, "main", "g").members == 0
    for who in ("ann", "a@x.test", ann.id, ann.person_id):
        with pytest.raises(NotFoundError, match="envoi user list"):
            people.find_user(tx, "main", who)


def test_a_user_is_found_by_everything_that_names_him(tx):
    ann = people.add_user(tx, "main", ANN, now_ms=7).user

    for who in (
        "ann",
        "ANN",
        "ann@EXAMPLE.org",
        "ann@old.test",
        ann.id,
        ann.person_id,
        str(ann.id),
    ):
        assert people.find_user(tx, "main", who) == ann


def test_a_login_of_digits_is_found_before_the_user_in_that_row(tx):
    first = add(tx, "ann", "ann@example.org")
    digits = add(tx, str(first.id), "digits@example.org")

    assert people.find_user(tx, "main", str(first.id)) == digits


@pytest.mark.parametrize(
    "who",
    [
        "",
        "a\x00",
        "\ud800",
        "user:999999999999",
        "x@y.test",
        "@",
        0,
        -1,
        10**30,
        "%",
        "0",
        "9" * 30,
        "\u0661",
    ],
    ids=ascii,
)
def test_nobody_is_found_by_anything_else(tx, who):
    add(tx, "ann", "ann@example.org")

    with pytest.raises(NotFoundError, match="nobody is called"):
        people.find_user(tx, "main", who)


LISTED = {
    "all": (UserFilter(), ["ann", "b%b", "cleo"]),
    "text in login": (UserFilter(text="LEO"), ["cleo"]),
    "text in name": (UserFilter(text="lee"), ["ann"]),
    "text in address": (UserFilter(text="example.org"), ["ann"]),
    "wildcard is text": (UserFilter(text="%"), ["b%b"]),
    "statement is text": (UserFilter(text="'; DROP TABLE envoi_user; --"), []),
    "admins": (UserFilter(is_admin=True), ["ann"]),
    "no admins": (UserFilter(is_admin=False), ["b%b", "cleo"]),
    "inactive": (UserFilter(is_active=False), ["cleo"]),
    "reachable": (UserFilter(is_reachable=True), ["ann"]),
    "unreachable": (UserFilter(is_reachable=False, is_active=True), ["b%b"]),
    "group": (UserFilter(group="G"), ["b%b"]),
}


@pytest.mark.parametrize("name", LISTED)
def test_a_list_shows_whom_the_filter_lets_through(tx, name):
    which, logins = LISTED[name]
    people.add_user(tx, "main", ANN, now_ms=7)
    add(tx, "b%b")
    add(tx, "cleo", is_active=False)
    groups.add_group(tx, "main", "g")
    groups.add_members(tx, "main", "g", ["b%b"])

    assert [user.login for user in people.list_users(tx, "main", which)] == logins
    if logins:
        first = people.list_users(tx, "main", which, limit=1)
        rest = people.list_users(tx, "main", which, after=first[0].id)
        assert [user.login for user in (*first, *rest)] == logins


@pytest.mark.parametrize("limit", [0, 1_001, 10**9])
def test_a_list_has_bounds(sqlite_tx, limit):
    with pytest.raises(InputError, match=r"limit: expected 1\.\.1000"):
        people.list_users(sqlite_tx, "main", limit=limit)


def test_the_first_address_is_primary_and_stays_it_until_somebody_says_so(tx):
    add(tx, "ann")
    mailboxes.add_address(tx, "main", "ann", "one@x.test")
    mailboxes.add_address(tx, "main", "ann", "two@x.test")
    with pytest.raises(RefusedError, match="make another one primary first"):
        mailboxes.remove_address(tx, "main", "ann", "one@x.test")
    changed = mailboxes.make_primary(tx, "main", "ann", "TWO@x.test").user

    assert texts(changed) == ["two@x.test", "one@x.test"]
    assert [a.is_primary for a in changed.addresses] == [True, False]
    assert texts(mailboxes.remove_address(tx, "main", "ann", "one@x.test").user) == ["two@x.test"]
    assert texts(mailboxes.remove_address(tx, "main", "ann", "two@x.test").user) == []


def test_an_address_he_has_already_is_refused(tx):
    add(tx, "ann", "one@x.test")

    with pytest.raises(RefusedError, match=r"ann has One@x\.test already"):
        mailboxes.add_address(tx, "main", "ann", "One@x.test")


def test_an_address_he_does_not_have_is_not_found(tx):
    add(tx, "ann", "one@x.test")

    for change in (mailboxes.remove_address, mailboxes.make_primary):
        with pytest.raises(NotFoundError, match=r"his addresses: one@x\.test"):
            change(tx, "main", "ann", "two@x.test")


def test_a_shared_address_is_noted_when_it_is_added_later(tx):
    add(tx, "ann", "team@x.test")
    add(tx, "bob")

    assert mailboxes.add_address(tx, "main", "bob", "team@x.test").notes == (
        "team@x.test is also an address of ann",
    )


def test_groups_are_added_listed_and_removed(tx):
    groups.add_group(tx, "main", "Testers", description="Who tests")
    groups.add_group(tx, "main", "developers")
    add(tx, "ann")
    add(tx, "bob")
    groups.add_members(tx, "main", "testers", ["ann", "bob", "ANN"])
    groups.remove_members(tx, "main", "testers", ["bob"])

    assert [(g.name, g.members) for g in groups.list_groups(tx, "main")] == [
        ("developers", 0),
        ("Testers", 1),
    ]
    assert [user.login for user in groups.list_members(tx, "main", "TESTERS")] == ["ann"]
    assert groups.remove_group(tx, "main", "testers").description == "Who tests"
    assert people.find_user(tx, "main", "ann").groups == ()


@pytest.mark.parametrize("name", ["", " g", "a,b", "a;b", "a\nb", "x" * 129], ids=ascii)
def test_a_name_that_is_no_groups_is_refused(sqlite_tx, name):
    with pytest.raises(InputError, match="group: expected"):
        groups.add_group(sqlite_tx, "main", name)


def test_a_group_is_added_once(tx):
    groups.add_group(tx, "main", "g")

    with pytest.raises(InputError, match="which is taken"):
        groups.add_group(tx, "main", "G")


def test_members_are_added_all_or_none(tx):
    groups.add_group(tx, "main", "g")
    add(tx, "ann")

    with pytest.raises(NotFoundError, match="'nobody'"):
        groups.add_members(tx, "main", "g", ["ann", "nobody"])
    with pytest.raises(NotFoundError, match="none is called 'h'"):
        groups.add_members(tx, "main", "h", ["ann"])
    assert groups.find_group(tx, "main", "g").members == 0


def test_keys_of_one_text_in_two_unicode_forms_are_equal():
    assert login_key("Jos\u00e9") == login_key("JOSE\u0301")
    assert address_key(parse_address("jos\u00e9@x.test")) == address_key(
        parse_address("jose\u0301@x.test")
    )
