"""OMERO's properties in envoi.toml: every one of them, by its own name, in each form."""

import json
from pathlib import Path

import pytest

from envoi.errors import SettingsError
from envoi.settings import from_mapping, load
from envoi.settings.omero_keys import DEPRECATED, SEEDS

TLS_FACTORY = "javax.net.ssl.SSLSocketFactory"
LINKS = {"index": 1, "class": "django.middleware.common.BrokenLinkEmailsMiddleware"}
COMMON = {"index": 2, "class": "django.middleware.common.CommonMiddleware"}


def omero(env=None, **sections):
    """Settings of OMERO's properties, given by the part behind `omero.` with __ for a dot."""
    properties = sections.pop("properties", {})
    return from_mapping({"omero": properties, **sections}, Path("/srv"), env)


def problems(properties, **sections):
    with pytest.raises(SettingsError) as refused:
        omero(properties=properties, **sections)
    return [str(problem) for problem in refused.value.problems]


def told_of_errors(settings):
    return [str(address) for address in settings.errors.to]


# The key of ours that is looked at, and what it is.
ROWS = [
    ("omero.mail.config", True, lambda s: s.delivery.enabled, True),
    ("omero.mail.config", "false", lambda s: s.delivery.enabled, False),
    ("omero.mail.from", "OMERO <omero@example.org>",
     lambda s: str(s.applications["main"].sender.address), "omero@example.org"),
    ("omero.mail.host", "smtp.university.example", lambda s: s.smtp.host,
     "smtp.university.example"),
    ("omero.mail.port", "587", lambda s: s.smtp.port, 587),
    ("omero.mail.port", 587, lambda s: s.smtp.port, 587),
    ("omero.mail.username", "USER", lambda s: s.smtp.username, ""),
    ("omero.mail.password", "PA ${SS}", lambda s: s.smtp.password.reveal(), "PA ${SS}"),
    ("omero.mail.transport.protocol", "smtps", lambda s: s.smtp.tls, "tls"),
    ("omero.mail.transport.protocol", "smtp", lambda s: s.smtp.tls, "none"),
    ("omero.mail.smtp.auth", "false", lambda s: s.smtp.username, ""),
    ("omero.mail.smtp.starttls.enable", "true", lambda s: s.smtp.tls, "starttls"),
    ("omero.mail.smtp.starttls.enable", "false", lambda s: s.smtp.tls, "none"),
    ("omero.mail.smtp.socketFactory.class", TLS_FACTORY, lambda s: s.smtp.tls, "tls"),
    ("omero.mail.smtp.socketFactory.class", "javax.net.SocketFactory", lambda s: s.smtp.tls,
     "none"),
    ("omero.mail.smtp.socketFactory.fallback", "false", lambda s: s.smtp.tls, "none"),
    ("omero.mail.smtp.socketFactory.port", "465", lambda s: s.smtp.port, 465),
    ("omero.mail.smtp.connectiontimeout", "1500", lambda s: s.smtp.connect_timeout_s, 1.5),
    ("omero.mail.smtp.timeout", "90000", lambda s: s.smtp.command_timeout_s, 90),
    ("omero.mail.smtp.debug", "false", lambda s: s.smtp.host, "localhost"),
    ("omero.mail.bean", "myMailImplementation", lambda s: s.transport.default,
     "myMailImplementation"),
    ("omero.mail.bean", "defaultMailSender", lambda s: s.transport.default, "smtp"),
    ("omero.web.admins", '[["Ann Lee", "ann@example.org"]]', told_of_errors,
     ["ann@example.org"]),
    ("omero.web.admins", [["Ann Lee", "ann@example.org"]], told_of_errors,
     ["ann@example.org"]),
    ("omero.web.admins.email_subject_prefix", "[lab]", lambda s: s.errors.subject_prefix, "[lab]"),
    ("omero.web.debug", "true", lambda s: s.errors.enabled, False),
    ("omero.web.debug", "False", lambda s: s.errors.enabled, True),
    ("omero.web.middleware", json.dumps([COMMON]), lambda s: s.errors.not_found, False),
    ("omero.web.middleware", [LINKS, COMMON], lambda s: s.errors.not_found, True),
    ("omero.web.django_additional_settings", '[["IGNORABLE_404_URLS", ["^/robots"]], ["A", null]]',
     lambda s: s.errors.not_found_ignored, ("^/robots",)),
    ("omero.web.show_forgot_password", "true", lambda s: s.errors.not_found, True),
    ("omero.web.feedback.error.enabled", "true", lambda s: s.errors.enabled, True),
    ("omero.web.feedback.comment.enabled", "true", lambda s: s.errors.enabled, True),
    ("omero.qa.feedback", "http://qa.example.org", lambda s: s.errors.not_found, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "seen", "expected"),
    [pytest.param(*row, id=f"{row[0]}={row[1]}") for row in ROWS],
)
def test_each_property_means_what_it_says(name, value, seen, expected):
    settings = omero(properties={name: value})

    assert seen(settings) == expected


