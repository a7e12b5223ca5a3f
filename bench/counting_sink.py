"""This room is a relay that takes everything and counts: `python -m bench.counting_sink`.

It knows what Postfix's smtp-sink cannot: CHUNKING, the bytes of the contents, the moment of each
answer, and to fall silent. One thread, one loop; where smtp-sink is installed it is faster, and
the raw rates are taken there.
"""

import argparse
import mmap
import selectors
import socket
import struct
import time
from pathlib import Path

# Mails, bytes of their contents, the moment of the last answer in nanoseconds (monotonic).
COUNTERS = struct.Struct("<QQQ")
_OFFERS = ("SIZE 52428800", "8BITMIME", "SMTPUTF8", "PIPELINING")
_READ_BYTES = 1 << 18
_END = b"\r\n.\r\n"


class Counters:
    """What the sink counts, in a file that others may look at while it runs.

    Args:
        path: The file; made here.
    """

    def __init__(self, path: Path) -> None:
        """Make the file."""
        path.write_bytes(bytes(COUNTERS.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), COUNTERS.size)
        self._count = self._bytes = 0

    def add(self, size_bytes: int) -> None:
        """Count a mail whose answer leaves now."""
        self._count += 1
        self._bytes += size_bytes
        self._map[:] = COUNTERS.pack(self._count, self._bytes, time.monotonic_ns())


class Conversation:
    """What one client says.

    Args:
        counters: Where mails are counted.
        offers: What EHLO is answered with.
        is_silent: Whether contents are taken and never answered.
    """

    def __init__(self, counters: Counters, offers: tuple[str, ...], *, is_silent: bool) -> None:
        """Begin with the greeting said."""
        self._counters = counters
        self._ehlo = "".join(f"250-{one}\r\n" for one in ("sink.example", *offers)).encode()
        self._ehlo += b"250 ENHANCEDSTATUSCODES\r\n"
        self._is_silent = is_silent
        self._buffer = bytearray()
        self._in_content = False
        # Left of a BDAT chunk, whether it is the last one, and the size of those before it.
        self._chunk_left, self._is_last, self._chunked = 0, False, 0
        self.is_over = False

    def hear(self, received: bytes) -> bytes:
        """Take what was received; return what is answered."""
        self._buffer += received
        answers: list[bytes] = []
        while (answer := self._step()) is not None:
            answers.append(answer)
        return b"".join(answers)

    def _step(self) -> bytes | None:
        if self._in_content:
            return self._content()
        if self._chunk_left:
            return self._chunk()
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).strip()
        del self._buffer[: end + 1]
        return self._command(line.upper())

    def _command(self, line: bytes) -> bytes:
        match line[:4]:
            case b"DATA":
                self._in_content = True
                # The end of an empty content is a line of its own.
                self._buffer[:0] = b"\r\n"
                return b"354 go on\r\n"
            case b"BDAT":
                return self._begin_chunk(line)
            case b"EHLO":
                return self._ehlo
            case b"QUIT":
                self.is_over = True
                return b"221 2.0.0 bye\r\n"
            case _:
                return b"250 2.1.0 ok\r\n"

    def _content(self) -> bytes | None:
        end = self._buffer.find(_END)
        if end < 0:
            return None
        del self._buffer[: end + len(_END)]
        self._in_content = False
        return self._taken(end)

    def _begin_chunk(self, line: bytes) -> bytes:
        words = line.split()
        self._chunk_left, self._is_last = int(words[1]), words[-1] == b"LAST"
        return b"" if self._chunk_left else self._chunk_ends()

    def _chunk(self) -> bytes | None:
        taken = min(self._chunk_left, len(self._buffer))
        if not taken:
            return None
        del self._buffer[:taken]
        self._chunk_left -= taken
        self._chunked += taken
        return self._chunk_ends() if not self._chunk_left else None

    def _chunk_ends(self) -> bytes:
        if not self._is_last:
            return b"250 2.0.0 ok\r\n"
        size_bytes, self._chunked = self._chunked, 0
        return self._taken(size_bytes)

    def _taken(self, size_bytes: int) -> bytes:
        if self._is_silent:
            return b""
        self._counters.add(size_bytes)
        return b"250 2.0.0 taken\r\n"


class Sink:
    """Listens and answers, for ever.

    Args:
        listener: Bound and listening.
        counters: Where mails are counted.
        offers: What EHLO is answered with.
        is_silent: Whether contents are never answered.
    """

    def __init__(
        self,
        listener: socket.socket,
        counters: Counters,
        offers: tuple[str, ...],
        *,
        is_silent: bool,
    ) -> None:
        """Hold what is needed."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._listener = listener
        self._counters, self._offers, self._is_silent = counters, offers, is_silent

    def run(self) -> None:
        """Answer whoever comes."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._greet()
                else:
                    self._answer(key)

    def _greet(self) -> None:
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"220 sink.example ESMTP\r\n")
        talk = Conversation(self._counters, self._offers, is_silent=self._is_silent)
        self._selector.register(client, selectors.EVENT_READ, talk)

    def _answer(self, key: selectors.SelectorKey) -> None:
        client, talk = key.fileobj, key.data
        assert isinstance(client, socket.socket)
        try:
            received = client.recv(_READ_BYTES)
            answer = talk.hear(received)
            if answer:
                client.sendall(answer)
        except ConnectionError:
            received = b""
        if not received or talk.is_over:
            self._selector.unregister(client)
            client.close()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--counters", type=Path, required=True)
    parser.add_argument("--chunking", action="store_true")
    parser.add_argument("--silent", action="store_true")
    options = parser.parse_args()
    counters = Counters(options.counters)
    listener = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    offers = (*_OFFERS, "CHUNKING") if options.chunking else _OFFERS
    Sink(listener, counters, offers, is_silent=options.silent).run()


if __name__ == "__main__":
    main()
