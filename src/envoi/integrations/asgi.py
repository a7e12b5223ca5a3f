"""This room tells that an ASGI server went up and down, by its lifespan.

    app = ServerLifespan(app, mailer)

An application that has no lifespan of its own gets one. The mail is handed over in a thread: the
event loop waits for no database and no relay.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from envoi.mailer import Mailer
from envoi.serving import Server

__all__ = ["ServerLifespan"]

# The specification's own types; what a server and an application say to one another is untyped.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

STARTED, STOP, STOPPED = (
    "lifespan.startup.complete",
    "lifespan.shutdown",
    "lifespan.shutdown.complete",
)


class ServerLifespan:
    """An application whose lifespan is told of.

    Args:
        app: The application.
        mailer: The process's.
        name: Name of the server, where an application has several.
        application: Which application of the outbox speaks.
        grace_s: How long the place of the last process may be empty before the server is told to
            be down, in seconds. Default 0: more only where single workers are recycled.
    """

    def __init__(
        self,
        app: App,
        mailer: Mailer,
        *,
        name: str = "",
        application: str = "main",
        grace_s: float = 0,
    ) -> None:
        """Say nothing yet."""
        self._app = app
        self._server = Server(mailer, name=name, application=application, grace_s=grace_s)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass everything on; tell of the lifespan."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        seen: list[str] = []

        async def hear() -> Message:
            message = await receive()
            seen.append(message["type"])
            if message["type"] == STOP:
                await asyncio.to_thread(self._server.stop)
            return message

        async def say(message: Message) -> None:
            if message["type"] == STARTED:
                await asyncio.to_thread(self._server.start)
            seen.append(message["type"])
            await send(message)

        try:
            await self._app(scope, hear, say)
        except Exception:
            # An application without a lifespan fails at its first sight, and is served all the
            # same; one that fails later has failed.
            if STARTED in seen or "lifespan.startup.failed" in seen:
                raise
            await _own_lifespan(hear, say, is_asked="lifespan.startup" in seen)


async def _own_lifespan(hear: Receive, say: Send, *, is_asked: bool) -> None:
    if not is_asked:
        await hear()
    await say({"type": STARTED})
    await hear()
    await say({"type": STOPPED})
