"""A Kallithea's ini: what is warned of, refused, noted and kept out of sight."""

import pytest

from envoi.errors import SettingsError
from envoi.settings import load

MYSQL = "sqlalchemy.url = mysql://kal:pa55word@localhost/kallithea?charset=utf8mb4"
URL = "canonical_url = https://code.example.org"
SENT_FROM = f"app_email_from = k@example.org\n{URL}"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param(
            [URL, "app_email_from = Kallithea"],
            "app_email_from: expected an address to send from, got the name 'Kallithea' alone "
            '(mail comes from "Kallithea" <kallithea@code.example.org>)',
            id="bare word",
        ),
        pytest.param(
            ["app_email_from = k@example.org", "canonical_url ="],
            "canonical_url: expected the URL at which Kallithea is reached, got none "
            "(links in mail lead nowhere: no request stands in for it, as it does in Kallithea)",
            id="no URL",
        ),
        pytest.param(
            [SENT_FROM, "smtp_use_ssl = yes", "smtp_use_tls = yes"],
            "smtp_use_tls: expected false beside smtp_use_ssl, got true "
            "(TLS from the first byte it is; a relay cannot do both)",
            id="SSL and TLS",
        ),
        pytest.param(
            [SENT_FROM, "smtp_server = mail.example.org:26", "smtp_port = 27"],
            "smtp_server: expected the port once, got 26 behind the host (smtp_port = 27 counts)",
            id="two ports",
        ),
        pytest.param(
            [SENT_FROM, "smtp_username = kal"],
            "smtp_username: expected smtp_password beside it, got no such key "
            "(nobody signs in; for an empty password write smtp_password =)",
            id="no password key",
        ),
        pytest.param(
            [SENT_FROM, "smtp_username = kal", "smtp_password ="],
            "smtp.password: expected a password, got a name alone "
            "(kal signs in with an empty password)",
            id="empty password",
        ),
        pytest.param(
            [SENT_FROM, "smtp_auth = GSSAPI LOGIN"],
            "smtp_auth: expected PLAIN, LOGIN, CRAM-MD5, XOAUTH2, OAUTHBEARER, "
            "got 'GSSAPI LOGIN' "
            "(Envoi signs in by LOGIN)",
            id="unknown mechanism",
        ),
        pytest.param(
            [SENT_FROM, "trace_errors.smtp_server = other.example.org"],
            "trace_errors.smtp_server: expected what smtp_server is, got 'other.example.org' "
            "(error mail goes by the same relay as all other mail)",
            id="another relay for errors",
        ),
        pytest.param(
            [SENT_FROM, "trace_errors.smtp_password = pa55word"],
            "trace_errors.smtp_password: expected what smtp_password is, got ******** "
            "(error mail goes by the same relay as all other mail)",
            id="another password for errors",
        ),
        pytest.param(
            [SENT_FROM, "trace_errors.smtp_use_tls = yes"],
            "trace_errors.smtp_use_tls: expected what smtp_use_tls is, got 'yes' "
            "(error mail goes by the same relay as all other mail)",
            id="another TLS for errors",
        ),
        pytest.param(
            [SENT_FROM, "smpt_server = mail.example.org"],
            "smpt_server: expected a known key, got an unknown one (did you mean smtp_server?)",
            id="misspelt",
        ),
        pytest.param(
            [SENT_FROM, "SMTP_Server = mail.example.org"],
            "SMTP_Server: expected a known key, got an unknown one (did you mean smtp_server?)",
            id="capitals",
        ),
        pytest.param(
            [SENT_FROM, "cannonical_url = https://example.org"],
            "cannonical_url: expected a known key, got an unknown one "
            "(did you mean canonical_url?)",
            id="misspelt URL",
        ),
        pytest.param(
            [SENT_FROM, "trace_errors.reporters = x"],
            "trace_errors.reporters: expected a known key, got an unknown one (it is not used)",
            id="unknown about errors",
        ),
        pytest.param(
            [SENT_FROM, "[server:main]", "smtp_server = mail.example.org"],
            "smtp_server: expected in [DEFAULT] or [app:main], got in [server:main] "
            "(it is not used there)",
            id="wrong section",
        ),
    ],
)
def test_what_works_otherwise_than_in_kallithea_is_warned_of(ini, lines, told):
    assert [str(warning) for warning in ini(*lines).warnings] == [told]


