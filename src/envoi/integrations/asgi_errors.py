"""This room reports what an ASGI application raises; the application answers as it always did.

Where `errors.not_found` asks for it, pages that it does not have (404) are counted too.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from envoi.integrations.bodies import is_form
from envoi.integrations.requests import of_scope, user_by
from envoi.mailer import Mailer

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
ANSWER, NOT_FOUND = "http.response.start", 404


class ReportErrors:
    """An ASGI application that reports what another one raises, and raises it again.

    Args:
        app: The application.
        mailer: Tells `errors.to`.
        release: Version of the application.
        user_of: Who is signed in, by the scope.
    """

    def __init__(
        self,
        app: App,
        mailer: Mailer,
        *,
        release: str = "",
        user_of: Callable[[Scope], str] = lambda _: "",
    ) -> None:
        """Hold what was given."""
        self._app = app
        self._mailer = mailer
        self._release = release
        self._user_of = user_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one websocket; other kinds of scopes pass by."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        body = bytearray()
        try:
            await self._app(scope, self._kept(scope, receive, body), self._watching(scope, send))
        except Exception as err:
            # In a thread: storing waits for a disk, and the loop has other requests.
            await asyncio.to_thread(self._report, err, scope, bytes(body))
            raise

    def _kept(self, scope: Scope, receive: Receive, body: bytearray) -> Receive:
        errors = self._mailer.parts.settings.errors
        kinds = [value for name, value in scope.get("headers") or () if name == b"content-type"]
        if not errors.dump_request or not any(is_form(kind.decode("latin-1")) for kind in kinds):
            return receive
        room = errors.dump_request_size

        async def receive_and_keep() -> Message:
            message = await receive()
            part = message.get("body") or b""
            body.extend(part[: max(room - len(body), 0)])
            return message

        return receive_and_keep

    def _watching(self, scope: Scope, send: Send) -> Send:
        if not self._mailer.parts.settings.errors.not_found:
            return send

        async def watch(message: Message) -> None:
            if message["type"] == ANSWER and message["status"] == NOT_FOUND:
                # It is noted in memory: nothing here waits.
                self._mailer.not_found(of_scope(scope))
            await send(message)

        return watch

    def _report(self, error: Exception, scope: Scope, body: bytes) -> None:
        user = user_by(self._user_of, scope)
        self._mailer.report(error, of_scope(scope, user, body), release=self._release)
