"""This room is the outbox as its neighbours hold it."""

from contextlib import AbstractContextManager

from envoi.outbox.engine import Database
from envoi.outbox.tx import ConnectionTx


class Outbox:
    """The durable store.

    Args:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        """Take the database; nothing is opened yet."""
        self.database = database

    def transaction(self, *, is_synced: bool = True) -> AbstractContextManager[ConnectionTx]:
        """Open a write transaction of our own."""
        return self.database.write(is_synced=is_synced)

    def reading(self) -> AbstractContextManager[ConnectionTx]:
        """Open a read transaction of our own."""
        return self.database.read()

    def upgrade(self) -> None:
        """Make the tables, or bring them up to date."""
        self.database.upgrade()

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self.database.close()


def open_outbox(
    url: str, *, schema: str = "", busy_timeout_ms: int = 2_000, must_exist: bool = False
) -> Outbox:
    """Return the outbox at an address; connections are made when they are needed.

    Args:
        url: `sqlite:///path` or `postgresql://user@host/database`.
        schema: PostgreSQL schema of the tables; empty: the connection's own.
        busy_timeout_ms: How long a write on SQLite waits for another process's.
        must_exist: Refuse to make the SQLite file.
    """
    return Outbox(
        Database(url, schema=schema, busy_timeout_ms=busy_timeout_ms, must_exist=must_exist)
    )
