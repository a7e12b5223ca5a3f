"""This room orders about the relay that runs in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from envoi.testing import Fault
from faults.evidence import Evidence
from faults.process import PATIENCE_S, ROOT
from faults.waiting import wait_for


class Relay:
    """A scriptable relay and what its ledger says.

    Args:
        folder: Where the ledger lies.
        host: Where it listens.

    Attributes:
        port: Where it listens, also when it comes back.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        """Start it; it listens, and is well until told otherwise."""
        self._folder = folder
        self._host = host
        self._evidence = Evidence(folder / "relay.jsonl")
        self.port = 0
        self._popen = self._begin()

    @property
    def evidence(self) -> Evidence:
        """What the ledger says now."""
        return self._evidence.read()

    def become(self, **traits: object) -> None:
        """Change what it is like: `RelayTraits` by name, `certificate` a PEM file with its key."""
        self._order("become", **traits)

    def at_messages(self, faults: Sequence[str], then: str = "") -> None:
        """Play faults with the next mails, then one for ever; see `envoi.testing.Fault`."""
        self._order("messages", faults=_named(faults), then=Fault(then))

    def at_connections(self, faults: Sequence[str], then: str = "") -> None:
        """Play faults with the next connections, then one for ever."""
        self._order("connections", faults=_named(faults), then=Fault(then))

    def stop(self) -> None:
        """Cut everything and close the port."""
        self._order("stop")

    def start(self) -> None:
        """Listen again on the same port."""
        self._order("start")

    def cut(self) -> None:
        """Cut every connection."""
        self._order("cut")

    def kill(self) -> None:
        """End its process as a power cut would; what it kept stays on its disk."""
        self._popen.kill()
        self._popen.wait(PATIENCE_S)

    def revive(self) -> None:
        """Start a new process on the same port, with nothing scripted, after `kill`."""
        self._popen = self._begin()

    def wait_for(self, count: int, timeout_s: float = PATIENCE_S) -> None:
        """Wait until so many mails are on its disk."""
        wait_for(lambda: self.evidence.kept >= count, f"{count} mails at the relay", timeout_s)

    def close(self) -> None:
        """End it."""
        self.kill()

    def _begin(self) -> "subprocess.Popen[str]":
        place = (str(self._evidence.path), str(self.port), self._host)
        words = ("-m", "faults.relay_process", *place)
        with (self._folder / "relay.log").open("a") as log:
            self._popen = subprocess.Popen(
                (sys.executable, *words),
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self.port = cast("int", self._order("start"))
        return self._popen

    def _order(self, order: str, **more: object) -> object:
        stdin, stdout = self._popen.stdin, self._popen.stdout
        cast("IO[str]", stdin).write(json.dumps({"order": order, **more}) + "\n")
        cast("IO[str]", stdin).flush()
        answer = cast("IO[str]", stdout).readline()
        if not answer:
            log = (self._folder / "relay.log").read_text("utf-8", "replace")
            raise RuntimeError(f"the relay's process ended at {order!r}: {log[-2000:]}")
        return json.loads(answer)


def _named(faults: Sequence[str]) -> list[str]:
    # Here, where a wrong name has a traceback that leads to the row.
    return [str(Fault(fault)) for fault in faults]
