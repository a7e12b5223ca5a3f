"""`envoi user` and `envoi group`."""

import json

import pytest


def test_a_user_is_named_by_the_id_that_the_list_shows(home):
    home.run("user", "add", "ann", "--email", "ann@example.org")
    user_id = home.run("user", "list").out.splitlines()[1].split()[0]

    assert home.run("user", "show", user_id, "--json").json["login"] == "ann"
    assert home.run("user", "set", user_id, "--inactive").code == 0
    assert home.run("user", "remove", user_id, "--yes").code == 0


def test_explain_of_a_number_never_means_the_user_in_that_row(home):
    home.run("user", "add", "ann", "--email", "ann@example.org")
    home.run("user", "add", "bob", "--email", "bob@example.org")
    home.run("notify", "message", "--to-role", "recipients=bob", "-f", "title=x", "-f", "body=y")

    assert home.run("explain", "bob").code == 0
    assert home.run("explain", "2").code == 3


def test_a_user_is_added_shown_changed_and_removed(any_home):
    added = any_home.run("user", "add", "ann", "email=ann@example.org", "--first-name", "Ann",
                         "--last-name", "Lee", "admin=yes", "--json")  # fmt: skip
    changed = any_home.run("user", "set", "ann", "email=ann@home.example", "--locale", "de")
    shown = any_home.run("user", "show", "ANN@home.example", "--json")
    removed = any_home.run("user", "remove", "ann", "--yes")

    assert [ended.code for ended in (added, changed, shown, removed)] == [0, 0, 0, 0]
    assert added.json["addresses"] == [
        {"address": "ann@example.org", "is_primary": True, "problem": None}
    ]
    assert added.json["is_admin"] is True
    assert isinstance(added.json["created_at_ms"], int)
    assert shown.json["addresses"][0]["address"] == "ann@home.example"
    assert shown.json["locale"] == "de"
    assert any_home.run("user", "list", "--json").json == []


def test_the_key_value_form_of_the_readme_works(home):
    home.run("user", "add", "root")

    ended = home.run("user", "set", "root", "email=root@university.example")

    assert ended.code == 0
    assert "root@university.example, primary" in ended.out


def test_addresses_are_added_made_primary_and_removed(home):
    home.run("user", "add", "ann", "-e", "ann@example.org")

    ended = home.run("user", "set", "ann", "--add-email", "ann@home.example", "--primary-email",
                     "ann@home.example", "--remove-email", "ann@example.org", "--json")  # fmt: skip

    assert [a["address"] for a in ended.json["addresses"]] == ["ann@home.example"]


