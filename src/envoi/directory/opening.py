"""This room opens connections to another system's database that cannot write."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from envoi.errors import DirectoryError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

# How long a connection, a lock or a statement is waited for. An application waits with us.
WAIT_S = 2
# A page asks on one connection, so few are needed; the other system needs its own.
MAX_CONNECTIONS = 5


def read_url(text: str) -> "URL":
    """Return the address of a database to be read; PostgreSQL is spoken by psycopg 3.

    Raises:
        DirectoryError: Not an address of SQLite or PostgreSQL.
    """
    from sqlalchemy import make_url  # noqa: PLC0415 # heavy, used where a directory is foreign
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 # same

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Not the library's words: they repeat the address, password and all.
        raise DirectoryError(f"directory.url: expected {_FORMS}, got something else") from None
    match url.drivername.partition("+")[0]:
        case "postgres" | "postgresql":
            return url.set(drivername="postgresql+psycopg")
        case "sqlite" if url.database and url.database != ":memory:":
            return url.set(drivername="sqlite")
        case backend:
            raise DirectoryError(f"directory.url: expected {_FORMS}, got {backend}://")


_FORMS = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def opened(url: "URL", connected: Callable[[], None]) -> "Engine":
    """Return an engine whose connections only read, wait briefly and are few.

    Args:
        url: As `read_url` returned it.
        connected: Told of each new connection.
    """
    from sqlalchemy import create_engine, event, pool  # noqa: PLC0415 # same

    is_sqlite = url.get_backend_name() == "sqlite"
    place = {"creator": lambda: _sqlite(url.database or "")} if is_sqlite else {}
    engine = create_engine(
        "sqlite://" if is_sqlite else url,
        poolclass=pool.QueuePool,
        pool_size=2,
        max_overflow=MAX_CONNECTIONS - 2,
        pool_timeout=WAIT_S,
        pool_pre_ping=not is_sqlite,
        connect_args={} if is_sqlite else {"connect_timeout": WAIT_S, "prepare_threshold": None},
        hide_parameters=True,
        **place,
    )

    @event.listens_for(engine, "connect")
    def told(_raw: "DBAPIConnection", _record: object) -> None:  # pyright: ignore[reportUnusedFunction] # the decorator registers it
        connected()

    event.listen(engine, "begin", _begin_sqlite if is_sqlite else _begin_postgresql)
    return engine


def _begin_sqlite(connection: "Connection") -> None:
    # The driver begins none by itself; without one each statement would see another moment.
    connection.exec_driver_sql("BEGIN")


def _begin_postgresql(connection: "Connection") -> None:
    # For this transaction only. What is set for a session would stay with the server's connection
    # behind a pooler such as PgBouncer, and the other system would find its own one read-only.
    connection.exec_driver_sql(_READ_ONLY)


_READ_ONLY = f"""
SELECT set_config('transaction_read_only', 'on', true),
  set_config('statement_timeout', '{WAIT_S}s', true), set_config('lock_timeout', '{WAIT_S}s', true)
"""


def _sqlite(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=WAIT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    # One name in another encoding must not cost everybody's mail.
    connection.text_factory = _readable
    return connection


def _readable(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
