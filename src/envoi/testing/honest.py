"""This room is a relay that was not written by us: aiosmtpd, to see that we speak with others."""

import asyncio
import ssl
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

_PATIENCE_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A mail that the honest relay took.

    Args:
        mail_from: Envelope sender.
        recipients: Envelope recipients.
        content: Without dot-stuffing.
        username: Who had signed in; empty: nobody.
    """

    mail_from: str
    recipients: tuple[str, ...]
    content: bytes
    username: str


class HonestRelay:
    """aiosmtpd on a free loopback port; usable as a context manager.

    Args:
        tls: How TLS begins; with `starttls` it takes nothing without it.
        context: Its certificate; needed unless `tls` is `none`.
        username: Who may send; empty: everybody.
        password: Its password.
    """

    def __init__(
        self,
        *,
        tls: Literal["none", "starttls", "tls"] = "none",
        context: ssl.SSLContext | None = None,
        username: str = "",
        password: str = "",
    ) -> None:
        """Prepare; `start` opens the port."""
        self.host = "127.0.0.1"
        self.port = 0
        self._tls = tls
        self._context = context
        self._login = (username.encode(), password.encode())
        self._accepted: list[Accepted] = []
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._listening: Future[int] = Future()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def accepted(self) -> list[Accepted]:
        """The mails it took, in order."""
        return list(self._accepted)

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        self.port = self._listening.result(_PATIENCE_S)

    def stop(self) -> None:
        """Stop listening and cut what is open."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        try:
            server = await asyncio.get_running_loop().create_server(
                self._protocol, self.host, 0, ssl=self._context if self._tls == "tls" else None
            )
        except OSError as err:
            self._listening.set_exception(err)
            return
        self._listening.set_result(server.sockets[0].getsockname()[1])
        await self._stopping.wait()
        server.close()

    def _protocol(self) -> "SMTP":
        from aiosmtpd.smtp import SMTP  # noqa: PLC0415 # optional: only these tests need it

        has_login = bool(self._login[0])
        return SMTP(
            self,
            hostname="honest.test",
            enable_SMTPUTF8=True,
            tls_context=self._context if self._tls == "starttls" else None,
            require_starttls=self._tls == "starttls",
            authenticator=self._check if has_login else None,
            # aiosmtpd knows no other TLS than STARTTLS, and warns of demands without it.
            auth_required=has_login and self._tls == "starttls",
            auth_require_tls=self._tls == "starttls",
            loop=self._loop,
        )

    async def handle_DATA(self, server: "SMTP", session: "Session", envelope: "Envelope") -> str:  # noqa: ARG002, N802 # aiosmtpd's
        """Take a mail; aiosmtpd calls this."""
        content = envelope.content
        self._accepted.append(
            Accepted(
                mail_from=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                content=content if isinstance(content, bytes) else b"",
                username=self._login[0].decode() if session.authenticated else "",
            )
        )
        return f"250 2.0.0 taken as number {len(self._accepted)}"

    def _check(
        self,
        server: "SMTP",  # noqa: ARG002 # aiosmtpd's signature
        session: "Session",  # noqa: ARG002 # same
        envelope: "Envelope",  # noqa: ARG002 # same
        mechanism: str,  # noqa: ARG002 # same
        login: "LoginPassword",
    ) -> "AuthResult":
        from aiosmtpd.smtp import AuthResult  # noqa: PLC0415 # optional, as above

        is_right = (login.login, login.password) == self._login
        return AuthResult(success=is_right, handled=False, auth_data=self._login[0].decode())
