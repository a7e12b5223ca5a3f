"""This room puts a distance before a relay: `python -m bench.proxy`.

Bytes are passed on in both directions after half the round trip, as many as come: it delays and
limits nothing. A connection opens at the relay half a round trip after it was asked for, so the
greeting comes a whole one after. Nothing is dropped, and nothing overtakes.
"""

import argparse
import heapq
import itertools
import select
import socket
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial

from bench.sinks import START_S, SinkError, free_port, running

_READ_BYTES = 1 << 18


class Proxy:
    """Passes on, later.

    Args:
        listener: Bound and listening.
        relay_port: Where to, on 127.0.0.1.
        delay_s: One way.
    """

    def __init__(self, listener: socket.socket, relay_port: int, delay_s: float) -> None:
        """Begin with no connection."""
        self._listener = listener
        self._relay = ("127.0.0.1", relay_port)
        self._delay_s = delay_s
        self._other: dict[socket.socket, socket.socket] = {}
        # What is to be done when: moment, number of its arrival, what.
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def run(self) -> None:
        """Pass on, for ever."""
        while True:
            # Not epoll: that rounds a wait up to whole milliseconds.
            readable, _, _ = select.select([self._listener, *self._other], [], [], self._wait_s())
            for one in readable:
                if one is self._listener:
                    client, _ = self._listener.accept()
                    self._do_later(partial(self._connect, client))
                else:
                    self._read(one)
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()

    def _wait_s(self) -> float | None:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _do_later(self, action: Callable[[], None]) -> None:
        entry = (time.monotonic() + self._delay_s, next(self._numbers), action)
        heapq.heappush(self._due, entry)

    def _connect(self, client: socket.socket) -> None:
        relay = socket.create_connection(self._relay)
        for one in (client, relay):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._other |= {client: relay, relay: client}

    def _read(self, source: socket.socket) -> None:
        target = self._other[source]
        try:
            received = source.recv(_READ_BYTES)
        except ConnectionError:
            received = b""
        self._do_later(partial(_pass_on, target, received))
        if not received:
            del self._other[source]


def _pass_on(target: socket.socket, received: bytes) -> None:
    # Whoever hung up meanwhile misses nothing.
    with suppress(OSError):
        if received:
            target.sendall(received)
        else:
            target.shutdown(socket.SHUT_WR)


@contextmanager
def open_proxy(relay_port: int, round_trip_ms: float) -> Generator[int]:
    """Run a proxy before a relay; its port. No process at all for a distance of 0.

    Args:
        relay_port: The relay's.
        round_trip_ms: There and back.
    """
    if not round_trip_ms:
        yield relay_port
        return
    port = free_port()
    command = [sys.executable, "-m", "bench.proxy", "--port", str(port)]
    command += ["--relay-port", str(relay_port), "--delay-s", str(round_trip_ms / 2_000)]
    with running(command):
        _wait_until_open(port)
        yield port


def round_trip_ms(port: int, times: int = 9) -> float:
    """Return the median time that a relay's answer to NOOP takes, in milliseconds."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.recv(1024)
        taken: list[float] = []
        for _ in range(times):
            began_s = time.perf_counter()
            client.sendall(b"NOOP\r\n")
            client.recv(1024)
            taken.append((time.perf_counter() - began_s) * 1000)
    return sorted(taken)[times // 2]


def _wait_until_open(port: int) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        try:
            with socket.create_connection(("127.0.0.1", port)) as probe:
                if probe.recv(3) == b"220":
                    return
        except OSError:
            time.sleep(0.01)
    raise SinkError(f"the proxy on port {port} does not answer")


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--relay-port", type=int, required=True)
    parser.add_argument("--delay-s", type=float, required=True)
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port), backlog=1024)
    Proxy(listener, options.relay_port, options.delay_s).run()


if __name__ == "__main__":
    main()
