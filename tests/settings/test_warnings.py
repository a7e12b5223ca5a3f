"""What works and should not stay so."""

import pytest

from envoi import settings


def warnings(tables, tmp_path):
    return [str(warning) for warning in settings.from_mapping(tables, tmp_path).warnings]


RELAY = {"host": "mail.example.org", "username": "u", "password": "p"}


def test_a_password_that_nobody_uses_is_warned_of_once(tmp_path):
    relay = {"smtp": {**RELAY, "username": "", "tls": "none"}}

    assert [told.partition(":")[0] for told in warnings(relay, tmp_path)] == ["smtp.username"]


def test_good_settings_are_not_warned_of(tmp_path):
    assert warnings({"smtp": RELAY}, tmp_path) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"verify": False},
            (
                "smtp.verify: expected true, got false (certificates are not verified: anybody on "
                "the way can read mail and password; name a private authority by smtp.ca_file "
                "instead)"
            ),
        ),
        (
            {"username": ""},
            "smtp.username: expected a name, got a password alone (nobody signs in without a name)",
        ),
        (
            {"password": ""},
            (
                "smtp.password: expected a password, got a name alone "
                "(u signs in with an empty password)"
            ),
        ),
        (
            {"tls": "none"},
            (
                "smtp.tls: expected starttls or tls with a password, got none "
                "(STARTTLS is used when the relay offers it; else it is paused)"
            ),
        ),
        (
            {"tls": "none", "allow_clear_password": True},
            (
                "smtp.tls: expected starttls or tls with a password, got none "
                "(the password crosses the network in clear)"
            ),
        ),
        (
            {"port": 465},
            (
                "smtp.tls: expected tls on port 465, got starttls "
                "(this port speaks TLS from the first byte and will not greet)"
            ),
        ),
        (
            {"port": 587, "tls": "tls"},
            (
                "smtp.tls: expected starttls on port 587, got tls "
                "(this port begins in clear: TLS from the first byte ends the conversation)"
            ),
        ),
    ],
)
def test_a_doubtful_relay_is_warned_of(change, told, tmp_path):
    assert warnings({"smtp": RELAY | change}, tmp_path) == [told]


def test_a_password_in_clear_within_the_machine_is_no_matter(tmp_path):
    assert warnings({"smtp": RELAY | {"host": "localhost", "tls": "none"}}, tmp_path) == []


def test_a_schema_with_sqlite_is_warned_of(tmp_path):
    [told] = warnings({"outbox": {"schema": "mail"}}, tmp_path)

    assert told.startswith("outbox.schema: expected none with SQLite, got mail")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[smtp]\nusername = 'u'\npassword = 'hunter2'", "smtp.password"),
        ("[outbox]\nurl = 'postgresql://u:hunter2@h/d'", "outbox.url"),
    ],
)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_settings_file_with_a_secret_is_for_its_owner_alone(tmp_path, text, key, mode):
    path = tmp_path / "en voi.toml"
    path.write_text(text)
    path.chmod(mode)

    told = [str(warning) for warning in settings.load(path, {}).warnings]

    expected = (
        f"{key}: expected a settings file that not everybody can read, "
        f"got ******** in one of mode 0644 (chmod 600 '{path}')"
    )
    assert told == ([expected] if mode == 0o644 else [])


def test_a_readable_settings_file_without_secrets_is_no_matter(tmp_path):
    path = tmp_path / "envoi.toml"
    path.write_text("[outbox]\nurl = 'postgresql://u@h/d'")
    path.chmod(0o644)

    assert (
        settings.load(path, {"ENVOI_SMTP__PASSWORD": "p", "ENVOI_SMTP__USERNAME": "u"}).warnings
        == ()
    )
