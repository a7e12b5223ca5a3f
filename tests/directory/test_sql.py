"""Users that statements in the settings find, in tables of whatever names, on either engine."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from envoi.directory.records import UserFilter
from envoi.directory.sql import COLUMNS, Queries, sql_source
from envoi.errors import DirectoryError
from envoi.outbox import open_outbox
from tests.directory import contract
from tests.directory.conftest import as_kallithea as as_host
from tests.directory.contract import ask, audience_contract, found, pages

QUERIES = Queries(
    users="""
SELECT p.nr AS id, p.nick AS login, p.given AS first_name, NULL AS last_name,
  (SELECT m.box FROM mails m WHERE m.whose = p.nr AND m.rang = 0) AS email,
  p.works AS is_active, p.may AS is_admin
FROM people p -- robots are in a table of their own""",
    addresses="SELECT whose AS user_id, box AS email FROM mails WHERE rang > 0",
    groups="SELECT nr AS id, title AS name FROM teams",
    members="SELECT team AS group_id, who AS user_id FROM team_people",
)
TABLES = (
    "CREATE TABLE people (nr INTEGER PRIMARY KEY, nick TEXT, given TEXT, works CHAR(3), may INT2)",
    "CREATE TABLE mails (whose INTEGER, box TEXT, rang INTEGER)",
    "CREATE TABLE teams (nr INTEGER PRIMARY KEY, title TEXT)",
    "CREATE TABLE team_people (team INTEGER, who INTEGER)",
)


def put(connection, table, **values):
    columns = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({marks})"), values)


def make_people(url, somebodies=contract.WORLD, first=0):
    """Tables of another system's own, its users numbered from 0 on."""
    titles = sorted({title for one in somebodies for title in one.groups} | {contract.EMPTY_GROUP})
    with as_host(url) as connection:
        for statement in TABLES:
            connection.exec_driver_sql(statement)
        for nr, title in enumerate(titles, start=1):
            put(connection, "teams", nr=nr, title=title)
        for nr, one in enumerate(somebodies, start=first):
            put(
                connection,
                "people",
                nr=nr,
                nick=one.login,
                given="",
                works="yes" if one.is_active else "no",
                may=int(one.is_admin),
            )
            for rang, box in enumerate(one.addresses):
                put(connection, "mails", whose=nr, box=box, rang=rang)
            for title in one.groups:
                put(connection, "team_people", team=titles.index(title) + 1, who=nr)


@pytest.fixture
def people_url(empty_url) -> str:
    make_people(empty_url)
    return empty_url


@pytest.fixture
def source(people_url):
    source = sql_source(people_url, QUERIES)
    yield source
    source.close()


def test_statements_answer_as_every_directory_must(source, elsewhere):
    audience_contract(source.directory(contract.ADMIN_ADDRESSES), elsewhere)


def test_statements_answer_in_the_transaction_of_the_mail(people_url, source):
    outbox = open_outbox(people_url)
    outbox.upgrade()
    with outbox.transaction() as tx:
        audience_contract(source.directory(contract.ADMIN_ADDRESSES), tx)
        tx.execute(
            """INSERT INTO people (nr, nick, given, works, may)
            VALUES (99, 'new', '', 'yes', 0)""",
            {},
        )

        inside = found(source.directory().audience(tx, ask("role:r", r=("NEW",)), limit=9))
    outbox.close()

    assert inside == {"new": {"role:r"}}


def test_user_number_0_is_on_the_first_page_and_on_no_other(source, elsewhere):
    directory = source.directory()

    taken = pages(directory, elsewhere, ask("everyone", "group:developers", "user:ann"), 1)

    labels = [c.person.label for page in taken for c in page.candidates]
    assert labels == [one.login for one in contract.WORLD]
    assert taken[0].candidates[0].person.id == "user:000000000000"
    assert directory.user_numbered(elsewhere, 0) == "ann"
    assert directory.newest(elsewhere) == f"user:{len(contract.WORLD) - 1:012d}"


@pytest.fixture
def bare_url(empty_url) -> str:
    """Address of a database without people, which is there on SQLite too."""
    with as_host(empty_url) as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER)")
    return empty_url


@pytest.mark.parametrize("value", ["1", "t", "TRUE", "Y", "yes", "on"])
def test_every_way_to_say_yes_is_understood(bare_url, elsewhere, value):
    queries = Queries(users=users_with(is_active=f"'{value}'", is_admin=f"'{value}'"))
    source = sql_source(bare_url, queries)

    [one] = source.directory().audience(elsewhere, ask("admins"), limit=9).candidates
    source.close()

    assert one.person.is_active


@pytest.mark.parametrize("value", ["'0'", "'f'", "'no'", "NULL", "''"])
def test_everything_else_is_no(bare_url, elsewhere, value):
    source = sql_source(bare_url, Queries(users=users_with(is_active=value, is_admin=value)))
    directory = source.directory()

    [one] = directory.audience(elsewhere, ask("everyone"), limit=9).candidates
    admins = directory.count(elsewhere, ask("admins"))
    source.close()

    assert (one.person.is_active, one.person.is_admin, admins) == (False, False, 0)


