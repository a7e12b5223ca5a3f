"""`envoi config set`, `get`, `unset`, `append`, `remove` and `list`."""

import json
import stat
from tomllib import loads

import pytest

from tests.cli.conftest import Home


@pytest.fixture
def home(tmp_path) -> Home:
    """A folder without a settings file."""
    return Home(tmp_path)


def held(home):
    return loads(home.config.read_text())


def test_the_first_key_makes_the_file_and_says_so(home):
    ended = home.run("config", "set", "smtp.host", "smtp.university.example")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"made {home.config}, readable for you alone\n"
    assert held(home) == {"smtp": {"host": "smtp.university.example"}}
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("key", "text", "place", "value"),
    [
        ("smtp.port", "587", ("smtp", "port"), 587),
        ("smtp.verify", "no", ("smtp", "verify"), False),
        ("smtp.auth", "plain,login", ("smtp", "auth"), ["plain", "login"]),
        ("application.from", "A <a@b.example>", ("application", "from"), "A <a@b.example>"),
        ("application.main.name", "Wiki", ("application", "name"), "Wiki"),
        ("application.shop.name", "Shop", ("application", "shop", "name"), "Shop"),
        ("senders.new_user.enabled", "true", ("senders", "new_user", "enabled"), True),
        ("senders.new_user.enabled", "on", ("senders", "new_user", "enabled"), True),
        ("senders.mine.recipients", '["admins"]', ("senders", "mine", "recipients"), ["admins"]),
        ("omero.mail.port", "587", ("omero", "omero.mail.port"), 587),
        ("omero.mail.config", "TRUE", ("omero", "omero.mail.config"), True),
        ("omero.mail.from", "a@${omero.mail.host}", ("omero", "omero.mail.from"),
         "a@${omero.mail.host}"),
        ("omero.web.admins", '[["Ann", "a@${omero.mail.host}.example"]]',
         ("omero", "omero.web.admins"), '[["Ann", "a@${omero.mail.host}.example"]]'),
        ("omero.web.admins", '[["Ann", "a@b.example"]]', ("omero", "omero.web.admins"),
         [["Ann", "a@b.example"]]),
        ("omero.web.django_additional_settings", '[["A", null]]',
         ("omero", "omero.web.django_additional_settings"), '[["A", null]]'),
    ],
)  # fmt: skip
def test_a_key_is_written_as_toml_has_it(home, key, text, place, value):
    ended = home.run("config", "set", key, text)

    found = held(home)
    for name in place:
        found = found[name]
    assert (ended.code, found) == (0, value)


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        ("smtp.hots", "a", "did you mean smtp.host?"),
        ("smpt.host", "a", "did you mean smtp.host?"),
        ("smtp", "a", "expected a known key"),
        ("smtp.host.x", "a", "expected a known key"),
        ("application.Bad Name.from", "a@b.example", "expected"),
        ("senders.x", "true", "expected a known key"),
        ("senders.new_user.enabled", "maybe", "expected true or false"),
        ("omero.mail.hots", "a", "did you mean omero.mail.host?"),
        ("omero", "a", "expected a known key"),
        ("omero.web.email_host", "a", "use omero.mail.host"),
        ("omero.data.dir", "a", "only OMERO's keys about mail are read"),
        ("smtp.port", "abc", "smtp.port: expected 1..65535, got 'abc'"),
        ("omero.mail.port", "abc", "omero.mail.port: expected 1..65535, got 'abc'"),
        ("smtp.ca_file", "nothing.pem", "there is no file"),
        ("smtp.password_file", "nothing.txt", "there is no file"),
        ("omero.mail.from", "${omero.mail.from}", "it leads to itself"),
        ("smtp.host", "a\nb", "expected a host name"),
        ("\x1b[2J", "a", "expected a known key"),
        ("smtp.password", "hunter2\nRCPT", "got ********"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(home, key, text, told):
    ended = home.run("config", "set", key, text)

    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert "hunter2" not in ended.err
    assert "\x1b" not in ended.err
    assert not home.config.exists()


def test_an_equals_sign_in_the_key_is_told_as_omero_tells_it(home):
    ended = home.run("config", "set", "omero.mail.password=hunter2")

    assert ended.code == 2
    assert ended.err == (
        'error: "=" in key name. Did you mean "... set omero.mail.password VALUE"?\n'
    )


@pytest.mark.parametrize("words", [("unset", "omero.mail.host"), ("set", "omero.mail.host")])
def test_a_key_is_taken_out_again(home, words):
    home.run("config", "set", "omero.mail.host", "a.example")

    ended = home.run("config", *words, "--report")

    assert ended.out == "Changed: Removed omero.mail.host\n"
    assert held(home) == {"omero": {}}


def test_unset_of_what_is_not_set_says_so_and_is_no_error(home):
    ended = home.run("config", "unset", "smtp.host")

    assert (ended.code, ended.err) == (
        0, f"smtp.host was not set in {home.config}: nothing was changed\n",
    )  # fmt: skip


def test_a_misspelt_key_can_be_taken_out(home):
    home.config.write_text('[smtp]\nhots = "a"\n')

    assert home.run("config", "unset", "smtp.hots").code == 0
    assert held(home) == {"smtp": {}}


def test_report_says_what_was_set_with_secrets_masked(home):
    host = home.run("config", "set", "smtp.host", "a.example", "--report")
    password = home.run("config", "set", "smtp.password", "hunter2", "--report")
    url = home.run("config", "set", "outbox.url", "postgresql://a:hunter2@c/d", "--report")

    assert host.out == "Changed: Set smtp.host:a.example\n"
    assert password.out == "Changed: Set smtp.password:********\n"
    assert url.out == "Changed: Set outbox.url:postgresql://a:********@c/d\n"


@pytest.mark.parametrize("source", ["-", "FILE"])
def test_a_value_is_read_from_a_file_without_its_last_line_end(home, source):
    place = home.folder / "value.txt"
    place.write_text(" pass word \r\n\n")
    words = ("-f", source if source == "-" else str(place))

    ended = home.run("config", "set", "omero.mail.password", *words, stdin=" pass word \r\n\n")

    assert ended.code == 0
    assert held(home)["omero"]["omero.mail.password"] == " pass word"


def test_a_value_and_a_file_together_are_refused(home):
    ended = home.run("config", "set", "smtp.host", "a.example", "-f", "-", stdin="b")

    assert (ended.code, ended.err) == (
        2, "error: VALUE: expected a value or --file, got both\n",
    )  # fmt: skip


def test_a_value_that_begins_with_a_dash_follows_two_dashes(home):
    home.run("config", "set", "--", "smtp.password", "-secret")

    assert held(home)["smtp"]["password"] == "-secret"


def test_a_pattern_of_omeros_that_is_none_is_refused_when_it_is_set(home):
    patterns = '[["IGNORABLE_404_URLS", ["(("]]]'

    ended = home.run("config", "set", "omero.web.django_additional_settings", patterns)

    assert ended.code == 2
    assert "unterminated subpattern" in ended.err
    assert not home.config.exists()


def test_a_property_set_to_nothing_has_its_default_in_force(home):
    home.run("config", "set", "omero.mail.port", "")

    ended = home.run("config", "get", "omero.mail.port")

    assert ended.out == "25\n"


def test_what_several_keys_make_is_told_beside_and_set_all_the_same(home):
    ended = home.run("config", "set", "omero.mail.smtp.auth", "true")

    assert ended.code == 0
    assert (
        "note: not right yet: omero.mail.smtp.auth: expected omero.mail.username beside it"
        in ended.err
    )


def test_a_second_name_for_the_same_thing_is_told_with_both(home):
    home.run("config", "set", "smtp.host", "a.example")

    ended = home.run("config", "set", "omero.mail.host", "b.example")

    assert "omero.mail.host: expected the same as smtp.host says" in ended.err


def test_the_missing_switch_is_told_of(home):
    ended = home.run("config", "set", "omero.mail.host", "a.example")

    assert "note: no mail is sent yet: `envoi config set omero.mail.config true`" in ended.err


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("smtp.port", "25"),
        ("application.from", "omero@a.example"),
        ("omero.mail.from", "omero@a.example"),
        ("omero.mail.port", "25"),
        ("omero.mail.host", "a.example"),
        ("omero.mail.config", "true"),
        ("omero.mail.smtp.socketFactory.port", "25"),
        ("omero.mail.smtp.timeout", "60000"),
        ("omero.web.admins", "[]"),
        ("omero.mail.password", "********"),
        ("omero.mail.username", ""),
    ],
)
def test_get_prints_what_is_in_force_expanded_with_defaults(home, key, value):
    home.set(omero={"omero.mail.config": True})
    home.run("config", "set", "omero.mail.host", "a.example")
    home.run("config", "set", "omero.mail.password", "hunter2")

    ended = home.run("config", "get", key)

    assert (ended.code, ended.out, ended.err) == (0, f"{value}\n", "")