@pytest.mark.parametrize(
    "lines",
    [
        ["smtp_use_tls = true", "trace_errors.smtp_use_tls = yes"],
        ["trace_errors.smtp_use_tls = false"],
        ["smtp_server = mail.example.org", "trace_errors.smtp_server = mail.example.org"],
        ["smtp_server = mail.example.org", "trace_errors.smtp_server ="],
    ],
    ids=["TLS in other words", "no TLS said once", "the same server", "no server"],
)
def test_a_copy_that_says_the_same_is_not_warned_of(ini, lines):
    assert ini(SENT_FROM, *lines).warnings == ()


def test_a_url_from_elsewhere_is_one(ini):
    env = {"ENVOI_APPLICATION__BASE_URL": "https://code.example.org"}

    assert ini("app_email_from = k@example.org", env=env).warnings == ()


def test_a_key_that_the_defaults_overrule_is_warned_of(tmp_path):
    path = tmp_path / "my.ini"
    path.write_text(f"[DEFAULT]\n{SENT_FROM}\nsmtp_port = 25\n[app:main]\nsmtp_port = 26\n")

    loaded = load(path, {})

    assert loaded.smtp.port == 25
    assert [str(warning) for warning in loaded.warnings] == [
        (
            "smtp_port: expected the key once, got another value in [app:main] "
            "([DEFAULT] wins, as in PasteDeploy; in [app:main] write set smtp_port = ...)"
        )
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param(
            "smtp_port = abc",
            "smtp.port: expected 1..65535, got 'abc' (by smtp_port in my.ini)",
            id="port",
        ),
        pytest.param(
            "smtp_use_tls = maybe",
            "smtp_use_tls: expected true or false, got 'maybe' (in my.ini)",
            id="boolean",
        ),
        pytest.param(
            "smtp_auth = GSSAPI",
            "smtp.auth: expected a list of PLAIN, LOGIN, CRAM-MD5, XOAUTH2 and OAUTHBEARER, "
            "got a list of 1 "
            "('GSSAPI': expected PLAIN, LOGIN, CRAM-MD5, XOAUTH2 or OAUTHBEARER; "
            "by smtp_auth in my.ini)",
            id="mechanism",
        ),
        pytest.param(
            "email_to = ann@example.org, ops",
            "email_to: expected e-mail addresses with commas between, got "
            "'ann@example.org, ops' ('ops' is not a usable e-mail address: it has no @; "
            "in my.ini)",
            id="no address",
        ),
        pytest.param(
            "app_email_from = Kallithea <>",
            "application.from: expected an address, or a name with the address in < >, got "
            "'Kallithea <>' (it is empty or has spaces around it; by app_email_from in my.ini)",
            id="empty address",
        ),
        pytest.param(
            "email_prefix = 100%",
            "email_prefix: expected a value that can be expanded, got another "
            "(a percent sign alone: write %%; in my.ini)",
            id="percent",
        ),
        pytest.param(
            MYSQL,
            "sqlalchemy.url: expected sqlite:///FILE or postgresql://..., got "
            "mysql://kal:********@localhost/kallithea?charset=utf8mb4 (Kallithea's users are read "
            "from SQLite or PostgreSQL; else set envoi.directory.kind = own and keep them with "
            "`envoi user import`; in my.ini)",
            id="MySQL",
        ),
        pytest.param(
            "canonical_url = code.example.org",
            "application.base_url: expected an http or https URL without credentials, query or "
            "fragment, got 'code.example.org' (as in https://wiki.example.org; by canonical_url "
            "in my.ini)",
            id="URL without a scheme",
        ),
        pytest.param(
            "envoi.smtp.cafile = ca.pem",
            "envoi.smtp.cafile: expected a known key, got an unknown one "
            "(did you mean smtp.ca_file?)",
            id="our own key, misspelt",
        ),
        pytest.param(
            "envoi.smtp.idle_s = long",
            "smtp.idle_s: expected 0..3600 seconds, got 'long' (by envoi.smtp.idle_s in my.ini)",
            id="our own key, misfit",
        ),
        pytest.param(
            "i18n.lang = klingon",
            "application.locale: expected a locale such as en, de or pt_BR, got 'klingon' "
            "(by i18n.lang in my.ini)",
            id="language",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(ini, line, told):
    with pytest.raises(SettingsError) as caught:
        ini(line)

    assert [str(problem) for problem in caught.value.problems] == [told]


def test_everything_that_does_not_fit_is_told_at_once(ini):
    with pytest.raises(SettingsError) as caught:
        ini("smtp_port = abc", "smtp_use_ssl = maybe", "canonical_url = x", "[x]", "envoi.y = 1")

    assert [problem.where for problem in caught.value.problems] == [
        "smtp_use_ssl",
        "application.base_url",
        "smtp.port",
    ]


def test_a_fault_in_another_programs_key_is_no_fault_of_ours(ini):
    assert ini("index_dir = %(nowhere)s/%x", "smtp_port = 26").smtp.port == 26


def test_the_listing_names_the_inis_own_key(ini):
    loaded = ini("smtp_server = mail.example.org", "smtp_port = 26", "envoi.smtp.idle_s = 3")

    origins = {entry.key: entry.origin for entry in loaded.listing()}

    assert origins["smtp.host"] == "my.ini: smtp_server"
    assert origins["smtp.port"] == "my.ini: smtp_port"
    assert origins["smtp.idle_s"] == "my.ini: envoi.smtp.idle_s"
    assert origins["application.type_header"] == "my.ini (as in Kallithea)"
    assert origins["smtp.helo"] == "default"


def test_no_secret_of_the_ini_is_ever_shown(ini):
    loaded = ini(
        "smtp_username = kal",
        "smtp_password = pa55word",
        "sqlalchemy.url = postgresql://kal:pa55word@db.example.org/k",
        "celery.broker_url = amqp://kal:pa55word@localhost",
    )

    assert "db.example.org" in repr(loaded)
    assert "pa55word" not in f"{loaded!r} {loaded.warnings} {loaded.notes}"


def test_a_password_that_cannot_be_expanded_is_not_shown(ini):
    with pytest.raises(SettingsError) as caught:
        ini("smtp_username = kal", "smtp_password = pa55word%")

    assert "smtp_password" in str(caught.value)
    assert "pa55word" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("smtp_password = pa55word", "smtp.password"),
        ("sqlalchemy.url = postgresql://kal:pa55word@db/k", "directory.url"),
    ],
)
def test_an_ini_that_everybody_can_read_is_warned_of(tmp_path, line, key):
    path = tmp_path / "my.ini"
    path.write_text(f"[app:main]\n{SENT_FROM}\nsmtp_username = kal\n{line}\n")
    path.chmod(0o644)

    told = [warning for warning in load(path, {}).warnings if "chmod 600" in warning.hint]

    assert [warning.where for warning in told] == [key]


