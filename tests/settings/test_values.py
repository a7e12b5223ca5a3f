"""What each key takes and refuses, and in which words."""

from pathlib import Path

import pytest

from envoi import settings
from envoi.core.people import Address, Mailbox
from envoi.errors import SettingsError
from envoi.settings.table import ROWS, SECTIONS, rows_of

HERE = Path(__file__).parent


def read(tables, env=None, folder=HERE):
    return settings.from_mapping(tables, folder, env)


def problems(tables, env=None, folder=HERE):
    with pytest.raises(SettingsError) as caught:
        read(tables, env, folder)
    return [str(problem) for problem in caught.value.problems]


def nested(key, value):
    *sections, name = key.split(".")
    tables = {name: value}
    for section in reversed(sections):
        tables = {section: tables}
    return tables


def numbered(cases):
    return [f"{case[0]}-{number}" for number, case in enumerate(cases)]


# Key, value, and what is told: what was got, and the beginning of the hint.
REFUSED = [
    ("smtp.host", "b\u00fc..cher", "'b\\xfc..cher'", ""),
    ("smtp.username", "u" * 10_001, f"'{'u' * 100}...'", "longer than 10000 characters"),
    ("smtp.ca_file", "a" * 300, f"'{'a' * 100}...'", f"{HERE}/{'a' * 300}: File name too long"),
    ("outbox.url", "sqlite:///~/mail.db", "'sqlite:///~/mail.db'", "~ is not expanded"),
    ("templates.folders", ["a" * 300], "a list of 1", f"'{'a' * 100}...': {HERE}/aaa"),
    ("smtp.port", 0, "0", ""),
    ("smtp.port", 70000, "70000", ""),
    ("smtp.port", "587abc", "'587abc'", ""),
    ("smtp.port", "587", "'587'", "without quotes"),
    ("smtp.port", True, "true", ""),
    ("smtp.port", 25.0, "25.0", ""),
    ("smtp.port", 10**6000, "a number of many digits", ""),
    ("smtp.tls", "ssl", "'ssl'", "TLS at once is tls"),
    ("smtp.tls", True, "true", "starttls to upgrade an open connection, tls to begin with TLS"),
    ("smtp.tls", False, "false", "clear text is none"),
    ("delivery.hold_uncertain", ["security"], "a list of 1", "'security': somebody is locked out"),
    ("delivery.hold_uncertain", ["mine"], "a list of 1", "'mine': expected notice, report or"),
    ("smtp.verify", "false", "'false'", "without quotes"),
    ("smtp.verify", [1], "a list of 1", ""),
    ("smtp.host", "smtp://x", "'smtp://x'", 'without a scheme, as in host = "smtp.example.org"'),
    (
        "smtp.host",
        "smtp://ann:hunter2@x",
        "'smtp://********@x'",
        'without a scheme, as in host = "smtp.example.org"',
    ),
    ("smtp.host", "x:587", "'x:587'", "the port has its own key: smtp.port = 587"),
    ("smtp.host", "a b", "'a b'", ""),
    ("smtp.host", "-a", "'-a'", ""),
    ("smtp.host", 5, "5", "write it in quotes"),
    # RELIABILITY B15
    (
        "smtp.helo",
        "x\r\nMAIL FROM:<e@x>",
        "'x\\r\\nMAIL FROM:<e@x>'",
        "it holds a line break or another control character",
    ),
    ("smtp.helo", "x y", "'x y'", ""),
    ("smtp.helo", "10.0.0.1", "'10.0.0.1'", "an IP address stands in brackets: [10.0.0.1]"),
    ("smtp.helo", "[10.0.0.999]", "'[10.0.0.999]'", ""),
    # RELIABILITY F2
    (
        "smtp.password",
        "two\nlines",
        "********",
        "a line break or a broken character in it cannot be sent to a relay",
    ),
    ("smtp.password", 1234, "********", ""),
    (
        "smtp.auth",
        ["GSSAPI"],
        "a list of 1",
        "'GSSAPI': expected PLAIN, LOGIN, CRAM-MD5, XOAUTH2 or OAUTHBEARER",
    ),
    ("smtp.auth", "PLAIN", "'PLAIN'", "write it in [ ]"),
    ("smtp.ca_file", "nowhere.pem", "'nowhere.pem'", f"there is no file {HERE}/nowhere.pem"),
    ("smtp.ca_file", "https://u:pw@h/x", "'https://********@h/x'", "a path on this machine"),
    ("smtp.connect_timeout_s", 0, "0", ""),
    ("smtp.connect_timeout_s", float("nan"), "nan", ""),
    ("smtp.connect_timeout_s", "30", "'30'", "without quotes"),
    (
        "application.base_url",
        "wiki.example.org",
        "'wiki.example.org'",
        "as in https://wiki.example.org",
    ),
    (
        "application.base_url",
        "https://ann:hunter2@wiki.example.org",
        "'https://********@wiki.example.org'",
        "without credentials: it stands in every mail",
    ),
    (
        "application.base_url",
        "https://wiki.example.org/?a=1",
        "'https://wiki.example.org/?a=1'",
        "without query and fragment: paths are put behind it",
    ),
    (
        "application.base_url",
        "https://wiki.example.org/a b",
        "'https://wiki.example.org/a b'",
        "it holds a character that no URL holds",
    ),
    (
        "application.base_url",
        "https://wiki.example.org:99999",
        "'https://wiki.example.org:99999'",
        "its host or port cannot be read; / : @ in a password are %2F %3A %40",
    ),
    ("application.from", "nobody", "'nobody'", ""),
    # RELIABILITY A1
    (
        "application.admins",
        ["ann@example.org", "=?x?q?a=40evil.test?=@example.org"],
        "a list of 2",
        "'=?x?q?a=40evil.test?=@example.org': ",
    ),
    (
        "application.type_header",
        "Bcc",
        "'Bcc'",
        "letters, digits and -, and not one that Envoi writes itself",
    ),
    ("application.time_zone", "Europe/Berln", "'Europe/Berln'", "did you mean Europe/Berlin?"),
    # a folder where the zones lie
    ("application.time_zone", "Europe", "'Europe'", ""),
    ("application.locale", "xx_YY", "'xx_YY'", ""),
    (
        "application.prefix",
        "a\nBcc: v@x.test",
        "'a\\nBcc: v@x.test'",
        "it holds a line break or another control character",
    ),
    ("outbox.url", "mysql://ann:hunter2@db/mail", "'mysql://********@db/mail'", ""),
    ("outbox.url", "hunter2", "'********'", ""),
    (
        "outbox.url",
        "postgresql+asyncpg://db/mail",
        "'postgresql+asyncpg://db/mail'",
        "Envoi's own connections use psycopg 3: write postgresql://",
    ),
    # the library would tell of a port 'hunter2'
    (
        "outbox.url",
        "postgresql://ann:hunter2/x@db/mail",
        "'postgresql://********@db/mail'",
        "its host or port cannot be read; / : @ in a password are %2F %3A %40",
    ),
    (
        "outbox.url",
        "sqlite://",
        "'sqlite://'",
        "an outbox in memory would lose its mail with the process: name a file",
    ),
    (
        "outbox.url",
        "sqlite:///:memory:",
        "'sqlite:///:memory:'",
        "an outbox in memory would lose its mail with the process: name a file",
    ),
    (
        "outbox.url",
        "sqlite://envoi.db",
        "'sqlite://envoi.db'",
        "three slashes before a relative path, four before an absolute one",
    ),
    ("outbox.schema", "Mail; --", "'Mail; --'", ""),
    ("outbox.spool", "~/spool", "'~/spool'", "~ is not expanded: write the whole path"),
    ("delivery.lease_s", 1, "1", ""),
    ("delivery.lease_s", 60.5, "60.5", ""),
    ("delivery.poll_ms", 0, "0", ""),
    ("guard.allow", ["example.org"], "a list of 1", "'example.org': "),
    (
        "templates.folders",
        ["nowhere"],
        "a list of 1",
        f"'nowhere': there is no folder {HERE}/nowhere",
    ),
]


