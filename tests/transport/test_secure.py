"""TLS and sign-in: never downgraded, always verified, no password where it could be read."""

import socket

import pytest

from envoi.core.delivery import Reply, Stage
from envoi.testing import Fault, FaultyRelay, RelayTraits
from envoi.testing.honest import HonestRelay
from tests.transport.rounds import Word, options, parcel, send

PASSWORD = "pä ss%#\"' wörd"


def was_sent(result):
    return all(isinstance(o, Reply) and o.code == 250 for o in result.outcomes.values())


@pytest.fixture
def secure(certificates):
    """Options for a relay with a certificate of our own authority."""

    def make(port, **changes):
        return options(
            port,
            **{"host": "localhost", "tls": "starttls", "ca_file": certificates.ca_file, **changes},
        )

    return make


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_goes_encrypted(tls, certificates, secure):
    with FaultyRelay(RelayTraits(tls=tls, context=certificates.contexts["good"])) as relay:
        result = send(secure(relay.port, tls=tls), *(parcel(number) for number in range(1, 6)))

        assert was_sent(result)
        assert [kept.is_tls for kept in relay.kept] == [True] * 5
        assert relay.ledger.violations == []


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_large_mail_goes_encrypted(tls, certificates, secure):
    content = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 200_000
    with FaultyRelay(RelayTraits(tls=tls, context=certificates.contexts["good"])) as relay:
        result = send(secure(relay.port, tls=tls), parcel(1, content=content), parcel(2))

        assert was_sent(result)
        assert relay.kept[0].content == content


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("expired", "expired"),
        ("wrong host", "for another host than localhost"),
        ("unknown authority", "authority that is not known"),
        ("self-signed", "self-signed"),
    ],
)
def test_a_certificate_that_proves_nothing_stops_everything(certificates, secure, tls, kind, word):
    traits = RelayTraits(
        tls=tls, context=certificates.contexts[kind], username="ann", password=PASSWORD
    )
    with FaultyRelay(traits) as relay:
        result = send(
            secure(relay.port, tls=tls, username="ann", password=Word(PASSWORD)), parcel(1)
        )

        assert [trouble.stage for trouble in result.troubles] == [Stage.TLS]
        assert word in result.troubles[0].because
        assert result.troubles[0].advice
        assert result.troubles[0].needs_operator
        assert relay.kept == []
        assert relay.ledger.sign_ins == 0


def test_a_setting_that_names_the_risk_takes_any_certificate(certificates, secure):
    traits = RelayTraits(tls="starttls", context=certificates.contexts["expired"])
    with FaultyRelay(traits) as relay:
        assert was_sent(send(secure(relay.port, verify=False), parcel(1)))


def test_the_environment_may_name_the_authorities(certificates, secure, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", certificates.ca_file)
    with FaultyRelay(RelayTraits(tls="tls", context=certificates.contexts["good"])) as relay:
        assert was_sent(send(secure(relay.port, tls="tls", ca_file=""), parcel(1)))


def test_a_file_of_authorities_that_is_missing_is_named(certificates, secure):
    with FaultyRelay(RelayTraits(tls="tls", context=certificates.contexts["good"])) as relay:
        result = send(secure(relay.port, tls="tls", ca_file="/nowhere/ca.pem"), parcel(1))

    assert "/nowhere/ca.pem" in result.troubles[0].because


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (Fault.STARTTLS_STRIPPED, "does not offer STARTTLS"),
        (Fault.STARTTLS_454, "454"),
        (Fault.TLS_ABORT, "handshake"),
    ],
)
def test_starttls_is_never_downgraded(certificates, secure, fault, word):
    traits = RelayTraits(
        tls="starttls",
        context=certificates.contexts["good"],
        username="ann",
        password=PASSWORD,
    )
    with FaultyRelay(traits) as relay:
        relay.connections.play([fault])
        result = send(secure(relay.port, username="ann", password=Word(PASSWORD)), parcel(1))

        assert [trouble.stage for trouble in result.troubles] == [Stage.TLS]
        assert word in result.troubles[0].because
        assert relay.ledger.sign_ins == 0
        assert relay.kept == []


def test_words_injected_before_tls_count_for_nothing(certificates, secure):
    traits = RelayTraits(tls="starttls", context=certificates.contexts["good"])
    with FaultyRelay(traits) as relay:
        relay.connections.play([Fault.STARTTLS_INJECT])
        result = send(secure(relay.port), parcel(1), parcel(2))

        assert was_sent(result)
        assert [kept.is_tls for kept in relay.kept] == [True, True]


