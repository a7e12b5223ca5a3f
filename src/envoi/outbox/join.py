"""This room joins a caller's transaction: it finds out what he handed in, and adapts it."""

import sqlite3
import sys
from collections.abc import Callable, Hashable
from contextlib import closing
from typing import TYPE_CHECKING, cast
from weakref import WeakSet

from envoi.errors import InputError
from envoi.journal import Fact, Journal
from envoi.outbox.direct import DirectTx
from envoi.outbox.tx import CallerTx

if TYPE_CHECKING:
    from sqlalchemy import Pool

    from envoi.outbox.join_django import DjangoConnection

_EXPECTED = (
    "tx: expected a SQLAlchemy Connection or Session, or a Django connection or its alias, "
    "got {got}"
)
_ASYNC = (
    "tx: got an {got}, whose calls must be awaited; write "
    "`await session.run_sync(lambda tx: mailer.notify(event, tx))`"
)
_DEFERRED = (
    "the application begins its SQLite transactions deferred: one that reads first and writes "
    "later fails 'database is locked' at once while another process commits, whatever the "
    "time-out. "
)
_RECIPES = {
    "sqlalchemy": (
        "Open the engine with isolation_level=None in connect_args, and send BEGIN IMMEDIATE from "
        "SQLAlchemy's `begin` event"
    ),
    "django": (
        "Set 'transaction_mode': 'IMMEDIATE' in DATABASES[...]['OPTIONS'] (Django 5.1 or newer)"
    ),
}


class Joiner:
    """Adapts callers' transactions; remembers which databases are ours.

    Args:
        schema: Schema of our tables; empty: the connection's own.
        journal: Told once of a SQLite connection that is opened in a way that locks up.
        wait_ms: How long a caller's transaction on PostgreSQL waits for a lock of ours.
    """

    def __init__(self, schema: str, journal: Journal, wait_ms: int) -> None:
        """Start knowing nothing."""
        self.schema = schema
        self.wait_ms = wait_ms
        self._journal = journal
        self._identities: dict[Hashable, str] = {}
        self._looked_at: set[Hashable] = set()
        self.watched_pools: WeakSet[Pool] = WeakSet()

    def join(self, tx: object) -> CallerTx:
        """Return the adapter for what a caller handed in; a transaction of our own needs none.

        Raises:
            InputError: Nothing that has a transaction, or something that must be awaited.
        """
        if isinstance(tx, DirectTx):
            return tx
        for adapt in (self._sqlalchemy, self._django):
            joined = adapt(tx)
            if joined is not None:
                return joined
        raise InputError(_EXPECTED.format(got=type(tx).__name__))

    def identity(self, place: Hashable, ask: Callable[[], str | None]) -> str | None:
        """Return the identity seen at a place, asked once while it has one."""
        known = self._identities.get(place)
        if known is None:
            known = ask()
            if known is not None:
                self._identities[place] = known
        return known

    def look_for_deferred(self, place: Hashable, path: str, toolkit: str) -> None:
        """Warn once when a caller's SQLite transaction is open and does not hold the write lock.

        Asked of the lock itself: if we get it, the caller has not got it. Held for microseconds.

        Args:
            place: Which engine or alias; each is looked at once.
            path: The database's file.
            toolkit: `sqlalchemy` or `django`, for the recipe.
        """
        if place in self._looked_at:
            return
        self._looked_at.add(place)
        if _is_lock_free(path):
            self._journal.note(Fact.SQLITE_DEFERRED, because=_DEFERRED + _RECIPES[toolkit])

    def _sqlalchemy(self, tx: object) -> CallerTx | None:
        if "sqlalchemy" not in sys.modules:
            return None
        from sqlalchemy import Connection  # noqa: PLC0415 # loaded already

        from envoi.outbox.join_sqlalchemy import ConnectionJoin, SessionJoin  # noqa: PLC0415 # same

        _refuse_async(tx)
        if isinstance(tx, Connection):
            return ConnectionJoin(tx, self)
        if "sqlalchemy.orm" not in sys.modules:
            return None
        from sqlalchemy.orm import Session, scoped_session  # noqa: PLC0415 # loaded already

        if isinstance(tx, scoped_session):
            tx = cast("Callable[[], object]", tx)()
        return SessionJoin(tx, self) if isinstance(tx, Session) else None

    def _django(self, tx: object) -> CallerTx | None:
        django_db = sys.modules.get("django.db")
        if django_db is None:
            return None
        from envoi.outbox.join_django import DjangoJoin  # noqa: PLC0415 # only beside Django

        if tx is django_db.transaction:
            tx = django_db.DEFAULT_DB_ALIAS
        if isinstance(tx, str):
            tx = _django_connection(django_db.connections, tx)
        is_connection = hasattr(tx, "in_atomic_block") and hasattr(tx, "settings_dict")
        return DjangoJoin(cast("DjangoConnection", tx), self) if is_connection else None


def _is_lock_free(path: str) -> bool:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            return False
    return True


def _refuse_async(tx: object) -> None:
    asynchronous = sys.modules.get("sqlalchemy.ext.asyncio")
    if asynchronous is None:
        return
    kinds = (
        asynchronous.AsyncSession,
        asynchronous.AsyncConnection,
        asynchronous.async_scoped_session,
    )
    if isinstance(tx, kinds):
        raise InputError(_ASYNC.format(got=type(tx).__name__))


def _django_connection(connections: object, alias: str) -> object:
    known = list(cast("dict[str, object]", connections))
    if alias not in known:
        raise InputError(f"tx: expected a database alias of {', '.join(known)}, got {alias!r}")
    return cast("dict[str, object]", connections)[alias]