def test_every_property_is_tried():
    assert {row[0] for row in ROWS} == {seed.name for seed in SEEDS}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("omero.mail.config", "maybe"),
        ("omero.mail.from", "omero"),
        ("omero.mail.host", "smtp example"),
        ("omero.mail.port", "0"),
        ("omero.mail.port", True),
        ("omero.mail.username", "a\nb"),
        ("omero.mail.password", ["PASS"]),
        ("omero.mail.transport.protocol", "imap"),
        ("omero.mail.smtp.auth", "2"),
        ("omero.mail.smtp.starttls.enable", "required"),
        ("omero.mail.smtp.socketFactory.class", "com.example.Trusting"),
        ("omero.mail.smtp.socketFactory.fallback", "x"),
        ("omero.mail.smtp.socketFactory.port", "65536"),
        ("omero.mail.smtp.connectiontimeout", "0"),
        ("omero.mail.smtp.connectiontimeout", "600001"),
        ("omero.mail.smtp.timeout", "-1"),
        ("omero.mail.smtp.debug", "x"),
        ("omero.mail.bean", "my mail"),
        ("omero.web.admins", "ann@example.org"),
        ("omero.web.admins", '["Ann Lee", "ann@example.org"]'),
        ("omero.web.admins", '[["Ann Lee"]]'),
        ("omero.web.admins", '[["Ann Lee", "nobody"]]'),
        ("omero.web.admins", '[["Ann\\nLee", "ann@example.org"]]'),
        ("omero.web.admins", '{"Ann": "ann@example.org"}'),
        ("omero.web.admins", "[" * 100_000),
        ("omero.web.admins.email_subject_prefix", "a\r\nBcc: b"),
        ("omero.web.debug", "x"),
        ("omero.web.middleware", '["a.b.BrokenLinkEmailsMiddleware"]'),
        ("omero.web.middleware", '[{"index": "1", "class": "a"}]'),
        ("omero.web.django_additional_settings", '[["IGNORABLE_404_URLS"]]'),
        ("omero.web.django_additional_settings", '[["IGNORABLE_404_URLS", "a"]]'),
        ("omero.web.django_additional_settings", '[["IGNORABLE_404_URLS", ["("]]]'),
        ("omero.web.show_forgot_password", "x"),
        ("omero.web.feedback.error.enabled", "x"),
        ("omero.web.feedback.comment.enabled", "x"),
        ("omero.qa.feedback", "a\0b"),
        ("omero.mail", "x"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_does_not_fit_is_told_by_the_propertys_own_name(name, value):
    (problem,) = problems({name: value})

    assert problem.startswith(f"{name}: expected ")


@pytest.mark.parametrize(
    ("properties", "relay"),
    [
        pytest.param({"omero.mail.config": True}, ("localhost", 25, "none", ""), id="minimum"),
        pytest.param(
            {
                "omero.mail.config": True,
                "omero.mail.host": "smtp.gmail.com",
                "omero.mail.port": 587,
                "omero.mail.smtp.auth": True,
                "omero.mail.username": "me",
                "omero.mail.password": "p",
                "omero.mail.smtp.starttls.enable": True,
            },
            ("smtp.gmail.com", 587, "starttls", "me"),
            id="Gmail 587",
        ),
        pytest.param(
            {
                "omero.mail.config": True,
                "omero.mail.host": "smtp.gmail.com",
                "omero.mail.port": 465,
                "omero.mail.smtp.auth": True,
                "omero.mail.username": "me",
                "omero.mail.password": "p",
                "omero.mail.smtp.socketFactory.class": TLS_FACTORY,
            },
            ("smtp.gmail.com", 465, "tls", "me"),
            id="Gmail 465",
        ),
    ],
)
def test_the_documented_recipes_work_without_a_warning(properties, relay):
    settings = omero(properties=properties)

    smtp = settings.smtp
    assert (smtp.host, smtp.port, smtp.tls, smtp.username) == relay
    assert settings.warnings == ()


def test_the_switch_alone_brings_the_documented_defaults_for_all_mail():
    settings = omero(properties={"omero.mail.config": "true"})

    smtp = settings.smtp
    assert (smtp.connect_timeout_s, smtp.command_timeout_s, settings.delivery.enabled) == (
        60, 60, True,
    )  # fmt: skip
    assert str(settings.applications["main"].sender.address) == "omero@localhost"
    assert settings.errors.sender is None  # error mail comes from the same address
    assert settings.origin_of("smtp.port") == "OMERO's default of omero.mail.port"


@pytest.mark.parametrize(
    ("host", "sender"),
    [
        ("smtp.university.example", "omero@smtp.university.example"),
        ("LOCALHOST", "omero@localhost"),
    ],
)
def test_from_follows_the_host(host, sender):
    settings = omero(properties={"omero.mail.host": host})

    assert str(settings.applications["main"].sender.address).lower() == sender


@pytest.mark.parametrize(
    ("host", "sender"),
    [
        ("smtp.university.example", "omero@smtp.university.example"),
        ("192.0.2.1", "omero@localhost"),
    ],
)
def test_from_follows_the_host_of_the_environment(host, sender):
    settings = omero({"ENVOI_SMTP__HOST": host}, properties={"omero.mail.config": True})

    assert str(settings.applications["main"].sender.address) == sender


def test_from_follows_no_host_once_it_is_set():
    properties = {"omero.mail.config": True, "omero.mail.from": "omero@example.org"}

    settings = omero({"ENVOI_SMTP__HOST": "b.example"}, properties=properties)

    assert str(settings.applications["main"].sender.address) == "omero@example.org"


def test_a_host_of_the_environment_that_does_not_fit_is_told_of_alone():
    with pytest.raises(SettingsError) as refused:
        omero({"ENVOI_SMTP__HOST": "bad host"}, properties={"omero.mail.config": True})

    (problem,) = refused.value.problems
    assert problem.where == "smtp.host"


def test_mail_is_off_and_warned_of_until_the_switch_is_there():
    settings = omero(properties={"omero.mail.host": "smtp.university.example"})

    (warning,) = settings.warnings
    assert not settings.delivery.enabled
    assert str(warning) == (
        "omero.mail.config: expected true to send mail, got nothing "
        "(`envoi config set omero.mail.config true`)"
    )


def test_our_own_switch_does_instead():
    settings = omero(properties={"omero.mail.host": "localhost"}, delivery={"enabled": True})

    assert settings.delivery.enabled
    assert settings.warnings == ()


def test_properties_about_the_web_alone_switch_nothing_off():
    settings = omero(properties={"omero.web.debug": False})

    assert (settings.delivery.enabled, settings.smtp.host) == (True, "")


def test_keys_of_ours_win_over_omeros_defaults():
    settings = omero(
        properties={"omero.mail.config": True},
        smtp={"host": "relay.example.org", "tls": "tls", "port": 465},
        application={"from": "a@example.org"},
    )

    smtp = settings.smtp
    assert (smtp.host, smtp.port, smtp.tls) == ("relay.example.org", 465, "tls")
    assert str(settings.applications["main"].sender.address) == "a@example.org"


def test_the_environment_wins_over_a_property():
    settings = omero({"ENVOI_SMTP__HOST": "b.example"}, properties={"omero.mail.host": "a.example"})

    assert settings.smtp.host == "b.example"


@pytest.mark.parametrize(
    ("properties", "section", "told"),
    [
        ({"omero.mail.host": "a.example"}, {"smtp": {"host": "b.example"}},
         ("omero.mail.host", "smtp.host")),
        ({"omero.mail.port": "587"}, {"smtp": {"port": 25}}, ("omero.mail.port", "smtp.port")),
        ({"omero.mail.password": "hunter1"}, {"smtp": {"password": "hunter2"}},
         ("omero.mail.password", "smtp.password")),
        ({"omero.mail.password": "hunter1"}, {"smtp": {"password_file": "b"}},
         ("omero.mail.password", "smtp.password_file")),
        ({"omero.mail.config": False}, {"delivery": {"enabled": True}},
         ("omero.mail.config", "delivery.enabled")),
        ({"omero.mail.smtp.starttls.enable": False}, {"smtp": {"tls": "starttls"}},
         ("omero.mail.smtp.starttls.enable", "smtp.tls")),
        ({"omero.mail.port": 25, "omero.mail.smtp.socketFactory.port": 465}, {},
         ("omero.mail.smtp.socketFactory.port", "omero.mail.port")),
        ({"omero.web.debug": True}, {"errors": {"enabled": True}},
         ("omero.web.debug", "errors.enabled")),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_the_same_thing_set_twice_differently_names_both(properties, section, told):
    found = "\n".join(problems(properties, **section))

    assert [name for name in told if name not in found] == []
    assert "hunter" not in found


def test_the_same_thing_set_twice_differently_tells_the_value():
    (problem,) = problems({"omero.mail.port": "465"}, smtp={"port": 587})

    assert problem.startswith("omero.mail.port: expected the same as smtp.port says, got 465 (")


def test_the_same_thing_set_twice_alike_is_fine():
    settings = omero(properties={"omero.mail.port": "587"}, smtp={"port": 587})

    assert settings.smtp.port == 587


def test_no_starttls_goes_with_our_tls_from_the_first_byte():
    properties = {"omero.mail.config": True, "omero.mail.smtp.starttls.enable": False}

    settings = omero(properties=properties, smtp={"tls": "tls", "port": 465})

    assert settings.smtp.tls == "tls"


def test_auth_without_anybody_to_sign_in_as_is_an_error():
    told = problems({"omero.mail.config": True, "omero.mail.smtp.auth": True})

    assert told == [
        "omero.mail.smtp.auth: expected omero.mail.username beside it, got true without it",
        "omero.mail.smtp.auth: expected omero.mail.password beside it, got true without it",
    ]


def test_auth_takes_name_and_password_from_the_environment():
    env = {"ENVOI_SMTP__USERNAME": "u", "ENVOI_SMTP__PASSWORD": "p"}

    settings = omero(env, properties={"omero.mail.smtp.auth": True})

    assert settings.smtp.username == "u"


def test_a_name_without_a_password_signs_nobody_in():
    settings = omero(properties={"omero.mail.config": True, "omero.mail.username": "USER"})

    assert settings.smtp.username == ""
    (warning,) = settings.warnings
    assert str(warning) == (
        "omero.mail.username: expected omero.mail.password beside it, got a name alone "
        "(nobody signs in)"
    )


def test_a_name_takes_its_password_from_the_environment():
    env = {"ENVOI_SMTP__PASSWORD": "PASS"}

    settings = omero(env, properties={"omero.mail.username": "USER"})

    assert settings.smtp.username == "USER"


def test_name_and_password_sign_in_without_auth():
    properties = {"omero.mail.username": "USER", "omero.mail.password": "PASS"}

    settings = omero(properties=properties)

    assert (settings.smtp.username, settings.smtp.password.reveal()) == ("USER", "PASS")


@pytest.mark.parametrize("name", ["starttls.enable", "socketFactory.fallback", "debug"])
def test_what_works_otherwise_here_is_warned_of(name):
    properties = {
        "omero.mail.config": True,
        "omero.mail.port": 465,
        "omero.mail.smtp.socketFactory.class": TLS_FACTORY,
        f"omero.mail.smtp.{name}": True,
    }

    settings = omero(properties=properties)

    assert [warning.where for warning in settings.warnings] == [f"omero.mail.smtp.{name}"]
    assert settings.smtp.tls == "tls"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('omero.mail.host = "a.example"\nomero.mail.port = 26', id="dotted"),
        pytest.param('[omero.mail]\nhost = "a.example"\nport = 26', id="table"),
        pytest.param('"omero.mail.host" = "a.example"\n"omero.mail.port" = 26', id="quoted"),
        pytest.param('[omero]\n"omero.mail.host" = "a.example"\n"omero.mail.port" = 26', id="ours"),
        pytest.param('[omero]\n"mail.host" = "a.example"\nmail.port = 26', id="halves"),
    ],
)
def test_properties_stand_in_the_file_in_any_form(tmp_path, text):
    (tmp_path / "envoi.toml").write_text(text)

    settings = load(tmp_path / "envoi.toml", {})

    assert (settings.smtp.host, settings.smtp.port) == ("a.example", 26)
    assert settings.origin_of("smtp.host") == "envoi.toml: omero.mail.host"


def test_a_property_in_two_forms_at_once_is_refused(tmp_path):
    text = '[omero]\nmail.host = "a.example"\n"omero.mail.host" = "a.example"'
    (tmp_path / "envoi.toml").write_text(text)

    with pytest.raises(
        SettingsError, match=r"omero.mail.host: expected the key once, got it twice"
    ):
        load(tmp_path / "envoi.toml", {})


@pytest.mark.parametrize(("name", "successor"), DEPRECATED.items())
def test_deprecated_names_are_refused_with_the_one_in_use(name, successor):
    (problem,) = problems({name: "x"})

    assert f"use {successor};" in problem


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("omero.mail.HOST", "omero.mail.host"),
        ("omero.mail.smtp.socketfactory.class", "omero.mail.smtp.socketFactory.class"),
    ],
)
def test_a_name_in_other_capitals_is_told_with_the_one_that_is_meant(name, meant):
    (problem,) = problems({name: "x"})

    assert f"did you mean {meant}?" in problem


