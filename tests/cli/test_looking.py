"""`envoi init`, `check`, `kinds`, `preview`, `db`: what changes nothing, or begins."""

import json
import stat

import pytest

from envoi.testing import FaultyRelay


def test_init_writes_private_settings_and_an_outbox_and_says_what_next(empty_home):
    ended = empty_home.run("init")

    assert ended.code == 0
    assert stat.S_IMODE(empty_home.config.stat().st_mode) == 0o600
    assert (empty_home.folder / "envoi.db").exists()
    assert "Next steps:" in ended.err
    assert empty_home.run("check").code == 0
    assert empty_home.run("outbox", "list").code == 0


def test_init_takes_the_relay_and_who_speaks(empty_home):
    empty_home.run("init", "--relay", "127.0.0.1", "--from", "Wiki <wiki@example.org>",
                   "--base-url", "https://wiki.example.org")  # fmt: skip

    listed = {one["key"]: one for one in empty_home.run("check", "--json").json["settings"]}

    assert listed["smtp.host"] == {
        "key": "smtp.host", "value": "127.0.0.1", "origin": "envoi.toml",
    }  # fmt: skip
    assert listed["application.from"]["value"] == "Wiki <wiki@example.org>"


def test_init_overwrites_nothing(empty_home):
    empty_home.config.write_text("# mine\n")

    ended = empty_home.run("init")

    assert ended.code == 1
    assert "is there already; it is not overwritten" in ended.err
    assert empty_home.config.read_text() == "# mine\n"


def test_init_with_wrong_values_leaves_nothing_behind(empty_home):
    ended = empty_home.run("init", "--relay", "smtp://x")

    assert ended.code == 2
    assert "smtp.host: expected" in ended.err
    assert list(empty_home.folder.iterdir()) == []


def test_init_in_a_folder_that_is_not_there(empty_home):
    ended = empty_home.run("--config", str(empty_home.folder / "no" / "envoi.toml"), "init")

    assert ended.code == 1
    assert "cannot be written" in ended.err


def test_check_shows_every_setting_with_its_origin(home, monkeypatch):
    monkeypatch.setenv("ENVOI_SMTP__PASSWORD", "hunter2")
    monkeypatch.setenv("ENVOI_SMTP__USERNAME", "wiki")

    ended = home.run("check", "--json")
    shown = home.run("check")

    settings = {one["key"]: one for one in ended.json["settings"]}
    assert settings["smtp.password"] == {
        "key": "smtp.password", "value": "********", "origin": "ENVOI_SMTP__PASSWORD",
    }  # fmt: skip
    assert settings["outbox.url"]["origin"] == "envoi.toml"
    assert settings["smtp.port"]["origin"] == "default"
    assert "hunter2" not in ended.out + shown.out + shown.err


def test_check_of_a_well_outbox_ends_with_0(any_home):
    ended = any_home.run("check", "--json")

    assert ended.code == 0
    assert ended.json["is_well"] is True
    about = {finding["about"] for finding in ended.json["findings"]}
    assert about == {"settings", "senders", "kinds", "outbox", "directory", "relay", "errors"}
    assert "each rendered in en, de" in json.dumps(ended.json)


def test_check_tells_all_wrong_settings_and_ends_with_1(empty_home):
    empty_home.set(smtp={"port": 70000}, delivery={"lease_s": "long"})

    ended = empty_home.run("check", "--json")

    assert ended.code == 1
    assert ended.json["is_well"] is False
    assert {finding["level"] for finding in ended.json["findings"]} == {"wrong"}
    assert len(ended.json["findings"]) == 2


def test_check_finds_a_broken_template_and_a_broken_sender(home):
    folder = home.folder / "templates" / "registration"
    folder.mkdir(parents=True)
    (folder / "text.txt").write_text("{{ full_name.nothing.at.all() }}")
    home.set(outbox={"url": "sqlite:///envoi.db"}, templates={"folders": ["templates"]},
             senders__ops={"kind": "server_down", "recipients": ["role:boss"]})  # fmt: skip

    ended = home.run("check")

    assert ended.code == 1
    assert "wrong kinds: registration (en): " in ended.out
    assert "wrong senders: senders.ops" in ended.out


