"""The commands of OMERO's page about mail, and what an OMERO's own files bring."""

import shlex
import ssl
import stat
from email import message_from_bytes
from tomllib import loads

import pytest
import trustme

from envoi.cli import main
from envoi.testing import FaultyRelay, RelayTraits
from tests.cli.conftest import Home

# As the page has them, without the dollar sign.
COMMANDS = """\
bin/omero config set omero.mail.config true
bin/omero config set omero.mail.host smtp.university.example
bin/omero config set omero.mail.username USER
bin/omero config set omero.mail.password PASS
bin/omero obj update Experimenter:0 email=root@university.example
bin/omero config set omero.mail.bean myMailImplementation
""".splitlines()


@pytest.fixture
def home(tmp_path) -> Home:
    """A folder without anything in it."""
    return Home(tmp_path)


def typed(home, line):
    words = shlex.split(line)
    assert words[0] == "bin/omero"
    return home.run(*words[1:])


def test_the_pages_commands_work_with_envoi_in_the_place_of_omero(home):
    ended = [typed(home, COMMANDS[0]), home.run("db", "upgrade")]
    ended += [typed(home, line) for line in COMMANDS[1:]]

    assert [one.code for one in ended] == [0] * (len(COMMANDS) + 1)
    assert loads(home.config.read_text()) == {
        "omero": {
            "omero.mail.config": True,
            "omero.mail.host": "smtp.university.example",
            "omero.mail.username": "USER",
            "omero.mail.password": "PASS",
            "omero.mail.bean": "myMailImplementation",
        }
    }


def test_the_commands_work_in_an_empty_folder_without_any_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [COMMANDS[0], "bin/omero db upgrade", *COMMANDS[1:-1]]

    codes = [main(shlex.split(line)[1:]) for line in lines]

    assert codes == [0] * len(lines)
    assert {path.name for path in tmp_path.iterdir()} >= {"envoi.toml", "envoi.db"}


def test_a_bean_that_nobody_installed_is_an_error_at_start_by_its_own_name(home):
    typed(home, COMMANDS[-1])

    ended = home.run("check")

    assert ended.code == 1
    assert "wrong settings: omero.mail.bean: expected one of smtp" in ended.out


def test_check_shows_what_the_switch_alone_brings(home):
    typed(home, COMMANDS[0])
    home.run("db", "upgrade")

    shown = {one["key"]: one for one in home.run("check", "--json").json["settings"]}

    assert [shown[key]["value"] for key in ("smtp.host", "smtp.port", "application.from")] == [
        "localhost", "25", "omero@localhost",
    ]  # fmt: skip
    assert shown["smtp.host"]["origin"] == "OMERO's default of omero.mail.host"


def configured(home, relay, *pairs):
    """Settings of OMERO alone that lead to this relay."""
    for key, value in (("host", "127.0.0.1"), ("port", str(relay.port)), *pairs):
        assert home.run("config", "set", f"omero.mail.{key}", value).code == 0
    assert home.run("db", "upgrade").code == 0


def test_mail_goes_as_the_properties_say(home):
    traits = RelayTraits(username="USER", password="PASS")
    with FaultyRelay(traits) as relay:
        home.run("config", "set", "omero.qa.feedback", "university.example")
        configured(home, relay, ("config", "true"), ("username", "USER"), ("password", "PASS"),
                   ("from", "omero@${omero.qa.feedback}"))  # fmt: skip

        ended = home.run("send-test", "ann@example.org")

        (mail,) = relay.kept
    assert ended.out.startswith("sent to ann@example.org")
    assert mail.username == "USER"
    assert message_from_bytes(mail.content)["From"] == "omero@university.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("tls", "key", "value"),
    [
        ("tls", "smtp.socketFactory.class", "javax.net.ssl.SSLSocketFactory"),
        ("tls", "transport.protocol", "smtps"),
        ("starttls", "smtp.starttls.enable", "true"),
    ],
    ids=["port 465", "smtps", "port 587"],
)
def test_mail_is_encrypted_and_signed_in_as_the_recipes_say(
    home, authority, server_context, tls, key, value
):
    authority.cert_pem.write_to_path(home.folder / "ca.pem")
    home.run("config", "set", "smtp.ca_file", "ca.pem")
    traits = RelayTraits(tls=tls, context=server_context, username="USER", password="PASS")
    with FaultyRelay(traits) as relay:
        configured(home, relay, ("config", "true"), (key, value), ("username", "USER"),
                   ("password", "PASS"), ("smtp.auth", "true"))  # fmt: skip

        ended = home.run("send-test", "ann@example.org")

        (mail,) = relay.kept
    assert ended.code == 0
    assert (mail.is_tls, mail.username) == (True, "USER")


