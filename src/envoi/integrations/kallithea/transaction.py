"""This room knows what Kallithea's database session is about to commit.

Mail about something that is being written leaves when that is committed, and never after a
rollback. A request that writes nothing never commits, so its mail must not wait. SQLAlchemy's
session says both, and says it alike from 1.3 (Kallithea 0.7) to 2: which is why nothing else of
SQLAlchemy is used here.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, cast
from weakref import WeakSet

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction, scoped_session

    Sessions = scoped_session[Session]

META = "kallithea.model.meta"
_KEY = "envoi.changes"


@dataclass(slots=True)
class _Changes:
    """What a session has written since its transaction began, and who waits for the commit."""

    has_flushed: bool = False
    waiting: list[tuple["SessionTransaction | None", Callable[[], object]]] = field(
        default_factory=list["tuple[SessionTransaction | None, Callable[[], object]]"]
    )


class Watch:
    """Watches the sessions of Kallithea's model, from the first question on."""

    def __init__(self) -> None:
        """Watch nothing yet; the model may not be loaded."""
        self._lock = Lock()
        self._watched: WeakSet[Sessions] = WeakSet()

    def begin(self) -> None:
        """Watch the sessions if they are there and not watched yet."""
        sessions = _sessions()
        if sessions is None:
            return
        with self._lock:
            if sessions in self._watched:
                return
            _listen(sessions)
            self._watched.add(sessions)
        # Asking for a session makes one where there is none, which nobody would remove.
        if sessions.registry.has():
            session = sessions()
            _changes(session).has_flushed |= _has_begun_writing(session)

    def writing_session(self) -> "Session | None":
        """Return this thread's session if it holds changes that its commit decides."""
        self.begin()
        sessions = _sessions()
        if sessions is None or not sessions.registry.has():
            return None
        session = sessions()
        if session.new or session.deleted or any(map(session.is_modified, session.dirty)):
            return session
        return session if _changes(session).has_flushed else None


def after_commit(session: "Session", callback: Callable[[], object]) -> None:
    """Call back after the outermost commit; never when the transaction, or its savepoint that is
    open now, rolls back.
    """  # noqa: D205 # one sentence
    _changes(session).waiting.append((_innermost(session), callback))


def _sessions() -> "Sessions | None":
    # Looked up and never imported: where the model is not loaded, nothing was written.
    return cast("Sessions | None", getattr(sys.modules.get(META), "Session", None))


def _listen(sessions: "Sessions") -> None:
    from sqlalchemy import event  # noqa: PLC0415 # the host's own, loaded already

    for name, listener in (
        ("after_flush", _on_flush),
        ("after_bulk_update", _on_bulk),
        ("after_bulk_delete", _on_bulk),
        ("after_commit", _on_commit),
        ("after_soft_rollback", _on_rollback),
        ("after_transaction_end", _on_end),
    ):
        event.listen(sessions, name, listener)


def _on_flush(session: "Session", _context: object) -> None:
    _changes(session).has_flushed = True


def _on_bulk(context: object) -> None:
    _changes(cast("Session", getattr(context, "session", None))).has_flushed = True


def _on_commit(session: "Session") -> None:
    # Also told of savepoints that are released; nothing is committed by that.
    if _is_nested(session):
        return
    changes = _changes(session)
    waiting, changes.waiting = changes.waiting, []
    for _, callback in waiting:
        callback()


def _on_rollback(session: "Session", previous: "SessionTransaction") -> None:
    changes = _changes(session)
    changes.waiting = [one for one in changes.waiting if previous not in _ancestry(one[0])]


def _on_end(session: "Session", transaction: "SessionTransaction") -> None:
    # A session that is closed says neither "commit" nor "rollback", and may be used again.
    if transaction.parent is None:
        session.info.pop(_KEY, None)


def _changes(session: "Session") -> _Changes:
    return cast("_Changes", session.info.setdefault(_KEY, _Changes()))


def _innermost(session: "Session") -> "SessionTransaction | None":
    if hasattr(session, "get_transaction"):
        return session.get_nested_transaction() or session.get_transaction()
    return cast("SessionTransaction | None", getattr(session, "transaction", None))


def _is_nested(session: "Session") -> bool:
    transaction = _innermost(session)
    return transaction is not None and transaction.nested


def _ancestry(transaction: "SessionTransaction | None") -> "Iterator[SessionTransaction]":
    while transaction is not None:
        yield transaction
        transaction = transaction.parent


def _has_begun_writing(session: "Session") -> bool:
    # Asked once, when the watch begins in the middle of a transaction: SQLite's driver begins
    # one with the first change. Other drivers cannot tell, and mail that waits for a commit
    # that never comes is lost, so there the answer is no.
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 # the host's own, loaded already

    try:
        connection = session.connection().connection
    except SQLAlchemyError:
        return False  # bound to its tables instead of to one engine, or cannot connect
    return bool(getattr(connection, "in_transaction", False))
