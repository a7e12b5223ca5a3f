"""`[directory]`, `[errors]` and the fallback: what fits, what does not, and what is masked."""

from pathlib import Path

import pytest

from envoi import settings
from envoi.core.people import Address
from envoi.errors import SettingsError

USERS = "postgresql://kal:pa55word@db.example.org/kallithea"


def problems(tables, folder=Path("/srv/site")):
    with pytest.raises(SettingsError) as told:
        settings.from_mapping(tables, folder)
    return [str(problem) for problem in told.value.problems]


def test_people_are_envois_own_unless_said_otherwise(tmp_path):
    assert settings.from_mapping({}, tmp_path).directory == settings.DirectorySettings()


def test_users_of_a_kallithea_come_from_its_database(tmp_path):
    tables = {"directory": {"kind": "kallithea", "url": "sqlite:///kallithea.db?timeout=60"}}

    read = settings.from_mapping(tables, tmp_path).directory

    assert read.kind == "kallithea"
    assert read.url == f"sqlite:///{tmp_path}/kallithea.db?timeout=60"


def test_the_password_of_the_directory_is_masked_everywhere(tmp_path):
    loaded = settings.from_mapping({"directory": {"kind": "kallithea", "url": USERS}}, tmp_path)

    shown = f"{loaded!r} {loaded.directory!r} {loaded.listing()}"

    assert "kallithea" in shown
    assert "pa55word" not in shown


@pytest.mark.parametrize(
    ("table", "told"),
    [
        pytest.param(
            {"kind": "kallithea"},
            "directory.url: expected the URL of its database, got none "
            '(directory.kind is "kallithea")',
            id="no database",
        ),
        pytest.param(
            {"kind": "kallithea", "url": "mysql://kal:pa55word@localhost/kallithea"},
            "directory.url: expected sqlite:///FILE, postgresql://USER:PASSWORD@HOST/NAME, "
            "ldaps://HOST or ldap://HOST, got 'mysql://********@localhost/kallithea' "
            "(Envoi speaks SQLite and PostgreSQL only)",
            id="another engine",
        ),
        pytest.param(
            {"kind": "nis", "url": USERS},
            "directory.kind: expected own, kallithea, omero, sql or ldap, got 'nis'",
            id="unknown kind",
        ),
        pytest.param(
            {"kind": "omero", "url": "ldaps://ldap.example.org"},
            "directory.url: expected the URL of a database, got ldaps:// "
            '(directory.kind is "omero")',
            id="a server where a database is",
        ),
        pytest.param(
            {"kind": "sql", "url": USERS},
            'directory.users: expected a SELECT of all users, got none (directory.kind is "sql")',
            id="no statement",
        ),
        pytest.param(
            {"kind": "sql", "url": USERS, "users": "DELETE FROM users"},
            "directory.users: expected a SELECT, got 'DELETE FROM users' (it is only ever read)",
            id="a statement that writes",
        ),
        pytest.param(
            {"kind": "sql", "url": USERS, "users": "SELECT 1; DELETE FROM users"},
            "directory.users: expected a SELECT, got 'SELECT 1; DELETE FROM users' "
            "(one statement, without ;)",
            id="two statements",
        ),
        pytest.param(
            {"kind": "sql", "url": USERS, "users": "SELECT * FROM t WHERE a = :b"},
            "directory.users: expected a SELECT, got 'SELECT * FROM t WHERE a = :b' "
            "(without ? and :name, which stand for parameters; write CAST(x AS y))",
            id="a parameter",
        ),
    ],
)
def test_a_directory_that_does_not_fit_is_told(table, told):
    assert problems({"directory": table}) == [told]


def test_users_elsewhere_that_nobody_asks_for_are_warned_of(tmp_path):
    loaded = settings.from_mapping({"directory": {"url": USERS}}, tmp_path)

    assert [str(warning) for warning in loaded.warnings] == [
        (
            "directory.url: expected directory.kind that says whose users these are, got own "
            "(Envoi's own users stand in the outbox's database)"
        )
    ]


def test_the_fallback_is_a_list_of_addresses(tmp_path):
    tables = {"application": {"fallback": ["ops@example.org"]}}

    read = settings.from_mapping(tables, tmp_path).applications["main"]

    assert read.fallback == (Address("ops", "example.org"),)


def test_errors_are_mailed_from_the_application_unless_said_otherwise(tmp_path):
    assert settings.from_mapping({}, tmp_path).errors.sender is None
    assert settings.from_mapping({}, tmp_path).errors.to == ()


def of_ldap(tmp_path, url="ldaps://ldap.example.org", **ldap):
    tables = {"directory": {"kind": "ldap", "url": url}, "ldap": {"base": "dc=x", **ldap}}
    return settings.from_mapping(tables, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("users", "(a=b)(c=d)"),
        ("users", "a=b"),
        ("inactive", "((a=b)"),
        ("login", "uid)(x"),
        ("bind_dn", "cn=nobody without a password"),
        ("base", ""),
    ],
)
def test_a_key_about_ldap_that_does_not_fit_is_told(tmp_path, key, value):
    with pytest.raises(SettingsError) as told:
        of_ldap(tmp_path, **{key: value})

    [problem] = told.value.problems
    assert problem.where == {"bind_dn": "ldap.bind_password"}.get(key, f"ldap.{key}")


def test_the_password_for_ldap_is_masked_everywhere(tmp_path):
    loaded = of_ldap(tmp_path, bind_dn="cn=reader", bind_password="pa55word")

    assert loaded.ldap.bind_password.reveal() == "pa55word"
    assert "pa55word" not in f"{loaded!r} {loaded.listing()}"


@pytest.mark.parametrize(
    ("url", "warned"),
    [("ldap://ldap.example.org", True), ("ldap://127.0.0.1:389", False), ("ldaps://x.org", False)],
)
def test_people_who_cross_the_network_in_clear_are_warned_of(tmp_path, url, warned):
    loaded = of_ldap(tmp_path, url, starttls=False)

    assert [w.where for w in loaded.warnings] == (["ldap.starttls"] if warned else [])


def test_a_statement_may_have_lines_and_a_semicolon_at_its_end(tmp_path):
    tables = {"kind": "sql", "url": USERS, "users": "\nSELECT id -- no colon\nFROM t;\n"}

    read = settings.from_mapping({"directory": tables}, tmp_path).directory

    assert read.users == "SELECT id -- no colon\nFROM t"
