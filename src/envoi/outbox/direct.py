"""This room runs our statements on our own connections, with nothing between us and the driver.

SQLAlchemy lends the connection from its pool, and knows how to open it and when it is dead.
The statements themselves go to the driver: through SQLAlchemy each of them costs 30 to 60 µs more,
and a small enqueue has a dozen.

A pool may hold connections that died while nobody used them (a server restarted, a firewall forgot
them). None is asked for a sign of life, which would cost every transaction a round trip: when the
first statement of a transaction finds its connection dead, nothing has happened yet, and it runs
again on a new one.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

from envoi.errors import OutboxUnavailableError
from envoi.outbox.failures import refused
from envoi.outbox.render import rendered
from envoi.outbox.session import OPENING
from envoi.outbox.tx import identity_seen
from envoi.seams import Params, Row

if TYPE_CHECKING:
    from sqlalchemy import Engine, PoolProxiedConnection


# More dead connections than a pool holds are no accident of the past, but a server that drops us.
MOST_DEAD = 20


class _Cursor(Protocol):
    # What DB-API 2.0 says of cursors, as far as we go.
    @property
    def description(self) -> object: ...
    def execute(self, sql: str, params: object = ..., /) -> object: ...
    def executemany(self, sql: str, params: object, /) -> object: ...
    def fetchall(self) -> Sequence[Row]: ...


class DirectTx:
    """A transaction of our own; the caller's too, when he opened it (`CallerTx`).

    Args:
        engine: Whose pool lends the connection.
        schema: Schema of our tables; empty: the connection's own.
        opening: What begins it; empty: the driver begins it before the first statement.
    """

    is_in_transaction = True

    def __init__(self, engine: "Engine", schema: str, opening: str) -> None:
        """Borrow a connection and begin."""
        self.dialect = engine.dialect.name
        self._engine = engine
        self._error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._style = engine.dialect.paramstyle
        self._schema = schema
        self._opening = opening
        self._depth = 0
        self._callbacks: list[Callable[[], None]] = []
        self._identity: str | None = None
        self._tries = MOST_DEAD
        self._is_lost = False
        self._borrow()

    def execute(self, sql: str, params: Params) -> Sequence[Row]:
        """Run one statement; return its rows."""
        statement = rendered(sql, self._style, self._schema)
        self._run(statement.text, statement.arguments(params))
        try:
            return self._cursor.fetchall() if self._cursor.description else ()
        except self._error as err:
            raise refused(err) from err

    def execute_many(self, sql: str, params: Sequence[Params]) -> None:
        """Run one statement once per parameter set."""
        if not params:
            return
        statement = rendered(sql, self._style, self._schema)
        try:
            self._cursor.executemany(statement.text, statement.many(params))
        except self._error as err:
            raise refused(err) from err
        self._tries = 0

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Undo everything inside when an error leaves it; the transaction outside stays usable."""
        self._refuse_lost()
        known = len(self._callbacks)
        self._depth += 1
        name = f"envoi_{self._depth}"
        self._run(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            del self._callbacks[known:]
            self._undo(name)
            raise
        else:
            self._run(f"RELEASE SAVEPOINT {name}")
        finally:
            self._depth -= 1

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once, after the commit; never when it, or an open savepoint, rolls back."""
        self._callbacks.append(callback)

    def is_our_database(self, database_id: str) -> bool:
        """Whether it is a transaction in the outbox of that identity."""
        if self._identity is None:
            self._identity = identity_seen(self, self._schema)
        return self._identity == database_id

    def __enter__(self) -> None:
        """Have it committed at the end, or rolled back on an error."""

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Commit or roll back, and give the connection back."""
        if error is not None:
            self._abandon()
            return
        self._refuse_lost()
        try:
            self._line.commit()
        except self._error as err:
            self._abandon()
            raise refused(err) from err
        self._line.close()

    def settle(self) -> None:
        """Call back who waited for the commit, when it is done and the connection is back."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _abandon(self) -> None:
        if not self._line.is_valid:
            return  # dead, and nobody lent us another one
        # One that cannot even roll back is thrown away.
        try:
            self._line.rollback()
        except self._error as err:
            self._line.invalidate(err)
        with suppress(self._error):
            self._line.close()

    def _borrow(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 # loaded with the engine

        try:
            self._line: PoolProxiedConnection = self._engine.raw_connection()
        except (SQLAlchemyError, self._error) as err:
            raise refused(err) from err
        try:
            self._cursor = cast("_Cursor", self._line.cursor())
            if self._opening:
                self._cursor.execute(self._opening)
        except self._error as err:
            self._abandon()
            raise refused(err) from err
        if OPENING in self._line.info:
            self._run(self._line.info[OPENING])

    def _refuse_lost(self) -> None:
        if self._is_lost:
            self._abandon()
            raise OutboxUnavailableError("the transaction was undone by an earlier error")

    def _run(self, text: str, arguments: object = ()) -> None:
        try:
            self._cursor.execute(text, arguments)
        except self._error as err:
            if not (self._tries and self._is_dead(err)):
                raise refused(err) from err
            self._tries -= 1
            self._line.invalidate(err)
            self._borrow()
            self._run(text, arguments)
        self._tries = 0

    def _is_dead(self, err: Exception) -> bool:
        return self._engine.dialect.is_disconnect(cast("Any", err), self._line, None)

    def _undo(self, name: str) -> None:
        # A transaction that is gone with its connection, or that the engine rolled back by itself
        # (disk full), has no savepoint any more. The error under way tells more; but whatever
        # followed would be committed alone.
        try:
            self._cursor.execute(f"ROLLBACK TO SAVEPOINT {name}")
            self._cursor.execute(f"RELEASE SAVEPOINT {name}")
        except self._error:
            self._is_lost = True
