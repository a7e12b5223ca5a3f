"""Commands about users and groups where a Kallithea keeps them."""

import pytest

from tests.kallithea.schema import KallitheaUser, make_kallithea_db

USERS = (
    KallitheaUser(
        "root", "root@example.org", (), ("staff",), is_admin=True, firstname="Ro", lastname="Ot"
    ),
    KallitheaUser("ann", "ann@example.org", ("ann@old.test", "no address"), ("staff", "devs")),
    KallitheaUser("bob", "bob at home", is_active=False),
    KallitheaUser("50%_cat"),
)
MESSAGE = ("notify", "message", "--fact", "title=Wiki", "--fact", "body=It moves.")


@pytest.fixture
def kallithea(home):
    """A home whose users are a Kallithea's."""
    place(home)
    make_kallithea_db(f"sqlite:///{home.folder / 'kallithea.db'}", USERS)
    return home


def place(home, **sections):
    url = f"sqlite:///{home.folder / 'kallithea.db'}"
    home.set(
        **{
            "application": {"base_url": "https://x.example.org", "from": "x@example.org"},
            "directory": {"kind": "kallithea", "url": url},
            **sections,
        }
    )


def logins(ended):
    return [user["login"] for user in ended.json]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ["root", "ann", "bob", "50%_cat"]),
        (("AN",), ["ann"]),
        (("old.test",), ["ann"]),
        (("%_",), ["50%_cat"]),
        (("--group", "Staff"), ["root", "ann"]),
        (("--admin",), ["root"]),
        (("--no-admin", "--active"), ["ann", "50%_cat"]),
        (("--unreachable",), ["bob", "50%_cat"]),
        (("--limit", "2"), ["root", "ann"]),
        (("--after", "3", "--limit", "1"), ["bob"]),
    ],
    ids=" ".join,
)
def test_user_list_shows_them(kallithea, words, expected):
    assert logins(kallithea.run("user", "list", "--json", *words)) == expected


@pytest.mark.parametrize("who", ["ann", "ANN", "3", "user:000000000003", "Ann@OLD.test"])
def test_user_show_finds_one_by_every_name(kallithea, who):
    shown = kallithea.run("user", "show", who, "--json").json

    assert shown["login"] == "ann"
    assert [(a["address"], a["is_primary"], bool(a["problem"])) for a in shown["addresses"]] == [
        ("ann@example.org", True, False),
        ("ann@old.test", False, False),
        ("no address", False, True),
    ]
    assert shown["groups"] == ["devs", "staff"]
    assert shown["created_at"] is None


@pytest.mark.parametrize("who", ["default", "1", "anonymous@kallithea-scm.org", "nobody", "a\nb"])
def test_user_show_knows_nobody_else(kallithea, who):
    assert kallithea.run("user", "show", who).code == 3


def test_groups_are_shown_with_their_members(kallithea):
    listed = kallithea.run("group", "list", "--json").json
    shown = kallithea.run("group", "show", "STAFF", "--json").json

    assert [(group["name"], group["members"]) for group in listed] == [("devs", 1), ("staff", 2)]
    assert [user["login"] for user in shown["people"]] == ["root", "ann"]
    assert kallithea.run("group", "show", "none").code == 3


@pytest.mark.parametrize(
    "words",
    [
        ("user", "add", "eve", "--email", "eve@example.org"),
        ("user", "set", "ann", "email=x@example.org"),
        ("user", "remove", "ann", "--yes"),
        ("user", "import", "-"),
        ("group", "add", "more"),
        ("group", "remove", "staff", "--yes"),
        ("group", "add-member", "staff", "bob"),
        ("group", "remove-member", "staff", "ann"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_what_would_change_them_is_refused(kallithea, words):
    ended = kallithea.run(*words, stdin="login\neve\n")

    assert ended.code == 1
    assert "users and groups come read-only from sqlite:///" in ended.err
    assert 'directory.kind = "kallithea"' in ended.err
    assert "change them there" in ended.err


def findings(home):
    return [f for f in home.run("check", "--json").json["findings"] if f["about"] == "directory"]


def test_check_counts_them(kallithea):
    [found] = findings(kallithea)

    assert found["level"] == "ok"
    assert found["said"].startswith("main: 4 users, 1 administrator, sqlite:///")


@pytest.mark.parametrize(
    ("root", "fallback", "level"),
    [
        (KallitheaUser("root", "root@example.org", is_admin=True), [], ["ok"]),
        (KallitheaUser("root", None, is_admin=True), [], ["ok", "warning", "warning"]),
        (KallitheaUser("root", "root@example.org"), [], ["ok", "warning"]),
        (KallitheaUser("root", "r@x.test", is_admin=True, is_active=False), [], ["ok", "warning"]),
        (KallitheaUser("root", None, is_admin=True), ["ops@example.org"], ["ok", "warning"]),
    ],
    ids=["reachable", "no address", "no admin", "inactive", "fallback"],
)
def test_check_warns_where_mail_could_find_nobody(home, root, fallback, level):
    place(
        home,
        application={"base_url": "https://x.test", "from": "x@x.test", "fallback": fallback},
    )
    make_kallithea_db(f"sqlite:///{home.folder / 'kallithea.db'}", [root])

    assert [found["level"] for found in findings(home)] == level


def test_check_says_that_they_cannot_be_read(home):
    place(home)

    [found] = findings(home)

    assert found["level"] == "wrong"
    assert "kallithea.db cannot be read: unable to open database file" in found["said"]
    assert found["advice"] == "check that the file is there and that this user may read it"
    assert not (home.folder / "kallithea.db").exists()


def test_check_says_that_these_are_not_its_tables(home):
    place(home, directory={"kind": "kallithea", "url": f"sqlite:///{home.folder / 'envoi.db'}"})

    [found] = findings(home)

    assert (found["level"], "no such table: users" in found["said"]) == ("wrong", True)


def test_lists_say_that_they_cannot_be_read(home):
    place(home)

    ended = home.run("user", "list")

    assert ended.code == 1
    assert "check that the file is there" in ended.err


def decisions(ended):
    return [
        (one["address"] if one["is_chosen"] else one["name"]) for one in ended.json["decisions"]
    ]


@pytest.mark.parametrize("who", ["ann", "ANN", "ann@old.test", "ann@example.org"])
def test_explain_finds_them_by_every_name(kallithea, who):
    kallithea.run(*MESSAGE, "--to-role", "recipients=ann")

    assert decisions(kallithea.run("explain", who, "--json")) == ["ann@example.org"]


def test_explain_says_that_their_database_cannot_be_read(kallithea):
    kallithea.run(*MESSAGE, "--to-role", "recipients=ann")
    (kallithea.folder / "kallithea.db").unlink()

    by_login = kallithea.run("explain", "ann")
    by_address = kallithea.run("explain", "ann@example.org", "--json")

    assert by_login.code == 3
    assert "only what is kept under this very name is found: the users in sqlite" in by_login.err
    assert decisions(by_address) == ["ann@example.org"]
