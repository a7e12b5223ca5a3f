"""This room is where a row happens: a folder, an outbox, a relay, workers and the accepted mail."""

import random
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tomlkit

from envoi import Mailbox, Mailer, ReadyMail
from envoi.addresses import parse_address
from envoi.cli.deliveries import every
from envoi.core.delivery import State
from envoi.core.kind import MailClass
from envoi.outbox.filters import Query
from envoi.outbox.find import Listed, stats
from envoi.outbox.relay import workers
from faults.process import PATIENCE_S, Process, surroundings
from faults.relay import Relay
from faults.row import Engine, Tally
from faults.verdict import Disruption, Truth, tally
from faults.waiting import wait_for
from tests.postgres import PostgresServer

# The smallest lease that the settings take: what a dead worker held comes back after it.
LEASE_S = 2
# Half of the usual number, so that two rows at a time leave the machine some room.
CONNECTIONS = 4
# Nothing that is accepted may wait longer than this when nothing is wrong any more.
FINISH_S = 60.0

Sections = dict[str, dict[str, object]]

# Times are short so that a row ends soon; what they mean for each other is as in production.
USUAL: Sections = {
    "application": {"base_url": "https://code.example.test", "from": "Code <no@example.test>"},
    "smtp": {
        "host": "127.0.0.1",
        "connections": CONNECTIONS,
        "messages_per_connection": 100_000,
        "idle_s": 60,
    },
    "delivery": {
        "lease_s": LEASE_S,
        "uncertain_wait_s": 0,
        "first_retry_s": 1,
        "longest_retry_s": 4,
        "relay_retry_longest_s": 1,
        "poll_ms": 50,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the runner hands to a row.

    Args:
        folder: An empty folder of its own.
        url: A fresh outbox with tables.
        engine: Its engine.
        is_quick: Whether the quick form is wanted.
        messages: How many a row takes; 0: as many as it likes.
        server: The PostgreSQL server, when the row asked for one of its own.
    """

    folder: Path
    url: str
    engine: Engine
    is_quick: bool = False
    messages: int = 0
    server: PostgresServer | None = None


class Site:
    """Everything a row works with; closed by whoever made it.

    Args:
        ground: What it stands on.
    """

    def __init__(self, ground: Ground) -> None:
        """Write usual settings; relay, mailer and processes come when they are asked for."""
        self.ground = ground
        self.folder = ground.folder
        self.url = ground.url
        self.relay_host = "127.0.0.1"
        self.engine = ground.engine
        self.is_quick = ground.is_quick
        self.config = ground.folder / "envoi.toml"
        self.accepted: list[str] = []
        self.disruptions: list[Disruption] = []
        self.content_timeout_s = 600.0
        self.query = Query()
        self.processes: list[Process] = []
        self._sections: Sections = {name: dict(table) for name, table in USUAL.items()}
        self._mailers: list[Mailer] = []

    # What it is made of.

    @property
    def server(self) -> PostgresServer:
        """The row's own PostgreSQL server; only for rows with `has_own_server`."""
        assert self.ground.server is not None, "the row needs has_own_server=True"
        return self.ground.server

    @cached_property
    def relay(self) -> Relay:
        """The relay, in a process of its own."""
        return Relay(self.folder, self.relay_host)

    @cached_property
    def mailer(self) -> Mailer:
        """The application's mailer, in this process."""
        return self.open_mailer()

    def open_mailer(self) -> Mailer:
        """Return one more mailer by the settings as they are now."""
        if not self.config.exists():
            self.set()
        mailer = Mailer.from_file(self.config)
        self._mailers.append(mailer)
        return mailer

    def set(self, **sections: Mapping[str, object]) -> None:
        """Change settings; processes and mailers that are there keep what they have read."""
        for name, table in sections.items():
            self._sections.setdefault(name, {}).update(table)
        self._sections["smtp"].setdefault("port", self.relay.port)
        self._sections["outbox"] = {"url": self.url, **self._sections.get("outbox", {})}
        wait_s = float(str(self._sections["smtp"].get("content_timeout_s", 600)))
        # The shortest of all rounds: an answer that comes later may have met nobody.
        self.content_timeout_s = min(self.content_timeout_s, wait_s)
        self.config.write_text(tomlkit.dumps(self._sections), "utf-8")

    def count(self, full: int, quick: int) -> int:
        """Return how many messages a row takes: in full, in the quick form, or as was asked."""
        return self.ground.messages or (quick if self.is_quick else full)

    def dice(self, seed: int) -> random.Random:
        """Return the chances of this round, the same for the same seed."""
        return random.Random(seed)

    # Who is written to.

    def enqueue(
        self,
        count: int,
        prefix: str = "",
        *,
        mail_class: MailClass = MailClass.NOTICE,
        per_message: int = 50,
    ) -> list[str]:
        """Hand over mail for so many people and return their addresses.

        Args:
            count: How many; the addresses are `<prefix>u<number>@x.test` and never repeat.
            prefix: How the relay treats them, e.g. `perm-`; see `envoi.testing`.
            mail_class: Its place in the queue.
            per_message: So many get the same message.
        """
        first = len(self.accepted)
        names = [f"{prefix}u{first + number}@x.test" for number in range(count)]
        for start in range(0, count, per_message):
            some = names[start : start + per_message]
            self.mailer.send(self.mail(some, mail_class), strict=True)
            self.accepted += some
        return names

    def mail(
        self, addresses: Iterable[str], mail_class: MailClass = MailClass.NOTICE, key: str = ""
    ) -> ReadyMail:
        """Return a mail to these, for whoever hands it over himself; note `accepted` then."""
        boxes = tuple(Mailbox(parse_address(address)) for address in addresses)
        text = "Something happened.\n" * 20
        return ReadyMail(bcc=boxes, subject="News", text=text, mail_class=mail_class, key=key)

    # Processes.

    def work(self) -> Process:
        """Start a worker process, as a supervisor would."""
        return self.start("-m", "envoi", "work")

    def start(self, *words: str, **env: str) -> Process:
        """Start a program beside the settings; see `Process`."""
        if not self.config.exists():
            self.set()
        name = f"process{len(self.processes)}"
        env = {"ENVOI_CONFIG": str(self.config), **env}
        process = Process(words, self.folder, name, env)
        self.processes.append(process)
        return process

    def kill(self, *processes: Process, excuses: int = CONNECTIONS) -> None:
        """Kill workers and note that each may have left as many copies as it had connections."""
        began_at_s = time.monotonic()
        for process in processes:
            process.kill()
        self.disrupt("kill -9", excuses * len(processes), began_at_s)

    def disrupt(self, what: str, excuses: int, began_at_s: float = 0.0) -> None:
        """Note a moment at which an answer of the relay may have been lost with its hearer.

        Args:
            what: In words.
            excuses: How many copies it can explain: the contents under way, no more.
            began_at_s: When it began, monotonic seconds; now by default.
        """
        now_s = time.monotonic()
        self.disruptions.append(
            Disruption(what=what, excuses=excuses, began_at_s=began_at_s or now_s, ended_at_s=now_s)
        )

    def command(self, *words: str, timeout_s: float = PATIENCE_S) -> str:
        """Run an `envoi` command as an operator would and return what it prints.

        Raises:
            subprocess.CalledProcessError: It did not end well.
        """
        done = subprocess.run(
            (sys.executable, "-m", "envoi", *words),
            cwd=self.folder,
            env={**surroundings(), "ENVOI_CONFIG": str(self.config)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=True,
        )  # fmt: skip
        return done.stdout

    # What became of it.

    @property
    def states(self) -> dict[State, int]:
        """Deliveries by state; states without any are left out."""
        outbox = self.mailer.parts.outbox
        with outbox.reading() as tx:
            found = stats(tx, self.mailer.parts.clock())
        return {state: count for state, count in found.by_state.items() if count}

    @property
    def live_workers(self) -> dict[int, str]:
        """Names of the workers that have signed on, by process id."""
        with self.mailer.parts.outbox.reading() as tx:
            return {worker.pid: worker.name for worker in workers(tx)}

    @property
    def begun(self) -> AbstractSet[str]:
        """To whom the contents go that may have left and whose answer is not recorded."""
        with self.mailer.parts.outbox.reading() as tx:
            rows = tx.execute(
                "SELECT address FROM envoi_delivery WHERE state = 'sending' AND begun = 1", {}
            )
        return {str(address) for (address,) in rows}

    @property
    def deliveries(self) -> list[Listed]:
        """Every delivery that `query` asks for, all by default, oldest first."""
        with self.mailer.parts.outbox.reading() as tx:
            return list(every(tx, self.query))[::-1]

    def wait_for_states(self, timeout_s: float = FINISH_S, **states: int) -> None:
        """Wait until the outbox holds exactly these."""
        wanted = {State(name): count for name, count in states.items()}
        wait_for(lambda: self.states == wanted, f"states {states}", timeout_s, tick_s=0.05)

    def wait_until_settled(self, timeout_s: float = FINISH_S) -> None:
        """Wait until nothing is queued, under way or in doubt."""
        open_states = {State.QUEUED, State.SENDING, State.UNCERTAIN}
        what = "everything settled"
        wait_for(lambda: not open_states & self.states.keys(), what, timeout_s, tick_s=0.05)

    def finish(self, timeout_s: float = FINISH_S) -> Tally:
        """Let a worker without faults deliver what is left, and return the tally."""
        process = self._work_for_sure(timeout_s)
        self.wait_until_settled(timeout_s)
        code = process.stop()
        found = self.tally()
        found.expect(code == 0, f"a worker that was asked to stop ended with {code}")
        return found

    def _work_for_sure(self, timeout_s: float) -> Process:
        """Start a worker until one stays, as a supervisor would; it has signed on by then.

        A database that has just lost a hundred clients may have no room for the next one yet.
        """
        process = self.work()

        def has_signed_on() -> bool:
            nonlocal process
            if not process.is_alive:
                process = self.work()
            return process.pid in self.live_workers

        wait_for(has_signed_on, "the worker to sign on", timeout_s, tick_s=0.1)
        return process

    def tally(self, *, may_fail: Iterable[str] = (), may_be: Sequence[State] = ()) -> Tally:
        """Compare the outbox with the relay's ledger.

        Args:
            may_fail: Recipients who may have failed although the relay refused nothing for good.
            may_be: End states that the row asked for itself, such as `cancelled`.
        """
        truth = Truth(
            accepted=tuple(self.accepted),
            deliveries=tuple(self.deliveries),
            evidence=self.relay.evidence,
            disruptions=tuple(self.disruptions),
            content_timeout_s=self.content_timeout_s,
            may_fail=frozenset(may_fail),
            may_be=frozenset(may_be),
        )
        return tally(truth)

    def close(self) -> None:
        """End everything that was started."""
        for process in self.processes:
            process.close()
        for mailer in self._mailers:
            mailer.close()
        if "relay" in self.__dict__:
            self.relay.close()
