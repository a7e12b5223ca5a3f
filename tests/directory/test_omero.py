"""Users of an OMERO server, from the columns that its tables have, on either engine."""

from dataclasses import dataclass

import pytest
from sqlalchemy import text

from envoi.directory.omero import omero_source
from envoi.directory.records import UserFilter
from tests.directory.conftest import as_kallithea as as_omero
from tests.directory.contract import ask, found, pages

# The columns of OMERO 5.4 and later that say who exists, and those that must not be empty.
TABLES = (
    """CREATE TABLE experimenter (id INT8 PRIMARY KEY, permissions INT8 NOT NULL,
    email VARCHAR(255), firstName VARCHAR(255) NOT NULL, institution VARCHAR(255),
    lastName VARCHAR(255) NOT NULL, ldap BOOL NOT NULL, middleName VARCHAR(255),
    omeName VARCHAR(255) NOT NULL UNIQUE, version INT4, external_id INT8 UNIQUE)""",
    """CREATE TABLE experimentergroup (id INT8 PRIMARY KEY, permissions INT8 NOT NULL,
    description TEXT, ldap BOOL NOT NULL, name VARCHAR(255) NOT NULL UNIQUE, version INT4,
    external_id INT8 UNIQUE)""",
    """CREATE TABLE groupexperimentermap (id INT8 PRIMARY KEY, permissions INT8 NOT NULL,
    owner BOOL NOT NULL, version INT4, child INT8 NOT NULL, external_id INT8 UNIQUE,
    parent INT8 NOT NULL, child_index INT4 NOT NULL, UNIQUE (parent, child))""",
)
GROUPS = ("system", "user", "guest", "lab")


@dataclass(frozen=True)
class Experimenter:
    login: str
    email: str | None = None
    groups: tuple[str, ...] = ("user",)


# As a server is after its first day: root and guest are there from the beginning.
EXPERIMENTERS = (
    Experimenter("root", "root@university.example", ("system", "user")),
    Experimenter("guest", None, ("guest",)),
    Experimenter("ann", "ann@university.example", ("user", "lab")),
    Experimenter("bob", "me;you@x.y", ("user", "lab")),
    Experimenter("eve", "eve@university.example", ("lab",)),
    Experimenter("light", "light@university.example", ("system", "user")),
)
_USER = text("""
INSERT INTO experimenter (id, permissions, email, firstName, lastName, ldap, omeName)
VALUES (:id, -52, :email, :first, 'Lee', FALSE, :login)
""")
_GROUP = text("""
INSERT INTO experimentergroup (id, permissions, ldap, name)
VALUES (:id, -52, FALSE, :name)
""")
_MEMBER = text("""
INSERT INTO groupexperimentermap (id, permissions, owner, child, parent, child_index)
VALUES (:id, -52, FALSE, :child, :parent, :place)
""")


def make_omero_db(url, experimenters=EXPERIMENTERS):
    with as_omero(url) as connection:
        for table in TABLES:
            connection.exec_driver_sql(table)
        for number, name in enumerate(GROUPS):
            connection.execute(_GROUP, {"id": number, "name": name})
        memberships = 0
        for number, one in enumerate(experimenters):
            user = {"id": number, "email": one.email, "first": one.login, "login": one.login}
            connection.execute(_USER, user)
            for place, name in enumerate(one.groups):
                memberships += 1
                parent = GROUPS.index(name)
                member = {"id": memberships, "child": number, "parent": parent, "place": place}
                connection.execute(_MEMBER, member)


@pytest.fixture
def source(empty_url):
    make_omero_db(empty_url)
    source = omero_source(empty_url)
    yield source
    source.close()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        pytest.param(ask("admins"), {"root", "light"}, id="the system group"),
        pytest.param(
            ask("everyone"), {one.login for one in EXPERIMENTERS}, id="everyone, inactive too"
        ),
        pytest.param(ask("group:LAB"), {"ann", "bob", "eve"}, id="a group"),
        pytest.param(ask("user:root"), {"root"}, id="root"),
        pytest.param(ask("role:r", r=("ROOT@university.example",)), {"root"}, id="by address"),
        pytest.param(ask("user:guest"), {"guest"}, id="guest"),
    ],
)
def test_experimenters_and_groups_are_found(source, elsewhere, question, expected):
    assert set(found(source.directory().audience(elsewhere, question, limit=100))) == expected


def test_who_is_in_the_group_user_is_active(source, elsewhere):
    everyone = source.directory().audience(elsewhere, ask("everyone"), limit=100).candidates

    inactive = {c.person.login for c in everyone if not c.person.is_active}
    assert inactive == {"guest", "eve"}


def test_an_experimenter_is_told_whole(source, elsewhere):
    people = {
        c.person.login: c.person
        for c in source.directory().audience(elsewhere, ask("everyone"), limit=100).candidates
    }

    assert people["root"].id == "user:000000000000"
    assert people["root"].full_name == "root Lee"
    assert str(people["root"].address) == "root@university.example"
    assert people["guest"].address is None
    assert people["bob"].unusable_address == "me;you@x.y"


def test_pages_begin_with_root(source, elsewhere):
    taken = pages(source.directory(), elsewhere, ask("everyone"), 2)

    labels = [c.person.label for page in taken for c in page.candidates]
    assert labels == [one.login for one in EXPERIMENTERS]


def test_experimenters_and_groups_are_known_by_their_numbers(source, elsewhere):
    directory = source.directory()

    assert [directory.user_numbered(elsewhere, n) for n in (0, 2, 99)] == ["root", "ann", ""]
    assert [directory.group_numbered(elsewhere, n) for n in (0, 3, 99)] == ["system", "lab", ""]
    assert directory.newest(elsewhere) == "user:000000000005"


def test_check_finds_nothing_wrong(source):
    assert source.misfits() == ()


def test_check_says_that_other_tables_are_not_omeros(tmp_path):
    url = f"sqlite:///{tmp_path / 'other.db'}"
    with as_omero(url) as connection:
        connection.exec_driver_sql("CREATE TABLE users (id INTEGER)")
    source = omero_source(url)

    wheres = {problem.where for problem in source.misfits()}
    source.close()

    assert wheres == {"directory.users", "directory.groups", "directory.members"}


def test_operators_see_root_first(source, elsewhere):
    with source.roster(elsewhere) as roster:
        users = roster.users(UserFilter(), after=-1, limit=3)
        lab = roster.users(UserFilter(group="lab", is_active=True), after=-1, limit=100)

    assert [user.login for user in users] == ["root", "guest", "ann"]
    assert users[0].groups == ("system", "user")
    assert [user.login for user in lab] == ["ann", "bob"]
