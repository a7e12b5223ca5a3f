"""Commands where the users are an OMERO server's, a statement's or an LDAP server's."""

import sqlite3
from contextlib import closing

import pytest

from tests.directory.slapd import BASE, PASSWORD, READER, free_port, serving, slapd_path
from tests.directory.test_ldap import person, unit
from tests.directory.test_omero import Experimenter, make_omero_db

APPLICATION = {"base_url": "https://x.example.org", "from": "x@example.org"}
EXPERIMENTERS = (
    Experimenter("root", "root@university.example", ("system", "user")),
    Experimenter("guest", None, ("guest",)),
    Experimenter("ann", "ann@university.example", ("user", "lab")),
)


@pytest.fixture
def omero(home):
    """A home whose users are an OMERO server's."""
    url = f"sqlite:///{home.folder / 'omero.db'}"
    home.set(application=APPLICATION, directory={"kind": "omero", "url": url})
    make_omero_db(url, EXPERIMENTERS)
    return home


@pytest.fixture
def sql(home):
    """A home whose users a statement finds."""

    def settled(users="SELECT nr AS id, nick AS login, '' AS first_name, '' AS last_name, "
                      "mail AS email, 1 AS is_active, boss AS is_admin FROM t"):  # fmt: skip
        path = home.folder / "people.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE t (nr INTEGER, nick TEXT, mail TEXT, boss INTEGER)")
            connection.execute("INSERT INTO t VALUES (0, 'ann', 'ann@example.org', 1)")
        directory = {"kind": "sql", "url": f"sqlite:///{path}", "users": users}
        home.set(application=APPLICATION, directory=directory)
        return home

    return settled


def findings(home):
    return [f for f in home.run("check", "--json").json["findings"] if f["about"] == "directory"]


def logins(ended):
    return [user["login"] for user in ended.json]


def test_user_list_begins_with_root(omero):
    listed = omero.run("user", "list", "--json", "--limit", "2")

    assert logins(listed) == ["root", "guest"]
    assert [user["id"] for user in listed.json] == [0, 1]
    assert logins(omero.run("user", "list", "--json", "--after", "0")) == ["guest", "ann"]


@pytest.mark.parametrize("who", ["root", "ROOT", "0", "user:000000000000"])
def test_root_is_shown_by_every_name(omero, who):
    shown = omero.run("user", "show", who, "--json").json

    assert (shown["login"], shown["is_admin"]) == ("root", True)


def test_groups_are_shown_with_root_in_them(omero):
    shown = omero.run("group", "show", "system", "--json").json

    assert [user["login"] for user in shown["people"]] == ["root"]


def test_users_of_another_system_are_not_changed_here(omero):
    ended = omero.run("user", "set", "root", "email=x@example.org")

    assert ended.code == 1
    assert 'directory.kind = "omero"' in ended.err


def test_check_counts_the_users_of_an_omero(omero):
    [found] = findings(omero)

    assert found["said"].startswith("main: 3 users, 1 administrator, sqlite:///")


def test_check_counts_the_users_of_a_statement(sql):
    [found] = findings(sql())

    assert found["said"].startswith("main: 1 user, 1 administrator, sqlite:///")


def test_where_another_system_keeps_nobody_nobody_is_added_here(sql):
    home = sql("SELECT nr AS id, nick AS login, '' AS first_name, '' AS last_name, "
               "mail AS email, 1 AS is_active, boss AS is_admin FROM t WHERE nr > 0")  # fmt: skip

    listed = home.run("user", "list")

    assert "no users there" in listed.err
    assert "user add" not in listed.err


def test_check_names_the_column_that_a_statement_lacks(sql):
    [found] = findings(sql("SELECT nr AS id, nick AS login, mail AS email FROM t"))[:1]

    assert found["level"] == "wrong"
    assert found["said"] == (
        "directory.users: expected a column first_name, got none of that name "
        "(name it by AS first_name)"
    )


@pytest.fixture
def ldap(home):
    """A home whose users an LDAP server knows."""

    def settled(url):
        home.set(
            application=APPLICATION,
            directory={"kind": "ldap", "url": url},
            ldap={
                "base": BASE,
                "bind_dn": READER,
                "bind_password": PASSWORD,
                "starttls": False,
            },
        )
        return home

    return settled


@pytest.mark.skipif(slapd_path() is None, reason="slapd is not installed")
def test_the_users_of_an_ldap_server_are_listed_and_counted(ldap, tmp_path):
    people = [unit("people"), person("ou=people", "ann", "mail: ann@example.org")]
    folder = tmp_path / "slapd"
    folder.mkdir()
    with serving(folder, people) as server:
        home = ldap(server.url)

        listed = home.run("user", "list", "--json")
        [counted, *_] = findings(home)
        shown = home.run("user", "show", "ANN@example.org", "--json")

    assert logins(listed) == ["ann"]
    assert counted["said"].startswith("main: 1 user, 0 administrators, ldap://localhost:")
    assert shown.json["login"] == "ann"


def test_check_says_that_an_ldap_server_is_down(ldap):
    [found] = findings(ldap(f"ldap://127.0.0.1:{free_port()}"))

    assert found["level"] == "wrong"
    assert found["advice"] == "check directory.url, and that the server runs"
    assert PASSWORD not in str(found)


def test_root_mails_by_number_and_the_inactive_are_left_out(omero):
    options = ("--user-id", "0", "--group-name", "lab", "--user-name", "guest")

    rehearsed = omero.run(
        "admin", "email", "--as", "root", *options, "--dry-run", "--json", "Sunday", "It moves."
    ).json

    assert {one["address"] for one in rehearsed["recipients"]} == {
        "root@university.example",
        "ann@university.example",
    }
