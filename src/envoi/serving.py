"""This room tells that a server went up or down: once per server, however many processes it has.

A process says `Server(mailer).start()` when it begins and `stop()` when it ends in order. What
that means for the server is decided in the outbox, in the same transaction that stores the mail
(`core.standing`). Nothing here may stop an application: what the outbox refuses is journaled.
"""

import os
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from envoi.assembly import Parts
from envoi.core.event import Event, cleaned
from envoi.core.kind import Kind, Plain
from envoi.core.standing import STALE_MS, Down, Standing, Turn, Up, decided, joined, left
from envoi.errors import EnvoiError
from envoi.journal import Fact
from envoi.outbox import servers
from envoi.outbox.servers import Instance, ServerName
from envoi.seams import Tx
from envoi.walked import Walked, report

if TYPE_CHECKING:
    from envoi.mailer import Mailer

UP, DOWN = "server_up", "server_down"
# The relay is asked for so long at a shutdown; what remains is sent by the next worker.
DRAIN_S = 5.0

Store = Callable[[Kind, Event, Tx], Walked]


class Overseer:
    """Keeps what is known of servers, and stores what is to be told of them.

    Args:
        parts: The outbox's parts.
        store: Stores an event of a kind within a transaction.
    """

    def __init__(self, parts: Parts, store: Store) -> None:
        """Hold the parts."""
        self._parts = parts
        self._store = store

    def join(self, server: ServerName, instance: Instance) -> bool:
        """Take a process in; whether anybody is told."""
        now_ms = instance.seen_at_ms

        def step(tx: Tx, before: Standing) -> tuple[Standing, tuple[Turn, ...]]:
            has_others = self._has_others(tx, server, instance)
            servers.beat(tx, server, instance)
            return joined(before, now_ms, has_others=has_others)

        return self._take(server, step)

    def leave(self, server: ServerName, instance: Instance, grace_ms: int) -> bool:
        """Let a process go; whether anybody is told."""
        now_ms = instance.seen_at_ms

        def step(tx: Tx, before: Standing) -> tuple[Standing, tuple[Turn, ...]]:
            servers.remove(tx, instance.id)
            has_others = self._has_others(tx, server, instance)
            return left(before, now_ms, grace_ms, has_others=has_others)

        return self._take(server, step)

    def beat(self, server: ServerName, instance: Instance) -> None:
        """Say that a process lives."""
        with self._parts.outbox.transaction(is_synced=False) as tx:
            servers.beat(tx, server, instance)

    def look(self, now_ms: int) -> bool:
        """Decide which servers are down that may be; whether anybody is told."""
        with self._parts.outbox.reading() as tx:
            due = servers.due_servers(tx, now_ms)
        told = [self._decide(server, now_ms) for server in due]
        return any(told)

    def _decide(self, server: ServerName, now_ms: int) -> bool:
        nobody = Instance(id="", host=socket.gethostname(), pid=0, seen_at_ms=now_ms)

        def step(tx: Tx, before: Standing) -> tuple[Standing, tuple[Turn, ...]]:
            return decided(before, now_ms, has_others=self._has_others(tx, server, nobody))

        return self._take(server, step)

    def _take(
        self,
        server: ServerName,
        step: Callable[[Tx, Standing], tuple[Standing, tuple[Turn, ...]]],
    ) -> bool:
        with self._parts.outbox.transaction() as tx:
            after, turns = step(tx, servers.standing(tx, server))
            servers.keep_standing(tx, server, after)
            told = [self._tell(tx, server, turn) for turn in turns]
        for walked in told:
            report(self._parts.journal, walked.mails, walked.undetermined)
        is_told = any(walked.mails or walked.is_routing for walked in told)
        if is_told:
            self._parts.outbox.ring()
        return is_told

    def _tell(self, tx: Tx, server: ServerName, turn: Turn) -> Walked:
        facts: dict[str, Plain] = {"server": server.name, "host": socket.gethostname()}
        if self._parts.identity(server.application).base_url:
            facts["url"] = "/"
        match turn:
            case Up(at_ms=at_ms, lost_at_ms=lost_at_ms):
                name, facts = UP, {**facts, "started_at": at_ms}
                facts |= {"last_seen": lost_at_ms} if lost_at_ms else {}
            case Down(at_ms=at_ms):
                name, facts = DOWN, {**facts, "stopped_at": at_ms}
        kind = self._parts.catalogue.kind(name)
        event = Event(
            kind=name,
            subject=f"server/{server.name or server.application}",
            facts=facts,
            occurred_at_ms=turn.at_ms,
            application=server.application,
        )
        return self._store(kind, cleaned(event, kind), tx)

    def _has_others(self, tx: Tx, server: ServerName, me: Instance) -> bool:
        living = False
        for one in servers.instances(tx, server):
            if one.id == me.id:
                continue
            if _is_gone(one, me):
                servers.remove(tx, one.id)
            else:
                living = True
        return living


