"""This room speaks in transactions: ours, or the caller's, with the same statements.

A caller hands in what his toolkit gives him: a SQLAlchemy `Connection` or `Session`, a Django
connection or its alias. `Joiner.join` finds out which, and returns a `CallerTx`: our statements
run on his connection, inside a savepoint, so an error of ours never spoils his transaction.
Nothing of Django is imported here: whoever hands in a Django connection has imported it.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, cast

from envoi.outbox.failures import refused
from envoi.outbox.render import rendered
from envoi.seams import Params, Row

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Which database is this? Asked so that the question cannot spoil a transaction: a missing table
# is an empty answer, not an error.
HAS_META = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'envoi_meta'",
    "postgresql": "SELECT 1 WHERE to_regclass(:place) IS NOT NULL",
}
# The file of a SQLite connection's main database is in the third column.
DATABASE_FILES = "PRAGMA database_list"
DATABASE_ID = "SELECT value FROM envoi_meta WHERE name = 'database_id'"
# How long a caller's transaction waits for a lock, made no longer than ours; a caller who waits
# shorter keeps that. The inner select keeps the old value from being read after the new one.
SHORTEN_WAIT = """
    SELECT s.before, set_config('lock_timeout', CASE
        WHEN CAST(s.before AS INTERVAL) > CAST(CAST(:wait AS VARCHAR) AS INTERVAL) OR s.before = '0'
        THEN CAST(:wait AS VARCHAR) ELSE s.before END, true)
    FROM (SELECT current_setting('lock_timeout') AS before OFFSET 0) AS s"""
RESTORE_WAIT = "SELECT set_config('lock_timeout', CAST(:before AS VARCHAR), true)"


class CallerTx(Protocol):
    """A caller's transaction; a `seams.Tx` with what `notify` needs beyond statements."""

    @property
    def dialect(self) -> str:
        """`sqlite`, `postgresql`, or the name of a database that cannot hold an outbox."""
        ...

    @property
    def is_in_transaction(self) -> bool:
        """Whether what is written now waits for a commit; False in autocommit."""
        ...

    def execute(self, sql: str, params: Params) -> Sequence[Row]:
        """Run one statement on the caller's connection."""
        ...

    def execute_many(self, sql: str, params: Sequence[Params]) -> None:
        """Run one statement once per parameter set on the caller's connection."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo everything inside when an error leaves it; the caller's transaction stays usable."""
        ...

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once, after the outermost commit; never when it, or the savepoint that was
        open at this moment, rolls back.
        """  # noqa: D205 # one sentence
        ...

    def is_our_database(self, database_id: str) -> bool:
        """Whether this connection leads to the outbox of that identity."""
        ...


class ConnectionTx:
    """A transaction on a SQLAlchemy connection.

    Args:
        connection: With its transaction open.
        schema: Schema of our tables; empty: the connection's own.
    """

    def __init__(self, connection: "Connection", *, schema: str = "") -> None:
        """Take the connection; it stays its owner's."""
        self.connection = connection
        self.dialect = connection.dialect.name
        self._style = connection.dialect.paramstyle
        self._schema = schema

    def execute(self, sql: str, params: Params) -> Sequence[Row]:
        """Run one statement; return its rows."""
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 # loaded with the connection

        statement = rendered(sql, self._style, self._schema)
        try:
            result = self.connection.exec_driver_sql(statement.text, statement.arguments(params))
            return cast("Sequence[Row]", result.fetchall()) if result.returns_rows else ()
        except SQLAlchemyError as err:
            raise refused(err) from err

    def execute_many(self, sql: str, params: Sequence[Params]) -> None:
        """Run one statement once per parameter set."""
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 # loaded with the connection

        if not params:
            return
        statement = rendered(sql, self._style, self._schema)
        try:
            self.connection.exec_driver_sql(statement.text, statement.many(params))
        except SQLAlchemyError as err:
            raise refused(err) from err

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Undo everything inside when an error leaves it; the transaction outside stays usable."""
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 # loaded with the connection

        try:
            with self.connection.begin_nested():
                yield
        except SQLAlchemyError as err:
            raise refused(err) from err


@contextmanager
def waiting_at_most(tx: CallerTx, wait_ms: int) -> Generator[None]:
    """Let PostgreSQL wait no longer for a lock inside; afterwards the caller's setting holds.

    Used inside a savepoint only. Its release would keep the setting until the caller's commit, so
    it is put back by hand; a rollback to the savepoint puts it back by itself, and in a
    transaction that an error has spoilt no statement could. SQLite waits as its connection says.

    Args:
        tx: The caller's transaction.
        wait_ms: Two connections that store the same key wait for each other's commit; longer
            than this it is a lock that somebody forgot.
    """
    if tx.dialect != "postgresql":
        yield
        return
    before = tx.execute(SHORTEN_WAIT, {"wait": f"{wait_ms}ms"})[0][0]
    yield
    tx.execute(RESTORE_WAIT, {"before": before})


def identity_seen(tx: CallerTx, schema: str) -> str | None:
    """Return the identity of the outbox that a connection sees; None when it sees none."""
    if tx.dialect not in HAS_META:
        return None
    place = f"{schema}.envoi_meta" if schema else "envoi_meta"
    if not tx.execute(HAS_META[tx.dialect], {"place": place}):
        return None
    rows = tx.execute(DATABASE_ID, {})
    return str(rows[0][0]) if rows else None
