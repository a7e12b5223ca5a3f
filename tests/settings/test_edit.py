"""Edits of a settings file: one key is different, and nothing else."""

import multiprocessing
import os
import stat
from pathlib import Path
from tomllib import loads

import pytest

from envoi.errors import RefusedError, SettingsError
from envoi.settings import editing, starter

HELD = """\
# Our relay.
[smtp]  # the campus one
host = "a.example"  # until June
port = 25

[senders.new_user]
enabled = true
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "envoi.toml"
    path.write_text(HELD)
    return path


def put(path, key, value):
    with editing(path) as draft:
        draft.set(key, value)
        draft.save()


@pytest.mark.parametrize(
    ("key", "value", "before", "after"),
    [
        pytest.param(("smtp", "host"), "b.example", '"a.example"', '"b.example"',
                     id="changed"),
        pytest.param(("smtp", "verify"), False, "port = 25\n", "port = 25\nverify = false\n",
                     id="added to a section"),
        pytest.param(("senders", "new_user", "enabled"), False, "enabled = true",
                     "enabled = false", id="in a table of a table"),
    ],
)  # fmt: skip
def test_an_edit_changes_one_line_and_keeps_the_comments(file, key, value, before, after):
    put(file, key, value)

    assert file.read_text() == HELD.replace(before, after)


def test_a_new_section_stands_at_the_end(file):
    put(file, ("omero", "omero.mail.host"), "b.example")

    assert file.read_text() == f'{HELD}\n[omero]\n"omero.mail.host" = "b.example"\n'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("# nothing yet", id="a comment without an end"),
        pytest.param('smtp.host = "a"', id="dotted"),
        pytest.param('smtp = { host = "a", port = 25 }', id="inline"),
        pytest.param('[smtp]\nhost = "a"\n[outbox]\n[application]\nname = "n"', id="three"),
        pytest.param("[application]\n[application.shop]\nname = 'x'\n", id="subtables"),
        pytest.param('[application.shop]\nname = "x"\n[smtp]\nport=1\n[application.b]\nname="y"\n',
                     id="tables out of order"),
        pytest.param(starter(), id="the starter file"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "key",
    [("smtp", "host"), ("application", "name"), ("application", "shop", "name"),
     ("omero", "omero.mail.host"), ("senders", "mine", "enabled")],
    ids=".".join,
)  # fmt: skip
def test_whatever_the_file_looks_like_it_says_what_it_should(tmp_path, text, key):
    path = tmp_path / "envoi.toml"
    path.write_text(text)
    expected = loads(text)

    put(path, key, 'x"\n\\y')
    inner = expected
    for name in key[:-1]:
        inner = inner.setdefault(name, {})
    inner[key[-1]] = 'x"\n\\y'

    assert loads(path.read_text()) == expected


def test_a_key_is_taken_out_with_its_comment(file):
    with editing(file) as draft:
        assert draft.remove(("smtp", "host"))
        draft.save()

    assert loads(file.read_text()) == {
        "smtp": {"port": 25},
        "senders": {"new_user": {"enabled": True}},
    }
    assert "# Our relay." in file.read_text()


@pytest.mark.parametrize("key", [("smtp", "tls"), ("omero", "x"), ("smtp", "host", "x")])
def test_what_is_not_there_is_not_taken_out(file, key):
    with editing(file) as draft:
        assert not draft.remove(key)
        draft.save()

    assert file.read_text() == HELD


def test_line_ends_of_windows_and_its_mark_do_no_harm(file):
    file.write_bytes(b"\xef\xbb\xbf" + HELD.replace("\n", "\r\n").encode())

    put(file, ("smtp", "port"), 26)

    assert file.read_bytes() == HELD.replace("25", "26").replace("\n", "\r\n").encode()


def test_a_new_file_is_its_owners_alone(tmp_path):
    put(tmp_path / "envoi.toml", ("smtp", "host"), "a.example")

    assert stat.S_IMODE((tmp_path / "envoi.toml").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("mode", "key", "value", "after"),
    [
        (0o644, ("smtp", "host"), "b", 0o644),
        (0o640, ("smtp", "password"), "hunter2", 0o640),
        (0o644, ("smtp", "password"), "hunter2", 0o640),
        (0o644, ("omero", "omero.mail.password"), "hunter2", 0o640),
        (0o666, ("outbox", "url"), "postgresql://a:b@c/d", 0o660),
        (0o644, ("outbox", "url"), "postgresql://a@c/d", 0o644),
        (0o644, ("smtp", "password"), "", 0o644),
    ],
)
def test_a_file_keeps_its_mode_unless_others_would_read_a_secret(file, mode, key, value, after):
    file.chmod(mode)

    put(file, key, value)

    assert stat.S_IMODE(file.stat().st_mode) == after


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(file):
    os.chown(file, 4711, 4712)

    put(file, ("smtp", "port"), 26)

    assert (file.stat().st_uid, file.stat().st_gid) == (4711, 4712)


def test_a_symbolic_link_stays_one(file, tmp_path):
    link = tmp_path / "link.toml"
    link.symlink_to(file)

    put(link, ("smtp", "port"), 26)

    assert link.is_symlink()
    assert "port = 26" in file.read_text()


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a.toml").symlink_to(tmp_path / "b.toml")
    (tmp_path / "b.toml").symlink_to(tmp_path / "a.toml")

    with pytest.raises((RefusedError, SettingsError)):
        put(tmp_path / "a.toml", ("smtp", "port"), 26)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RefusedError, match="cannot be edited"):
        put(tmp_path / "no" / "envoi.toml", ("smtp", "port"), 26)


@pytest.mark.parametrize("content", [b"[smtp\n", b"a = 1\na = 2\n", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_left_alone(file, content):
    file.write_bytes(content)

    with pytest.raises(SettingsError):
        put(file, ("smtp", "port"), 26)

    assert file.read_bytes() == content


def test_a_folder_in_the_files_place_is_refused(tmp_path):
    (tmp_path / "envoi.toml").mkdir()

    with pytest.raises(SettingsError, match="Is a directory"):
        put(tmp_path / "envoi.toml", ("smtp", "port"), 26)


def test_nothing_is_left_beside_the_file(file, tmp_path):
    put(file, ("smtp", "port"), 26)

    assert [path.name for path in tmp_path.iterdir()] == ["envoi.toml"]


def _put_many(path, who, count):
    for number in range(count):
        put(path, ("senders", f"{who}{number}", "enabled"), True)


def test_two_who_edit_at_once_lose_nothing(file):
    spawn = multiprocessing.get_context("spawn")
    editors = [spawn.Process(target=_put_many, args=(file, who, 15)) for who in "ab"]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join(60)

    names = set(loads(file.read_text())["senders"])
    assert names == {"new_user"} | {f"{who}{number}" for who in "ab" for number in range(15)}
