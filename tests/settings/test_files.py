"""The starter file, the reference, and how a private file is written."""

import errno
import re
import stat
import tomllib
from pathlib import Path

import pytest

from envoi import settings
from envoi.errors import RefusedError, SettingsError
from envoi.settings.reference import reference
from envoi.settings.table import ROWS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_the_reference_is_the_table():
    assert REFERENCE.read_text("utf-8") == reference()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_every_key_says_what_it_is_for(row):
    assert row.doc.endswith(".")
    assert f"### `{row.key}`" in reference()


def test_a_starter_sets_nothing(tmp_path):
    loaded = settings.from_mapping(tomllib.loads(settings.starter()), tmp_path)

    assert {entry.origin for entry in loaded.listing()} == {"default"}


def test_every_example_of_a_starter_is_good(tmp_path):
    (tmp_path / "relay-password").write_text("hunter2")
    text = re.sub(r"(?m)^#(?=\w+ = )", "", settings.starter())

    loaded = settings.from_mapping(tomllib.loads(text), tmp_path)

    assert loaded.warnings == ()
    assert loaded.smtp.password.reveal() == "hunter2"
    assert loaded.applications["main"].time_zone == "Europe/Berlin"


def test_a_starter_sets_what_it_is_given(tmp_path):
    given: dict[str, str | int | bool] = {
        "application.name": 'A "wiki" \\ \x7f',
        "smtp.verify": False,
        "delivery.lease_s": 20,
    }

    tables = tomllib.loads(settings.starter(given))

    assert tables["application"] == {"name": 'A "wiki" \\ \x7f'}
    assert tables["smtp"] == {"verify": False}
    assert tables["delivery"] == {"lease_s": 20}


def test_a_starter_refuses_a_key_that_nobody_knows():
    with pytest.raises(SettingsError, match=r"did you mean smtp\.host\?"):
        settings.starter({"smtp.hots": "x"})


def test_a_private_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "envoi.toml"

    settings.write_private(path, "ä\n")

    assert path.read_bytes() == "ä\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_is_not_overwritten(tmp_path):
    path = tmp_path / "envoi.toml"
    path.write_text("mine")

    with pytest.raises(RefusedError, match="is there already"):
        settings.write_private(path, "yours")

    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_dangling_link_is_not_written_through(tmp_path):
    path = tmp_path / "envoi.toml"
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RefusedError, match="is there already"):
        settings.write_private(path, "text")

    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def no_links(monkeypatch):
    def refuse(self, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)


def test_a_private_file_is_written_where_there_are_no_links(tmp_path, no_links):
    path = tmp_path / "envoi.toml"

    settings.write_private(path, "text")

    assert path.read_text() == "text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(RefusedError, match="is there already"):
        settings.write_private(path, "again")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(RefusedError, match="No such file or directory"):
        settings.write_private(tmp_path / "nowhere" / "envoi.toml", "text")