def test_a_shared_address_is_said_beside_the_result(home):
    home.run("user", "add", "ann", "-e", "team@example.org")

    ended = home.run("user", "add", "ben", "-e", "team@example.org", "--json")

    assert "team@example.org is also an address of ann" in ended.err
    assert ended.json["login"] == "ben"


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["add", "ann", "email=nowhere"], 2, "is not a usable e-mail address"),
        (["add", "ann", "e-mial=x@y.org"], 2, "did you mean email=...?"),
        (["add", "ann", "admin=perhaps"], 2, "admin: expected yes or no, got 'perhaps'"),
        (["add", "ann", "locale=de", "--locale", "fr"], 2, "locale: expected it once"),
        (["add", "ann", "login=ben"], 2, "login: expected it once"),
        (["add", "ann", "--time-zone", "Mars/Base"], 2, "a time zone such as Europe/Berlin"),
        (["add", " ann"], 2, "no spaces around it"),
        (["add", "root"], 2, "root, which is taken"),
        (["add", "ann", "-A", "wiki"], 3, "application: expected one of main, got 'wiki'"),
        (["set", "root"], 2, "nothing to change"),
        (["set", "nobody", "locale=de"], 3, "nobody is called 'nobody'"),
        (["set", "root", "--remove-email", "x@y.org"], 3, "has no address"),
        (["show", "nobody"], 3, "nobody is called 'nobody'"),
        (["remove", "nobody", "--yes"], 3, "nobody is called 'nobody'"),
        (["remove", "root"], 2, "add --yes"),
        (["import", "nowhere.csv"], 2, "FILE: cannot read 'nowhere.csv': No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_about_users(home, words, code, part):
    home.run("user", "add", "root")

    ended = home.run("user", *words)

    assert (ended.code, ended.out) == (code, "")
    assert part in ended.err
    assert [user["login"] for user in home.run("user", "list", "--json").json] == ["root"]


def test_no_users_yet_says_what_to_try(home):
    ended = home.run("user", "list")

    assert (ended.code, ended.out) == (0, "")
    assert "no users yet: try `envoi user add" in ended.err


def test_users_are_found_by_text_flag_and_page(home):
    rows = "login,email,admin\n" + "".join(f"u{n},u{n}@example.org,{n == 3}\n" for n in range(5))
    home.run("user", "import", "-", stdin=rows + "lost,,no\n")

    def logins(*words: str) -> list[str]:
        return [user["login"] for user in home.run("user", "list", "--json", *words).json]

    assert logins("u2@") == ["u2"]
    assert logins("--admin") == ["u3"]
    assert logins("--unreachable") == ["lost"]
    assert logins("--limit", "2", "--after", "2") == ["u2", "u3"]


def test_a_table_without_a_terminal_is_plain_aligned_text(home):
    home.run("user", "import", "-", stdin="login,email\nann,ann@example.org\nbartholomew,b@x.org\n")

    lines = home.run("user", "list").out.splitlines()

    assert lines == [
        "ID  LOGIN        NAME  ADDRESS          FLAGS  GROUPS",
        "1   ann          -     ann@example.org  -      -",
        "2   bartholomew  -     b@x.org          -      -",
    ]


def test_an_import_stores_what_fits_and_names_the_lines_that_do_not(any_home):
    source = [
        {"login": "ann", "email": "ann@example.org", "groups": "developers"},
        {"login": ""},
        {"login": "cleo", "email": "not an address"},
    ]

    ended = any_home.run(
        "user", "import", "-", "--json", stdin="\n".join(json.dumps(row) for row in source)
    )

    assert ended.code == 2
    assert (ended.json["added"], ended.json["refused"], ended.json["unusable"]) == (2, 1, 1)
    assert ended.json["refused_rows"][0]["line"] == 2
    assert ended.json["unusable_addresses"][0]["login"] == "cleo"
    assert ended.json["groups_added"] == ["developers"]


def test_a_dry_run_says_the_same_and_stores_nothing(home):
    ended = home.run("user", "import", "-", "--dry-run", stdin="login,shoe size\nann,38\n")

    assert ended.code == 0
    assert "1 would be added" in ended.out
    assert "'shoe size' stands for nothing" in ended.err
    assert home.run("user", "list", "--json").json == []


def test_groups_and_their_members(any_home):
    any_home.run("user", "import", "-", stdin="login\nann\nben\n")

    added = any_home.run("group", "add", "developers", "--description", "Who writes code")
    filled = any_home.run("group", "add-member", "developers", "ann", "ben")
    less = any_home.run("group", "remove-member", "developers", "ben")
    shown = any_home.run("group", "show", "developers", "--json")
    listed = any_home.run("group", "list")
    removed = any_home.run("group", "remove", "developers", "-y")

    assert added.out == "added developers, 0 members\n"
    assert filled.out == "changed developers, 2 members\n"
    assert less.out == "changed developers, 1 member\n"
    assert [user["login"] for user in shown.json["people"]] == ["ann"]
    assert listed.out.splitlines()[1] == "developers  1        Who writes code"
    assert removed.out == "removed developers\n"
    assert any_home.run("group", "list", "--json").json == []


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["add", "a,b"], 2, "a name without comma"),
        (["show", "nothing"], 3, "group: none is called 'nothing'"),
        (["remove", "nothing", "-y"], 3, "group: none is called 'nothing'"),
        (["add-member", "nothing", "ann"], 3, "group: none is called 'nothing'"),
        (["remove-member", "nothing", "ann"], 3, "group: none is called 'nothing'"),
        (["list", "-A", "wiki"], 3, "application: expected one of main"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_about_groups(home, words, code, part):
    ended = home.run("group", *words)

    assert (ended.code, ended.out) == (code, "")
    assert part in ended.err


def test_a_group_is_shown_with_its_people_or_what_to_try(home):
    home.run("user", "add", "ann", "first_name=Ann", "last_name=Lee")
    home.run("group", "add", "developers")

    empty = home.run("group", "show", "developers")
    home.run("group", "add-member", "developers", "ann", "--json")
    filled = home.run("group", "show", "developers")

    assert "no members yet: try `envoi group add-member developers USER`" in empty.err
    assert filled.out.splitlines()[-1] == "ann    Ann Lee"
    assert home.run("group", "list").err == ""


def test_no_groups_yet_says_what_to_try(home):
    assert "no groups yet: try `envoi group add NAME`" in home.run("group", "list").err


def test_an_import_is_told_in_words(home):
    rows = "login,email,groups\nann,nowhere,developers\n,x@y.org,\n"

    ended = home.run("user", "import", "-", stdin=rows)

    assert ended.code == 2
    assert ended.out.splitlines() == [
        "1 added, 0 changed, 0 unchanged, 1 refused", "new groups: developers",
    ]  # fmt: skip
    assert "line 2: ann: address 'nowhere' is kept, unusable: " in ended.err
    assert "line 3: refused: login: expected" in ended.err


def test_an_import_that_cannot_go_on_says_from_where(home):
    ended = home.run("user", "import", "-", stdin='[{"login": "ann"}, {"login": ')

    assert ended.code == 1
    assert "error: stopped at line 1: " in ended.err
