"""Relays beside that of `[smtp]`: by every way in which settings are read and shown."""

import pytest

from envoi import settings
from envoi.errors import SettingsError
from envoi.settings import Draft, Secret, key_of, load, set_keys

BULK = {"host": "bulk.example.org", "port": 2525, "tls": "none"}
TOKENS = {
    "host": "smtp.office365.com",
    "port": 587,
    "username": "wiki@example.org",
    "oauth_provider": "microsoft",
    "oauth_tenant": "example.org",
    "oauth_client_id": "4711",
    "oauth_client_secret": "s3cr1t",
}


def read(tables, folder, env=None):
    return settings.from_mapping(tables, folder, env)


def problems(tables, folder, env=None):
    with pytest.raises(SettingsError) as caught:
        read(tables, folder, env)
    return [str(problem) for problem in caught.value.problems]


def test_a_relay_has_all_keys_of_smtp(tmp_path):
    found = read({"relays": {"bulk": {**BULK, "connections": 7}}}, tmp_path)

    assert found.relay_names == ("default", "bulk")
    assert (found.relay("bulk").host, found.relay("bulk").connections) == ("bulk.example.org", 7)
    assert found.relay("default") == found.smtp


def test_a_relay_works_its_defaults_out_by_itself(tmp_path):
    """`port` and `tls` follow from what is said of this relay, not of [smtp]."""
    tables = {"smtp": {"host": "a.example.org"}, "relays": {"x": {"host": "b", "tls": "tls"}}}
    found = read(tables, tmp_path)

    assert (found.smtp.port, found.relay("x").port) == (25, 465)


def test_the_environment_wins_over_the_file_for_each_relay(tmp_path):
    env = {
        "ENVOI_RELAYS__BULK__HOST": "other.example.org",
        "ENVOI_RELAYS__MY_SECOND__HOST": "second.example.org",
        "ENVOI_RELAYS__MY_SECOND__PASSWORD": "pa55",
        "ENVOI_RELAYS__MY_SECOND__USERNAME": "u",
    }
    tables = {"relays": {"bulk": BULK, "my-second": {"host": "x"}}}

    found = read(tables, tmp_path, env)

    assert found.relay("bulk").host == "other.example.org"
    assert found.relay("my-second").password == Secret("pa55")
    assert found.origin_of("relays.bulk.host") == "ENVOI_RELAYS__BULK__HOST"
    assert found.origin_of("relays.bulk.port") == "mapping"


def test_a_relay_may_stand_in_the_environment_alone(tmp_path):
    """So further relays work beside a Kallithea's ini and OMERO's properties too."""
    found = read({}, tmp_path, {"ENVOI_RELAYS__BULK__HOST": "bulk.example.org"})

    assert found.relay("bulk").host == "bulk.example.org"


def test_a_kallithea_ini_names_further_relays_by_our_own_keys(tmp_path):
    ini = tmp_path / "my.ini"
    ini.write_text(
        "[app:main]\nsmtp_server = mail.example.org\napp_email_from = k@example.org\n"
        "envoi.smtp.failover = bulk\nenvoi.relays.bulk.host = bulk.example.org\n"
    )

    found = load(ini, {})

    assert found.smtp.failover == ("bulk",)
    assert found.relay("bulk").host == "bulk.example.org"


def test_a_secret_of_a_relay_is_read_from_its_file_and_masked(tmp_path):
    (tmp_path / "pass").write_text("pa55\n")
    relay = {**BULK, "username": "u", "password_file": "pass", "tls": "starttls"}
    found = read({"relays": {"bulk": relay}}, tmp_path)

    shown = {entry.key: (entry.shown, entry.origin) for entry in found.listing()}

    assert found.relay("bulk").password == Secret("pa55")
    assert shown["relays.bulk.password"] == ("********", "file pass")
    assert "pa55" not in str(shown)


