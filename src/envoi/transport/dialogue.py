"""This room speaks the opening commands with a relay: one line out, one bounded reply in.

Blocking, for the thread that opens a connection. Each reply has one deadline as a whole: a relay
that dribbles a byte now and then gains no time (slowloris).
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from envoi.core.delivery import Stage
from envoi.transport.advice import tls_trouble, trouble
from envoi.transport.reply import Answer, GarbledReplyError, ReplyReader, Scrubber

_CHUNK_BYTES = 16 * 1024
_SILENT_ADVICE = {
    Stage.GREETING: (
        "a relay that keeps silent often expects TLS from the first byte: "
        "try smtp.tls = tls, or see whether it is overloaded"
    ),
}


class Dialogue:
    """A connection while it is being opened.

    Args:
        sock: Connected; ours to close.
        timeout_s: For each reply as a whole.
        scrubber: Knows what no reply may carry further.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        sock: socket.socket,
        timeout_s: float,
        scrubber: Scrubber,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing said."""
        self.sock = sock
        self.scrubber = scrubber
        self._timeout_s = timeout_s
        self._clock = clock
        self._reader = ReplyReader()

    @property
    def is_secure(self) -> bool:
        """Whether TLS is on."""
        return isinstance(self.sock, ssl.SSLSocket)

    def ask(self, stage: Stage, line: str) -> Answer:
        """Send one command and return the reply to it.

        Raises:
            TroubleError: The relay hung up, kept silent, or spoke before it was asked.
        """
        self.refuse_early_words(stage)
        try:
            self.sock.settimeout(self._timeout_s)
            self.sock.sendall(line.encode() + b"\r\n")
        except OSError as err:
            raise self._ended(stage, err) from err
        return self.listen(stage)

    def listen(self, stage: Stage) -> Answer:
        """Return the next reply.

        Raises:
            TroubleError: The relay hung up, kept silent, or did not speak SMTP.
        """
        deadline = self._clock() + self._timeout_s
        try:
            while True:
                answer = self._reader.next()
                if answer is not None:
                    return answer
                self._reader.feed(self._receive(deadline))
        except GarbledReplyError as err:
            raise trouble(
                stage,
                f"this is not an SMTP server, or a broken one: {err}",
                "check smtp.host and smtp.port",
            ) from err
        except OSError as err:
            raise self._ended(stage, err) from err

    def refuse_early_words(self, stage: Stage) -> None:
        """Raise TroubleError when bytes wait that nobody asked for (R13, T3)."""
        if not self._reader.is_empty:
            raise trouble(
                stage,
                "the relay, or somebody on the way, spoke before it was asked",
                "the connection was dropped; should it come again, look who sits in between",
            )

    def secure(self, context: ssl.SSLContext, host: str, timeout_s: float) -> None:
        """Put TLS on; what was read in clear and not yet answered is never read again.

        Raises:
            TroubleError: The handshake or the certificate failed.
        """
        self._reader = ReplyReader()
        try:
            self.sock.settimeout(timeout_s)
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
        except (OSError, ValueError) as err:
            # wrap_socket detaches the plain socket first; closing it again does no harm.
            self.close()
            raise tls_trouble(host, err if isinstance(err, OSError) else OSError(str(err))) from err

    def close(self) -> None:
        """Close the connection without a word."""
        self.sock.close()

    def leave(self) -> None:
        """Say goodbye and close; a relay that does not answer is not waited for."""
        with contextlib.suppress(OSError):
            self.sock.settimeout(1)
            self.sock.sendall(b"QUIT\r\n")
        self.close()

    def _receive(self, deadline: float) -> bytes:
        left_s = deadline - self._clock()
        if left_s <= 0:
            raise TimeoutError
        self.sock.settimeout(left_s)
        received = self.sock.recv(_CHUNK_BYTES)
        if not received:
            raise ConnectionResetError
        return received

    def _ended(self, stage: Stage, err: OSError) -> Exception:
        if isinstance(err, TimeoutError):
            because = f"no whole reply within {self._timeout_s:g} s"
            return trouble(stage, because, _SILENT_ADVICE.get(stage, ""))
        return trouble(stage, f"the relay hung up ({err.strerror or 'connection closed'})")
