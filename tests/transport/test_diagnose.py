"""The walk to a relay for an operator: how far it came, in plain words, without a password."""

import pytest

from envoi.core.people import Address
from envoi.testing import Fault, FaultyRelay, RelayTraits
from envoi.testing.ledger import EXTENSIONS
from envoi.transport.diagnose import walk_relay
from tests.transport.rounds import Word, options

PASSWORD = "hunter22"


def walk(opts, mail_from=None):
    steps = list(walk_relay(opts, mail_from))
    assert PASSWORD not in repr(steps)
    return steps


def names(steps):
    return [step.name for step in steps if step.is_ok]


def test_a_relay_that_is_well_is_walked_to_the_end(certificates):
    traits = RelayTraits(
        tls="starttls",
        context=certificates.contexts["good"],
        username="ann",
        password=PASSWORD,
        demands_auth=True,
    )
    with FaultyRelay(traits) as relay:
        opts = options(
            relay.port,
            host="localhost",
            tls="starttls",
            ca_file=certificates.ca_file,
            username="ann",
            password=Word(PASSWORD),
        )
        steps = walk(opts, Address("noreply", "example.org"))

        walked = [
            "DNS",
            "connect",
            "greeting",
            "EHLO",
            "TLS",
            "certificate",
            "EHLO",
            "AUTH",
            "MAIL",
        ]
        assert names(steps) == walked
        assert "localhost" in steps[5].said
        assert "3000" in steps[5].said
        assert "nothing was sent" in steps[-1].said
        assert relay.kept == []
        assert relay.ledger.violations == []


def test_a_relay_without_tls_is_said_to_be_in_clear(relay):
    steps = walk(options(relay.port))

    assert names(steps) == ["DNS", "connect", "greeting", "EHLO", "TLS", "AUTH", "MAIL"]
    assert "in clear" in steps[4].said


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("kind", "word", "shown"),
    [
        ("expired", "expired", "Jan  1 00:00:00 2021"),
        ("wrong host", "another host", "mail.example.org"),
        ("unknown authority", "not known", "localhost"),
        ("self-signed", "self-signed", "trustme"),
    ],
)
def test_a_refused_certificate_is_shown(certificates, tls, kind, word, shown):
    with FaultyRelay(RelayTraits(tls=tls, context=certificates.contexts[kind])) as relay:
        opts = options(relay.port, host="localhost", tls=tls, ca_file=certificates.ca_file)
        steps = walk(opts)

    refused, certificate = steps[-2:]
    assert (refused.name, refused.is_ok) == ("TLS", False)
    assert word in refused.said
    assert refused.advice
    assert (certificate.name, certificate.is_ok) == ("certificate", False)
    assert shown in certificate.said


def test_a_certificate_that_is_not_verified_is_said_to_be(certificates):
    with FaultyRelay(RelayTraits(tls="tls", context=certificates.contexts["expired"])) as relay:
        steps = walk(options(relay.port, tls="tls", verify=False))

    certificate = next(step for step in steps if step.name == "certificate")
    assert "not verified" in certificate.said
    assert "smtp.verify" in certificate.advice


@pytest.mark.parametrize(
    ("fault", "name", "word"),
    [
        (Fault.GREET_554, "greeting", "554"),
        (Fault.HANG_GREET, "greeting", "no whole reply"),
        (Fault.EHLO_421, "EHLO", "421"),
        (Fault.AUTH_535, "AUTH", "535"),
    ],
)
def test_the_walk_ends_with_the_step_that_failed(fault, name, word):
    with FaultyRelay(RelayTraits(username="ann", password=PASSWORD)) as relay:
        relay.connections.play([], then=fault)
        opts = options(relay.port, username="ann", password=Word(PASSWORD), command_timeout_s=0.3)
        steps = walk(opts)

    assert [step.is_ok for step in steps] == [True] * (len(steps) - 1) + [False]
    assert (steps[-1].name, word in steps[-1].said) == (name, True)
    assert steps[-1].advice


def test_a_refused_sender_is_the_last_step(relay):
    relay.messages.play([Fault.MAIL_550])

    last = walk(options(relay.port), Address("noreply", "example.org"))[-1]

    assert (last.name, last.is_ok) == ("MAIL", False)
    assert "noreply@example.org" in last.advice


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.MAIL_530, ["smtp.username", "smtp.password"]),
        (Fault.MAIL_451, ["try again"]),
        (Fault.MAIL_550, ["application.from", "smtp.mail_from"]),
    ],
)
def test_a_refused_mail_command_comes_with_what_to_do(relay, fault, words):
    relay.messages.play([fault])

    last = walk(options(relay.port))[-1]

    assert (last.name, last.is_ok) == ("MAIL", False)
    assert [word for word in words if word not in last.advice] == []


@pytest.mark.parametrize(
    ("mechanisms", "said", "advice"),
    [((), "offers no sign-in", "smtp.tls = starttls"),
     (("XOAUTH2",), "offers XOAUTH2, none of PLAIN, LOGIN, CRAM-MD5", "at the relay")],
    ids=["none", "unknown ones"],
)  # fmt: skip
def test_a_relay_without_a_mechanism_in_common_comes_with_what_to_do(mechanisms, said, advice):
    traits = RelayTraits(username="ann", password=PASSWORD, mechanisms=mechanisms)
    with FaultyRelay(traits) as relay:
        last = walk(options(relay.port, username="ann", password=Word(PASSWORD)))[-1]

    assert (last.name, last.is_ok) == ("AUTH", False)
    assert said in last.said
    assert advice in last.advice


def test_a_port_that_nobody_listens_at():
    with FaultyRelay() as relay:
        port = relay.port

    (_, last) = walk(options(port))

    assert (last.name, last.is_ok) == ("connect", False)
    assert "refused" in last.said
    assert "smtp.port" in last.advice


def test_a_name_that_nobody_knows():
    (only,) = walk(options(25, host="nowhere.invalid"))

    assert (only.name, only.is_ok) == ("DNS", False)


def test_a_window_that_the_relay_allows_is_named(relay):
    [step] = [step for step in walk(options(relay.port, window=16)) if step.name == "window"]

    assert (step.said, step.advice) == ("up to 16 mails under way on each connection", "")


@pytest.mark.parametrize("missing", ["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"])
def test_a_window_without_use_says_what_the_relay_lacks(missing):
    offered = tuple(word for word in EXTENSIONS if word != missing)
    with FaultyRelay(RelayTraits(extensions=offered)) as relay:
        [step] = [step for step in walk(options(relay.port, window=16)) if step.name == "window"]

        assert step.said == f"one mail at a time: the relay does not offer {missing}"
        assert step.advice


def test_nothing_is_said_of_a_window_that_nobody_asked_for(relay):
    assert "window" not in names(walk(options(relay.port)))
