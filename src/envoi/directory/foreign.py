"""This room reads people from another system's database, and never writes there.

Whether to read on a connection of our own or in the transaction that the mail is stored in is
asked of the databases themselves. Where both lead to the same tables the transaction is used: a
user who was registered a moment ago is seen before the commit, and no second connection waits
for the first one's locks. Comparing URLs would not do: one server has many names, and the caller
may have connected under another user or with another search path.

* Our own connections cannot write: SQLite's is opened read-only, PostgreSQL's makes every
  transaction so. No file is ever made.
* Nobody waits long: two seconds to connect, for a lock or for a statement. Who waited in vain
  spares the next ones the wait (`PAUSE_S`).
* In somebody's transaction on PostgreSQL our reading stands in a savepoint, since a statement
  that fails (tables that are not there) would spoil his transaction.
* Connections never cross a fork.
"""

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, cast

from envoi.directory.opening import WAIT_S, opened, read_url
from envoi.errors import DirectoryError, OutboxError
from envoi.forks import ForkGate
from envoi.seams import Params, Row, Tx

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

# After a question that waited in vain, questions fail at once for so long: an application that
# tells of many things must not wait for each of them.
PAUSE_S = 10
MAX_WORDS = 300


class ForeignDatabase:
    """Another system's database.

    Args:
        url: `sqlite:///PATH` or `postgresql://...`.
        witness: One of the tables that are read; two connections that see the same one see the
            same people. Empty: it is not known, and a connection of our own is always used.
        misfit: What to do when statements do not fit the tables; empty: the usual advice.

    Raises:
        DirectoryError: Not an address of SQLite or PostgreSQL.
    """

    def __init__(self, url: str, *, witness: str, misfit: str = "") -> None:
        """Parse the address; nothing is opened before it is needed."""
        self._url = read_url(url)
        self._witness = witness
        self._misfit = misfit
        self._engine: Engine | None = None
        self._seen: object = None
        self._pid = os.getpid()
        self._lock = Lock()
        self._gate = ForkGate(WAIT_S, self._let_go)
        self._paused_until = 0.0
        self._why_paused = ""

    def __repr__(self) -> str:
        """Show where it is, without the password."""
        return f"ForeignDatabase({self.place!r})"

    @property
    def place(self) -> str:
        """The address without its password."""
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self, tx: Tx) -> Generator[Tx]:
        """Open one consistent view of the tables.

        Args:
            tx: The transaction that the mail is stored in; used where it sees the same tables.

        Raises:
            DirectoryError: The database cannot be reached or read; `tx` stays usable.
        """
        with self._within(tx) as theirs:
            if theirs is not None:
                yield theirs
                return
        with self.alone() as ours:
            yield ours

    @contextmanager
    def alone(self) -> Generator[Tx]:
        """Open one consistent view of the tables on a connection of our own.

        Raises:
            DirectoryError: The database cannot be reached or read.
        """
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 # heavy, needed from here on

        began = self._refuse_while_paused()
        try:
            with self._gate.present(), self._own_engine().connect() as connection:
                yield ForeignTx(connection)
        except SQLAlchemyError as err:
            words = " ".join(str(getattr(err, "orig", None) or err).split())
            if time.monotonic() - began > WAIT_S / 2:
                self._why_paused, self._paused_until = words, time.monotonic() + PAUSE_S
            raise self._refused(words) from err

    def close(self) -> None:
        """Close every connection that nobody uses; a later use opens new ones."""
        with self._lock:
            if self._engine is not None:
                # After a fork the sockets belong to the parent too: they are dropped, not closed.
                self._engine.dispose(close=os.getpid() == self._pid)
            self._pid = os.getpid()

    def _refuse_while_paused(self) -> float:
        now = time.monotonic()
        if now < self._paused_until:
            raise self._refused(f"{self._why_paused}; not tried again for {PAUSE_S} s")
        return now

    @contextmanager
    def _within(self, tx: Tx) -> Generator[Tx | None]:
        if tx.dialect != self._url.get_backend_name() or not self._witness:
            yield None
            return
        try:
            with _shielded(tx):
                yield tx if self._is_seen_by(tx) else None
        except OutboxError as err:
            cause = getattr(err.__cause__, "orig", None) or err.__cause__ or err
            raise self._refused(" ".join(str(cause).split())) from err

    def _is_seen_by(self, tx: Tx) -> bool:
        seen = _sight(tx, self._witness)
        if seen is None:
            return False
        if tx.dialect == "sqlite":
            return seen == _file_id(self._url.database or "")
        if self._seen is None:
            with self.alone() as ours:
                self._seen = _sight(ours, self._witness)
        return seen == self._seen

    def _own_engine(self) -> "Engine":
        if os.getpid() != self._pid:
            self._lock = Lock()  # another thread may have held it when the process forked
            self.close()
        with self._lock:
            if self._engine is None:
                self._engine = opened(self._url, self._forget)
            return self._engine

    def _forget(self) -> None:
        # A new connection may lead to a server that was started again, which looks different.
        self._seen = None

    def _let_go(self) -> None:
        # A child would believe that it holds locks of a file that was open. A socket only has to
        # be left alone there, which `_own_engine` does.
        if self._engine is not None and self._url.get_backend_name() == "sqlite":
            self._engine.dispose()

    def _refused(self, words: str) -> DirectoryError:
        if self._url.password:
            words = words.replace(str(self._url.password), "***")
        advice = next((said for word, said in _ADVICE if word in words.lower()), _OTHERWISE)
        if self._misfit and any(word in words.lower() for word in _OF_STATEMENTS):
            advice = self._misfit
        return DirectoryError(
            f"the users in {self.place} cannot be read: {words[:MAX_WORDS]} ({advice})"
        )