def test_an_unknown_name_is_told_with_the_nearest_and_without_its_value():
    (problem,) = problems({"omero.mail.pasword": "hunter2"})

    assert "did you mean omero.mail.password?" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"omero.mail.from": "noreply@${omero.mail.host}", "omero.mail.host": "a.example"},
         "noreply@a.example"),
        ({"omero.mail.from": "noreply@${omero.mail.host}"}, "noreply@localhost"),
        ({"omero.mail.from": "o@${omero.mail.username}.example",
          "omero.mail.username": "${omero.mail.host}", "omero.mail.host": "x",
          "omero.mail.password": "p"}, "o@x.example"),
    ],
    ids=["given", "default", "twice"],
)  # fmt: skip
def test_references_are_expanded(properties, expected):
    settings = omero(properties=properties)

    assert str(settings.applications["main"].sender.address) == expected


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"omero.mail.username": "${omero.mail.username}"}, "it leads to itself"),
        ({"omero.mail.username": "${omero.mail.host}", "omero.mail.host": "${omero.mail.username}"},
         "omero.mail.username -> omero.mail.host -> omero.mail.username"),
        ({"omero.mail.username": "${omero.db.pass}"}, "names a key that is not known here"),
        ({"omero.mail.username": "x${omero.mail.password}", "omero.mail.password": "hunter2"},
         "omero.mail.password is a secret"),
        ({"omero.mail.username": "${omero.qa.feedback}" * 100, "omero.qa.feedback": "x" * 9000},
         "longer than 10000 characters"),
        ({"omero.mail.username": "${omero.qa.feedback}" * 100_000, "omero.qa.feedback": "x" * 9000},
         "longer than 10000 characters"),
    ],
    ids=["itself", "circle", "unknown", "secret", "endless", "a bomb"],
)  # fmt: skip
def test_references_that_lead_nowhere_good_are_refused(properties, told):
    found = "\n".join(problems(properties))

    assert told in found
    assert "hunter2" not in found


def test_a_password_shows_itself_nowhere():
    properties = {"omero.mail.username": "USER", "omero.mail.password": "hunter2"}

    settings = omero(properties=properties)

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.listing())


def test_a_password_with_a_line_break_is_refused_unseen():
    (problem,) = problems({"omero.mail.password": "hunter2\nRCPT"})

    assert "hunter2" not in problem


def test_an_empty_property_is_not_set():
    settings = omero(properties={"omero.mail.config": True, "omero.mail.host": ""})

    assert settings.smtp.host == "localhost"


@pytest.mark.parametrize("value", ["x", 1, ["a"]])
def test_omero_must_be_a_table(value):
    with pytest.raises(SettingsError, match="omero: expected a known key"):
        from_mapping({"omero": value}, Path())