def test_a_secret_in_the_environment_replaces_the_file_that_held_it(tmp_path):
    (tmp_path / "pass").write_text("old\n")
    relay = {**BULK, "username": "u", "password_file": "pass", "tls": "starttls"}
    env = {"ENVOI_RELAYS__BULK__PASSWORD": "new"}

    assert read({"relays": {"bulk": relay}}, tmp_path, env).relay("bulk").password == Secret("new")


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (
            {"smtp": {"failover": ["bukl"]}, "relays": {"bulk": BULK}},
            "smtp.failover: expected the name of a relay: default, bulk, got 'bukl'",
        ),
        (
            {"relays": {"bulk": {**BULK, "failover": ["bulk"]}}},
            ("relays.bulk.failover: expected other relays, got 'bulk' (a relay that is paused "
            "cannot stand in for itself)"),
        ),
        (
            {"relays": {"bulk": {"port": 25}}},
            ("relays.bulk.host: expected a host, got none (or transport.bulk, where your own code "
            "carries its mail)"),
        ),
        (
            {"relays": {"default": BULK}},
            ("relays.default: expected a relay's name in lower-case letters, digits, _ and -, got "
            "'default' (the relay of [smtp] is called so)"),
        ),
        (
            {"relays": {"Bulk": BULK}},
            ("relays.Bulk: expected a relay's name in lower-case letters, digits, _ and -, got "
            "'Bulk'"),
        ),
        (
            {"relays": {"bulk": {**BULK, "hots": "x"}}},
            ("relays.bulk.hots: expected a known key, got an unknown one (did you mean "
            "relays.host?)"),
        ),
        (
            {"relays": {"bulk": "bulk.example.org"}},
            "relays.bulk: expected a table [relays.bulk], got a single value",
        ),
        (
            {"transport": {"bulk": "smtp"}},
            "transport.bulk: expected a relay, got none (it says where in [relays.bulk])",
        ),
        (
            {"transport": {"defualt": "smtp"}},
            ("transport.defualt: expected a known key, got an unknown one (did you mean "
            "transport.default?)"),
        ),
    ],
    ids=["misspelt", "itself", "no host", "default", "capital", "key", "no table",
         "transport without relay", "misspelt transport"],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_key(tmp_path, tables, told):
    assert problems(tables, tmp_path) == [told]


def test_a_variable_that_names_no_key_of_a_relay_is_told(tmp_path):
    [told] = problems({"relays": {"bulk": BULK}}, tmp_path, {"ENVOI_RELAYS__BULK__HOTS": "x"})

    assert "did you mean ENVOI_RELAYS__BULK__HOST?" in told


def test_each_relay_is_warned_of_by_its_own_key(tmp_path):
    found = read({"relays": {"bulk": {**BULK, "verify": False}}}, tmp_path)

    assert [warning.where for warning in found.warnings] == ["relays.bulk.verify"]


def test_a_readable_file_with_a_relays_password_is_warned_of(tmp_path):
    path = tmp_path / "envoi.toml"
    path.write_text('[relays.bulk]\nhost = "b"\nusername = "u"\npassword = "p"\n')
    path.chmod(0o644)

    warned = [warning.where for warning in load(path, {}).warnings]

    assert warned == ["relays.bulk.password"]


def test_a_transport_of_ones_own_needs_no_host(tmp_path):
    found = read({"transport": {"bulk": "shop.mail:transport"}}, tmp_path)

    shown = {entry.key: entry.shown for entry in found.listing()}
    assert found.relay_names == ("default", "bulk")
    assert (found.transport.default, dict(found.transports)) == (
        "smtp",
        {"bulk": "shop.mail:transport"},
    )
    assert shown["transport.bulk"] == "shop.mail:transport"


def test_config_knows_a_relays_keys_and_where_they_stand():
    key = key_of("relays.bulk.password", {})

    assert (key.path, key.is_secret) == (("relays", "bulk", "password"), True)
    assert key_of("transport.bulk", {}).path == ("transport", "bulk")
    with pytest.raises(SettingsError, match="a relay's name"):
        key_of("relays.host", {})


