"""This room joins SQLAlchemy: a caller's `Connection` or `Session`, with every driver below it.

A `Session` tells of its commit when it is done. A bare `Connection` tells only of a commit that
begins, so its callbacks wait for the next sign of life (the next transaction, or the
connection's return to the pool) and look whether the commit went through: within `with
engine.begin()` that is at once.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, cast

from envoi.errors import InputError
from envoi.outbox.tx import DATABASE_FILES, ConnectionTx, identity_seen, waiting_at_most

if TYPE_CHECKING:
    from sqlalchemy import Connection, Pool
    from sqlalchemy.orm import Session

    from envoi.outbox.join import Joiner

_KEY = "envoi.after_commit"


class ConnectionJoin(ConnectionTx):
    """A caller's SQLAlchemy connection.

    Args:
        connection: His; its transaction begins with our first statement if none is open.
        joiner: Remembers which databases are ours.
    """

    def __init__(self, connection: "Connection", joiner: "Joiner") -> None:
        """Take the connection; it stays the caller's."""
        super().__init__(connection, schema=joiner.schema)
        self._joiner = joiner
        # A pool belongs to one engine and those derived from it: one place, one database.
        self._place = (id(connection.engine.pool), str(connection.engine.url))

    @property
    def is_in_transaction(self) -> bool:
        """Whether a commit decides; False only where the caller chose autocommit."""
        options = self.connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return False
        return getattr(self.connection.connection.dbapi_connection, "autocommit", None) is not True

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Undo everything inside when an error leaves it; the caller's transaction stays usable."""
        if self.dialect == "sqlite" and self.is_in_transaction:
            self._begin_sqlite()
        with super().savepoint(), waiting_at_most(self, self._joiner.wait_ms):
            yield

    def is_our_database(self, database_id: str) -> bool:
        """Whether this connection leads to the outbox of that identity; asked once per engine."""
        return self._joiner.identity(self._place, self._ask_identity) == database_id

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once, after the outermost commit."""
        pending_of(self.connection, self._joiner).add(callback)

    def _ask_identity(self) -> str | None:
        # A savepoint on SQLite would begin a transaction in a database that may not be ours; and
        # there an error spoils nothing.
        with self.savepoint() if self.dialect == "postgresql" else nullcontext():
            return identity_seen(self, self._joiner.schema)

    def _begin_sqlite(self) -> None:
        # As it comes, the driver begins a transaction before the first change only. A savepoint
        # without one would be the transaction itself: its release would commit, and the caller's
        # rollback would undo nothing. Begun here, it can as well begin the right way.
        if not self.connection.in_transaction():
            self.connection.begin()  # as its first statement would; the host's own BEGIN is sent
        raw = self.connection.connection.driver_connection
        if not getattr(raw, "in_transaction", True):
            self.execute("BEGIN IMMEDIATE", {})
            return
        path = str(self.execute(DATABASE_FILES, {})[0][2])
        self._joiner.look_for_deferred(self._place, path, "sqlalchemy")


class SessionJoin(ConnectionJoin):
    """A caller's SQLAlchemy session.

    Args:
        session: His; it takes part with the connection of its own engine.
        joiner: Remembers which databases are ours.
    """

    def __init__(self, session: "Session", joiner: "Joiner") -> None:
        """Take the session; nothing pending in it is flushed."""
        from sqlalchemy.exc import UnboundExecutionError  # noqa: PLC0415 # loaded already

        try:
            connection = session.connection()
        except UnboundExecutionError as err:
            raise InputError(
                "tx: this Session is bound per mapper and has no engine of its own; hand in "
                "`session.connection(bind_arguments=...)` of the outbox's engine instead"
            ) from err
        super().__init__(connection, joiner)
        self.session = session

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once, after the outermost commit."""
        pending = pending_of(self.connection, self._joiner)
        pending.add(callback)
        pending.follow(self.session)


