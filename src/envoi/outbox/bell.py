"""This room rings when something was stored, so that a worker need not wait for its next look.

Three ways, all of them only hints, because the worker looks by itself as well: workers of this
process are called at once; on PostgreSQL a NOTIFY goes out from a small thread, after the commit
and many rings as one (inside a caller's transaction it would make commits wait for each other);
on SQLite a listener reads `PRAGMA data_version`, which changes when another connection commits.
"""

import os
import select
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from threading import Event as Signal
from threading import Lock, Thread
from typing import TYPE_CHECKING
from urllib.parse import quote

from envoi.errors import OutboxError
from envoi.outbox.engine import Database

if TYPE_CHECKING:
    import psycopg

# One read of a few bytes of shared memory: fifty a second cost less than a thousandth of a core.
SQLITE_LOOK_S = 0.02
# A listener whose connection broke waits this long, doubling to the second figure.
FIRST_RECONNECT_S, LONGEST_RECONNECT_S = 0.2, 10.0
# The thread that notifies ends when nobody rang for so long.
RINGER_IDLE_S = 30.0
CHANNEL = "envoi"


class Bell:
    """Wakes the workers of one outbox, in this process and in others.

    Args:
        database: Whose commits are told of.
    """

    def __init__(self, database: Database) -> None:
        """Start silent; no thread runs before somebody rings or listens."""
        self._database = database
        self._channel = f"{CHANNEL}_{database.schema}" if database.schema else CHANNEL
        self._pid = os.getpid()
        self._lock = Lock()
        self._listeners: list[Listener] = []
        self._ringer: _Ringer | None = None

    def ring(self) -> None:
        """Tell that something was committed; never blocks, never fails."""
        self._renew_after_fork()
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.callback()
        if self._database.dialect == "postgresql":
            self._ring_elsewhere()

    def listen(self, callback: Callable[[], None]) -> "Listener":
        """Have `callback` called from another thread when there may be something to do.

        Returns:
            The listener; close it.
        """
        self._renew_after_fork()
        listener = Listener(self._database, self._channel, callback, self._leave)
        with self._lock:
            self._listeners.append(listener)
        listener.start()
        return listener

    def close(self) -> None:
        """End the thread that notifies; a later ring begins a new one."""
        with self._lock:
            ringer, self._ringer = self._ringer, None
        if ringer is not None:
            ringer.close()

    def _leave(self, listener: "Listener") -> None:
        with self._lock, suppress(ValueError):
            self._listeners.remove(listener)

    def _ring_elsewhere(self) -> None:
        with self._lock:
            if self._ringer is None or not self._ringer.ring():
                self._ringer = _Ringer(self._database, self._channel)
                self._ringer.ring()

    def _renew_after_fork(self) -> None:
        if os.getpid() != self._pid:
            # Threads do not cross a fork, and a lock may have been held by one of them.
            self._pid = os.getpid()
            self._lock = Lock()
            self._listeners = []
            self._ringer = None


class _Ringer:
    """A thread that sends one NOTIFY for all rings since the last one."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._rung = Signal()
        self._lock = Lock()
        self._is_open = True
        self._thread = Thread(target=self._run, name="envoi-bell", daemon=True)
        self._thread.start()

    def ring(self) -> bool:
        """Whether the thread still runs and will notify."""
        with self._lock:
            self._rung.set()
            return self._is_open

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            self._rung.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            is_rung = self._rung.wait(RINGER_IDLE_S)
            with self._lock:
                if not is_rung and not self._rung.is_set():
                    self._is_open = False
                is_open = self._is_open
                self._rung.clear()
            if is_rung:
                self._notify()
            if not is_open:
                return

    def _notify(self) -> None:
        # Workers look by themselves; a lost ring costs a moment, an error here nothing more.
        with suppress(OutboxError), self._database.write(is_synced=False) as tx:
            tx.execute("SELECT pg_notify(:channel, '')", {"channel": self._channel})


class Listener:
    """A thread that waits for news from other processes.

    Args:
        database: Where news comes from.
        channel: PostgreSQL channel.
        callback: Called from this listener's thread, and by `Bell.ring` from the ringing one.
        leave: Takes it off the bell's list.
    """

    def __init__(
        self,
        database: Database,
        channel: str,
        callback: Callable[[], None],
        leave: Callable[["Listener"], None],
    ) -> None:
        """Hold what is needed; `start` begins the thread."""
        self.callback = callback
        self._database = database
        self._channel = channel
        self._leave = leave
        self._ours, self._theirs = socket.socketpair()
        self._is_closed = Signal()
        self.is_connected = Signal()
        self._thread = Thread(target=self._run, name="envoi-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening and wait for the thread; may be repeated."""
        if self._is_closed.is_set():
            return
        self._leave(self)
        self._is_closed.set()
        self._ours.send(b"x")
        self._thread.join()
        self._ours.close()
        self._theirs.close()

    def _run(self) -> None:
        url = self._database.url
        if self._database.dialect == "sqlite":
            self._run_again_and_again(self._look_at_sqlite, sqlite3.Error)
        elif url.get_driver_name() == "psycopg":
            import psycopg  # noqa: PLC0415 # an optional package

            self._run_again_and_again(self._hear_postgresql, psycopg.Error)
        # With another driver the worker's own looking must do.

    def _run_again_and_again(self, attempt: Callable[[], None], error: type[Exception]) -> None:
        wait_s = FIRST_RECONNECT_S
        while not self._is_closed.is_set():
            try:
                attempt()
            except error:
                wait_s = FIRST_RECONNECT_S if self.is_connected.is_set() else wait_s
                self.is_connected.clear()
            self._is_closed.wait(wait_s)
            wait_s = min(wait_s * 2, LONGEST_RECONNECT_S)

    def _look_at_sqlite(self) -> None:
        path = self._database.url.database or ""
        # Read-only: a listener must not make a file that is gone.
        place = f"file:{quote(path)}?mode=ro"
        # Closed by whichever thread forks.
        connection = sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False)
        with closing(connection), self._database.looking(connection.close):
            known = self._data_version(connection)
            self.is_connected.set()
            while not self._is_closed.wait(SQLITE_LOOK_S):
                found = self._data_version(connection)
                if found != known:
                    known = found
                    self.callback()

    def _data_version(self, connection: sqlite3.Connection) -> object:
        with self._database.present():
            return connection.execute("PRAGMA data_version").fetchone()

    def _hear_postgresql(self) -> None:
        with self._opened() as connection:
            connection.execute(f'LISTEN "{self._channel}"'.encode())
            self.is_connected.set()
            # What was committed before the listening began would otherwise wait for a poll.
            self.callback()
            while not self._is_closed.is_set():
                select.select([connection.fileno(), self._theirs.fileno()], [], [])
                if list(connection.notifies(timeout=0)):
                    self.callback()

    def _opened(self) -> "psycopg.Connection[tuple[object, ...]]":
        import psycopg  # noqa: PLC0415 # an optional package
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415 # same

        url = self._database.url
        # As SQLAlchemy itself connects: only it knows its own way to write several hosts.
        _, place = url.get_dialect()().create_connect_args(url)
        patience = self._database.socket_patience()
        return psycopg.connect(make_conninfo("", **{**place, **patience}), autocommit=True)