@pytest.mark.parametrize("key", ["smtp.password", "omero.mail.password"])
def test_get_shows_a_secret_only_when_asked(home, key):
    home.run("config", "set", "omero.mail.password", "hunter2")

    assert home.run("config", "get", key).out == "********\n"
    assert home.run("config", "get", key, "--show-secret").out == "hunter2\n"


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("ENVOI_SMTP__HOST", "b.example", "omero.mail.host", "b.example"),
        ("ENVOI_SMTP__TLS", "tls", "omero.mail.smtp.socketFactory.class",
         "javax.net.ssl.SSLSocketFactory"),
        ("ENVOI_DELIVERY__ENABLED", "no", "omero.mail.config", "false"),
        ("ENVOI_SMTP__CONNECT_TIMEOUT_S", "1.5", "omero.mail.smtp.connectiontimeout", "1500"),
        ("ENVOI_ERRORS__TO", "a@b.example", "omero.web.admins", '[["", "a@b.example"]]'),
        ("ENVOI_TRANSPORT__DEFAULT", "smtp", "omero.mail.bean", "defaultMailSender"),
    ],
)  # fmt: skip
def test_get_knows_what_the_environment_says(home, monkeypatch, variable, text, key, value):
    home.set(omero={"omero.mail.config": True})
    monkeypatch.setenv(variable, text)

    assert home.run("config", "get", key).out == f"{value}\n"


