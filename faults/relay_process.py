"""This room is the relay's own process: the scriptable relay, with a ledger that survives it.

Orders come in by standard input, one JSON object per line, and are answered on standard output.
The ledger is a file to which every line is written before the relay goes on, so it tells what
was on the relay's disk whoever is killed. When its input ends, the relay ends.
"""

import json
import ssl
import sys
import time
from dataclasses import replace
from email.parser import BytesHeaderParser
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from envoi.testing import FaultyRelay, Kept, RelayTraits
from envoi.testing.ledger import Ledger

Order = dict[str, Any]


class FileLedger(Ledger):
    """A ledger whose lines stand in a file before anybody is answered.

    Args:
        file: Where they go.
    """

    def __init__(self, file: TextIO) -> None:
        """Begin behind what stands in it."""
        super().__init__()
        self._file = file

    def keep(self, kept: Kept) -> None:
        """Put a mail on the disk."""
        ids = BytesHeaderParser().parsebytes(kept.content).get_all("Message-ID", [])
        self._write(
            what="kept",
            recipient=kept.recipient,
            message_id=" ".join(str(one) for one in ids),
            digest=sha256(kept.content).hexdigest(),
            connection=kept.connection,
            is_tls=kept.is_tls,
            username=kept.username,
        )
        # The words themselves are not needed any more, and 50,000 of them are large.
        super().keep(replace(kept, content=b""))

    def lie(self, recipient: str) -> None:
        """Note a mail that was acknowledged and thrown away."""
        self._write(what="lied", recipient=recipient)
        super().lie(recipient)

    def enter(self) -> int:
        """Note a new connection; returns its number."""
        number = super().enter()
        self._write(what="connected", connection=number, open=self.open)
        return number

    def leave(self) -> None:
        """Note that a connection is gone."""
        super().leave()
        self._write(what="left", open=self.open)

    def note_sign_in(self) -> None:
        """Note that somebody tried to sign in."""
        self._write(what="sign-in")
        super().note_sign_in()

    def note_violation(self, what: str) -> None:
        """Note that the client broke the protocol."""
        self._write(what="violation", words=what)
        super().note_violation(what)

    def note_offer(self, recipient: str) -> None:
        """Note that a recipient was offered."""
        self._write(what="offer", recipient=recipient)
        super().note_offer(recipient)

    def note_answer(self, recipient: str, stage: str, code: int) -> None:
        """Note what is answered about a recipient's mail."""
        self._write(what="answer", recipient=recipient, stage=stage, code=code)
        super().note_answer(recipient, stage, code)

    def note_content(self, raw: bytes) -> None:
        """Count what must not be in a content."""
        before = self.bare_cr + self.bare_lf + self.smuggling
        super().note_content(raw)
        if self.bare_cr + self.bare_lf + self.smuggling > before:
            self.note_violation("a content that some server would read as two, or a bare CR or LF")

    def _write(self, **line: object) -> None:
        self._file.write(json.dumps({"at_s": time.monotonic(), **line}) + "\n")
        self._file.flush()


def traits_of(table: dict[str, Any]) -> RelayTraits:
    """Return traits as an order names them; `certificate` is a PEM file with key and chain."""
    table = dict(table)
    certificate = table.pop("certificate", "")
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    for key in {"extensions", "mechanisms"} & table.keys():
        table[key] = tuple(table[key])
    return RelayTraits(**table, context=context)


class Operator:
    """Does what the orders say.

    Args:
        relay: The relay.
    """

    def __init__(self, relay: FaultyRelay) -> None:
        """Begin with a relay that does not listen yet."""
        self._relay = relay

    def obey(self, order: Order) -> object:
        """Do one thing and return what is answered."""
        match order.pop("order"):
            case "start":
                self._relay.start()
            case "stop":
                self._relay.stop()
            case "cut":
                self._relay.cut()
            case "become":
                self._relay.traits = traits_of(order)
            case "messages":
                self._relay.messages.play(order["faults"], then=order["then"])
            case "connections":
                self._relay.connections.play(order["faults"], then=order["then"])
            case unknown:
                raise ValueError(f"order: got {unknown!r}")
        return self._relay.port


def main() -> None:
    """Obey until the input ends."""
    ledger_path, port, host = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with ledger_path.open("a", encoding="utf-8") as file:
        relay = FaultyRelay(host=host)
        relay.port = port
        relay.ledger = FileLedger(file)
        operator = Operator(relay)
        for line in sys.stdin:
            print(json.dumps(operator.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
