"""This room opens the outbox's database: SQLite in one file, or PostgreSQL.

* Transactions begin when we say so. On SQLite a write begins with BEGIN IMMEDIATE: a transaction
  that reads first and writes later fails at once while another process commits, whatever the
  busy time-out (RELIABILITY S2).
* What a caller was promised is synced (`synchronous=FULL`). The worker's marks need only survive
  the death of processes (DESIGN 4.7), so on SQLite they ask for less. On PostgreSQL they do not:
  an asynchronous commit is lost when the *server* dies, and with it the proof that hundreds of
  mails were sent (docs/decisions/0002).
* Connections never cross a fork: a child sees another process id and makes its own.
* An outbox file that was there and is gone is an outage, not a reason to make a new one (S6).
"""

import os
import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast

from envoi.errors import InputError, OutboxError, OutboxUnavailableError
from envoi.forks import ForkGate
from envoi.outbox import schema as schemas
from envoi.outbox import session
from envoi.outbox.direct import DirectTx
from envoi.outbox.failures import is_demoted, refused
from envoi.outbox.location import parse_url

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# A pool larger than this means something leaks; the worker and a page need one or two each.
MAX_CONNECTIONS = 20
# libpq takes a shorter connect_timeout for this; data that nobody has confirmed is given as long.
LEAST_CONNECT_MS = 2_000
# A connection that waits longer for a free place in the pool than this finds a stuck process.
POOL_WAIT_S = 10
# A small enqueue changes fifteen pages, most of them those of its neighbours: a log of 16 MB is
# copied into the file for a quarter of what four logs of SQLite's own 4 MB cost.
CHECKPOINT_PAGES = 4_000
# What a connection may keep in memory, where SQLite itself takes 2 MB: among a million rows the
# upper levels of all indexes.
CACHE_KIB = 8_000
# Any number that nobody else uses: "envoi" in hexadecimal ASCII.
_UPGRADE_LOCK = 0x656E766F69


