"""Where worker processes run: settings in a file, an outbox, a relay, and what became of mail."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tomlkit

from envoi import Mailbox, Mailer, ReadyMail
from envoi.addresses import parse_address
from envoi.core.delivery import State
from envoi.outbox.find import Stats, stats
from envoi.outbox.relay import workers
from envoi.testing.relay import FaultyRelay

ROOT = Path(__file__).parents[2]
# For what no engine does differently: starting processes takes most of this room's time.
ON_ONE_ENGINE = pytest.mark.parametrize("outbox_url", ["sqlite"], indirect=True)
# Long enough for a machine with far more to do than this; nothing waits for it when all is well.
PATIENCE_S = 45
CONNECTIONS = 4
# The smallest lease that the settings take, so that what a dead worker held comes back soon.
LEASE_S = 2

USUAL: dict[str, dict[str, object]] = {
    "application": {"base_url": "https://code.example.test", "from": "Code <no@example.test>"},
    # Connections are not renewed here, so that the relay never sees an old one beside its heir.
    "smtp": {
        "host": "127.0.0.1",
        "connections": CONNECTIONS,
        "messages_per_connection": 100_000,
        "idle_s": 60,
    },
    "delivery": {"lease_s": LEASE_S, "uncertain_wait_s": 0, "first_retry_s": 1, "poll_ms": 20},
}


def wait_until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


class Process:
    """A process of ours, with its log."""

    def __init__(
        self, words: list[str], folder: Path, name: str, before: Sequence[str] = (), **env: str
    ) -> None:
        self.log_path = folder / f"{name}.log"
        with self.log_path.open("w") as log:
            self.popen = subprocess.Popen(
                [*before, sys.executable, *words],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **env},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.popen.kill()
        self.popen.wait(PATIENCE_S)

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """Ask it to end; its exit code."""
        self.popen.terminate()
        return self.popen.wait(timeout_s)

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.kill()


class Site:
    """A folder with `envoi.toml`, and everything that runs by it."""

    def __init__(self, folder: Path, url: str, relay: FaultyRelay, sections: dict) -> None:
        self.folder = folder
        self.url = url
        self.relay = relay
        self.ledger = relay.ledger
        self.config = folder / "envoi.toml"
        self._processes: list[Process] = []
        tables: dict[str, dict[str, object]] = {name: {**table} for name, table in USUAL.items()}
        tables["smtp"]["port"] = relay.port
        tables["outbox"] = {"url": url}
        for name, table in sections.items():
            tables.setdefault(name, {}).update(table)
        self.config.write_text(tomlkit.dumps(tables), "utf-8")
        self.mailer = Mailer.from_file(self.config)

    def work(self) -> Process:
        """Start a worker process, as a supervisor would."""
        return self.start("-m", "envoi", "work")

    def start(self, *words: str, before: Sequence[str] = (), **env: str) -> Process:
        """Start a Python program beside the settings, by another program where one is named."""
        name = f"process{len(self._processes)}"
        env["ENVOI_CONFIG"] = str(self.config)
        process = Process(list(words), self.folder, name, before, **env)
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            process.close()
        self.mailer.close()

    def send(self, count: int, prefix: str = "") -> None:
        """Hand over mail for so many people, a hundred per message."""
        boxes = [Mailbox(parse_address(f"{prefix}u{number}@x.test")) for number in range(count)]
        for start in range(0, count, 100):
            mail = ReadyMail(bcc=tuple(boxes[start : start + 100]), subject="Hi", text="Hello")
            self.mailer.send(mail, strict=True)

    def work_here(self) -> None:
        """Deliver everything that is due, in this process."""
        worker = self.mailer.make_worker()
        worker.run_until_idle()
        worker.drain()

    @property
    def stats(self) -> Stats:
        with self.mailer.parts.outbox.reading() as tx:
            return stats(tx, self.mailer.parts.clock())

    @property
    def states(self) -> dict[State, int]:
        """Deliveries by state; states without any are left out."""
        return {state: count for state, count in self.stats.by_state.items() if count}

    @property
    def live_workers(self) -> dict[int, str]:
        """Names of the workers that have signed on, by process id."""
        with self.mailer.parts.outbox.reading() as tx:
            return {worker.pid: worker.name for worker in workers(tx)}

    def wait_for_states(self, patience_s: float = PATIENCE_S, **states: int) -> None:
        """Wait until the outbox holds exactly these."""
        wanted = {State(name): count for name, count in states.items()}
        deadline = time.monotonic() + patience_s
        while (found := self.states) != wanted:
            assert time.monotonic() < deadline, f"expected {wanted}, got {found}"
            time.sleep(0.02)

    @property
    def copies(self) -> dict[str, int]:
        """How many copies the relay has, by recipient."""
        return Counter(kept.recipient for kept in self.ledger.kept)

    @property
    def duplicates(self) -> int:
        """How many more copies the relay has than it should."""
        return sum(self.copies.values()) - len(self.copies)

    def assert_copies_are_equal(self) -> None:
        """Every copy of a mail has the same Message-ID and the same bytes, and no other mail's."""
        contents = defaultdict(set)
        for kept in self.ledger.kept:
            contents[kept.recipient].add(kept.content)
        for recipient, versions in contents.items():
            assert len(versions) == 1, f"{recipient} got {len(versions)} different mails"
        ids = {message_id(version) for versions in contents.values() for version in versions}
        assert len(ids) == len(contents)


def message_id(content: bytes) -> bytes:
    """The Message-ID header of a mail; parsing thousands would take longer than sending them."""
    [found] = re.findall(rb"(?mi)^message-id: (<[^>]+>)", content)
    return found
