"""A Kallithea's ini, key by key: by its own name, to what it means here."""

from pathlib import Path

import pytest

from envoi.core.people import Address, Mailbox
from envoi.settings import Secret, load
from envoi.settings.kallithea import KEYS

MYSQL = "sqlalchemy.url = mysql://kal:pa55word@localhost/kallithea?charset=utf8mb4"
# What Kallithea 0.7 writes for a new site, as far as it concerns mail.
SHIPPED = """\
[DEFAULT]
email_to =
error_email_from =
smtp_server =
smtp_username =
smtp_password =
smtp_port =
smtp_use_ssl = false
smtp_use_tls = false
[server:main]
host = 127.0.0.1
port = 5000
[app:main]
use = egg:kallithea
full_stack = true
app_instance_uuid = a1b2c3
index_dir = %(here)s/data/index
celery.broker_url = amqp://kallithea:pa55word@localhost:5672/kallitheavhost
celery.worker_concurrency = 2
use_celery = false
get trace_errors.smtp_server = smtp_server
get trace_errors.smtp_port = smtp_port
get trace_errors.from_address = error_email_from
get trace_errors.error_email = email_to
get trace_errors.smtp_username = smtp_username
get trace_errors.smtp_password = smtp_password
get trace_errors.smtp_use_tls = smtp_use_tls
sqlalchemy.url = sqlite:///%(here)s/kallithea.db?timeout=60
[logger_kallithea]
level = WARN
"""


def value_of(settings, key):
    """Return the value that a dotted key has."""
    section, _, name = key.partition(".")
    if section == "application":
        return getattr(settings.applications["main"], name)
    return getattr(getattr(settings, section), name)


def address(text):
    return Address(*text.rsplit("@", 1))


OPS = (address("a@example.org"), address("b@example.org"))


