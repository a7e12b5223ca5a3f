"""Where values come from, which wins, and what is told of names that nobody knows."""

import datetime as dt
import os
from pathlib import Path

import pytest

from envoi import settings
from envoi.core.people import Address
from envoi.errors import SettingsError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, text, name="envoi.toml"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return path


def problems(load, *arguments):
    with pytest.raises(SettingsError) as caught:
        load(*arguments)
    return [str(problem) for problem in caught.value.problems]


def origins(loaded):
    return {entry.key: entry.origin for entry in loaded.listing()}


def listed(loaded):
    return {entry.key: entry.shown for entry in loaded.listing()}


def test_without_a_file_everything_has_its_default(folder):
    loaded = settings.load(None, {})

    assert loaded.path is None
    assert set(origins(loaded).values()) == {"default"}
    assert list(loaded.applications) == ["main"]


def test_the_file_in_the_working_directory_is_found(folder):
    path = write(folder, '[smtp]\nhost = "a.test"')

    loaded = settings.load(None, {})

    assert (loaded.path, loaded.smtp.host) == (path, "a.test")


def test_envoi_config_names_the_file_and_a_path_wins_over_it(folder):
    write(folder, '[smtp]\nhost = "a.test"')
    named = write(folder, '[smtp]\nhost = "b.test"', "named.toml")
    given = write(folder, '[smtp]\nhost = "c.test"', "given.toml")
    env = {"ENVOI_CONFIG": str(named)}

    assert settings.load(None, env).smtp.host == "b.test"
    assert settings.load(given, env).smtp.host == "c.test"


def test_variables_of_the_command_line_are_no_settings():
    assert settings.from_mapping({}, Path.cwd(), {"ENVOI_LOG_LEVEL": "debug"}).warnings == ()


def test_a_named_file_that_is_missing_is_told(folder):
    [told] = problems(settings.load, None, {"ENVOI_CONFIG": "/nowhere/envoi.toml"})

    assert told == "/nowhere/envoi.toml: expected a settings file, got No such file or directory"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[smtp]\nhost = \n", "expected TOML, got Invalid value (at line 2, column 8)"),
        (b"[smtp]\nhost = '\xff'\n", "expected UTF-8, got another encoding at line 2"),
        ("[smtp]".encode("utf-16"), "expected UTF-8, got another encoding at line 1"),
        (b"a = " + b"[" * 9_000, "expected TOML, got "),
        (b"a = " + b"1" * 5_000, "expected TOML, got "),
    ],
    ids=["syntax", "latin-1", "utf-16", "deep", "long number"],
)
def test_a_file_that_is_not_toml_is_told_with_its_line(folder, content, expected):
    path = write(folder, content)

    [told] = problems(settings.load, path, {})

    assert told.startswith(f"{path}: {expected}")


def test_a_byte_order_mark_is_no_matter(folder):
    path = write(folder, b'\xef\xbb\xbf[smtp]\r\nhost = "a.test"\r\n')

    assert settings.load(path, {}).smtp.host == "a.test"


def test_the_environment_wins_and_each_value_knows_where_it_was_set(folder):
    path = write(folder, '[smtp]\nhost = "a.test"\nport = 2525\n[senders.x]\nenabled = true')
    env = {"ENVOI_SMTP__HOST": "b.test", "envoi_delivery__lease_s": "20", "PATH": "/bin"}

    loaded = settings.load(path, env)

    assert (loaded.smtp.host, loaded.smtp.port, loaded.delivery.lease_s) == ("b.test", 2525, 20)
    assert origins(loaded) | {
        "smtp.host": "ENVOI_SMTP__HOST",
        "smtp.port": "envoi.toml",
        "smtp.tls": "default",
        "delivery.lease_s": "envoi_delivery__lease_s",
        "senders.x.enabled": "envoi.toml",
    } == origins(loaded)


def test_an_empty_variable_leaves_the_file_in_force(folder):
    path = write(folder, '[smtp]\nhost = "a.test"')

    loaded = settings.load(path, {"ENVOI_SMTP__HOST": "", "ENVOI_SMTP__PASSWORD_FILE": ""})

    assert loaded.smtp.host == "a.test"


