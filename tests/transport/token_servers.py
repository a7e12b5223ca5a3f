"""A token endpoint and a relay that checks its tokens: real servers on loopback."""

import asyncio
import base64
import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from aiosmtpd.smtp import SMTP, AuthResult

USER = "wiki@example.org"
PATIENCE_S = 10


class TokenService:
    """Gives out tokens, and knows which of them are good.

    Attributes:
        answer: Makes the next answers instead: the form in, (status, body) out.
        rotates: Whether each answer exchanges the refresh token for another.
        asked: The forms that were posted, oldest first.
        good: Tokens that a relay may take.
    """

    def __init__(self, context: ssl.SSLContext | None = None, refresh_token: str = "") -> None:
        self.answer: Callable[[dict[str, str]], tuple[int, bytes]] | None = None
        self.rotates = False
        self.lives_s: object = 3600
        self.asked: list[dict[str, str]] = []
        self.good: set[str] = set()
        self._refresh_token = refresh_token
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.serve(self, dict(parse_qsl(body.decode())))

            def log_message(self, *words):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.scheme = "https" if context else "http"
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self._server.server_address[1]}/token"

    @property
    def newest_refresh_token(self) -> str:
        return self._refresh_token

    def serve(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        with self._lock:
            self.asked.append(form)
            status, body = (self.answer or self._given)(form)
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(body)

    def _given(self, form: dict[str, str]) -> tuple[int, bytes]:
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self._refresh_token:
            return 400, b'{"error": "invalid_grant", "error_description": "it has ended"}'
        number = next(self._numbers)
        token = f"ya29.secret-token-{number:04d}-abcdefghijklmnopqrstuvwxyz"
        self.good.add(token)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lives_s}
        if self.rotates:
            self._refresh_token = f"exchanged-refresh-token-{number}"
            answer["refresh_token"] = self._refresh_token
        return 200, json.dumps(answer).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)


class TokenRelay:
    """A relay (aiosmtpd) that takes mail after a sign-in with a good token of a service."""

    def __init__(self, service: TokenService, *, mechanisms=("XOAUTH2",), challenges=True) -> None:
        self.service = service
        self.mechanisms = mechanisms
        self.challenges = challenges
        self.tried: list[str] = []
        self.recipients: list[str] = []
        self.refusal = ""
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._spoken: list[SMTP] = []
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._serve(started)), daemon=True
        )
        self._thread.start()
        self.port = started.result(PATIENCE_S)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _serve(self, started: "Future[int]") -> None:
        server = await self._loop.create_server(self._protocol, "127.0.0.1", 0)
        started.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()
        for spoken in self._spoken:
            if isinstance(spoken.transport, asyncio.Transport):
                spoken.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A connection is closed one round of the loop after it was aborted.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _protocol(self) -> SMTP:
        every = {"XOAUTH2", "OAUTHBEARER", "PLAIN", "LOGIN"}
        spoken = SMTP(
            self,
            auth_required=False,
            auth_require_tls=False,
            auth_exclude_mechanism=every - set(self.mechanisms),
            loop=self._loop,
        )
        self._spoken.append(spoken)
        return spoken

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 # aiosmtpd's
        if not session.authenticated:
            return "530 5.7.0 authentication required"
        self.recipients += envelope.rcpt_tos
        return "250 2.0.0 ok"

    async def auth_XOAUTH2(self, server, args) -> AuthResult:  # noqa: N802 # aiosmtpd's
        words = base64.b64decode(args[1]).decode()
        user, auth, *ends = words.split("\x01")
        is_right = user == f"user={USER}" and ends == ["", ""]
        return await self._judged(server, args[1], auth, b"", is_right=is_right)

    async def auth_OAUTHBEARER(self, server, args) -> AuthResult:  # noqa: N802 # aiosmtpd's
        words = base64.b64decode(args[1]).decode()
        head, host, port, auth, *ends = words.split("\x01")
        is_right = (head, ends) == (f"n,a={USER},", ["", ""])
        is_right &= (host, port) == ("host=localhost", f"port={self.port}")
        return await self._judged(server, args[1], auth, b"\x01", is_right=is_right)

    async def _judged(self, server, said, auth, end, *, is_right) -> AuthResult:
        token = auth.removeprefix("auth=Bearer ")
        self.tried.append(token)
        if is_right and token in self.service.good and not self.refusal:
            return AuthResult(success=True, handled=False, auth_data=USER)
        if self.challenges and not self.refusal:
            answered = await server.challenge_auth('{"status":"400","schemes":"Bearer"}')
            assert answered == end
        # It echoes what it was told, as bad relays do: a half of it too.
        await server.push(self.refusal or f"535 5.7.8 bad {said} {token} {token[5:40]}")
        return AuthResult(success=False, handled=True)


def slowly(handler_answer: bytes, pause_s: float) -> Callable[[dict[str, str]], tuple[int, bytes]]:
    """An answer that comes late."""

    def answer(_form: dict[str, str]) -> tuple[int, bytes]:
        time.sleep(pause_s)
        return 200, handler_answer

    return answer
