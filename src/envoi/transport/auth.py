"""This room signs in to a relay: AUTH PLAIN, LOGIN and CRAM-MD5 in UTF-8, and by OAuth token.

The standard library's `smtplib` encodes the password as ASCII and breaks on `ä`, and after a
refusal it tries the next mechanism with the same password: three strikes in one go, which locks
accounts. Here one refusal ends the attempt. A token that had worked before is the one exception:
it has ended or was taken back, and another one is tried, once.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import TypeAlias

from envoi.core.delivery import Stage
from envoi.transport.advice import TroubleError, auth_trouble, trouble
from envoi.transport.dialogue import Dialogue
from envoi.transport.options import RelayOptions, TokenSource
from envoi.transport.reply import Answer

_SIGNED_IN = 235
_GO_ON = 334
# RFC 4954 4 and 5.5.4: the mechanism is unknown; nothing was said about the password.
_UNKNOWN_MECHANISM = frozenset({500, 501, 502, 503, 504})

Mechanism: TypeAlias = Callable[[Dialogue, str, str], Answer]


def sign_in(dialogue: Dialogue, options: RelayOptions, offered: tuple[str, ...]) -> None:
    """Sign in with the first mechanism that both sides know.

    Args:
        dialogue: After EHLO, and after TLS where there is to be one.
        options: Who we are.
        offered: Mechanisms that the relay offers, upper case.

    Raises:
        TroubleError: Refused, or no mechanism in common.
    """
    if options.tokens is not None:
        _sign_in_by_token(dialogue, options, options.tokens, offered)
        return
    names = _choose(options.auth, offered, is_secure=dialogue.is_secure)
    if not names:
        raise _no_way(offered, tuple(_MECHANISMS), is_secure=dialogue.is_secure)
    password = options.password.reveal()
    answer = Answer(504, (b"",))
    for name in names:
        answer = _MECHANISMS[name](dialogue, options.username, password)
        if answer.code == _SIGNED_IN:
            return
        if answer.code not in _UNKNOWN_MECHANISM:
            break
    said = dialogue.scrubber.text(answer)
    raise auth_trouble(answer.code, said, is_secure=dialogue.is_secure)


def _choose(forced: tuple[str, ...], offered: tuple[str, ...], *, is_secure: bool) -> list[str]:
    if forced:
        return [name.upper() for name in forced if name.upper() in _MECHANISMS]
    # CRAM-MD5 hides the password on the wire, but makes the relay store it in clear: it comes
    # first only where the wire is open.
    ranking = ("PLAIN", "LOGIN", "CRAM-MD5") if is_secure else ("CRAM-MD5", "PLAIN", "LOGIN")
    return [name for name in ranking if name in offered]


def _no_way(offered: tuple[str, ...], ours: tuple[str, ...], *, is_secure: bool) -> TroubleError:
    if offered:
        because = f"the relay offers {', '.join(offered)}, none of {', '.join(ours)}"
        advice = "allow one of these at the relay for this account"
    else:
        because = "the relay offers no sign-in"
        advice = "take the port where it does (mostly 587), or empty smtp.username"
        if not is_secure:
            advice = "set smtp.tls = starttls where AUTH is offered in TLS only, or " + advice
    return trouble(Stage.AUTH, because, advice, needs_operator=True)


def _plain(dialogue: Dialogue, username: str, password: str) -> Answer:
    token = _b64(f"\0{username}\0{password}".encode())
    answer = dialogue.ask(Stage.AUTH, f"AUTH PLAIN {token}")
    # RFC 4954 4: a relay that does not take the initial response asks for it.
    return dialogue.ask(Stage.AUTH, token) if answer.code == _GO_ON else answer


def _login(dialogue: Dialogue, username: str, password: str) -> Answer:
    answer = dialogue.ask(Stage.AUTH, "AUTH LOGIN")
    for word in (username, password):
        if answer.code != _GO_ON:
            return answer
        answer = dialogue.ask(Stage.AUTH, _b64(word.encode()))
    return answer


def _cram_md5(dialogue: Dialogue, username: str, password: str) -> Answer:
    answer = dialogue.ask(Stage.AUTH, "AUTH CRAM-MD5")
    if answer.code != _GO_ON:
        return answer
    try:
        challenge = base64.b64decode(answer.lines[0], validate=True)
        digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    except (binascii.Error, ValueError) as err:
        # hashlib refuses MD5 with a ValueError on machines in FIPS mode.
        raise trouble(
            Stage.AUTH,
            f"CRAM-MD5 is not possible here: {err}",
            "set smtp.auth = ['PLAIN'] together with smtp.tls",
            needs_operator=True,
        ) from err
    return dialogue.ask(Stage.AUTH, _b64(f"{username} {digest}".encode()))


def _sign_in_by_token(
    dialogue: Dialogue, options: RelayOptions, tokens: TokenSource, offered: tuple[str, ...]
) -> None:
    # Those of the settings stand in their order of preference, those of the relay in none.
    ranking = options.auth or tuple(name for name in _BY_TOKEN if name in offered)
    name = next((name for name in ranking if name in _BY_TOKEN), "")
    if not name:
        raise _no_way(offered, tuple(_BY_TOKEN), is_secure=dialogue.is_secure)
    token = tokens.take()
    answer = _show_token(dialogue, options, name, token)
    if _is_verdict(answer) and tokens.refused(token):
        token = tokens.take()
        answer = _show_token(dialogue, options, name, token)
        if _is_verdict(answer):
            tokens.refused(token)
    if answer.code != _SIGNED_IN:
        said = dialogue.scrubber.text(answer)
        raise auth_trouble(answer.code, said, is_secure=dialogue.is_secure, by_token=True)
    tokens.accepted(token)


def _is_verdict(answer: Answer) -> bool:
    # A 4xx is none about the token, and neither is that the mechanism is unknown.
    return answer.code >= 500 and answer.code not in _UNKNOWN_MECHANISM  # noqa: PLR2004 # SMTP's own number


def _show_token(dialogue: Dialogue, options: RelayOptions, name: str, token: str) -> Answer:
    made, end = _BY_TOKEN[name]
    words = made(options, token)
    dialogue.scrubber.learn(token, words)
    answer = dialogue.ask(Stage.AUTH, f"AUTH {name} {_b64(words.encode())}")
    # The relay says why in a challenge, which is to be answered before its verdict comes.
    return dialogue.ask(Stage.AUTH, end) if answer.code == _GO_ON else answer


def _xoauth2(options: RelayOptions, token: str) -> str:
    return f"user={options.username}\x01auth=Bearer {token}\x01\x01"


def _oauthbearer(options: RelayOptions, token: str) -> str:
    # RFC 5801 4: these two separate the parts of its head.
    user = options.username.replace("=", "=3D").replace(",", "=2C")
    place = f"host={options.host}\x01port={options.port}"
    return f"n,a={user},\x01{place}\x01auth=Bearer {token}\x01\x01"


# By name: what is said, and how a challenge is answered. The first is what both of the large
# providers document; the second is RFC 7628.
_BY_TOKEN: dict[str, tuple[Callable[[RelayOptions, str], str], str]] = {
    "XOAUTH2": (_xoauth2, ""),
    "OAUTHBEARER": (_oauthbearer, "AQ=="),
}
_MECHANISMS: dict[str, Mechanism] = {"PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _cram_md5}


def secret_forms(username: str, password: str) -> tuple[str, ...]:
    """Return every text by which a relay's echo would give the password away."""
    return (password, f"\0{username}\0{password}") if password else ()


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
