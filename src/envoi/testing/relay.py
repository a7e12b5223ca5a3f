"""This room is an SMTP server for tests, on a real loopback socket, that misbehaves by name.

with FaultyRelay() as relay:
    relay.connections.play(["greet_421"] * 3)  # then clean
    relay.messages.play(["end_451", "drop_kept"])
    ...
    assert [kept.recipient for kept in relay.kept] == ["ann@example.org"]
"""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

from envoi.testing.conversation import Conversation, House
from envoi.testing.faults import Script
from envoi.testing.ledger import Kept, Ledger, RelayTraits
from envoi.testing.wire import Wire


class FaultyRelay:
    """A scriptable SMTP server; usable as a context manager.

    Args:
        traits: What it is like; plain and open by default.
        host: Where it listens.

    Attributes:
        connections: Script of faults by connection.
        messages: Script of faults by mail offered.
        ledger: What it has and saw.
    """

    def __init__(self, traits: RelayTraits | None = None, *, host: str = "127.0.0.1") -> None:
        """Prepare; `start` opens the port."""
        self.traits = traits or RelayTraits()
        self.host = host
        self.port = 0
        self.connections = Script()
        self.messages = Script()
        self.ledger = Ledger()
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._wires: set[Wire] = set()

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
    def kept(self) -> list[Kept]:
        """The mails it has, in order of arrival."""
        return self.ledger.kept

    def start(self) -> None:
        """Listen; after `stop` on the same port again, as a relay that comes back."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self.port), family=family, backlog=128)
        self.port = self._listener.getsockname()[1]
        self._stopping = threading.Event()
        thread = threading.Thread(target=self._listen, args=(self._listener,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Cut every connection and close the port."""
        self._stopping.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        # The listening thread first: it may just be taking in one more.
        for thread in self._threads[:1]:
            thread.join(10)
        self.cut()
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()

    def cut(self) -> None:
        """Cut every connection; the port stays open."""
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            wire.cut()

    def _listen(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            is_pipelined = "PIPELINING" in self.traits.extensions
            wire = Wire(sock, self.ledger, self._stopping, is_pipelined=is_pipelined)
            with self._lock:
                self._wires.add(wire)
            number = self.ledger.enter()
            thread = threading.Thread(target=self._converse, args=(wire, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _converse(self, wire: Wire, number: int) -> None:
        house = House(
            traits=self.traits,
            ledger=self.ledger,
            connections=self.connections,
            messages=self.messages,
            stopping=self._stopping,
        )
        try:
            Conversation(house, wire, number).run()
        finally:
            with self._lock:
                self._wires.discard(wire)
            wire.close()
            self.ledger.leave()
