"""This room joins Django: our statements on its cursor, inside its `atomic`.

Django itself is not imported: whoever hands its connection in has loaded it.
"""

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from envoi.outbox.failures import refused
from envoi.outbox.render import rendered
from envoi.outbox.tx import DATABASE_FILES, identity_seen, waiting_at_most
from envoi.seams import Params, Row

if TYPE_CHECKING:
    from envoi.outbox.join import Joiner


class _Cursor(Protocol):
    description: object

    def execute(self, sql: str, params: object) -> object: ...
    def executemany(self, sql: str, params: object) -> object: ...
    def fetchall(self) -> Sequence[Row]: ...


class DjangoConnection(Protocol):
    """What we need of `django.db.connection` or `django.db.connections[alias]`."""

    alias: str
    vendor: str
    in_atomic_block: bool
    settings_dict: Mapping[str, object]

    def cursor(self) -> AbstractContextManager[_Cursor]:
        """Open a cursor."""
        ...

    def get_autocommit(self) -> bool:
        """Whether each statement commits by itself."""
        ...


class DjangoJoin:
    """A caller's Django connection.

    Args:
        connection: His.
        joiner: Remembers which databases are ours.
    """

    def __init__(self, connection: DjangoConnection, joiner: "Joiner") -> None:
        """Take the connection; it stays Django's."""
        self.connection = connection
        self._joiner = joiner
        self.dialect = connection.vendor
        settings = connection.settings_dict
        self._place = (connection.alias, *(str(settings.get(k)) for k in ("NAME", "HOST", "PORT")))

    @property
    def is_in_transaction(self) -> bool:
        """Whether an `atomic` block, or autocommit switched off, makes a commit decide."""
        return self.connection.in_atomic_block or not self.connection.get_autocommit()

    def execute(self, sql: str, params: Params) -> Sequence[Row]:
        """Run one statement on Django's cursor; return its rows."""
        # Django's cursors take `%s` in order on every database.
        statement = rendered(sql, "format", self._joiner.schema)
        with self._translated(), self.connection.cursor() as cursor:
            cursor.execute(statement.text, statement.arguments(params))
            return cursor.fetchall() if cursor.description else ()

    def execute_many(self, sql: str, params: Sequence[Params]) -> None:
        """Run one statement once per parameter set on Django's cursor."""
        if not params:
            return
        statement = rendered(sql, "format", self._joiner.schema)
        with self._translated(), self.connection.cursor() as cursor:
            cursor.executemany(statement.text, statement.many(params))

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Undo everything inside when an error leaves it; in autocommit a whole transaction."""
        transaction = sys.modules["django.db.transaction"]
        if self.dialect == "sqlite" and self.is_in_transaction:
            path = str(self.execute(DATABASE_FILES, {})[0][2])
            self._joiner.look_for_deferred(self._place, path, "django")
        with (
            self._translated(),
            transaction.atomic(using=self.connection.alias),
            waiting_at_most(self, self._joiner.wait_ms),
        ):
            yield

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back after the outermost commit; an error in it stops no other callback."""
        transaction = sys.modules["django.db.transaction"]
        transaction.on_commit(callback, using=self.connection.alias, robust=True)

    def is_our_database(self, database_id: str) -> bool:
        """Whether this connection leads to the outbox of that identity; asked once per alias."""
        return self._joiner.identity(self._place, self._ask_identity) == database_id

    def _ask_identity(self) -> str | None:
        # As in `join_sqlalchemy`: what goes wrong here must not spoil a PostgreSQL transaction.
        with self.savepoint() if self.dialect == "postgresql" else nullcontext():
            return identity_seen(self, self._joiner.schema)

    @contextmanager
    def _translated(self) -> Generator[None]:
        error = sys.modules["django.db.utils"].Error
        try:
            yield
        except error as err:
            raise refused(err) from err