def test_a_file_with_a_relays_secret_becomes_private(tmp_path):
    path = tmp_path / "envoi.toml"
    path.write_text("# mine\n")
    path.chmod(0o644)
    draft = Draft(path)
    draft.set(("relays", "bulk", "oauth_client_secret"), "s3cr1t")
    draft.save()

    assert path.stat().st_mode & 0o007 == 0
    assert set_keys(draft.tables) == ()
    assert set_keys(Draft(path).tables) == ("relays.bulk.oauth_client_secret",)


def test_a_provider_says_where_tokens_are_and_what_for(tmp_path):
    found = read({"smtp": TOKENS}, tmp_path).smtp
    own = {**TOKENS, "oauth_scope": "mine", "oauth_refresh_token": "r"}

    assert found.oauth_token_url == (
        "https://login.microsoftonline.com/example.org/oauth2/v2.0/token"
    )
    assert found.oauth_scope == "https://outlook.office365.com/.default"
    assert read({"smtp": own}, tmp_path).smtp.oauth_scope == "mine"
    assert "s3cr1t" not in repr(found)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"oauth_tenant": ""}, "smtp.oauth_tenant: expected your tenant's id or domain, got none"),
        ({"oauth_client_id": ""}, "smtp.oauth_client_id: expected the client's id, got none"),
        (
            {"oauth_client_secret": ""},
            "smtp.oauth_client_secret: expected the client's secret, or a refresh token, got none",
        ),
        (
            {"oauth_provider": "google", "oauth_tenant": ""},
            "smtp.oauth_refresh_token: expected a refresh token, got none",
        ),
        (
            {"oauth_provider": "", "oauth_tenant": ""},
            "smtp.oauth_token_url: expected where tokens are given out, got none",
        ),
        ({"username": ""}, "smtp.username: expected the mailbox to sign in as, got none"),
    ],
    ids=["tenant", "client", "secret", "google", "nowhere", "nobody"],
)
def test_what_signing_in_by_token_lacks_is_told(tmp_path, change, told):
    expected = f"{told} (a key for signing in by token is set)"

    assert problems({"smtp": {**TOKENS, **change}}, tmp_path) == [expected]


def test_a_password_beside_tokens_is_refused(tmp_path):
    [told] = problems({"smtp": {**TOKENS, "password": "p"}}, tmp_path)

    assert told == "smtp.password: expected a password or tokens, got both"


@pytest.mark.parametrize(
    ("given", "auth", "told"),
    [
        (TOKENS, ["plain"], "XOAUTH2 or OAUTHBEARER, got PLAIN (tokens are set)"),
        (
            {"host": "mail.example.org", "username": "wiki", "password": "p"},
            ["XOAUTH2", "OAUTHBEARER"],
            "PLAIN, LOGIN or CRAM-MD5, got XOAUTH2, OAUTHBEARER (a password is set)",
        ),
    ],
    ids=["tokens", "password"],
)
def test_mechanisms_that_do_not_take_what_is_given_are_refused(tmp_path, given, auth, told):
    relays = {"smtp": BULK, "relays": {"bulk": {**given, "auth": auth}}}

    assert problems(relays, tmp_path) == [f"relays.bulk.auth: expected {told}"]


def test_mechanisms_may_name_one_more_than_what_is_given_takes(tmp_path):
    assert read({"smtp": {**TOKENS, "auth": ["PLAIN", "XOAUTH2"]}}, tmp_path).smtp.auth


@pytest.mark.parametrize(
    "url", ["http://login.example.org/token", "https://u:p@login.example.org/", "token"]
)
def test_tokens_are_asked_for_over_https_alone(tmp_path, url):
    [told] = problems({"smtp": {**TOKENS, "oauth_token_url": url}}, tmp_path)

    assert told.startswith("smtp.oauth_token_url: expected an https URL")
    assert "u:p" not in told


def test_a_token_service_on_this_machine_may_speak_in_clear(tmp_path):
    url = "http://127.0.0.1:8080/token"

    assert read({"smtp": {**TOKENS, "oauth_token_url": url}}, tmp_path).smtp.oauth_token_url == url