@pytest.mark.parametrize(
    "words", [("get", "omero.web.django_additional_settings"), ("get",), ("list",)], ids=str
)
def test_djangos_additional_settings_are_masked_since_a_password_may_be_among_them(home, words):
    settings = '[["EMAIL_HOST_PASSWORD", "hunter2"], ["IGNORABLE_404_URLS", ["^/robots"]]]'
    home.run("config", "set", "omero.web.django_additional_settings", settings)

    shown = home.run("config", *words)

    assert "hunter2" not in shown.out
    assert "********" in shown.out


def test_djangos_additional_settings_are_shown_when_asked(home):
    key = "omero.web.django_additional_settings"
    home.run("config", "set", key, '[["EMAIL_HOST_PASSWORD", "hunter2"]]')

    assert "hunter2" in home.run("config", "get", key, "--show-secret").out


def test_djangos_additional_settings_show_nothing_where_they_do_not_fit(home):
    key = "omero.web.django_additional_settings"

    ended = home.run("config", "set", key, '[["EMAIL_HOST_PASSWORD", "hunter2"], 3]')

    assert "an item is not" in ended.err
    assert "hunter2" not in ended.err


def test_get_without_a_key_lists_all_that_is_in_force_without_secrets(home):
    home.run("config", "set", "omero.mail.password", "hunter2")

    ended = home.run("config", "get")

    lines = ended.out.splitlines()
    assert lines == sorted(lines)
    assert {"smtp.port=25", "omero.mail.password=********"} <= {*lines}
    assert "hunter2" not in ended.out