@pytest.mark.parametrize(
    ("template", "said"),
    [("no_such", "template: expected a known name"), ("message", "'title' is undefined")],
)
def test_check_finds_a_template_that_does_not_fit_its_sender(home, template, said):
    home.set(outbox={"url": "sqlite:///envoi.db"},
             senders__ops={"kind": "server_down", "recipients": ["admins"],
                           "template": template})  # fmt: skip

    ended = home.run("check")

    assert ended.code == 1
    assert "wrong senders: senders.ops.template (en): " in ended.out
    assert said in ended.out
    assert "senders.ops.template (de)" not in ended.out


def test_check_is_content_with_a_template_that_fits_another_kind(home):
    home.set(outbox={"url": "sqlite:///envoi.db"},
             senders__ops={"kind": "new_user", "recipients": ["admins"],
                           "template": "registration"})  # fmt: skip

    assert home.run("check").code == 0


def test_check_without_tables_says_which_command_makes_them(empty_home):
    empty_home.set(outbox={"url": "sqlite:///envoi.db"})

    ended = empty_home.run("check")

    assert ended.code == 1
    assert "tables are missing (run `envoi db upgrade`)" in ended.out
    assert not (empty_home.folder / "envoi.db").exists()


def test_check_connect_walks_to_the_relay(mail_home, relay):
    ended = mail_home.run("check", "--connect")

    assert ended.code == 0
    for step in ("DNS", "connect", "greeting", "EHLO", "MAIL"):
        assert f"ok relay: {step}: " in ended.out
    assert relay.kept == []


def test_check_connect_says_what_is_wrong_and_what_to_do(mail_home, relay):
    relay.stop()

    ended = mail_home.run("check", "--connect", "--json")

    wrong = [one for one in ended.json["findings"] if one["level"] == "wrong"]
    assert ended.code == 1
    assert "connection refused" in wrong[0]["said"]
    assert "smtp.port" in wrong[0]["advice"]


def test_check_connect_without_a_relay_is_wrong(home):
    ended = home.run("check", "--connect")

    assert ended.code == 1
    assert "wrong relay: smtp.host is not set" in ended.out


def test_check_says_what_should_not_stay_so(home):
    home.set(outbox={"url": "sqlite:///envoi.db"}, smtp={"host": "mail.example.org",
             "verify": False})  # fmt: skip

    ended = home.run("check")

    assert ended.code == 0
    assert "warning settings: smtp.verify: expected true" in ended.out


def test_kinds_are_listed_and_shown(empty_home):
    empty_home.set()

    listed = empty_home.run("kinds", "list", "--json").json
    shown = empty_home.run("kinds", "show", "password_reset")

    assert {"pull_request", "password_reset", "server_up"} <= {kind["name"] for kind in listed}
    assert "required, secret" in shown.out
    assert "envoi kinds show password_reset --sample" in shown.err


def test_a_kind_that_is_not_there(empty_home):
    empty_home.set()

    ended = empty_home.run("kinds", "show", "pasword_reset")

    assert ended.code == 3
    assert "did you mean password_reset" in ended.err


def test_a_preview_needs_no_outbox_and_stores_nothing(empty_home):
    empty_home.set(application={"base_url": "https://wiki.example.org", "prefix": "[Wiki]"})

    ended = empty_home.run("preview", "pull_request")

    assert ended.code == 0
    assert ended.out.startswith("subject:       [Wiki] ")
    assert "https://wiki.example.org/" in ended.out
    assert not (empty_home.folder / "envoi.db").exists()


def test_a_preview_speaks_the_readers_language_and_masks_secrets(empty_home):
    empty_home.set()

    ended = empty_home.run("preview", "password_reset", "--locale", "de", "--time-zone",
                           "Europe/Berlin", "--json")  # fmt: skip

    assert "Passwort" in ended.json["subject"]
    assert "********" in ended.json["text"]
    assert ended.json["html"].lstrip().startswith("<!")


