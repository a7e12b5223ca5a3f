"""Our own directory: the contract of all directories, and what only ours promises."""

import sqlite3
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.core.people import Address
from envoi.core.routing import Question, Selector
from envoi.directory import groups, people, writing
from envoi.directory.own import OwnDirectory
from envoi.directory.records import AddressRecord, UserDraft, UserRecord
from tests.directory import contract
from tests.directory.contract import ask, audience_contract, found, pages


def fill(tx, application="main"):
    """Store the people of the contract."""
    names = {group for one in contract.WORLD for group in one.groups}
    for name in sorted({*names, contract.EMPTY_GROUP}):
        groups.add_group(tx, application, name)
    for one in contract.WORLD:
        usable = one.addresses[1:] if one.is_unusable else one.addresses
        draft = UserDraft(
            login=one.login, addresses=usable, is_admin=one.is_admin, is_active=one.is_active
        )
        user = people.add_user(tx, application, draft, now_ms=1).user
        if one.is_unusable:
            broken = AddressRecord(text=one.addresses[0], is_primary=True, problem="no @")
            rest = [AddressRecord(text=a.text, key=a.key) for a in user.addresses]
            writing.replace_addresses(tx, {user.id: [broken, *rest]})
        for name in one.groups:
            groups.add_members(tx, application, name, [user.id])


def test_our_directory_keeps_the_contract(outbox):
    with outbox.transaction() as tx:
        fill(tx)
        audience_contract(OwnDirectory("main", contract.ADMIN_ADDRESSES), tx)


def test_applications_in_one_database_do_not_see_one_another(outbox):
    with outbox.transaction() as tx:
        fill(tx, "other")
        fill(tx)
        audience_contract(OwnDirectory("main", contract.ADMIN_ADDRESSES), tx)
        nobody = OwnDirectory("third").audience(tx, ask("everyone", "admins", "user:ann"), limit=9)

    assert nobody.candidates == ()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_page_of_nothing_is_refused(outbox, limit):
    with outbox.reading() as tx, pytest.raises(ValueError, match="expected 1 or more"):
        OwnDirectory().audience(tx, ask("everyone"), limit=limit)


def test_an_address_that_no_longer_fits_is_unusable_not_an_error(outbox):
    with outbox.transaction() as tx:
        user = people.add_user(tx, "main", UserDraft(login="ann"), now_ms=1).user
        foreign = AddressRecord(text='"a b"@x.test', key="a b@x.test", is_primary=True)
        writing.add_addresses(tx, {user.id: [foreign]})
        [candidate] = OwnDirectory().audience(tx, ask("everyone"), limit=9).candidates

    assert candidate.person.address is None
    assert candidate.person.unusable_address == '"a b"@x.test'


def test_a_user_who_has_an_address_as_login_is_found_by_login_first(outbox):
    with outbox.transaction() as tx:
        draft = UserDraft(login="ann@example.org", addresses=("ann@other.test",))
        people.add_user(tx, "main", draft, now_ms=1)
        people.add_user(
            tx, "main", UserDraft(login="bob", addresses=("ann@example.org",)), now_ms=1
        )
        audience = OwnDirectory().audience(tx, ask("role:r", r=("ann@example.org",)), limit=9)

    assert list(found(audience)) == ["ann@example.org"]


class CountingTx:
    """Counts the statements that go through it."""

    def __init__(self, tx):
        self.tx, self.dialect, self.count = tx, tx.dialect, 0

    def execute(self, sql, params):
        self.count += 1
        return self.tx.execute(sql, params)

    def execute_many(self, sql, params):
        self.count += 1
        self.tx.execute_many(sql, params)


def test_an_audience_of_hundreds_costs_a_handful_of_statements(outbox):
    with outbox.transaction() as tx:
        logins = [f"user{n}" for n in range(400)]
        rows = [people.user_row("main", UserRecord(id=0, login=login)) for login in logins]
        writing.add_users(tx, rows)
        counting = CountingTx(tx)
        question = ask("role:r", "everyone", "admins", "group:none", r=tuple(logins))
        question = replace(question, sought={"s": (("user1",), ("x@y.test",))})
        audience = OwnDirectory().audience(counting, question, limit=400)

    assert len(audience.candidates) == 400
    assert counting.count <= 7


