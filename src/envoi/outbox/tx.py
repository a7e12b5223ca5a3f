"""This room speaks in transactions: ours, or the caller's, with the same statements."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from envoi.outbox.failures import refused
from envoi.outbox.render import rendered
from envoi.seams import Params, Row

if TYPE_CHECKING:
    from sqlalchemy import Connection


class ConnectionTx:
    """A transaction on a SQLAlchemy connection, ours or the caller's.

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
        with self.connection.begin_nested():
            yield