# What the words of an engine mean for the person who must repair it; the first that fits.
_ADVICE = (
    ("no such table", "these are not its tables: check directory.url and directory.kind"),
    ("no such column", "its tables are of another version"),
    ("relation", "these are not its tables: check directory.url and directory.kind"),
    ("column", "its tables are of another version"),
    ("locked", "another process writes to it for long"),
    ("unable to open", "check that the file is there and that this user may read it"),
    ("not a database", "the file is no SQLite database: check directory.url"),
    ("malformed", "the file is damaged"),
    ("password", "check user and password in directory.url"),
    ("permission denied", "let this user read the tables"),
    ("statement timeout", f"it takes longer than {WAIT_S} s to answer"),
    ("does not exist", "check the names in directory.url"),
)
_OF_STATEMENTS = (
    "no such",
    "relation",
    "column",
    "syntax",
    "operator",
    "function",
    "invalid input",
)
_OTHERWISE = "check directory.url, and that the database runs"


class ForeignTx:
    """A read-only transaction on a connection of our own; a `seams.Tx`."""

    def __init__(self, connection: "Connection") -> None:
        """Take the connection."""
        self._connection = connection
        self.dialect = connection.dialect.name

    def execute(self, sql: str, params: Params) -> Sequence[Row]:
        """Run one statement; return its rows."""
        from sqlalchemy import text  # noqa: PLC0415 # loaded with the connection

        return cast("Sequence[Row]", self._connection.execute(text(sql), dict(params)).fetchall())

    def execute_many(self, sql: str, params: Sequence[Params]) -> None:
        """Refuse: nothing is ever written there."""
        raise NotImplementedError(f"a directory is only read, asked for {len(params)}: {sql}")


@contextmanager
def _shielded(tx: Tx) -> Generator[None]:
    if tx.dialect != "postgresql":
        yield  # on SQLite an error ends its statement, not the transaction
        return
    tx.execute("SAVEPOINT envoi_directory", {})
    try:
        yield
    except BaseException:
        tx.execute("ROLLBACK TO SAVEPOINT envoi_directory", {})
        raise
    finally:
        tx.execute("RELEASE SAVEPOINT envoi_directory", {})


def _sight(tx: Tx, witness: str) -> object:
    """Return what tells a connection's view of the tables from every other; None: sees none."""
    if tx.dialect == "sqlite":
        files = [str(row[2]) for row in tx.execute("PRAGMA database_list", {}) if row[1] == "main"]
        return _file_id(files[0]) if files else None
    [row] = tx.execute(_SIGHT, {"witness": witness})
    return tuple(row) if row[-1] else None


# A table's number is unique in its database, a database's on its server, and no two servers that
# are up began in the same microsecond. Whoever may not read the table has not the same view.
_SIGHT = """
SELECT CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 AS BIGINT),
  CAST(d.oid AS BIGINT), CAST(CAST(to_regclass(:witness) AS OID) AS BIGINT),
  has_table_privilege(CAST(to_regclass(:witness) AS OID), 'SELECT')
FROM pg_database d WHERE d.datname = current_database()
"""


def _file_id(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat() if path else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None