@pytest.mark.parametrize(
    ("lines", "key", "value"),
    [
        pytest.param(
            ["app_email_from = kal@example.org"],
            "application.sender",
            Mailbox(address("kal@example.org")),
            id="app_email_from: address",
        ),
        pytest.param(
            ["app_email_from = Kallithea <kal@example.org>"],
            "application.sender",
            Mailbox(address("kal@example.org"), "Kallithea"),
            id="app_email_from: name and address",
        ),
        pytest.param(
            ["app_email_from = kal@localhost"],
            "application.sender",
            Mailbox(address("kal@localhost")),
            id="app_email_from: local",
        ),
        pytest.param(
            ["app_email_from = Doe, Inc <kal@example.org>"],
            "application.sender",
            Mailbox(address("kal@example.org"), "Doe, Inc"),
            id="app_email_from: a name with a comma",
        ),
        pytest.param(
            ['app_email_from = The "real" one (x) <kal@localhost>'],
            "application.sender",
            Mailbox(address("kal@localhost"), 'The "real" one (x)'),
            id="app_email_from: a name with quotes inside",
        ),
        pytest.param(
            ["app_email_from = Zürich Mail <kal@example.org>"],
            "application.sender",
            Mailbox(address("kal@example.org"), "Zürich Mail"),
            id="app_email_from: not ASCII",
        ),
        pytest.param(
            ["app_email_from = Kallithea", "canonical_url = https://code.example.org/k"],
            "application.sender",
            Mailbox(address("kallithea@code.example.org"), "Kallithea"),
            id="app_email_from: bare word",
        ),
        pytest.param(
            ["canonical_url = https://code.example.org"],
            "application.sender",
            Mailbox(address("kallithea@code.example.org")),
            id="app_email_from: missing",
        ),
        pytest.param(
            ["app_email_from ="],
            "application.sender",
            Mailbox(address("kallithea@localhost")),
            id="app_email_from: empty",
        ),
        pytest.param(
            ["canonical_url = http://127.0.0.1:5000"],
            "application.sender",
            Mailbox(address("kallithea@localhost")),
            id="app_email_from: missing, and no host to take",
        ),
        pytest.param(["email_prefix = [K]"], "application.prefix", "[K]", id="email_prefix"),
        pytest.param(["email_prefix ="], "application.prefix", "", id="email_prefix: empty"),
        pytest.param(
            ["email_to = a@example.org,b@example.org"], "application.fallback", OPS, id="email_to"
        ),
        pytest.param(
            ["email_to =  a@example.org , ,B <b@example.org>, "],
            "application.fallback",
            OPS,
            id="email_to: spaces, names and nothing",
        ),
        pytest.param(
            ["email_to = a@example.org,", "  b@example.org"],
            "application.fallback",
            OPS,
            id="email_to: two lines",
        ),
        pytest.param(["email_to ="], "application.fallback", (), id="email_to: empty"),
        pytest.param(
            ["email_to = a@example.org,b@example.org"], "errors.to", OPS, id="email_to: errors"
        ),
        pytest.param(
            ["error_email_from = Errors <kal@example.org>"],
            "errors.sender",
            Mailbox(address("kal@example.org"), "Errors"),
            id="error_email_from",
        ),
        pytest.param(["error_email_from ="], "errors.sender", None, id="error_email_from: empty"),
        pytest.param(
            ["smtp_server = mail.example.org"], "smtp.host", "mail.example.org", id="smtp_server"
        ),
        pytest.param(["smtp_server ="], "smtp.host", "", id="smtp_server: empty"),
        pytest.param(
            ["smtp_server = mail.example.org:2525"],
            "smtp.host",
            "mail.example.org",
            id="smtp_server: host of host:port",
        ),
        pytest.param(
            ["smtp_server = mail.example.org:2525", "smtp_port ="],
            "smtp.port",
            2525,
            id="smtp_server: port of host:port",
        ),
        pytest.param(
            ["smtp_server = mail.example.org:2525", "smtp_port = 26"],
            "smtp.port",
            26,
            id="smtp_server: two ports",
        ),
        pytest.param(["smtp_server = [::1]:26"], "smtp.host", "::1", id="smtp_server: IPv6"),
        pytest.param(["smtp_server = [::1]:26"], "smtp.port", 26, id="smtp_server: IPv6 port"),
        pytest.param(["smtp_port = 587"], "smtp.port", 587, id="smtp_port"),
        pytest.param(["smtp_port ="], "smtp.port", 25, id="smtp_port: empty"),
        pytest.param(
            ["smtp_port =", "smtp_use_ssl = true"], "smtp.port", 465, id="smtp_port: empty, SSL"
        ),
        pytest.param(
            ["smtp_username = kal", "smtp_password = x"],
            "smtp.username",
            "kal",
            id="smtp_username",
        ),
        pytest.param(
            ["smtp_username = kal", "smtp_password ="],
            "smtp.username",
            "kal",
            id="smtp_username: empty password",
        ),
        pytest.param(["smtp_username = kal"], "smtp.username", "", id="smtp_username: alone"),
        pytest.param(
            ["smtp_username =", "smtp_password = x"], "smtp.username", "", id="smtp_username: empty"
        ),
        pytest.param(
            ["smtp_username = k", "smtp_password = 100%% säfe; #1"],
            "smtp.password",
            Secret("100% säfe; #1"),
            id="smtp_password",
        ),
        *(
            pytest.param([f"smtp_use_ssl = {word}"], "smtp.tls", "tls", id=f"smtp_use_ssl: {word}")
            for word in ("true", "True", "YES", "on", "y", "t", "1")
        ),
        *(
            pytest.param([f"smtp_use_ssl = {word}"], "smtp.tls", "none", id=f"smtp_use_ssl: {word}")
            for word in ("false", "no", "OFF", "n", "f", "0", "")
        ),
        pytest.param(["smtp_use_tls = true"], "smtp.tls", "starttls", id="smtp_use_tls"),
        pytest.param(["smtp_use_tls ="], "smtp.tls", "none", id="smtp_use_tls: empty"),
        pytest.param(
            ["smtp_use_tls = true", "smtp_use_ssl = true"], "smtp.tls", "tls", id="SSL and TLS"
        ),
        pytest.param(["smtp_auth = LOGIN"], "smtp.auth", ("LOGIN",), id="smtp_auth"),
        pytest.param(
            ["smtp_auth = cram-md5 PLAIN"], "smtp.auth", ("CRAM-MD5", "PLAIN"), id="smtp_auth: two"
        ),
        pytest.param(
            ["smtp_auth = GSSAPI LOGIN"], "smtp.auth", ("LOGIN",), id="smtp_auth: one known"
        ),
        pytest.param(["smtp_auth ="], "smtp.auth", (), id="smtp_auth: empty"),
        pytest.param(
            ["canonical_url = https://code.example.org/repos/"],
            "application.base_url",
            "https://code.example.org/repos",
            id="canonical_url",
        ),
        pytest.param(["canonical_url ="], "application.base_url", "", id="canonical_url: empty"),
        pytest.param(["debug = true"], "errors.enabled", False, id="debug"),
        pytest.param(["set debug = true"], "errors.enabled", False, id="set debug"),
        pytest.param(["debug = false"], "errors.enabled", True, id="debug: false"),
        pytest.param(["debug ="], "errors.enabled", True, id="debug: empty"),
        pytest.param(["trace_errors.enable = false"], "errors.enabled", False, id="enable"),
        pytest.param(
            ["trace_errors.enable = true", "debug = true"],
            "errors.enabled",
            False,
            id="enable and debug",
        ),
        pytest.param(
            ["trace_errors.from_address = e@example.org", "error_email_from = x@example.org"],
            "errors.sender",
            Mailbox(address("e@example.org")),
            id="from_address",
        ),
        pytest.param(
            ["trace_errors.error_email = a@example.org,b@example.org", "email_to = c@example.org"],
            "errors.to",
            OPS,
            id="error_email",
        ),
        pytest.param([], "errors.subject_prefix", "WebApp Error:", id="error_subject_prefix"),
        pytest.param(
            ["trace_errors.error_subject_prefix = Oops:"],
            "errors.subject_prefix",
            "Oops:",
            id="error_subject_prefix: set",
        ),
        pytest.param(["trace_errors.dump_request = on"], "errors.dump_request", True, id="request"),
        pytest.param(
            ["trace_errors.dump_request_size = 99"], "errors.dump_request_size", 99, id="size"
        ),
        pytest.param([], "errors.dump_request_size", 50_000, id="size: missing"),
        pytest.param(
            ["trace_errors.dump_local_frames = y"], "errors.dump_local_frames", True, id="frames"
        ),
        pytest.param(
            ["trace_errors.dump_local_frames_count = 5"],
            "errors.dump_local_frames_count",
            5,
            id="frames: count",
        ),
        pytest.param([], "errors.dump_local_frames_count", 2, id="frames: count missing"),
        pytest.param(["i18n.lang = de"], "application.locale", "de", id="i18n.lang"),
        pytest.param(["i18n.lang ="], "application.locale", "en", id="i18n.lang: empty"),
        pytest.param(
            ["i18n.enabled = false", "i18n.lang = pt_BR"],
            "application.locale",
            "pt_BR",
            id="i18n.enabled",
        ),
        pytest.param(
            ["sqlalchemy.url = postgresql+psycopg2://kal:p@db.example.org/k"],
            "directory.url",
            "postgresql://kal:p@db.example.org/k",
            id="sqlalchemy.url: PostgreSQL",
        ),
        pytest.param(
            ["sqlalchemy.url = sqlite:////k.db"], "directory.kind", "kallithea", id="sqlalchemy.url"
        ),
        pytest.param(["sqlalchemy.url ="], "directory.kind", "own", id="sqlalchemy.url: empty"),
        pytest.param([], "directory.kind", "own", id="sqlalchemy.url: missing"),
        pytest.param(
            [MYSQL, "envoi.directory.kind = own"], "directory.url", "", id="sqlalchemy.url: unused"
        ),
        pytest.param([], "application.name", "Kallithea", id="name"),
        pytest.param(
            [], "application.type_header", "X-Kallithea-Notification-Type", id="type header"
        ),
        pytest.param(["envoi.smtp.idle_s = 3"], "smtp.idle_s", 3, id="our own key"),
        pytest.param(
            ["smtp_port = 26", "envoi.smtp.port = 27"], "smtp.port", 27, id="our own key wins"
        ),
        pytest.param(
            ["envoi.application.admins = a@example.org, b@example.org"],
            "application.admins",
            OPS,
            id="our own key of the application",
        ),
    ],
)
def test_a_key_means_what_it_says(ini, lines, key, value):
    assert value_of(ini(*lines), key) == value