@pytest.mark.parametrize(
    ("key", "value", "extra"),
    [
        pytest.param("smtp.starttls.enable", "true", (), id="no STARTTLS"),
        pytest.param("smtp.socketFactory.class", "javax.net.ssl.SSLSocketFactory",
                     (("smtp.socketFactory.fallback", "true"),), id="no TLS, falling back"),
        pytest.param("smtp.auth", "true", (("username", "USER"), ("password", "PASS")),
                     id="no AUTH"),
    ],
)  # fmt: skip
def test_nothing_is_sent_with_less_than_was_asked_for(home, key, value, extra):
    with FaultyRelay() as relay:
        configured(home, relay, ("config", "true"), (key, value), *extra)

        ended = home.run("send-test", "ann@example.org", "--wait", "2")

        assert (ended.code, relay.kept) == (1, [])


SENDING = [
    ("send", "--to", "ann@example.org", "--subject", "Hello", "Hi"),
    ("send-test", "ann@example.org"),
    ("admin", "email", "--everyone", "Hello", "Hi"),
    ("admin", "email", "--everyone", "--test-to", "ann@example.org", "Hello", "Hi"),
]


@pytest.mark.parametrize("words", SENDING, ids=" ".join)
@pytest.mark.parametrize("switch", ["false", ""], ids=["off", "absent"])
def test_without_the_switch_whatever_sends_refuses_and_stores_nothing(home, words, switch):
    with FaultyRelay() as relay:
        configured(home, relay, *((("config", switch),) if switch else ()))
        home.run("user", "add", "ann", "email=ann@example.org")

        ended = home.run(*words)

        assert (ended.code, ended.out) == (1, "")
        assert "`envoi config set omero.mail.config true`" in ended.err
        assert home.run("outbox", "list", "--json").json == []
        assert home.run("broadcast", "list", "--json").json == []
        assert relay.ledger.connections == 0


def reported(home, kind, *facts):
    """An event that an application reports, and what a worker makes of it."""
    words = [word for fact in facts for word in ("-f", fact)]
    assert home.run("notify", kind, "--actor", "eve", *words).code == 0
    assert home.run("work", "--once").code == 0
    return [(one["sender"], one["state"]) for one in home.run("outbox", "list", "--json").json]


def test_without_the_switch_an_applications_event_is_held_and_nobody_connects(home):
    with FaultyRelay() as relay:
        configured(home, relay)
        home.run("user", "add", "ann", "email=ann@example.org", "admin=yes")

        found = reported(home, "registration", "url=/users/7", "username=eve")

        assert found == [("registration", "held")]
        assert relay.ledger.connections == 0


@pytest.mark.parametrize(("switch", "count"), [("true", 1), ("false", 0)])
def test_an_activated_sender_is_silent_without_the_switch(home, switch, count):
    with FaultyRelay() as relay:
        configured(home, relay, ("config", switch))
        home.run("user", "add", "ann", "email=ann@example.org", "admin=yes")
        assert home.run("config", "set", "senders.new_user.enabled", "true").code == 0

        found = reported(home, "new_user", "url=/users/7", "username=eve")

        assert found == [("new_user", "sent")] * count
        assert len(relay.kept) == count