def test_a_preview_in_parts(empty_home):
    empty_home.set()

    text = empty_home.run("preview", "pull_request", "--text").out
    html = empty_home.run("preview", "pull_request", "--html").out
    headers = empty_home.run("preview", "pull_request", "--headers").out

    assert "<html" not in text
    assert "<html" in html
    assert "X-Envoi-Notification-Type: pull_request" in headers
    assert "\n\n" not in headers.strip()


def test_a_preview_of_an_event_of_ones_own_with_a_senders_headers(home):
    home.set(
        outbox={"url": "sqlite:///envoi.db"},
        senders__ops={"kind": "server_down", "recipients": ["ops@example.org"]},
        senders__ops__headers={"X-Room": "ops"},
    )
    event = home.run("kinds", "show", "server_down", "--sample").out

    ended = home.run("preview", "server_down", "--sender", "ops", "--headers", "-d", "-",
                     stdin=event)  # fmt: skip

    assert "X-Room: ops" in ended.out


def test_kinds_in_a_table(home):
    lines = home.run("kinds", "list").out.splitlines()

    assert lines[0].split() == ["KIND", "CLASS", "ROLES", "DESCRIPTION"]
    assert home.run("kinds", "show", "pull_request", "--json").json["sample"]["facts"]


@pytest.mark.parametrize(
    ("words", "stdin", "code", "part"),
    [
        (["nothing"], "", 3, "kind: expected a registered kind"),
        (["pull_request", "--text", "--html"], "", 2, "got several"),
        (["pull_request", "--sender", "nobody"], "", 3, "--sender: expected one for pull_request"),
        (["pull_request", "--data", "-"], '{"facts": {}}', 2, "facts."),
        (["pull_request", "-A", "wiki"], "", 3, "application: expected one of main"),
        (["pull_request", "--locale", "xx_YY"], "", 2, "locale: expected a locale"),
        (["pull_request", "--time-zone", "Mars/X"], "", 2, "time_zone: expected a time zone"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_of_preview(home, words, stdin, code, part):
    ended = home.run("preview", *words, stdin=stdin)

    assert (ended.code, ended.out) == (code, "")
    assert part in ended.err


def test_a_preview_of_a_broken_template_says_so(home):
    folder = home.folder / "templates" / "registration"
    folder.mkdir(parents=True)
    (folder / "text.txt").write_text("{% if %}")
    home.set(outbox={"url": "sqlite:///envoi.db"}, templates={"folders": ["templates"]})

    ended = home.run("preview", "registration")

    assert ended.code == 1
    assert ended.err.startswith("error: ")


def test_tables_are_made_once_and_their_state_is_told(empty_home):
    empty_home.set(outbox={"url": "sqlite:///envoi.db"})

    before = empty_home.run("db", "status", "--json")
    made = empty_home.run("db", "upgrade")
    again = empty_home.run("db", "upgrade")
    after = empty_home.run("db", "status", "--json")

    assert (before.code, before.json["tables"]) == (4, "missing")
    assert "were missing and are up to date now" in made.out
    assert "the tables are up to date" in again.out
    assert (after.code, after.json["tables"], after.json["advice"]) == (0, "current", None)


@pytest.mark.postgresql
def test_tables_are_made_on_postgresql(empty_home, postgres_server):
    with postgres_server.database(template="template0") as name:
        empty_home.set(outbox={"url": postgres_server.url(name)})

        made = empty_home.run("db", "upgrade")
        after = empty_home.run("db", "status")

    assert (made.code, after.code) == (0, 0)
    assert "tables:        current" in after.out


def test_a_relay_with_a_wrong_password_is_told_without_the_password(home):
    from envoi.testing import RelayTraits

    traits = RelayTraits(username="wiki", password="right", demands_auth=True)
    with FaultyRelay(traits) as relay:
        home.set(outbox={"url": "sqlite:///envoi.db"}, smtp={
            "host": "127.0.0.1", "port": relay.port, "tls": "none", "username": "wiki",
            "password": "wrong-s3cret",
        })  # fmt: skip
        ended = home.run("check", "--connect")

    assert ended.code == 1
    assert "wrong relay: AUTH: " in ended.out
    assert "s3cret" not in ended.out + ended.err