@pytest.mark.parametrize(
    ("variable", "text", "section", "name", "value"),
    [
        ("ENVOI_SMTP__VERIFY", "No", "smtp", "verify", False),
        ("ENVOI_SMTP__VERIFY", "1", "smtp", "verify", True),
        ("ENVOI_SMTP__CONNECT_TIMEOUT_S", "2.5", "smtp", "connect_timeout_s", 2.5),
        ("ENVOI_SMTP__AUTH", "plain, login", "smtp", "auth", ("PLAIN", "LOGIN")),
        (
            "ENVOI_GUARD__ALLOW",
            '["@a.test", "b@c.test"]',
            "guard",
            "allow",
            ("@a.test", "b@c.test"),
        ),
    ],
)
def test_a_variable_is_read_as_its_key_demands(folder, variable, text, section, name, value):
    loaded = settings.load(None, {variable: text})

    assert getattr(getattr(loaded, section), name) == value


def test_a_variable_that_does_not_fit_is_told_by_its_key_and_name(folder):
    env = {"ENVOI_SMTP__PORT": "587abc", "ENVOI_GUARD__ALLOW": "[1", "ENVOI_SMTP__VERIFY": "maybe"}

    assert problems(settings.load, None, env) == [
        "smtp.port: expected 1..65535, got '587abc' (by ENVOI_SMTP__PORT)",
        "smtp.verify: expected true or false, got 'maybe' (by ENVOI_SMTP__VERIFY)",
        (
            "guard.allow: expected a list of addresses and @domains, got '[1' "
            "(write it in [ ]; by ENVOI_GUARD__ALLOW)"
        ),
    ]