def _is_gone(one: Instance, me: Instance) -> bool:
    if one.seen_at_ms < me.seen_at_ms - STALE_MS:
        return True
    # After a kill -9 the next start must not wait until nobody has seen the dead for long. In a
    # container every process has the same number: what has ours is not we, so it was before us.
    return one.host == me.host and (one.pid == me.pid or not is_alive(one.pid))


def is_alive(pid: int) -> bool:
    """Whether a process of this machine lives; one that has ended and was not waited for does not.

    The worker that gunicorn kills at the end of a shutdown is such a one while `on_exit` runs.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's process
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
    except OSError:
        return True  # no Linux, or it may not be looked at
    return state != b"Z"


class Server:
    """One process of a server: `start()` and `stop()`, or `with Server(mailer): ...`.

    Args:
        mailer: Hands over what is told.
        name: Name of the server, where an application has several.
        application: Which application of the outbox speaks.
        grace_s: How long the place of the last process may be empty while it is replaced, in
            seconds; a worker decides then. 0, the default: the last one that leaves ends the
            server. Too short reports a worker that is recycled as a shutdown; too long delays
            the report of a real one until a worker runs.
    """

    def __init__(
        self, mailer: "Mailer", *, name: str = "", application: str = "main", grace_s: float = 0
    ) -> None:
        """Say nothing yet."""
        self._mailer = mailer
        self._overseer = Overseer(mailer.parts, mailer.walk.store)
        self._server = ServerName(application, name)
        self._grace_ms = int(grace_s * 1000)
        self._id = ""
        self._pid = 0
        self._is_in = False
        self._must_end = Signal()

    def start(self) -> None:
        """Say that this process serves, and go on saying so. May be repeated."""
        if self._pid == os.getpid():
            return
        self._pid, self._id = os.getpid(), uuid.uuid4().hex
        self._must_end = Signal()
        self._is_in = self._try(UP, self._join)
        Thread(target=self._beat, args=(self._must_end,), name="envoi-server", daemon=True).start()

    def leave(self) -> bool:
        """Say that this process ends in order; whether anybody is told. May be repeated."""
        # A process forked from one that serves is another, which has nothing to leave.
        if self._pid != os.getpid():
            return False
        self._pid = 0
        self._must_end.set()
        told: list[bool] = []
        self._try(DOWN, lambda: told.append(self._leave()))
        return any(told)

    def stop(self) -> None:
        """Leave, and give the mail that tells of it 5 seconds; the rest is sent later."""
        if self.leave():
            self.deliver()

    def deliver(self, limit_s: float = DRAIN_S) -> None:
        """Deliver what is due for a few seconds.

        Args:
            limit_s: How long, in seconds.
        """
        clock = self._mailer.parts.clock
        until_ms = clock() + int(limit_s * 1000)
        worker = self._mailer.make_worker()
        try:
            self._try(DOWN, lambda: worker.run_until_idle(lambda: clock() >= until_ms))
        finally:
            worker.drain(max(0.0, (until_ms - clock()) / 1000))

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _join(self) -> None:
        self._overseer.join(self._server, self._instance())

    def _leave(self) -> bool:
        return self._overseer.leave(self._server, self._instance(), self._grace_ms)

    def _instance(self) -> Instance:
        now_ms = self._mailer.parts.clock()
        return Instance(id=self._id, host=socket.gethostname(), pid=os.getpid(), seen_at_ms=now_ms)

    def _beat(self, must_end: Signal) -> None:
        while not must_end.wait(STALE_MS / 4000):
            if self._is_in:
                self._try(UP, lambda: self._overseer.beat(self._server, self._instance()))
            else:
                self._is_in = self._try(UP, self._join)

    def _try(self, kind: str, step: Callable[[], object]) -> bool:
        try:
            step()
        except EnvoiError as err:
            note = self._mailer.parts.journal.note
            note(Fact.EVENT_NOT_STORED, kind=kind, because=err, facts=self._server.columns)
            return False
        return True