def test_get_as_json_names_where_each_value_comes_from(home):
    home.run("config", "set", "omero.mail.host", "a.example")

    assert home.run("config", "get", "smtp.host", "--json").json == {
        "key": "smtp.host", "value": "a.example", "from": "envoi.toml: omero.mail.host",
    }  # fmt: skip


def test_get_of_an_unknown_key_says_what_is_known(home):
    home.config.touch()

    ended = home.run("config", "get", "omero.mail.hots")

    assert (ended.code, ended.out) == (2, "")
    assert "did you mean omero.mail.host?" in ended.err


def test_list_shows_what_the_file_sets_with_secrets_masked(home):
    home.set(
        smtp={"username": "u", "password": "hunter2", "pasword": "hunter2"},
        outbox={"url": "postgresql://a:hunter2@c/d"},
        application__shop={"name": "Shop"},
        senders__new_user={"enabled": True},
    )

    ended = home.run("config", "list", "--json")

    assert [(one["key"], one["value"]) for one in ended.json] == [
        ("smtp.username", "u"),
        ("smtp.password", "********"),
        ("smtp.pasword", "(unknown: not shown)"),
        ("outbox.url", "postgresql://a:********@c/d"),
        ("application.shop.name", "Shop"),
        ("senders.new_user.enabled", "true"),
    ]


def test_list_of_nothing_says_what_to_type(home):
    ended = home.run("config", "list")

    assert (ended.code, ended.out) == (0, "")
    assert "`envoi config set KEY VALUE`" in ended.err


@pytest.mark.parametrize(
    ("key", "items", "gone"),
    [
        ("application.admins", ["a@b.example", "c@d.example"], "a@b.example"),
        ("omero.web.admins", ['["Ann", "a@b.example"]', '["Cy", "c@d.example"]'],
         '["Ann","a@b.example"]'),
    ],
)  # fmt: skip
def test_lists_grow_and_shrink_by_items(home, key, items, gone):
    for item in items:
        assert home.run("config", "append", key, item).code == 0
    removed = home.run("config", "remove", key, gone, "--report")
    again = home.run("config", "remove", key, gone)

    assert removed.out == f"Changed: Removed {key}:{gone}\n"
    assert (again.code, "is not in the list" in again.err) == (1, True)
    table, name = key.split(".")[0], key if key.startswith("omero") else "admins"
    kept = items[1] if table == "application" else json.loads(items[1])
    assert held(home)[table][name] == [kept]


def test_removing_the_broken_links_of_omeros_default_list_turns_them_off(home):
    home.run("config", "set", "omero.web.debug", "false")
    on = home.run("config", "get", "errors.not_found").out
    entry = '{"index": 1, "class": "django.middleware.common.BrokenLinkEmailsMiddleware"}'

    home.run("config", "remove", "omero.web.middleware", entry)

    assert (on, home.run("config", "get", "errors.not_found").out) == ("true\n", "false\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("append", "smtp.host", "a"), "expected a key that holds a list"),
        (("append", "application.admins", "nobody"), "application.admins: expected"),
        (("append", "omero.web.admins", "ann@example.org"), "omero.web.admins: expected"),
        (("append", "omero.web.admins", '["Ann"]'), "omero.web.admins: expected"),
    ],
)
def test_items_that_do_not_fit_are_refused(home, words, told):
    ended = home.run("config", *words)

    assert (ended.code, told in ended.err) == (2, True)
    assert not home.config.exists()


@pytest.mark.parametrize(
    "words", [("set", "smtp.host", "a"), ("get",), ("list",), ("unset", "smtp.host")], ids=" ".join
)
def test_an_ini_is_not_edited_but_imported(tmp_path, words):
    class Site(Home):
        config = tmp_path / "my.ini"

    Site.config.write_text("[app:main]\n")

    ended = Site(tmp_path).run("config", *words)

    assert ended.code == 2
    assert "`envoi config import" in ended.err
    assert Site.config.read_text() == "[app:main]\n"