@pytest.mark.parametrize(("key", "value", "got", "hint"), REFUSED, ids=numbered(REFUSED))
def test_a_value_that_does_not_fit_is_told_with_its_key(key, value, got, hint):
    [told] = problems(nested(key, value))

    [row] = [row for row in ROWS if row.key == key]
    assert told.startswith(f"{key}: expected {row.reader.expected}, got {got}")
    assert told.partition(f"got {got}")[2].startswith(f" ({hint}" if hint else "")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("smtp.port", "1..65535"),
        ("smtp.tls", "none, starttls or tls"),
        ("smtp.verify", "true or false"),
        ("smtp.connect_timeout_s", "0.1..600 seconds"),
        ("delivery.lease_s", "2..3600"),
    ],
)
def test_what_was_expected_is_told_in_few_words(key, expected):
    assert problems(nested(key, [])) == [f"{key}: expected {expected}, got a list of 0"]


def test_a_first_wait_longer_than_the_longest_is_told():
    told = problems({"delivery": {"first_retry_s": 7200}})

    assert told == ["delivery.first_retry_s: expected at most longest_retry_s, 3600, got 7200"]


def test_a_wait_is_not_compared_with_one_that_does_not_fit():
    told = problems({"delivery": {"first_retry_s": 7200, "longest_retry_s": 0}})

    assert told == ["delivery.longest_retry_s: expected 1..604800, got 0"]


