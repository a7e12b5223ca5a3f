"""A real SMTP server on this machine that keeps every mail as a file and sends none on."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

# Between asking for a free port and listening on it somebody else may take it.
PORT_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """An SMTP server that is listening.

    Args:
        port: On 127.0.0.1.
        folder: Holds one `.eml` file per mail.
    """

    port: int
    folder: Path

    @property
    def mails(self) -> tuple[Path, ...]:
        """The mails taken so far, in order of arrival."""
        return tuple(sorted(self.folder.glob("*.eml")))


@contextmanager
def open_sink(folder: Path, refused: frozenset[str] = frozenset()) -> Iterator[Sink]:
    """Listen on a free loopback port.

    Args:
        folder: Gets one `.eml` file per mail; made when missing.
        refused: Addresses that are answered 550, to show what a refusal looks like.
    """
    folder.mkdir(parents=True, exist_ok=True)
    controller = _listening(_Handler(folder, refused))
    try:
        yield Sink(port=int(controller.port), folder=folder)
    finally:
        controller.stop()


class _Handler:
    def __init__(self, folder: Path, refused: frozenset[str]) -> None:
        self._folder = folder
        self._refused = refused
        self._count = 0
        self._lock = threading.Lock()

    async def handle_RCPT(  # noqa: N802 # aiosmtpd's name and arguments
        self,
        _server: SMTP,
        _session: SmtpSession,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if address in self._refused:
            return f"550 5.1.1 <{address}> there is nobody here by this name"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _server: SMTP, _session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802 # same
        with self._lock:
            self._count += 1
            number = self._count
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        recipient = str(envelope.rcpt_tos[0]).replace("/", "_")
        # Who looks into the folder meanwhile sees all of a mail or nothing.
        path = self._folder / f"{number:04d}-{recipient}"
        path.write_bytes(content)
        path.rename(path.with_name(f"{path.name}.eml"))
        return f"250 2.0.0 Ok: queued as {number:04X}"


def _listening(handler: _Handler) -> Controller:
    for tries_left in reversed(range(PORT_TRIES)):
        controller = Controller(
            handler, hostname="127.0.0.1", port=_free_port(), enable_SMTPUTF8=True
        )
        try:
            controller.start()
        except OSError:
            if not tries_left:
                raise
        else:
            return controller
    raise AssertionError("the last try raises")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