def test_a_relative_database_lies_beside_the_ini(ini, tmp_path):
    assert ini("sqlalchemy.url = sqlite:///k.db").directory.url == f"sqlite:///{tmp_path}/k.db"


def test_the_outbox_lies_beside_the_ini(ini, tmp_path):
    assert ini().outbox.url == f"sqlite:///{tmp_path}/envoi.db"


def test_the_environment_wins_over_the_ini(ini):
    env = {"ENVOI_OUTBOX__URL": "postgresql://envoi@db/mail", "ENVOI_SMTP__PORT": "2525"}

    loaded = ini("smtp_port = 25", env=env)

    assert (loaded.outbox.url, loaded.smtp.port) == ("postgresql://envoi@db/mail", 2525)


def test_an_own_password_file_wins_over_the_password(ini, tmp_path):
    (tmp_path / "secret").write_text("from the file\n")

    loaded = ini("smtp_password = old", "envoi.smtp.password_file = secret")

    assert loaded.smtp.password.reveal() == "from the file"


def test_a_sender_is_turned_off_in_the_ini(ini):
    assert dict(ini("envoi.senders.registration.enabled = no").senders["registration"]) == {
        "enabled": False
    }


def test_what_kallithea_ships_starts_and_says_only_what_is_missing(tmp_path):
    path = tmp_path / "my.ini"
    path.write_text(SHIPPED)
    path.chmod(0o600)

    loaded = load(path, {})

    assert [str(warning) for warning in loaded.warnings] == [
        (
            "app_email_from: expected an address to send from, got none "
            "(mail comes from kallithea@localhost)"
        ),
        (
            "canonical_url: expected the URL at which Kallithea is reached, got none "
            "(links in mail lead nowhere: no request stands in for it, as it does in Kallithea)"
        ),
    ]
    assert loaded.directory.url == f"sqlite:///{tmp_path}/kallithea.db?timeout=60"
    assert loaded.smtp.host == ""


def test_the_documents_gmail_example_is_tls_with_a_sign_in(ini):
    smtp = ini(
        "smtp_server = smtp.gmail.com",
        "smtp_username = username",
        "smtp_password = password",
        "smtp_port = 465",
        "smtp_use_ssl = true",
    ).smtp

    assert (smtp.host, smtp.port, smtp.tls) == ("smtp.gmail.com", 465, "tls")
    assert (smtp.username, smtp.password, smtp.verify) == ("username", Secret("password"), True)


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "coming-from-kallithea.md"


def test_the_page_names_every_key_with_what_becomes_of_it():
    _, _, settings = PAGE.read_text("utf-8").partition("\n## Settings\n")
    rows = [
        line.strip("| ").split(" | ")[:2]
        for line in settings.partition("\n## ")[0].splitlines()
        if line.startswith("| `")
    ]

    assert rows == [
        [f"`{key.name}`", f"`{key.target}`" if key.target else "nothing"] for key in KEYS
    ]
