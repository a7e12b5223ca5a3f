"""This room gets access tokens from an OAuth 2.0 token endpoint (RFC 6749) for all connections.

A token is asked for when none is at hand or the one at hand is about to end; whoever needs one
meanwhile waits for the same answer. Which grant is used follows from what is given: a refresh
token (6), else the client's own credentials (4.4). A service may exchange the refresh token for
another with each answer; the newest is kept, because the older one may be dead from then on.

An endpoint that is away, slow or broken is trouble that passes; one that says no is an operator's.
"""

import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, cast
from urllib.parse import urlencode, urlsplit

from envoi.core.delivery import Stage
from envoi.transport.advice import TroubleError, trouble
from envoi.transport.options import NoSecret, Secret
from envoi.transport.reply import Scrubber, shown

# An honest answer has two to five kilobytes.
MAX_ANSWER_BYTES = 64 * 1024
# RFC 6750 2.1: b64token. Anything else could end the SASL message early.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# RFC 6749 5.1 leaves the lifetime out where it is documented elsewhere; an hour is usual.
_USUAL_S, _LONGEST_S = 3_600, 86_400
# A token is renewed so long before its end, so that no sign-in begins with one that ends.
_EARLY_S = 300
_OK, _REDIRECTS, _BROKEN = 200, 300, 500
# These say "not now" where other refusals say "not so" (RFC 6749 4.1.2.1, RFC 6585 4).
_LATER_CODES = frozenset({408, 425, 429})
_LATER_ERRORS = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
# A refresh token that has ended, or was taken back (RFC 6749 5.2).
_DEAD_GRANT = "invalid_grant"
_BY_ITSELF = "it is asked again by itself; see whether it can be reached from this machine"
_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
    "Connection": "close",
}
_ADVICE = {
    _DEAD_GRANT: "the mailbox's owner must agree again: set a new smtp.oauth_refresh_token",
    "invalid_client": "check smtp.oauth_client_id and smtp.oauth_client_secret; secrets end",
    "unauthorized_client": "allow this way to get tokens where the client is registered",
    "invalid_scope": "check smtp.oauth_scope",
}


class TokenStore(Protocol):
    """Where a refresh token is kept that was given in exchange for the one of the settings."""

    def kept(self, seed: str) -> str:
        """Return what was given in exchange for the one with this digest; empty: nothing."""
        ...

    def keep(self, seed: str, refresh_token: str) -> None:
        """Keep what was given; never raises."""
        ...


