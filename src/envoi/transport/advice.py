"""This room says in plain words why a relay cannot be used, and what to do about it."""

import errno
import socket
import ssl

from envoi.core.delivery import Stage
from envoi.seams import RelayTrouble

# OpenSSL's verification codes (x509_vfy.h); Python names none of them.
_EXPIRED = 10
_NOT_YET_VALID = 9
_SELF_SIGNED = frozenset({18, 19})
_UNKNOWN_ISSUER = frozenset({2, 20, 21})
_WRONG_NAME = frozenset({62, 64})

# The relays that refuse a right password, and say why by an enhanced code only.
_AUTH_ADVICE = {
    "5.7.139": "Microsoft 365 has sign-in by SMTP switched off: allow it for this mailbox",
    "5.7.57": "Microsoft 365 wants a sign-in: set smtp.username and smtp.password",
    "application-specific": "the account has two-step sign-in: make an app password for it",
    "5.7.9": "the account wants an app password or another mechanism: see smtp.auth",
    "5.7.11": "the relay takes passwords over TLS only: set smtp.tls",
}
_ABOUT_TOKENS = (
    "check smtp.username and smtp.oauth_scope, and that this client may send for the mailbox"
)


class TroubleError(Exception):
    """Carries a relay's trouble out of the steps of opening; never leaves this room."""

    def __init__(self, trouble: RelayTrouble) -> None:
        """Keep the trouble."""
        self.trouble = trouble
        super().__init__(trouble.because)


def trouble(
    stage: Stage, because: str, advice: str = "", *, needs_operator: bool = False
) -> TroubleError:
    """Return an error that carries this trouble."""
    return TroubleError(
        RelayTrouble(stage=stage, because=because, advice=advice, needs_operator=needs_operator)
    )


def name_trouble(host: str, err: OSError) -> TroubleError:
    """Return why a host name was not found."""
    if isinstance(err, socket.gaierror) and err.errno == socket.EAI_AGAIN:
        return trouble(
            Stage.CONNECT,
            f"the name server did not answer for {host}",
            "check this machine's DNS; it is asked again",
        )
    return trouble(
        Stage.CONNECT,
        f"the name {host} is not known ({err.strerror or err})",
        "check smtp.host, and this machine's DNS",
    )


def connect_trouble(host: str, port: int, err: OSError) -> TroubleError:
    """Return why no connection came about."""
    place = f"{host}:{port}"
    if isinstance(err, TimeoutError):
        return trouble(
            Stage.CONNECT,
            f"{place} did not answer the connection in time",
            "check smtp.host and smtp.port, and whether a firewall drops the connection",
        )
    if err.errno == errno.ECONNREFUSED:
        return trouble(
            Stage.CONNECT,
            f"nothing listens at {place} (connection refused)",
            "check smtp.host and smtp.port, and whether the relay runs",
        )
    return trouble(
        Stage.CONNECT,
        f"no connection to {place}: {err.strerror or err}",
        "check smtp.host and the way to it",
    )


def tls_trouble(host: str, err: OSError) -> TroubleError:
    """Return why the connection could not be secured."""
    if isinstance(err, ssl.SSLCertVerificationError):
        because, advice = _about_certificate(host, err)
        return trouble(Stage.TLS, because, advice, needs_operator=True)
    # Not every SSLError carries a reason: those made without a library code have no such attribute.
    reason = str(getattr(err, "reason", None) or err)
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return trouble(
            Stage.TLS,
            f"{host} does not speak TLS from the first byte on this port",
            "set smtp.tls = starttls, or take the port for TLS (mostly 465)",
            needs_operator=True,
        )
    return trouble(
        Stage.TLS,
        f"the TLS handshake with {host} failed: {reason.replace('_', ' ').lower()}",
        "see the relay's log; mail waits and nothing goes unencrypted",
    )


def _about_certificate(host: str, err: ssl.SSLCertVerificationError) -> tuple[str, str]:
    code = err.verify_code
    if code in {_EXPIRED, _NOT_YET_VALID}:
        return (
            f"the certificate of {host} has expired or is not valid yet",
            "renew the relay's certificate, or set this machine's clock",
        )
    if code in _SELF_SIGNED:
        return (
            f"the certificate of {host} is self-signed, nobody known vouches for it",
            "set smtp.ca_file to a file with the relay's own CA or certificate",
        )
    if code in _UNKNOWN_ISSUER:
        return (
            f"the certificate of {host} is from an authority that is not known here",
            "set smtp.ca_file to a file with that authority's certificate",
        )
    if code in _WRONG_NAME:
        return (
            f"the certificate is for another host than {host} ({err.verify_message})",
            "set smtp.host to a name that the certificate holds",
        )
    return (
        f"the certificate of {host} is not accepted: {err.verify_message}",
        "repair the relay's certificate, or name its CA in smtp.ca_file",
    )


def auth_trouble(
    code: int, text: str, *, is_secure: bool = False, by_token: bool = False
) -> TroubleError:
    """Return why signing in failed; `text` must be scrubbed already."""
    said = f"{code} {text}".rstrip()
    # RFC 4954 6: 454 is a temporary authentication failure; other 4xx and a 421 are no verdict
    # about the password either.
    if code < 500:  # noqa: PLR2004 # SMTP's own number
        return trouble(Stage.AUTH, f"the relay could not check the sign-in: {said}")
    advice = next(
        (advice for mark, advice in _AUTH_ADVICE.items() if mark in text.lower()),
        _ABOUT_TOKENS if by_token else _advice_by_code(code, is_secure=is_secure),
    )
    return trouble(
        Stage.AUTH, f"the relay refused the sign-in: {said}", advice, needs_operator=True
    )


def _advice_by_code(code: int, *, is_secure: bool) -> str:
    match code:
        case 530 | 538 if is_secure:
            return "TLS is on already; the relay wants another mechanism: see smtp.auth"
        case 530 | 538:
            return "the relay wants TLS before the password: set smtp.tls = starttls"
        case 500 | 502 | 503 | 504:
            return "the relay does not know this mechanism: set smtp.auth to one it offers"
        case 534:
            return "the relay wants a stronger mechanism or an app password: see smtp.auth"
        case _:
            return "check smtp.username and smtp.password"