class Database:
    """The outbox's own connections.

    Args:
        url: `sqlite:///path` or `postgresql://...`; a SQLAlchemy URL with a driver is taken too.
        schema: PostgreSQL schema of the tables; empty: the connection's own.
        busy_timeout_ms: How long a write waits for another process's, and at least 2_000 of it
            PostgreSQL's server for an answer to a connection. Too short refuses mail beside a busy
            application, too long blocks the caller. Default 2_000.
        must_exist: Refuse to make the SQLite file; the worker and every list ask for it.
    """

    def __init__(
        self, url: str, *, schema: str = "", busy_timeout_ms: int = 2_000, must_exist: bool = False
    ) -> None:
        """Parse the address; nothing is opened before it is needed."""
        if schema and not _SCHEMA_NAME.fullmatch(schema):
            raise InputError(f"outbox.schema: expected a lower case name, got {schema!r}")
        self._url = parse_url(url)
        self.dialect = self._url.get_backend_name()
        if schema and self.dialect == "sqlite":
            raise InputError("outbox.schema: SQLite has no schemas; leave it empty")
        self.schema = schema
        self.busy_timeout_ms = busy_timeout_ms
        self._must_exist = must_exist
        self._engines: dict[bool, Engine] = {}
        self._pid = os.getpid()
        self._lock = Lock()
        self._gate = ForkGate(busy_timeout_ms / 1000, self._let_go)
        self._at_forks: list[Callable[[], None]] = []
        self._file_id: tuple[int, int] | None = None

    def __repr__(self) -> str:
        """Show where it is, without the password."""
        return f"Database({self._url.render_as_string(hide_password=True)!r})"

    @property
    def has_one_writer(self) -> bool:
        """Whether one transaction at a time writes, so that others had better go along."""
        return self.dialect == "sqlite"

    @property
    def url(self) -> "URL":
        """The address as SQLAlchemy understands it; its text form hides the password."""
        return self._url

    def write(self, *, is_synced: bool = True) -> AbstractContextManager[DirectTx]:
        """Open a write transaction of our own; commit at its end, roll back on an error.

        Args:
            is_synced: Whether the commit must survive a power cut. False is for marks whose loss
                can only cause a second copy with the same Message-ID; PostgreSQL syncs them too.

        Raises:
            OutboxUnavailableError: Not reachable, locked, full or read-only.
        """
        return self._opened("BEGIN IMMEDIATE", is_synced=is_synced)

    def read(self) -> AbstractContextManager[DirectTx]:
        """Open a read transaction of our own: one consistent view, no lock that blocks writers."""
        return self._opened("BEGIN", is_synced=True)

    def engine(self, *, is_synced: bool = True) -> "Engine":
        """Return the SQLAlchemy engine of this process, for Alembic and for pages' reads."""
        self._renew_after_fork()
        # PostgreSQL syncs every commit, so one pool serves both.
        key = is_synced or self.dialect != "sqlite"
        with self._lock:
            if key not in self._engines:
                self._engines[key] = self._made(is_synced=key)
            return self._engines[key]

    def state(self) -> schemas.SchemaState:
        """Say how the tables stand to this code."""
        with self._begun(is_write=False, is_synced=True) as connection:
            return schemas.state_of(schemas.read_revision(connection, self.schema))

    def require_current(self) -> None:
        """Refuse tables that this code does not know.

        Raises:
            SchemaError: Missing, older or newer; says which command helps.
        """
        schemas.require_current(self.state())

    def upgrade(self) -> None:
        """Bring the tables up to date, in one transaction; nothing happens when they are.

        Raises:
            SchemaError: The tables are newer than this code.
        """
        with self._begun(is_write=True, is_synced=True) as connection:
            if self.dialect == "postgresql":
                # Two processes that start together upgrade one after the other, however long.
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
            if self.schema:
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
            state = schemas.state_of(schemas.read_revision(connection, self.schema))
            if state is schemas.SchemaState.NEWER:
                schemas.require_current(state)
            schemas.migrate(connection, self.schema)

    def renew(self) -> None:
        """Forget every connection; the next use makes new ones."""
        self.close()

    def close(self) -> None:
        """Close every connection that nobody uses; a later use opens new ones."""
        with self._lock:
            engines = list(self._engines.values())
        # The engines stay, with new pools: another thread, or our own caller, may hold one that
        # it is about to use, and a forgotten engine's connections would never be closed.
        # After a fork the sockets belong to the parent too: they are dropped, not closed.
        for engine in engines:
            engine.dispose(close=os.getpid() == self._pid)
        self._pid = os.getpid()

    @contextmanager
    def looking(self, let_go: Callable[[], None]) -> Generator[None]:
        """Have `let_go` called before every fork, which closes a connection of one's own."""
        self._at_forks.append(let_go)
        try:
            yield
        finally:
            self._at_forks.remove(let_go)

    def present(self) -> AbstractContextManager[None]:
        """Keep forks waiting while a connection of one's own is used."""
        return self._gate.present()

    def socket_patience(self) -> dict[str, int]:
        """Return libpq's settings that bound the wait for a server that does not answer.

        A network that swallows packets would else be waited for, for minutes. What the address
        says itself wins.
        """
        wait_ms = max(self.busy_timeout_ms, LEAST_CONNECT_MS)
        wanted = {"connect_timeout": -(-wait_ms // 1000), "tcp_user_timeout": wait_ms}
        # Who only listens sends nothing, and would never find out that nobody is there.
        wanted |= {"keepalives_idle": session.KEEPALIVE_IDLE_S, "keepalives_interval": 5}
        speaks_libpq = self._url.get_driver_name() in {"psycopg", "psycopg2"}
        given = self._url.query
        return {key: value for key, value in wanted.items() if speaks_libpq and key not in given}

    def _let_go(self) -> None:
        if self.dialect == "sqlite":
            for engine in self._engines.values():
                engine.dispose()
        for let_go in tuple(self._at_forks):
            let_go()

    @contextmanager
    def _opened(self, opening: str, *, is_synced: bool) -> Generator[DirectTx]:
        engine = self.engine(is_synced=is_synced)
        self._require_file()
        try:
            with self._gate.present():
                # On PostgreSQL the driver begins with the first statement, one round trip less.
                tx = DirectTx(engine, self.schema, opening if self.dialect == "sqlite" else "")
                with tx:
                    self._remember_file()
                    yield tx
        except OutboxError as err:
            if is_demoted(err):
                # Its connections are well, and would be offered again and again.
                self.close()
            raise
        tx.settle()

    @contextmanager
    def _begun(self, *, is_write: bool, is_synced: bool) -> Generator["Connection"]:
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 # heavy, needed from here on

        engine = self.engine(is_synced=is_synced)
        self._require_file()
        if self.dialect != "sqlite":
            # Dead connections in the pool, which `DirectTx` finds by itself, are thrown away.
            with suppress(SQLAlchemyError), engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        try:
            with self._gate.present(), engine.connect() as connection:
                connection.execution_options(envoi_is_write=is_write)
                with connection.begin():
                    self._remember_file()
                    yield connection
        except (SQLAlchemyError, sqlite3.Error, OutboxUnavailableError) as err:
            if is_demoted(err):
                # Its connections are well, and would be offered again and again.
                self.close()
            if isinstance(err, OutboxUnavailableError):
                raise
            raise refused(err) from err

    def _renew_after_fork(self) -> None:
        if os.getpid() != self._pid:
            self._lock = Lock()  # another thread may have held it when the process forked
            self.close()

    def _made(self, *, is_synced: bool) -> "Engine":
        from sqlalchemy import create_engine, event  # noqa: PLC0415 # 0.16 s and 37 MB, only when used

        if self.dialect == "sqlite":
            return self._made_sqlite(is_synced=is_synced)
        engine = create_engine(
            self._url,
            connect_args=self.socket_patience(),
            pool_size=5,
            max_overflow=MAX_CONNECTIONS - 5,
            pool_timeout=POOL_WAIT_S,
        )

        @event.listens_for(engine, "connect")
        def connected(raw: "DBAPIConnection", record: "ConnectionPoolEntry") -> None:  # pyright: ignore[reportUnusedFunction] # the decorator registers it
            session.set_up(raw, record.info, self.busy_timeout_ms)

        if self.schema:
            engine = engine.execution_options(schema_translate_map={None: self.schema})
        return engine

    def _made_sqlite(self, *, is_synced: bool) -> "Engine":
        from sqlalchemy import create_engine, event  # noqa: PLC0415 # same

        engine = create_engine(
            self._url,
            # No transaction that the driver begins by itself: `begin` below says which.
            connect_args={"timeout": self.busy_timeout_ms / 1000, "isolation_level": None},
            pool_size=5,
            max_overflow=MAX_CONNECTIONS - 5,
            pool_timeout=POOL_WAIT_S,
        )
        level = "FULL" if is_synced else "NORMAL"

        @event.listens_for(engine, "connect")
        def set_up(raw: sqlite3.Connection, _record: object) -> None:  # pyright: ignore[reportUnusedFunction] # the decorator registers it
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute("PRAGMA foreign_keys = ON")
            raw.execute(f"PRAGMA synchronous = {level}")
            raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            raw.execute(f"PRAGMA cache_size = {-CACHE_KIB}")

        @event.listens_for(engine, "begin")
        def begin(connection: "Connection") -> None:  # pyright: ignore[reportUnusedFunction] # same
            is_write = connection.get_execution_options().get("envoi_is_write", False)
            # By the driver itself: a statement through SQLAlchemy costs a tenth of a small enqueue.
            raw = cast("sqlite3.Connection", connection.connection.driver_connection)
            raw.execute("BEGIN IMMEDIATE" if is_write else "BEGIN")

        return engine

    def _require_file(self) -> None:
        if self.dialect != "sqlite":
            return
        found = _file_id(self._url.database)
        if found is None and (self._must_exist or self._file_id is not None):
            raise OutboxUnavailableError(
                f"the outbox {self._url.database} is not there: check outbox.url, bring the file "
                "back, or make a new one with `envoi db upgrade`"
            )
        if found is None:
            _make_private(self._url.database)
        if found is not None and self._file_id not in {None, found}:
            # Somebody put another file in its place (a restored backup): old connections still
            # write into the one that has no name any more.
            self._file_id = found
            self.close()

    def _remember_file(self) -> None:
        if self._file_id is None and self.dialect == "sqlite":
            self._file_id = _file_id(self._url.database)


def _make_private(path: str | None) -> None:
    # It will hold reset links until they are sent. SQLite would make it readable for whom the
    # umask lets, and gives its journal files the rights of the file.
    with suppress(OSError):  # SQLite says better what is wrong with the place
        os.close(os.open(path or "", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _file_id(path: str | None) -> tuple[int, int] | None:
    try:
        found = Path(path or "").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