def test_a_note_says_of_each_key_what_became_of_it(ini):
    loaded = ini(
        "smtp_server = mail.example.org",
        "smtp_use_ssl = true",
        "smtp_use_tls =",
        "use_celery = true",
        "celery.worker_concurrency = 2",
        "smpt_port = 25",
        "index_dir = x",
        "envoi.smtp.idle_s = 3",
    )

    became = {note.key: (note.became.partition(";")[0], note.target) for note in loaded.notes}

    assert became == {
        "smtp_server": ("smtp.host", "smtp.host"),
        "smtp_use_ssl": ('smtp.tls = "tls"', "smtp.tls"),
        "smtp_use_tls": ("empty: not set", ""),
        "use_celery": ("not needed: mail is stored at once and sent by `envoi work`", ""),
        "celery.worker_concurrency": (
            "not needed: mail is stored at once and sent by `envoi work`",
            "",
        ),
        "smpt_port": ("unknown: did you mean smtp_port?", ""),
        "index_dir": ("not about mail: not read", ""),
        "envoi.smtp.idle_s": ("smtp.idle_s", "smtp.idle_s"),
    }


def test_certificates_are_verified_and_the_note_says_what_to_set(ini):
    (note,) = (note for note in ini("smtp_use_tls = true").notes if note.key == "smtp_use_tls")

    assert "certificate is verified" in note.became
    assert "envoi.smtp.ca_file" in note.became