def test_without_the_switch_check_does_not_connect_either(home):
    with FaultyRelay() as relay:
        configured(home, relay, ("config", "false"))

        ended = home.run("check", "--connect")

        assert "wrong relay: mail is switched off" in ended.out
        assert relay.ledger.connections == 0


LISTING = """\
omero.data.dir=/OMERO
omero.mail.config=true
omero.mail.host=smtp.university.example
omero.mail.password=hunter2
omero.mail.username=USER
omero.web.admins=[["Ann Lee", "ann@example.org"]]
omero.web.email_host=old.example
"""
CONFIG_XML = """\
<icegrid>
<properties id="__ACTIVE__"><property name="omero.config.profile" value="site"/></properties>
<properties id="default"><property name="omero.mail.host" value="other.example"/></properties>
<properties id="site">
  <property name="omero.config.version" value="5.1.0"/>
  <property name="omero.mail.config" value="true"/>
  <property name="omero.mail.host" value="smtp.university.example"/>
  <property name="omero.mail.password" value="hunter2"/>
  <property name="omero.mail.username" value="USER"/>
  <property name="omero.web.admins" value="[[&quot;Ann Lee&quot;, &quot;ann@example.org&quot;]]"/>
</properties>
</icegrid>
"""


@pytest.mark.parametrize(
    ("name", "text"), [("listing.txt", LISTING), ("config.xml", CONFIG_XML)], ids=["text", "xml"]
)
def test_an_omeros_own_configuration_is_taken_over_by_its_names(home, name, text):
    (home.folder / name).write_text(text)

    ended = home.run("config", "import", str(home.folder / name), "--output", str(home.config))

    assert (ended.code, "hunter2" in ended.out + ended.err) == (0, False)
    assert loads(home.config.read_text())["omero"] == {
        "omero.mail.config": True,
        "omero.mail.host": "smtp.university.example",
        "omero.mail.username": "USER",
        "omero.mail.password": "hunter2",
        "omero.web.admins": [["Ann Lee", "ann@example.org"]],
    }
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600


def test_a_misspelt_property_about_mail_is_told_of_and_not_taken_over(home):
    (home.folder / "l").write_text("omero.mail.pasword=hunter2\n" + LISTING)

    ended = home.run("config", "import", str(home.folder / "l"), "--output", str(home.config))

    told = "omero.mail.pasword: not taken over: not known here; did you mean omero.mail.password?"
    assert (ended.code, f"warning: {told}" in ended.err) == (0, True)
    assert "pasword" not in home.config.read_text()


def test_stars_in_the_place_of_a_password_are_not_taken_for_one(home):
    (home.folder / "l").write_text(LISTING.replace("hunter2", "********"))

    ended = home.run("config", "import", str(home.folder / "l"), "--output", str(home.config))

    assert "omero.mail.password: not taken over: masked in the export" in ended.err
    assert "password" not in home.config.read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
                     "expected XML without a document type", id="entities"),
        pytest.param("<icegrid>", "expected XML", id="cut off"),
        pytest.param("<icegrid/>", "expected a profile 'default', got none", id="empty"),
        pytest.param("omero.mail.host", "expected name=value", id="no value"),
        pytest.param("omero.mail.port=abc\nomero.mail.config=x", "2 things do not", id="values"),
        pytest.param("\0=\xff", "expected UTF-8", id="noise"),
    ],
)  # fmt: skip
def test_an_export_that_does_not_fit_brings_nothing(home, text, told):
    (home.folder / "export").write_text(text, encoding="latin-1")

    ended = home.run("config", "import", str(home.folder / "export"), "-o", str(home.config))

    assert (ended.code, told in ended.err) == (2, True)
    assert not home.config.exists()