class Pending:
    """Callbacks that wait for the commit of one connection's transaction.

    A rollback to a savepoint that was open when a callback came drops the callback. SQLAlchemy
    numbers a connection's savepoints, so older ones have smaller numbers; the number of the
    moment is learnt by opening one.
    """

    def __init__(self, connection: "Connection") -> None:
        """Watch the connection."""
        from sqlalchemy import event  # noqa: PLC0415 # loaded already

        self._connection = connection
        self._callbacks: list[tuple[Callable[[], None], int]] = []
        self._session: Session | None = None
        self._released = 0
        self.is_committing = False
        event.listen(connection, "begin", self._on_begin)
        event.listen(connection, "commit", self._on_commit)
        event.listen(connection, "rollback", self._on_rollback)
        event.listen(connection, "release_savepoint", self._on_release)
        event.listen(connection, "rollback_savepoint", self._on_rollback_savepoint)

    def add(self, callback: Callable[[], None]) -> None:
        """Keep a callback for the commit."""
        self._callbacks.append((callback, self._moment()))

    def follow(self, session: "Session") -> None:
        """Let the session say when its commit is done; it knows sooner than the connection."""
        from sqlalchemy import event  # noqa: PLC0415 # loaded already

        if self._session is not session:
            self._session = session
            event.listen(session, "after_commit", self._on_session_commit)

    def settle(self, *, is_committed: bool) -> None:
        """Call back after a commit, forget after a rollback; either way once."""
        callbacks, self._callbacks = self._callbacks, []
        self.is_committing = False
        if is_committed:
            for callback, _ in callbacks:
                callback()

    def leave(self) -> None:
        """Stop watching: the connection is back in its pool, the session may live on."""
        from sqlalchemy import event  # noqa: PLC0415 # loaded already

        self.settle(is_committed=self.is_committing)
        if self._session is not None:
            event.remove(self._session, "after_commit", self._on_session_commit)

    def _moment(self) -> int:
        if not self._connection.in_nested_transaction():
            return 0  # no savepoint is open, so none takes the callback away
        with self._connection.begin_nested():
            pass
        return self._released

    def _on_begin(self, _connection: "Connection") -> None:
        self.settle(is_committed=self.is_committing)

    def _on_commit(self, _connection: "Connection") -> None:
        self.is_committing = True

    def _on_rollback(self, _connection: "Connection") -> None:
        self.settle(is_committed=False)

    def _on_session_commit(self, _session: "Session") -> None:
        # Also fires when a nested transaction is released; nothing is committed by that.
        if self.is_committing:
            self.settle(is_committed=True)

    def _on_release(self, _connection: "Connection", name: str, _context: object) -> None:
        self._released = _number(name)

    def _on_rollback_savepoint(
        self, _connection: "Connection", name: str, _context: object
    ) -> None:
        number = _number(name)
        self._callbacks = [kept for kept in self._callbacks if number > kept[1]]


def _number(savepoint: str) -> int:
    return int(savepoint.rpartition("_")[2])


def pending_of(connection: "Connection", joiner: "Joiner") -> Pending:
    """Return the callbacks of a connection, watched from now until it returns to its pool."""
    pending = connection.info.get(_KEY)
    if pending is None:
        _watch_returns(connection.engine.pool, joiner)
        pending = connection.info[_KEY] = Pending(connection)
    return cast("Pending", pending)


def _watch_returns(pool: "Pool", joiner: "Joiner") -> None:
    from sqlalchemy import event  # noqa: PLC0415 # loaded already

    # `event.contains` goes by the pool's address in memory, which a later pool may get.
    if pool not in joiner.watched_pools:
        joiner.watched_pools.add(pool)
        event.listen(pool, "checkin", _on_return)


def _on_return(_raw: object, record: object) -> None:
    # The next to check this connection out has a Connection of his own, so the watch ends here.
    info = cast("dict[str, object]", getattr(record, "info", {}))
    pending = info.pop(_KEY, None)
    if isinstance(pending, Pending):
        pending.leave()