TAKEN = [
    ("smtp.host", "SMTP.Example.ORG", "smtp.example.org"),
    ("smtp.host", "[::1]", "::1"),
    ("smtp.host", "bücher.example", "xn--bcher-kva.example"),
    ("smtp.host", "mail_relay", "mail_relay"),  # a service of docker compose
    ("smtp.helo", "[10.0.0.1]", "[10.0.0.1]"),
    ("smtp.helo", "[IPv6:::1]", "[IPv6:::1]"),
    ("smtp.tls", "STARTTLS", "starttls"),
    ("smtp.password", "päss%#\" '", settings.Secret("päss%#\" '")),
    ("smtp.auth", ["login", "LOGIN", "plain"], ("LOGIN", "PLAIN")),
    ("smtp.idle_s", 0, 0),
    ("smtp.command_timeout_s", 0.5, 0.5),
    ("smtp.mail_from", "omero@localhost", Address("omero", "localhost")),
    ("outbox.schema", "mail", "mail"),
    ("outbox.url", "postgres://a:b@c/d", "postgresql://a:b@c/d"),
    ("outbox.url", "postgresql+psycopg://c/d", "postgresql+psycopg://c/d"),
    ("outbox.url", "sqlite:///mail.db", f"sqlite:///{HERE}/mail.db"),
    ("outbox.url", "sqlite:////var/mail.db?timeout=5", "sqlite:////var/mail.db?timeout=5"),
    ("outbox.spool", "spool", HERE / "spool"),
    ("outbox.spool", "/var/spool/envoi", Path("/var/spool/envoi")),
    ("guard.allow", ["@Example.ORG", "ann@x.test"], ("@example.org", "ann@x.test")),
    ("guard.redirect", "root@localhost", Address("root", "localhost")),
    ("templates.folders", ["."], (HERE,)),
]


@pytest.mark.parametrize(("key", "value", "expected"), TAKEN, ids=numbered(TAKEN))
def test_a_value_that_fits_is_normalised(key, value, expected):
    section, name = key.split(".")

    assert getattr(getattr(read(nested(key, value)), section), name) == expected