class _NoStore:
    def kept(self, seed: str) -> str:
        del seed
        return ""

    def keep(self, seed: str, refresh_token: str) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What tokens are given out for.

    Args:
        url: The token endpoint; https, or http on this machine.
        client_id: As registered there.
        client_secret: Its secret; may be empty with a refresh token.
        refresh_token: Empty: the client's own credentials.
        scope: What the token is for; may be empty.
        ca_file: PEM file of the only authorities to trust; empty: the system's.
        timeout_s: For the connection, and for the whole answer. Default 30.
    """

    url: str
    client_id: str
    client_secret: Secret = field(default_factory=NoSecret, repr=False)
    refresh_token: Secret = field(default_factory=NoSecret, repr=False)
    scope: str = ""
    ca_file: str = ""
    timeout_s: float = 30


@dataclass(slots=True)
class _Token:
    """A token at hand: its text, when it is renewed, and whether a relay has taken it."""

    text: str = field(repr=False)
    until: float
    has_worked: bool = False


class Tokens:
    """The access tokens of one relay, for all its connections and threads.

    Args:
        grant: What they are given out for.
        store: Keeps what a refresh token was exchanged for. Default: nothing is kept.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        grant: Grant,
        store: TokenStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with none; the first `take` asks for one."""
        self._grant = grant
        self._store: TokenStore = store or _NoStore()
        self._clock = clock
        self._lock = threading.Lock()
        self._token: _Token | None = None
        self._exchanged = ""
        first = grant.refresh_token.reveal()
        self._seed = hashlib.sha256(first.encode()).hexdigest() if first else ""

    def take(self) -> str:
        """Return a token that is good for some minutes; asks for one where none is at hand.

        Raises:
            TroubleError: None is given out; says why, and whether an operator must act.
        """
        with self._lock:
            token = self._token
            if token is None or self._clock() >= token.until:
                token = self._token = self._asked()
            return token.text

    def accepted(self, text: str) -> None:
        """Note that a relay has taken a token."""
        with self._lock:
            if self._token is not None and self._token.text == text:
                self._token.has_worked = True

    def refused(self, text: str) -> bool:
        """Forget a token that a relay refused; whether another one may do better.

        It may where this one had worked before, and has ended or was taken back since. A token
        that never worked is refused for another reason, and so would the next one be: asking
        again and again locks accounts.
        """
        with self._lock:
            token = self._token
            if token is None or token.text != text:
                return True  # somebody else has forgotten it already
            self._token = None
            return token.has_worked

    # How one is asked for.

    def _asked(self) -> _Token:
        last: _RefusalError | None = None
        tried: set[str] = set()
        while (refresh_token := self._untried(tried)) is not None:
            tried.add(refresh_token)
            began = self._clock()
            try:
                answer = self._answer(refresh_token)
            except _RefusalError as err:
                last = err
                if err.error != _DEAD_GRANT:
                    break
                continue  # another machine may have exchanged it meanwhile
            self._keep(refresh_token, answer.get("refresh_token"))
            return _token_of(answer, began)
        if last is None:  # pragma: no cover - there is always one candidate
            raise AssertionError
        raise last.told from last

    def _untried(self, tried: AbstractSet[str]) -> str | None:
        # Looked up each time: what another machine was given may be kept only by now.
        return next((token for token in self._candidates() if token not in tried), None)

    def _candidates(self) -> list[str]:
        """Return the refresh tokens to try: the newest known, then that of the settings."""
        if not self._seed:
            return [""]
        own = self._grant.refresh_token.reveal()
        found = [self._store.kept(self._seed), self._exchanged, own]
        return list(dict.fromkeys(token for token in found if token))

    def _keep(self, used: str, given: object) -> None:
        if used and isinstance(given, str) and given and given != used:
            self._exchanged = given
            self._store.keep(self._seed, given)

    def _answer(self, refresh_token: str) -> Mapping[str, object]:
        grant = self._grant
        form = {"client_id": grant.client_id, "client_secret": grant.client_secret.reveal()}
        form |= {"scope": grant.scope, "refresh_token": refresh_token}
        form["grant_type"] = "refresh_token" if refresh_token else "client_credentials"
        scrubber = Scrubber(form["client_secret"], refresh_token)
        code, body = _posted(grant, urlencode({k: v for k, v in form.items() if v}))
        return _read(grant.url, code, body, scrubber)


class _RefusalError(Exception):
    """The endpoint said no; `error` is its word for it."""

    def __init__(self, error: str, told: TroubleError) -> None:
        super().__init__(error)
        self.error = error
        self.told = told


def _posted(grant: Grant, form: str) -> tuple[int, bytes]:
    """Post a form; return status and body, both bounded in time and size."""
    host = urlsplit(grant.url).hostname or ""
    try:
        with _Watched(_connection(grant), grant.timeout_s) as connection:
            connection.request("POST", _path(grant.url), form, _HEADERS)
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER_BYTES + 1)
    except ssl.SSLCertVerificationError as err:
        because = f"the certificate of {host} is not accepted: {err.verify_message}"
        advice = "check smtp.oauth_token_url; a site's own authority stands in smtp.ca_file"
        raise trouble(Stage.AUTH, because, advice, needs_operator=True) from err
    # ValueError: what http.client makes of a garbled status line, or of a socket that was cut.
    except (OSError, http.client.HTTPException, ValueError) as err:
        because = f"no token from {host}: {shown(str(err) or type(err).__name__)}"
        raise trouble(Stage.AUTH, because, _BY_ITSELF) from err


def _connection(grant: Grant) -> http.client.HTTPConnection:
    place = urlsplit(grant.url)
    host, port = place.hostname or "", place.port
    if place.scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=grant.timeout_s)
    context = ssl.create_default_context(cafile=grant.ca_file or None)
    return http.client.HTTPSConnection(host, port, timeout=grant.timeout_s, context=context)


def _path(url: str) -> str:
    place = urlsplit(url)
    return f"{place.path or '/'}?{place.query}" if place.query else place.path or "/"


class _Watched:
    """A connection that is cut after a time, however slowly the answer dribbles.

    Args:
        connection: Not open yet.
        limit_s: For everything behind its opening, which has as long by itself.
    """

    def __init__(self, connection: http.client.HTTPConnection, limit_s: float) -> None:
        self._connection = connection
        self._watch = threading.Timer(limit_s, self._cut)
        self._watch.daemon = True
        self._limit_s = limit_s
        self._sock: socket.socket | None = None
        self._is_cut = False

    def __enter__(self) -> http.client.HTTPConnection:
        self._connection.connect()
        # The connection forgets its socket once it has read the head of an answer.
        self._sock = self._connection.sock
        self._watch.start()
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        self._watch.cancel()
        self._connection.close()
        if self._is_cut:
            raise TimeoutError(f"no whole answer within {self._limit_s:g} s") from error

    def _cut(self) -> None:
        self._is_cut = True
        with suppress(OSError):
            # The plain method: TLS's own would take the reading thread's state away.
            socket.socket.shutdown(cast("socket.socket", self._sock), socket.SHUT_RDWR)


def _read(url: str, code: int, body: bytes, scrubber: Scrubber) -> Mapping[str, object]:
    """Return the endpoint's answer; raises `_RefusalError` or `TroubleError`."""
    host = urlsplit(url).hostname or ""
    answer = _fields_of(body)
    token = answer.get("access_token")
    if code == _OK and isinstance(token, str) and _TOKEN.fullmatch(token):
        return answer
    error = str(answer.get("error", ""))
    words = f"{error}: {answer.get('error_description', '')}".strip(": ")
    said = shown(scrubber.scrub(f"{host} answered {code} {words}")).rstrip()
    is_later = code in _LATER_CODES or error in _LATER_ERRORS
    if code == _OK or code >= _BROKEN or is_later or code < _REDIRECTS:
        because = f"no token: {said}" if code != _OK else f"no token in the answer of {host}"
        raise trouble(Stage.AUTH, because, _BY_ITSELF)
    advice = _ADVICE.get(error, "check smtp.oauth_token_url and the other oauth keys")
    raise _RefusalError(
        error, trouble(Stage.AUTH, f"no token: {said}", advice, needs_operator=True)
    )


def _fields_of(body: bytes) -> Mapping[str, object]:
    if len(body) > MAX_ANSWER_BYTES:
        return {}
    try:
        answer = cast("object", json.loads(body))
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, object]", answer) if isinstance(answer, dict) else {}


def _token_of(answer: Mapping[str, object], began: float) -> _Token:
    lives = answer.get("expires_in", _USUAL_S)
    try:
        # Some write the number as a text; NaN compares false with everything.
        lives_s = min(max(float(cast("float", lives)), 0.0), _LONGEST_S)
    except (TypeError, ValueError, OverflowError):
        lives_s = float(_USUAL_S)
    early_s = min(_EARLY_S, lives_s / 5)
    return _Token(text=str(answer["access_token"]), until=began + lives_s - early_s)