def test_a_relay_that_speaks_in_clear_on_a_port_for_tls(relay, secure):
    result = send(secure(relay.port, tls="tls"), parcel(1))

    assert "does not speak TLS from the first byte" in result.troubles[0].because
    assert "starttls" in result.troubles[0].advice


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("password", ["hunter2", PASSWORD], ids=["ascii", "utf-8"])
@pytest.mark.parametrize("is_forced", [True, False], ids=["forced", "offered"])
def test_every_mechanism_signs_in(mechanism, password, is_forced):
    traits = RelayTraits(
        username="änn",
        password=password,
        demands_auth=True,
        mechanisms=("PLAIN", "LOGIN", "CRAM-MD5") if is_forced else (mechanism, "X-OTHER"),
    )
    auth = (mechanism,) if is_forced else ()
    with FaultyRelay(traits) as relay:
        opts = options(relay.port, username="änn", password=Word(password), auth=auth)
        result = send(opts, parcel(1))

        assert was_sent(result)
        assert [kept.username for kept in relay.kept] == ["änn"]
        assert relay.ledger.sign_ins == 1


@pytest.mark.parametrize(
    ("fault", "code", "needs_operator"),
    [(Fault.AUTH_535, 535, True), (Fault.AUTH_454, 454, False), (Fault.AUTH_530, 530, True)],
)
def test_a_refused_sign_in_is_tried_once_and_shows_no_password(fault, code, needs_operator):
    traits = RelayTraits(username="ann", password=PASSWORD)
    with FaultyRelay(traits) as relay:
        relay.connections.play([], then=fault)
        opts = options(relay.port, username="ann", password=Word(PASSWORD), connections=4)
        result = send(opts, *(parcel(number) for number in range(1, 9)))

        (trouble,) = result.troubles
        assert trouble.stage is Stage.AUTH
        assert str(code) in trouble.because
        assert trouble.needs_operator is needs_operator
        assert relay.ledger.sign_ins == 1
        assert PASSWORD not in repr(result)
        assert PASSWORD not in repr(opts)


def test_a_relay_without_any_sign_in_that_we_know():
    traits = RelayTraits(username="ann", password="x", mechanisms=("XOAUTH2",))
    with FaultyRelay(traits) as relay:
        result = send(options(relay.port, username="ann", password=Word("x")), parcel(1))

    assert "XOAUTH2" in result.troubles[0].because


@pytest.fixture
def elsewhere():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # chooses a way; sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


def test_no_password_in_clear_to_another_machine(elsewhere):
    traits = RelayTraits(username="ann", password=PASSWORD)
    with FaultyRelay(traits, host=elsewhere) as relay:
        opts = options(relay.port, host=elsewhere, username="ann", password=Word(PASSWORD))
        result = send(opts, parcel(1))

        assert [trouble.stage for trouble in result.troubles] == [Stage.TLS]
        assert "smtp.allow_clear_password" in result.troubles[0].advice
        assert relay.ledger.sign_ins == 0


def test_a_setting_allows_the_password_in_clear(elsewhere):
    traits = RelayTraits(username="ann", password=PASSWORD)
    with FaultyRelay(traits, host=elsewhere) as relay:
        opts = options(
            relay.port,
            host=elsewhere,
            username="ann",
            password=Word(PASSWORD),
            allow_clear_password=True,
        )

        assert was_sent(send(opts, parcel(1)))


def test_a_password_turns_starttls_on_where_it_is_offered(elsewhere, certificates):
    traits = RelayTraits(
        tls="starttls", context=certificates.contexts["good"], username="ann", password=PASSWORD
    )
    with FaultyRelay(traits, host=elsewhere) as relay:
        opts = options(
            relay.port,
            host=elsewhere,
            username="ann",
            password=Word(PASSWORD),
            verify=False,
        )

        assert was_sent(send(opts, parcel(1)))
        assert [kept.is_tls for kept in relay.kept] == [True]


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
@pytest.mark.parametrize("has_login", [False, True], ids=["open", "signed-in"])
def test_a_server_that_we_did_not_write_takes_our_mail(tls, has_login, certificates, secure):
    login = {"username": "ann", "password": PASSWORD} if has_login else {}
    context = certificates.contexts["good"] if tls != "none" else None
    with HonestRelay(tls=tls, context=context, **login) as relay:
        changes = {"username": "ann", "password": Word(PASSWORD)} if has_login else {}
        content = "Subject: grüße\r\n\r\n.dot\r\n\r\nend\r\n".encode()
        result = send(
            secure(relay.port, tls=tls, connections=2, **changes),
            *(parcel(number, content=content) for number in range(1, 11)),
        )

        assert was_sent(result)
        assert [accepted.content for accepted in relay.accepted] == [content] * 10
        assert {accepted.username for accepted in relay.accepted} == {"ann" if has_login else ""}


def test_a_server_that_we_did_not_write_refuses_a_wrong_password(certificates, secure):
    context = certificates.contexts["good"]
    with HonestRelay(tls="starttls", context=context, username="ann", password="right") as relay:
        result = send(secure(relay.port, username="ann", password=Word("wrong")), parcel(1))

        assert [trouble.stage for trouble in result.troubles] == [Stage.AUTH]
        assert "smtp.password" in result.troubles[0].advice
        assert relay.accepted == []
