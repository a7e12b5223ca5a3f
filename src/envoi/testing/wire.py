"""This room is a test relay's side of the wire: lines in, replies out, and ways to be rude."""

import contextlib
import socket
import ssl
import threading
from typing import NoReturn

from envoi.testing.ledger import Ledger

# RFC 5321 4.5.3.1.4 allows 512 octets a command; a whole SMTPUTF8 address with parameters more.
_MAX_COMMAND_BYTES = 1024
# RFC 5321 4.5.3.1.6: 1000 octets with CRLF.
_MAX_TEXT_LINE_BYTES = 1000
_TICK_S = 0.02
_PATIENCE_S = 60


class HangUpError(Exception):
    """The conversation is over."""


class Wire:
    """A client's connection as the server sees it.

    Args:
        sock: The client; ours to close.
        ledger: Where violations are noted.
        stopping: Set when the relay stops.
        is_pipelined: Whether the client may send several commands at once.
    """

    def __init__(
        self, sock: socket.socket, ledger: Ledger, stopping: threading.Event, *, is_pipelined: bool
    ) -> None:
        """Begin with nothing read."""
        self._sock = sock
        self._sock.settimeout(_PATIENCE_S)
        self._ledger = ledger
        self._stopping = stopping
        self._is_pipelined = is_pipelined
        self._received = b""
        self._unsent = b""

    @property
    def is_secure(self) -> bool:
        """Whether TLS is on."""
        return isinstance(self._sock, ssl.SSLSocket)

    def reply(self, *lines: str) -> None:
        """Answer; several answers to one group of commands go out together."""
        self._unsent += b"".join(line.encode() + b"\r\n" for line in lines)
        if not self._received:
            self.flush()

    def flush(self) -> None:
        """Send what was answered."""
        unsent, self._unsent = self._unsent, b""
        self._sock.sendall(unsent)

    def hang_up_with(self, line: str) -> NoReturn:
        """Answer and hang up."""
        self.reply(line)
        self.hang_up()

    def hang_up(self) -> NoReturn:
        """End the conversation, after what was answered."""
        self.flush()
        raise HangUpError

    def hang(self) -> NoReturn:
        """Keep silent until the client hangs up or the relay stops."""
        self.flush()
        self._sock.settimeout(_TICK_S)
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                if not self._sock.recv(65536):
                    break
        raise HangUpError

    def dribble(self) -> NoReturn:
        """Greet one byte at a time, without end."""
        while not self._stopping.wait(_TICK_S):
            self._sock.sendall(b"2")
        raise HangUpError

    def secure(self, context: ssl.SSLContext) -> None:
        """Put TLS on; what came in clear before counts no more (G1)."""
        if self._received:
            self._ledger.note_violation("commands in clear behind STARTTLS")
            self._received = b""
        self._sock = context.wrap_socket(self._sock, server_side=True)

    def refuse_early_words(self, when: str) -> None:
        """Note a violation when bytes came that must not be here yet."""
        if self._received:
            self._ledger.note_violation(f"bytes {when}")

    def read_command(self) -> str:
        """Return the next command."""
        line = self.read_line()
        if len(line) > _MAX_COMMAND_BYTES:
            self._ledger.note_violation(f"a command of {len(line)} bytes")
        if self._received and not self._is_pipelined:
            self._ledger.note_violation("commands in a group although PIPELINING was not offered")
        return line.decode("utf-8", "replace")

    def read_line(self) -> bytes:
        """Return the next line without its end."""
        while b"\n" not in self._received:
            self._receive()
        line, self._received = self._received.split(b"\n", 1)
        if not line.endswith(b"\r"):
            self._ledger.note_violation("a command that ends with a bare LF")
        return line.removesuffix(b"\r")

    def swallow(self) -> None:
        """Take in whatever comes next and make nothing of it."""
        if not self._received:
            self._receive()
        self._received = b""

    def read_content(self, *, is_cut: bool) -> bytes:
        """Return a content as it came, up to its final dot; or hang up in the middle."""
        # The CRLF before the first line is the one that ended DATA.
        content = b"\r\n"
        while True:
            content += self._received
            self._received = b""
            if is_cut and len(content) > len(b"\r\n"):
                self.flush()
                raise HangUpError
            end = content.find(b"\r\n.\r\n")
            if end >= 0:
                break
            self._receive()
        self._received = content[end + 5 :]
        raw = content[2 : end + 2]
        if any(len(line) > _MAX_TEXT_LINE_BYTES - 2 for line in raw.split(b"\r\n")):
            self._ledger.note_violation("a line of text beyond 998 bytes")
        return raw

    def read_octets(self, count: int, *, is_cut: bool) -> bytes:
        """Return so many octets; or hang up in the middle."""
        while len(self._received) < count or is_cut:
            if is_cut and self._received:
                self.flush()
                raise HangUpError
            self._receive()
        octets, self._received = self._received[:count], self._received[count:]
        return octets

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def cut(self) -> None:
        """Cut the connection from another thread."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> None:
        self.flush()
        received = self._sock.recv(65536)
        if not received:
            raise HangUpError
        self._received += received
