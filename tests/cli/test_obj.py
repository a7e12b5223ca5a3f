"""`envoi obj`: users by OMERO's words."""

import pytest


@pytest.fixture
def site(home):
    home.run("db", "upgrade")
    return home


def test_the_documents_command_gives_root_an_address(site):
    ended = site.run("obj", "update", "Experimenter:0", "email=root@university.example")

    assert (ended.code, ended.out, ended.err) == (0, "Experimenter:0\n", "")
    (root,) = site.run("user", "list", "--json").json
    assert (root["login"], root["is_admin"]) == ("root", True)
    assert [one["address"] for one in root["addresses"]] == ["root@university.example"]


def test_root_is_there_for_our_own_command_too(site):
    ended = site.run("user", "set", "root", "email=root@university.example", "--json")

    assert (ended.code, ended.json["is_admin"]) == (0, True)
    assert ended.err == "note: root was not there: added as an administrator\n"


def test_root_is_not_added_for_a_value_that_does_not_fit(site):
    ended = site.run("user", "set", "root", "email=nobody")

    assert ended.code == 2
    assert site.run("user", "list", "--json").json == []


def test_root_who_is_there_is_changed_and_stays_as_he_is(site):
    site.run("user", "add", "root", "--first-name", "Ruth", "--email", "a@example.org")

    site.run("obj", "update", "Experimenter:0", "email=root@university.example")

    (root,) = site.run("user", "list", "--json").json
    assert (root["first_name"], root["is_admin"]) == ("Ruth", False)


def test_other_users_are_meant_by_their_id(site):
    site.run("user", "add", "ann")

    ended = site.run("obj", "update", "Experimenter:1", "email=ann@example.org", "lastName=Lee")

    assert ended.out == "Experimenter:1\n"
    assert site.run("obj", "get", "Experimenter:1").out.splitlines() == [
        "id=1", "email=ann@example.org", "omeName=ann", "lastName=Lee",
    ]  # fmt: skip


def test_null_clears_an_address(site):
    site.run("obj", "update", "Experimenter:0", "email=root@university.example")

    ended = site.run("obj", "null", "Experimenter:0", "email")

    assert (ended.code, ended.out) == (0, "Experimenter:0\n")
    assert site.run("obj", "get", "Experimenter:0", "email").out == "\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("update", "Experimenter:7", "email=a@example.org"), 334 % 256),
        (("get", "Experimenter:7"), 334 % 256),
        (("null", "Experimenter:7", "email"), 334 % 256),
        (("update", "Image:0", "email=a@example.org"), 102),
        (("update", "Experimenter:x", "email=a@example.org"), 102),
        (("update", "Experimenter:" + "9" * 30, "email=a@example.org"), 102),
        (("update", "Experimenter", "email=a@example.org"), 102),
        (("update", "Experimenter:0", "email=nobody"), 336 % 256),
        (("update", "Experimenter:0", "email=a@example.org\r\nBcc: b@example.org"), 336 % 256),
        (("update", "Experimenter:0", "institution=ACME"), 336 % 256),
        (("update", "Experimenter:0", "email"), 336 % 256),
        (("null", "Experimenter:0", "omeName"), 336 % 256),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else None,
)
def test_what_does_not_fit_ends_with_omeros_code_and_changes_nothing(site, words, code):
    ended = site.run("obj", *words)

    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")
    assert site.run("user", "list", "--json").json == []


def test_check_names_each_administrator_without_an_address(site):
    site.run("user", "add", "ann", "email=ann@example.org", "admin=yes")
    site.run("user", "add", "root", "admin=yes")

    before = site.run("check").out
    site.run("user", "set", "root", "email=root@university.example")

    warning = "warning directory: main: root: no usable address, so no mail for administrators"
    assert f"{warning} (envoi user set root email=ADDRESS)" in before
    assert "no usable address" not in site.run("check").out