APPLICATION = [
    ("base_url", "https://Wiki.Example.org:8443/w/", "https://wiki.example.org:8443/w"),
    ("base_url", "http://localhost:8000", "http://localhost:8000"),
    ("locale", "pt-br", "pt_BR"),
    ("type_header", "X-Wiki-Type", "X-Wiki-Type"),
    ("type_values", ["note", "note"], ("note",)),
    ("locale", "de_DE.UTF-8", "de_DE"),
    ("time_zone", "Europe/Berlin", "Europe/Berlin"),
    ("from", "Wiki <wiki@localhost>", Mailbox(Address("wiki", "localhost"), "Wiki")),
    ("admins", ["a@x.test", "a@x.test"], (Address("a", "x.test"),)),
]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    APPLICATION,
    ids=numbered(APPLICATION),
)
def test_a_value_of_an_application_is_normalised(name, value, expected):
    application = read({"application": {name: value}}).applications["main"]

    assert getattr(application, "sender" if name == "from" else name) == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_an_empty_text_means_not_set(row):
    empty = read(nested(row.key, ""))

    assert empty == read(nested(row.section, {}))


@pytest.mark.parametrize(
    ("host", "tls"),
    [
        ("localhost", "none"),
        ("127.0.0.9", "none"),
        ("[::1]", "none"),
        ("mail.example.org", "starttls"),
        ("10.0.0.1", "starttls"),
    ],
)
def test_only_a_loopback_relay_is_spoken_to_in_clear_unasked(host, tls):
    assert read({"smtp": {"host": host}}).smtp.tls == tls


@pytest.mark.parametrize(("tls", "port"), [("tls", 465), ("starttls", 25), ("none", 25)])
def test_the_port_follows_tls(tls, port):
    assert read({"smtp": {"host": "x.test", "tls": tls}}).smtp.port == port


@pytest.mark.parametrize(
    ("base_url", "sender"),
    [
        ("", "envoi@localhost"),
        ("https://wiki.example.org/w", "envoi@wiki.example.org"),
        ("http://192.168.1.5:8000", "envoi@localhost"),
        ("http://[::1]:8000", "envoi@localhost"),
        ("http://wiki_web:8000", "envoi@localhost"),
    ],
)
def test_there_is_always_a_valid_from(base_url, sender):
    application = read({"application": {"base_url": base_url}}).applications["main"]

    assert str(application.sender.address) == sender


def test_message_ids_are_named_after_the_base_url_else_after_from():
    named = read({"application": {"base_url": "https://wiki.example.org"}})
    other = read({"application": {"from": "wiki@mail.example.org"}})

    assert named.applications["main"].host == "wiki.example.org"
    assert other.applications["main"].host == "mail.example.org"


def test_the_table_and_the_dataclasses_name_the_same_keys():
    for section, cls in SECTIONS.items():
        rows = {row.field or row.name for row in rows_of(section).values()}

        assert rows == set(cls.__dataclass_fields__), section


def test_the_defaults_of_the_dataclasses_fit_their_own_rows():
    for row in ROWS:
        if isinstance(row.default, bool | int | float):
            assert row.reader.read(row.default, HERE) == row.default


def test_a_folder_whose_name_no_sqlite_url_can_hold_is_told(tmp_path):
    told = problems({"outbox": {"url": "sqlite:///mail.db"}}, folder=tmp_path / "a?b")

    assert "SQLite URLs cannot hold the ?" in told[0]


def test_the_default_database_in_such_a_folder_is_told_too(tmp_path):
    told = problems({}, folder=tmp_path / "a?b")

    assert "SQLite URLs cannot hold the ?" in told[0]


def test_a_database_elsewhere_may_have_settings_in_such_a_folder(tmp_path):
    loaded = read({"outbox": {"url": "sqlite:////var/mail.db"}}, folder=tmp_path / "a?b")

    assert loaded.outbox.url == "sqlite:////var/mail.db"


def test_a_system_without_time_zones_says_what_to_install(monkeypatch):
    monkeypatch.setattr("envoi.settings.readers.available_timezones", set)

    told = problems({"application": {"time_zone": "Europe/Berln"}})

    assert told[0].endswith("(this system knows no time zones: install its tzdata package)")
