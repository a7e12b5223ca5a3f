"""`envoi config import`, and the other commands by a Kallithea's ini."""

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from envoi.testing import FaultyRelay, HonestRelay, RelayTraits
from tests.cli.conftest import Home

INI = """\
[DEFAULT]
smtp_server = mail.example.org
smtp_username = kal
smtp_password = pa55word
smtp_use_ssl = true
app_email_from = kal@example.org
canonical_url = https://code.example.org
[app:main]
use = egg:kallithea
use_celery = false
index_dir = data
"""


@dataclass(frozen=True)
class Site(Home):
    """A folder with a Kallithea's ini."""

    @property
    def config(self) -> Path:
        return self.folder / "my.ini"


@pytest.fixture
def site(tmp_path) -> Site:
    site = Site(tmp_path)
    site.config.write_text(INI)
    site.config.chmod(0o600)
    return site


def imported(site, *words):
    output = ("--output", str(site.folder / "envoi.toml"))
    return site.run("config", "import", str(site.config), *output, *words)


def test_import_writes_a_file_for_its_owner_and_says_what_became_of_each_key(site):
    ended = imported(site)

    written = site.folder / "envoi.toml"
    assert (ended.code, ended.err) == (0, "1 other key is not about mail\n")
    assert 'password = "pa55word"' in written.read_text()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert ended.out.splitlines()[:3] == [
        f"wrote {written}",
        "KEY             BECAME",
        "smtp_server     smtp.host; host:port is understood",
    ]
    assert "pa55word" not in ended.out


def test_the_written_file_is_in_force_as_the_ini_is(site):
    imported(site)

    by_ini = site.run("check", "--json").json["settings"]
    by_toml = Home(site.folder).run("check", "--json").json["settings"]

    assert [(one["key"], one["value"]) for one in by_toml] == [
        (one["key"], one["value"]) for one in by_ini
    ]


def test_check_names_the_inis_own_key_where_the_relay_is_missing(site):
    site.config.write_text(INI.replace("smtp_server = mail.example.org\n", ""))

    [found] = [f for f in site.run("check", "--json").json["findings"] if f["about"] == "relay"]

    assert (found["level"], "smtp_server" in found["advice"]) == ("warning", True)


def test_import_overwrites_only_when_it_is_told_to(site):
    written = site.folder / "envoi.toml"
    written.write_text("mine")

    refused = imported(site)
    kept = written.read_text()
    forced = imported(site, "--force")

    assert refused.err == (
        f"error: {written} is there already; it is not overwritten: --force replaces it\n"
    )
    assert (refused.code, kept) == (1, "mine")
    assert (forced.code, written.read_text()[:10]) == (0, "# Settings")


def test_import_as_json_names_key_outcome_and_setting(site):
    document = imported(site, "--json").json

    assert document["written"] == str(site.folder / "envoi.toml")
    assert document["warnings"] == []
    assert document["keys"][1] == {
        "key": "smtp_username",
        "became": "smtp.username",
        "setting": "smtp.username",
    }


def test_import_writes_nothing_of_an_ini_that_does_not_fit(site):
    site.config.write_text(INI.replace("use_celery = false", "smtp_port = abc"))

    ended = imported(site)

    assert ended.code != 0
    assert "smtp.port: expected 1..65535, got 'abc' (by smtp_port in my.ini)" in ended.err
    assert not (site.folder / "envoi.toml").exists()


def test_import_takes_an_ini_only(home):
    ended = home.run("config", "import", str(home.config))

    assert "expected a file whose name ends in .ini" in ended.err


def test_import_never_writes_over_an_ini(site):
    ini = str(site.config)

    ended = site.run("config", "import", ini, "--output", ini, "--force")

    assert "expected another ending, .ini is read as an ini" in ended.err
    assert site.config.read_text() == INI


def test_import_leaves_the_environment_out(site, monkeypatch):
    monkeypatch.setenv("ENVOI_SMTP__HOST", "elsewhere.example.org")

    imported(site)

    assert "elsewhere" not in (site.folder / "envoi.toml").read_text()


def test_init_leaves_an_ini_alone_and_says_what_makes_the_outbox(site):
    ended = site.run("init")

    assert "`envoi --config my.ini db upgrade` makes the outbox" in ended.err
    assert site.config.read_text() == INI


def test_check_shows_each_value_with_the_inis_own_key(site):
    settings = {one["key"]: one for one in site.run("check", "--json").json["settings"]}

    assert settings["smtp.password"] == {
        "key": "smtp.password",
        "value": "********",
        "origin": "my.ini: smtp_password",
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


def kallithea(site, relay, *lines):
    """Write the ini of a site behind this relay and send one mail by it."""
    common = [
        "[DEFAULT]",
        "app_email_from = Kallithea <kal@example.org>",
        "email_prefix = [K]",
        "smtp_server = localhost",
        f"smtp_port = {relay.port}",
        f"envoi.smtp.ca_file = {site.folder}/ca.pem",
        *lines,
        "[app:main]",
        "use = egg:kallithea",
    ]
    site.config.write_text("\n".join(common))
    assert site.run("db", "upgrade").code == 0
    mail = ("--to", "ann@example.org", "--subject", "Hello", "Hi")
    assert site.run("send", *mail).code == 0
    return site.run("work", "--once")


@pytest.mark.parametrize(
    ("tls", "line"),
    [
        pytest.param("tls", "smtp_use_ssl = true", id="the document's example: SSL"),
        pytest.param("starttls", "smtp_use_tls = true", id="STARTTLS"),
    ],
)
def test_mail_goes_by_tls_and_sign_in_as_the_ini_says(site, authority, server_context, tls, line):
    authority.cert_pem.write_to_path(site.folder / "ca.pem")
    with HonestRelay(tls=tls, context=server_context, username="kal", password="p w") as relay:
        kallithea(site, relay, line, "smtp_username = kal", "smtp_password = p w")

        (mail,) = relay.accepted

    assert (mail.username, mail.recipients) == ("kal", ("ann@example.org",))
    assert b"From: Kallithea <kal@example.org>" in mail.content


def test_a_relay_without_starttls_gets_nothing(site, authority):
    authority.cert_pem.write_to_path(site.folder / "ca.pem")
    with FaultyRelay() as relay:
        kallithea(site, relay, "smtp_use_tls = true")

        assert relay.kept == []


def test_an_empty_password_signs_in(site, authority):
    authority.cert_pem.write_to_path(site.folder / "ca.pem")
    with HonestRelay(username="kal", password="") as relay:
        kallithea(site, relay, "smtp_username = kal", "smtp_password =")

        assert [mail.username for mail in relay.accepted] == ["kal"]


def test_an_empty_name_does_not_sign_in(site, authority):
    authority.cert_pem.write_to_path(site.folder / "ca.pem")
    with HonestRelay() as relay:
        kallithea(site, relay, "smtp_username =", "smtp_password = p")

        assert [mail.username for mail in relay.accepted] == [""]


@pytest.mark.parametrize(
    ("forced", "names"),
    [("LOGIN", ["kal"]), ("PLAIN", []), ("PLAIN LOGIN", ["kal"])],
)
def test_the_ini_forces_mechanisms_whatever_the_relay_offers(site, authority, forced, names):
    authority.cert_pem.write_to_path(site.folder / "ca.pem")
    traits = RelayTraits(username="kal", password="p", mechanisms=("LOGIN",))
    with FaultyRelay(traits) as relay:
        sign_in = ("smtp_username = kal", "smtp_password = p", f"smtp_auth = {forced}")
        kallithea(site, relay, *sign_in)

        assert [kept.username for kept in relay.kept] == names