@pytest.mark.parametrize(
    ("env", "told"),
    [
        (
            {"ENVOI_SMTP_HOST": "x"},
            (
                "ENVOI_SMTP_HOST: expected a variable that names a key, "
                "got an unknown one (did you mean ENVOI_SMTP__HOST?)"
            ),
        ),
        (
            {"ENVOI_SMTP__PASWORD": "hunter2"},
            (
                "ENVOI_SMTP__PASWORD: expected a variable that names "
                "a key, got an unknown one (did you mean ENVOI_SMTP__PASSWORD?)"
            ),
        ),
        (
            {"ENVOI_QUUXQUUXQUUX": "1"},
            "ENVOI_QUUXQUUXQUUX: expected a variable that names a key, got an unknown one",
        ),
        (
            {"ENVOI_SMTP_PORT": "2525"},
            (
                "ENVOI_SMTP_PORT: expected a variable that names a key, "
                "got an unknown one (did you mean ENVOI_SMTP__PORT?)"
            ),
        ),
        (
            {"envoi_config": "x"},
            (
                "envoi_config: expected a variable that names a key, "
                "got an unknown one (did you mean ENVOI_CONFIG?)"
            ),
        ),
        (
            {"ENVOI_APPLICATION__A B__PREFIX": "x"},
            (
                "ENVOI_APPLICATION__A B__PREFIX: expected an "
                "application's name in lower-case letters, digits, _ and -, got 'a b'"
            ),
        ),
        (
            {"ENVOI_SENDERS__X__ENABLED": "perhaps"},
            (
                "senders.x.enabled: expected true or false, "
                "got 'perhaps' (by ENVOI_SENDERS__X__ENABLED)"
            ),
        ),
        (
            {"ENVOI_SMTP__HOST": "a", "envoi_smtp__host": "b"},
            "envoi_smtp__host: expected the key once, got it as ENVOI_SMTP__HOST too",
        ),
        (
            {"ENVOI_APPLICATION__PREFIX": "a", "ENVOI_APPLICATION__MAIN__PREFIX": "b"},
            (
                "ENVOI_APPLICATION__PREFIX: expected the key once, "
                "got it as ENVOI_APPLICATION__MAIN__PREFIX too"
            ),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_variable_that_names_no_key_is_told(folder, env, told):
    assert problems(settings.load, None, env) == [told]


def test_what_kubernetes_tells_of_a_service_called_envoi_is_not_ours(folder):
    env = {
        "ENVOI_SERVICE_HOST": "10.0.0.1",
        "ENVOI_SERVICE_PORT": "8025",
        "ENVOI_SERVICE_PORT_HTTP": "8025",
        "ENVOI_PORT": "tcp://10.0.0.1:8025",
        "ENVOI_PORT_8025_TCP": "tcp://10.0.0.1:8025",
        "ENVOI_PORT_8025_TCP_PROTO": "tcp",
        "ENVOI_SMTP_PORT": "tcp://10.0.0.2:25",
    }

    assert settings.load(None, env).path is None


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (
            {"smpt_host": "x"},
            "smpt_host: expected a known key, got an unknown one (did you mean smtp.host?)",
        ),
        ({"host": "x"}, "host: expected a known key, got an unknown one (did you mean smtp.host?)"),
        (
            {"stmp": {"host": "x"}},
            "stmp: expected a known key, got an unknown one (did you mean smtp?)",
        ),
        (
            {"smtp": {"pasword": "hunter2"}},
            "smtp.pasword: expected a known key, got an unknown one (did you mean smtp.password?)",
        ),
        ({"smtp": {"qqqqqq": 1}}, "smtp.qqqqqq: expected a known key, got an unknown one"),
        ({"smtp": "hunter2"}, "smtp: expected a table [smtp], got a single value"),
        ({"smtp": [{}]}, "smtp: expected a table [smtp], got a list"),
        (
            {"application": {"wiki": {"prefx": "x"}}},
            (
                "application.wiki.prefx: expected a known key, "
                "got an unknown one (did you mean application.prefix?)"
            ),
        ),
        (
            {"application": {"Wiki": {}}},
            (
                "application.Wiki: expected an application's name in "
                "lower-case letters, digits, _ and -, got 'Wiki'"
            ),
        ),
        (
            {"application": {"prefix": "a", "main": {"prefix": "b"}}},
            "application.main.prefix: expected the key once, got it as application.prefix too",
        ),
        ({"senders": {"x": 1}}, "senders.x: expected a table [senders.x], got a single value"),
        (
            {"senders": {"x": {"when": dt.date(2026, 1, 1)}}},
            (
                "senders.x.when: expected texts, "
                "numbers, true or false, lists and tables of them, got 2026-01-01"
            ),
        ),
        ({"a\nb": 1}, "a\\nb: expected a known key, got an unknown one"),
    ],
    ids=lambda value: str(next(iter(value))).strip() if isinstance(value, dict) else "",
)
def test_a_key_that_nobody_knows_is_told_without_its_value(tables, told, tmp_path):
    assert problems(settings.from_mapping, tables, tmp_path) == [told]


def test_all_problems_are_told_at_once(tmp_path):
    tables = {"smpt": {}, "smtp": {"port": 0, "tls": "ssl"}, "delivery": {"lease_s": "a"}}

    told = problems(settings.from_mapping, tables, tmp_path, {"ENVOI_X": "1"})

    assert [line.partition(":")[0] for line in told] == [
        "smpt",
        "ENVOI_X",
        "smtp.port",
        "smtp.tls",
        "delivery.lease_s",
    ]


def test_plain_keys_under_application_are_those_of_main(tmp_path):
    tables = {
        "application": {"prefix": "[a]", "main": {"locale": "de"}, "my-wiki": {"prefix": "[b]"}}
    }
    env = {
        "ENVOI_APPLICATION__ADMINS": "ann@x.test",
        "ENVOI_APPLICATION__MAIN__BASE_URL": "https://a.test",
        "ENVOI_APPLICATION__MY_WIKI__LOCALE": "fr",
        "ENVOI_APPLICATION__OTHER__PREFIX": "[c]",
    }

    loaded = settings.from_mapping(tables, tmp_path, env)

    main = loaded.applications["main"]
    assert (main.prefix, main.locale, main.base_url) == ("[a]", "de", "https://a.test")
    assert main.admins == (Address("ann", "x.test"),)
    assert list(loaded.applications) == ["main", "my-wiki", "other"]
    assert loaded.applications["my-wiki"].locale == "fr"
    assert origins(loaded)["application.prefix"] == "mapping"
    assert origins(loaded)["application.my-wiki.locale"] == "ENVOI_APPLICATION__MY_WIKI__LOCALE"


def test_a_sender_is_switched_by_a_variable_and_keeps_its_table(tmp_path):
    tables = {"senders": {"pull-request": {"kind": "x", "enabled": True, "when": {"a": [1]}}}}
    env = {
        "ENVOI_SENDERS__PULL_REQUEST__ENABLED": "off",
        "ENVOI_SENDERS__REGISTRATION__ENABLED": "false",
    }

    loaded = settings.from_mapping(tables, tmp_path, env)

    assert loaded.senders["pull-request"] == {"kind": "x", "enabled": False, "when": {"a": [1]}}
    assert listed(loaded)["senders.pull-request.when"] == "a = 1"
    assert dict(loaded.senders["registration"]) == {"enabled": False}
    assert origins(loaded)["senders.pull-request.kind"] == "mapping"
    assert origins(loaded)["senders.pull-request.enabled"] == "ENVOI_SENDERS__PULL_REQUEST__ENABLED"


def test_a_sender_as_deep_as_a_well_is_told(tmp_path):
    deep: dict[str, object] = {}
    for _ in range(5_000):
        deep = {"a": deep}

    [told] = problems(settings.from_mapping, {"senders": {"x": {"when": deep}}}, tmp_path)

    assert told.startswith("senders.x.when: expected texts")


def test_relative_paths_start_at_the_settings_file(folder):
    (folder / "etc").mkdir()
    (folder / "etc" / "words").mkdir()
    (folder / "etc" / "ca.pem").touch()
    path = write(folder / "etc", '[smtp]\nca_file = "ca.pem"\n[templates]\nfolders = ["words"]')

    loaded = settings.load(path, {})

    assert loaded.outbox.url == f"sqlite:///{folder}/etc/envoi.db"
    assert loaded.outbox.spool == folder / "etc" / "envoi-spool"
    assert loaded.smtp.ca_file == folder / "etc" / "ca.pem"
    assert loaded.templates.folders == (folder / "etc" / "words",)


def test_secrets_are_read_from_files(folder):
    (folder / "relay").write_bytes("päss word \r\n".encode())
    (folder / "db").write_text("postgresql://envoi:s3cret@db/mail\n")
    path = write(
        folder, '[smtp]\npassword_file = "relay"\nusername = "u"\n[outbox]\nurl_file = "db"'
    )

    loaded = settings.load(path, {})

    assert loaded.smtp.password.reveal() == "päss word "
    assert loaded.outbox.url == "postgresql://envoi:s3cret@db/mail"
    assert origins(loaded)["smtp.password"] == "file relay"
    assert listed(loaded)["outbox.url"] == "postgresql://envoi:********@db/mail"


@pytest.mark.parametrize(
    "env",
    [{"ENVOI_SMTP__PASSWORD": "new"}, {"ENVOI_SMTP__PASSWORD_FILE": "new"}],
    ids=["env", "file"],
)
@pytest.mark.parametrize("line", ["password = 'old'", "password_file = 'missing'"])
def test_a_secret_of_the_environment_wins_over_the_files_in_either_form(folder, env, line):
    (folder / "new").write_text("new")
    path = write(folder, f"[smtp]\n{line}")

    assert settings.load(path, env).smtp.password.reveal() == "new"


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("missing", "No such file or directory"),
        (".", "Is a directory"),
        ("empty", "it is empty"),
        ("binary", "it is not UTF-8"),
        ("large", "it is far too long"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_secrets_file_that_cannot_be_used_is_told(folder, name, because):
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff")
    (folder / "large").write_text("x" * 100_000)

    [told] = problems(settings.from_mapping, {"smtp": {"password_file": name}}, folder)

    expected = f"smtp.password_file: expected a file with the secret on one line, got {name!r}"
    assert told == f"{expected} ({because})"


def test_a_secrets_file_is_named_by_a_text(folder):
    told = problems(settings.from_mapping, {"smtp": {"password_file": 5}}, folder)

    assert told == ["smtp.password_file: expected a file with the secret on one line, got 5"]


def test_a_password_and_its_file_together_are_refused(folder):
    (folder / "relay").write_text("a")
    tables = {"smtp": {"password": "a", "password_file": "relay"}}
    env = {"ENVOI_OUTBOX__URL": "sqlite:///a", "ENVOI_OUTBOX__URL_FILE": "relay"}

    assert problems(settings.from_mapping, tables, folder, env) == [
        "smtp.password_file: expected password or password_file, got both",
        "ENVOI_OUTBOX__URL_FILE: expected url or url_file, got both",
    ]


def test_a_broken_secret_from_a_file_is_told_without_it(folder):
    (folder / "db").write_text("hunter2")

    [told] = problems(settings.load, None, {"ENVOI_OUTBOX__URL_FILE": "db"})

    assert "hunter2" not in told
    assert told.endswith("got '********' (by ENVOI_OUTBOX__URL_FILE)")


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_told(folder):
    path = write(folder, "")
    path.chmod(0)

    [told] = problems(settings.load, path, {})

    assert told == f"{path}: expected a settings file, got Permission denied"


def test_a_folder_is_no_settings_file(folder):
    [told] = problems(settings.load, Path(), {})

    assert told == f"{folder}: expected a settings file, got Is a directory"