def test_pages_go_by_primary_key_and_sort_nothing(sqlite_url):
    from envoi.directory import statements

    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    params = {"application": "main", "after": 0, "limit": 10, "group": 1}
    plans = {
        sql: " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", params))
        for sql in (statements._EVERYONE, statements._ADMINS, statements._MEMBERS)
    }
    connection.close()

    assert [plan for plan in plans.values() if "TEMP B-TREE" in plan] == []
    assert [plan for plan in plans.values() if not plan.startswith("SEARCH")] == []


class SqliteTx:
    """A transaction on a bare sqlite3 connection: all that a directory may rely on."""

    dialect = "sqlite"

    def __init__(self, connection):
        self.connection = connection

    def execute(self, sql, params):
        return self.connection.execute(sql, params).fetchall()

    def execute_many(self, sql, params):
        self.connection.executemany(sql, params)


@contextmanager
def undone(path):
    connection = sqlite3.connect(path)
    try:
        yield SqliteTx(connection)
        connection.rollback()
    finally:
        connection.close()


logins = st.sampled_from([f"u{n}" for n in range(12)])
addresses = st.sampled_from([f"a{n}@x.test" for n in range(8)])
users = st.fixed_dictionaries(
    {"admin": st.booleans(), "mail": st.lists(addresses, max_size=2, unique=True),
     "groups": st.sets(st.sampled_from(["g", "h"]))}
)  # fmt: skip
worlds = st.dictionaries(logins, users, max_size=12)
asked = st.sets(
    st.sampled_from(["everyone", "admins", "group:g", "group:h", "role:r", "role:s", "user:u3",
                     "address:a1@x.test"])
)  # fmt: skip
named = st.lists(st.one_of(logins, addresses), max_size=6).map(tuple)


def expected_of(world, selectors, roles, admin_addresses):
    """The same answer, worked out one person at a time."""

    def holders(address):
        return [login for login, user in world.items() if address in user["mail"]] or [address]

    def by_reference(reference):
        if reference in world:
            return [reference]
        return holders(reference) if "@" in reference else []

    finders = {
        "everyone": lambda _: list(world),
        "admins": lambda _: [
            *(login for login, user in world.items() if user["admin"]),
            *(one for address in admin_addresses for one in holders(address)),
        ],
        "group": lambda name: [login for login, user in world.items() if name in user["groups"]],
        "role": lambda name: [one for named in roles[name] for one in by_reference(named)],
        "user": lambda name: [name] if name in world else [],
        "address": holders,
    }
    answer: dict[str, set[str]] = {}
    for text in selectors:
        kind, _, name = text.partition(":")
        for one in finders[kind](name):
            answer.setdefault(one, set()).add(text)
    return answer


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(world=worlds, selectors=asked, r=named, s=named, limit=st.integers(1, 5))
def test_every_page_size_gives_the_answer_worked_out_by_hand(
    sqlite_url, world, selectors, r, s, limit
):
    with undone(sqlite_url.removeprefix("sqlite:///")) as tx:
        for name in ("g", "h"):
            groups.add_group(tx, "main", name)
        for login, user in world.items():
            draft = UserDraft(login=login, addresses=tuple(user["mail"]), is_admin=user["admin"])
            people.add_user(tx, "main", draft, now_ms=1)
            for name in user["groups"]:
                groups.add_members(tx, "main", name, [login])
        directory = OwnDirectory("main", (Address("a2", "x.test"),))
        question = Question(
            selectors=frozenset(map(Selector.parse, selectors)), roles={"r": r, "s": s}
        )
        taken = pages(directory, tx, question, limit)
        many = directory.count(tx, question)

    actual: dict[str, set[str]] = {}
    for page in taken:
        assert not actual.keys() & found(page).keys()
        actual |= found(page)
    assert actual == expected_of(world, selectors, {"r": r, "s": s}, ["a2@x.test"])
    assert many >= len(actual)
