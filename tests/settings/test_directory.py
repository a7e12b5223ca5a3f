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
            "directory.url: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME, got "
            "'mysql://********@localhost/kallithea' (Envoi speaks SQLite and PostgreSQL only)",
            id="another engine",
        ),
        pytest.param(
            {"kind": "ldap", "url": USERS},
            "directory.kind: expected own or kallithea, got 'ldap'",
            id="unknown kind",
        ),
    ],
)
def test_a_directory_that_does_not_fit_is_told(table, told):
    assert problems({"directory": table}) == [told]


def test_users_elsewhere_that_nobody_asks_for_are_warned_of(tmp_path):
    loaded = settings.from_mapping({"directory": {"url": USERS}}, tmp_path)

    assert [str(warning) for warning in loaded.warnings] == [
        (
            'directory.url: expected directory.kind = "kallithea", got own '
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
