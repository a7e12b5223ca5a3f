"""What an operator is told: what happened, and what to do, in words that fit the case."""

import errno
import socket
import ssl

import pytest

from envoi.core.delivery import Stage
from envoi.transport.advice import auth_trouble, connect_trouble, name_trouble, tls_trouble

AUTH = [
    # The relay's reply, a word of the advice, whether an operator must act.
    (535, "5.7.8 Error: authentication failed", "smtp.password", True),
    (535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled", "365", True),
    (534, "5.7.9 Application-specific password required", "app password", True),
    (534, "5.7.9 Please log in with your web browser", "smtp.auth", True),
    (530, "5.7.0 Must issue a STARTTLS command first", "smtp.tls", True),
    (538, "Encryption required", "smtp.tls", True),
    (504, "Unrecognized authentication type", "smtp.auth", True),
    (454, "4.7.0 Temporary authentication failure", "", False),
    (421, "4.3.0 closing", "", False),
]


@pytest.mark.parametrize(("code", "text", "word", "needs_operator"), AUTH)
def test_a_refused_sign_in_is_explained(code, text, word, needs_operator):
    trouble = auth_trouble(code, text).trouble

    assert trouble.stage is Stage.AUTH
    assert f"{code} {text}" in trouble.because
    assert word in trouble.advice
    assert trouble.needs_operator is needs_operator


@pytest.mark.parametrize("code", [530, 538])
def test_nobody_is_told_to_set_the_tls_that_is_on(code):
    trouble = auth_trouble(code, "Encryption required", is_secure=True).trouble

    assert "starttls" not in trouble.advice
    assert "smtp.auth" in trouble.advice


@pytest.mark.parametrize(
    ("err", "word"),
    [
        (TimeoutError(), "did not answer"),
        (OSError(errno.ECONNREFUSED, "refused"), "nothing listens"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "unreachable"),
    ],
)
def test_a_connection_that_failed_is_explained(err, word):
    trouble = connect_trouble("mail.example.org", 587, err).trouble

    assert "mail.example.org:587" in trouble.because
    assert word in trouble.because
    assert trouble.advice


@pytest.mark.parametrize(
    ("err", "word"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "again"), "name server"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "not known"),
    ],
)
def test_a_name_that_was_not_found_is_explained(err, word):
    assert word in name_trouble("mail.example.org", err).trouble.because


@pytest.mark.parametrize(
    ("err", "word", "needs_operator"),
    [
        (ConnectionResetError("reset by peer"), "handshake", False),
        (ssl.SSLError(1, "[SSL] internal"), "handshake", False),
    ],
)
def test_a_handshake_that_failed_is_explained(err, word, needs_operator):
    trouble = tls_trouble("mail.example.org", err).trouble

    assert trouble.stage is Stage.TLS
    assert word in trouble.because
    assert trouble.needs_operator is needs_operator


def test_a_certificate_refused_for_another_reason_says_which():
    err = ssl.SSLCertVerificationError(1, "bad")
    err.verify_code, err.verify_message = 24, "invalid CA certificate"

    assert "invalid CA certificate" in tls_trouble("mail.example.org", err).trouble.because