def users_with(table="", **columns) -> str:
    """A statement of one user without any table."""
    row = {
        "id": "7",
        "login": "'ann'",
        "first_name": "''",
        "last_name": "''",
        "email": "'ann@example.org'",
        "is_active": "1",
        "is_admin": "0",
        **columns,
    }
    return "SELECT " + ", ".join(f"{value} AS {name}" for name, value in row.items() if value)


@pytest.fixture
def misfits_of(bare_url):
    def asked(queries):
        source = sql_source(bare_url, queries)
        try:
            return [f"{p.where}: {p.expected}" for p in source.misfits()]
        finally:
            source.close()

    return asked


@pytest.mark.parametrize("column", COLUMNS["users"])
def test_check_names_the_column_that_is_missing(misfits_of, column):
    told = misfits_of(Queries(users=users_with(**{column: ""})))

    assert told == [f"directory.users: a column {column}"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"groups": "SELECT 1 AS id"}, ["directory.groups: a column name"]),
        ({"members": "SELECT 1 AS group_id"}, ["directory.members: a column user_id"]),
        (
            {"addresses": "SELECT 'x' AS user_id, 'a@b.test' AS email"},
            ["directory.addresses: whole numbers from 0 in user_id"],
        ),
        (
            {"users": users_with(id="'5c1d'")},
            ["directory.users: whole numbers from 0 in id"],
        ),
        ({"users": users_with(id="-1")}, ["directory.users: whole numbers from 0 in id"]),
        (
            {"users": "SELECT * FROM nowhere"},
            ["directory.users: a SELECT that the database runs"],
        ),
        ({"users": "SELECT ("}, ["directory.users: a SELECT that the database runs"]),
        (
            {"users": f"{users_with()} UNION ALL {users_with()}"},
            ["directory.users: each id in one row"],
        ),
        (
            {"groups": "SELECT 1 AS id, 'a' AS name UNION ALL SELECT 1, 'b'"},
            ["directory.groups: each id in one row"],
        ),
    ],
    ids=[
        "all right",
        "group",
        "member",
        "address",
        "text",
        "below 0",
        "no table",
        "no SQL",
        "a user twice",
        "a group twice",
    ],
)
def test_check_tells_what_does_not_fit(misfits_of, change, expected):
    assert misfits_of(replace(Queries(users=users_with()), **change)) == expected


def test_a_database_that_is_not_there_is_no_misfit(tmp_path):
    source = sql_source(f"sqlite:///{tmp_path / 'none.db'}", QUERIES)

    with pytest.raises(DirectoryError, match="check that the file is there"):
        source.misfits()


def test_a_question_with_statements_that_do_not_fit_points_to_check(empty_url, elsewhere):
    make_people(empty_url)
    source = sql_source(empty_url, replace(QUERIES, users=users_with(login="")))

    with pytest.raises(DirectoryError, match=r"`envoi check` says what does not fit"):
        source.directory().audience(elsewhere, ask("user:ann"), limit=9)
    source.close()


def test_ids_that_are_no_numbers_are_refused(empty_url, elsewhere):
    make_people(empty_url)
    source = sql_source(empty_url, Queries(users=users_with(id="'x'")))

    with pytest.raises(DirectoryError):
        source.directory().audience(elsewhere, ask("everyone"), limit=9)
    source.close()


@pytest.mark.parametrize(
    "users",
    [
        "WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone",
        "DELETE FROM people RETURNING *",
        "SELECT 1) AS x; DELETE FROM people; --",
        "INSERT INTO people (nr) VALUES (77) RETURNING *",
    ],
)
def test_no_statement_can_write_even_in_the_transaction_of_the_mail(people_url, users):
    source = sql_source(people_url, Queries(users=users))
    outbox = open_outbox(people_url)
    outbox.upgrade()
    with outbox.transaction() as tx, pytest.raises(DirectoryError):
        source.directory().audience(tx, ask("everyone"), limit=9)
    with outbox.reading() as tx:
        [[many]] = tx.execute("SELECT COUNT(*) FROM people", {})
    outbox.close()
    source.close()

    assert many == len(contract.WORLD)


def test_operators_see_users_and_groups(source, elsewhere):
    with source.roster(elsewhere) as roster:
        users = roster.users(UserFilter(), after=-1, limit=100)
        groups = {group.name: group.members for group in roster.groups()}
        ann = roster.user("hal@login.test")
        first = roster.user("0")

    assert [user.login for user in users] == [one.login for one in contract.WORLD]
    assert groups == {"developers": 3, "testers": 2, "empty": 0}
    assert (ann.login, first.login) == ("hal@login.test", "ann")
    assert [address.text for address in first.addresses] == list(contract.WORLD[0].addresses)
    assert users[1].groups == ("developers", "testers")


def test_a_membership_of_somebody_who_is_gone_is_nobodys(people_url, source, elsewhere):
    with as_host(people_url) as connection:
        put(connection, "team_people", team=2, who=1234)  # `empty` is the second by name
        put(connection, "mails", whose=1234, box="gone@example.org", rang=1)

    audience = source.directory().audience(
        elsewhere, ask("group:empty", "gone@example.org"), limit=9
    )

    assert found(audience) == {"gone@example.org": {"address:gone@example.org"}}
    assert {str(s) for s in audience.answered} == {"address:gone@example.org"}
