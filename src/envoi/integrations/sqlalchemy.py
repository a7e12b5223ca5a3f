"""This room tells of objects that SQLAlchemy's sessions insert, update and delete.

    watch(SessionFactory, mailer, [
        Watched(User, actions=(INSERT,), kind="new_user", facts=facts_of_user),
        Watched(Image, people=lambda image: {"owner": image.owner.login}),
    ], actor=current_login)

What a session did is noted flush by flush, with the savepoints that were open: a rollback to one
of them takes the notes away. Just before the outermost commit the objects are described as they
are then, and the events are stored in that very transaction. An object that is deleted is
described before its row goes.

Statements that pass by the session's objects (`session.execute(insert(...))`, bulk methods, a
cascade within the database, SQL by hand) make no events: nobody knows of which objects they are.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

from sqlalchemy import Connection, event, inspect
from sqlalchemy.orm import Mapper, Session, scoped_session, sessionmaker

from envoi.core.objects import DELETE, INSERT, UPDATE, net_actions
from envoi.core.problem import Problem, brief
from envoi.errors import InputError
from envoi.integrations.objects import Deed, Described, Savepoint, Watched, Watcher, nobody
from envoi.mailer import Mailer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
    from sqlalchemy.orm import InstanceState, SessionTransaction

    # Whatever makes or is a session.
    Synchronous: TypeAlias = (
        type[Session] | Session | sessionmaker[Session] | scoped_session[Session]
    )
    Asynchronous: TypeAlias = (
        type[AsyncSession]
        | AsyncSession
        | async_sessionmaker[AsyncSession]
        | async_scoped_session[AsyncSession]
    )

__all__ = ["DELETE", "INSERT", "UPDATE", "Watched", "Watching", "watch"]

# What describes objects may add some in the middle of a commit: those are told too, but not without
# end, which SQLAlchemy would refuse, and the application's commit with it.
MAX_ROUNDS = 10


def watch(
    sessions: "Synchronous | Asynchronous",
    mailer: Mailer,
    watched: Iterable[Watched],
    *,
    actor: Callable[[], str] = nobody,
    client: Callable[[], str] = nobody,
    application: str = "main",
) -> "Watching":
    """Tell of what these sessions do to objects of the watched classes.

    Args:
        sessions: A `Session` class or session, `sessionmaker`, `scoped_session`, or the
            asynchronous form of one of them.
        mailer: Takes the events.
        watched: The classes and what is told of them.
        actor: Says who acts at the moment of the commit, as login or address.
        client: Says from which machine.
        application: Which application of the outbox speaks.

    Raises:
        InputError: A class is not mapped, or `sessions` is nothing that makes sessions.
        UnknownKindError: No such kind.
    """
    watched = tuple(watched)
    for one in watched:
        if not isinstance(inspect(one.model, raiseerr=False), Mapper):
            where, got = "watched", one.model.__qualname__
            raise InputError(str(Problem(where=where, expected="mapped classes", got=got)))
    watcher = Watcher(mailer, watched, actor=actor, client=client, application=application)
    return Watching(watcher, _target(sessions))


@dataclass(frozen=True, slots=True)
class _Note:
    """One action on one object.

    Args:
        thing: The object; held, so that it can be described at the commit.
        action: What was done.
        savepoints: Those that were open.
        described: What was said of it before its row went; None: described at the commit.
    """

    thing: object
    action: str
    savepoints: tuple["SessionTransaction", ...]
    described: Described | None = None


@dataclass(slots=True)
class _Notes:
    """What one session did in its transaction.

    Args:
        kept: In order.
        deleting: What was said of objects that the flush under way deletes, by their identity.
        rounds: How often something was told since the commit began; what is flushed after the first
            time is told flush by flush.
    """

    kept: list[_Note] = field(default_factory=list[_Note])
    deleting: dict[int, Described] = field(default_factory=dict[int, Described])
    rounds: int = 0


class Watching:
    """The watch over some sessions, until `stop`.

    Args:
        watcher: What is watched.
        target: The class of the sessions, or one session.
    """

    def __init__(self, watcher: Watcher, target: type[Session] | Session) -> None:
        """Listen."""
        self._watcher = watcher
        self._listeners: tuple[tuple[object, str, Callable[..., None]], ...] = (
            (target, "before_flush", self._before_flush),
            (target, "after_flush", self._after_flush),
            (target, "persistent_to_deleted", self._on_deleted),
            (target, "after_flush_postexec", self._after_flush_postexec),
            (target, "before_commit", self._before_commit),
            (target, "after_commit", self._after_commit),
            (target, "after_soft_rollback", self._after_rollback),
            (target, "after_transaction_end", self._after_end),
        )
        for listener in self._listeners:
            event.listen(*listener)

    def tell(self, session: "Session | AsyncSession", thing: object, action: str) -> None:
        """Tell of an action of the application's own, such as PASSWORD, with the commit.

        Raises:
            InputError: The object's class is not watched for this action.
        """
        if not self._watcher.rules(thing, action):
            watched = ", ".join(model.__name__ for model in self._watcher.models) or "none"
            got = f"{action!r} of {type(thing).__name__}"
            expected = f"an action that Watched.actions names, of {watched}"
            raise InputError(str(Problem(where="action", expected=expected, got=got)))
        synchronous = session if isinstance(session, Session) else session.sync_session
        self._keep(synchronous, thing, action)

    def stop(self) -> None:
        """Watch no longer; what is not committed yet is not told."""
        for listener in self._listeners:
            event.remove(*listener)
        self._listeners = ()

    # What a flush does.

    def _before_flush(self, session: Session, _context: object, _objects: object) -> None:
        things = [thing for thing in session.deleted if self._watcher.rules(thing, DELETE)]
        notes = self._made(session) if things else self._found(session)
        if notes is not None:
            # While their rows, and those around them, are still there.
            notes.deleting = self._described(session, things)

    def _after_flush(self, session: Session, _context: object) -> None:
        for thing in session.new:
            self._note(session, thing, INSERT)
        # A session holds what changed in no order.
        changed = [thing for thing in session.dirty if self._is_watched(thing)]
        for thing in sorted(changed, key=_order):
            if session.is_modified(thing, include_collections=False):
                self._note(session, thing, UPDATE)

    def _on_deleted(self, session: Session, thing: object) -> None:
        if not self._is_watched(thing):
            return
        described = self._made(session).deleting.pop(id(thing), None)
        if described is None:
            # An orphan: the flush itself found that it must go.
            described = self._described(session, [thing])[id(thing)]
        self._keep(session, thing, DELETE, described)

    def _after_flush_postexec(self, session: Session, _context: object) -> None:
        notes = self._found(session)
        if notes is not None and 0 < notes.rounds < MAX_ROUNDS:
            self._tell(session, notes)

    # What becomes of a transaction.

    def _before_commit(self, session: Session) -> None:
        # Savepoints are released by a "commit" too.
        if session.in_nested_transaction():
            return
        session.flush()
        notes = self._found(session)
        if notes is not None:
            self._tell(session, notes)

    def _after_commit(self, session: Session) -> None:
        notes = self._found(session)
        if notes is None or notes.rounds or session.in_nested_transaction():
            return
        # A commit that began inside a savepoint nobody released: the session can run no more
        # statements now, so this is stored in a transaction of its own.
        self._tell_there(list(_net(notes.kept)), None, nullcontext, session)

    def _after_rollback(self, session: Session, previous: "SessionTransaction") -> None:
        notes = self._found(session)
        if notes is not None and previous.nested:
            notes.kept = [note for note in notes.kept if previous not in note.savepoints]

    def _after_end(self, session: Session, transaction: "SessionTransaction") -> None:
        if transaction.parent is None:
            session.info.pop(self, None)

    def _described(self, session: Session, things: list[object]) -> dict[int, Described]:
        if not things:
            return {}
        savepoint = self._savepoint_of(_tx(session, things[0]))
        deeds = [_deed(thing, DELETE) for thing in things]
        with session.no_autoflush:
            described = self._watcher.describe(deeds, savepoint)
        return dict(zip(map(id, things), described, strict=True))

    # Notes.

    def _found(self, session: Session) -> _Notes | None:
        return cast("_Notes | None", session.info.get(self))

    def _made(self, session: Session) -> _Notes:
        return cast("_Notes", session.info.setdefault(self, _Notes()))

    def _is_watched(self, thing: object) -> bool:
        return any(self._watcher.rules(thing, action) for action in (INSERT, UPDATE, DELETE))

    def _note(self, session: Session, thing: object, action: str) -> None:
        # Also of an action that is not told: an update of what is new is none, for one.
        if self._is_watched(thing):
            self._keep(session, thing, action)

    def _keep(
        self, session: Session, thing: object, action: str, described: Described | None = None
    ) -> None:
        note = _Note(thing, action, tuple(_savepoints(session)), described)
        self._made(session).kept.append(note)

    def _tell(self, session: Session, notes: _Notes) -> None:
        notes.rounds += 1
        kept, notes.kept = notes.kept, []
        places: dict[Session | Connection, list[_Note]] = {}
        for note in _net(kept):
            places.setdefault(_tx(session, note.thing), []).append(note)
        for tx, there in places.items():
            self._tell_there(there, tx, self._savepoint_of(tx), session)

    def _tell_there(
        self, notes: list[_Note], tx: Session | Connection | None, savepoint: Savepoint,
        session: Session,
    ) -> None:  # fmt: skip
        told = [each for note in notes for each in note.described or ()]
        deeds = [_deed(note.thing, note.action) for note in notes if note.described is None]
        with session.no_autoflush:
            described = self._watcher.describe(deeds, savepoint)
            self._watcher.tell([*told, *(each for one in described for each in one)], tx, savepoint)

    def _savepoint_of(self, tx: Session | Connection) -> Savepoint:
        return lambda: self._watcher.mailer.outbox.join(tx).savepoint()


def _deed(thing: object, action: str) -> Deed:
    return Deed(thing=thing, action=action, id=",".join(_key(thing)))


def _net(kept: list[_Note]) -> Iterator[_Note]:
    """Give what was done to each object in the end."""
    by_action = {(id(note.thing), note.action): note for note in kept}
    things = {id(note.thing): note.thing for note in kept}
    for identity, action in net_actions((id(note.thing), note.action) for note in kept):
        known = by_action.get((identity, action))
        yield known or _Note(things[identity], action, ())


def _savepoints(session: Session) -> Iterator["SessionTransaction"]:
    transaction = session.get_nested_transaction()
    while transaction is not None:
        if transaction.nested:
            yield transaction
        transaction = transaction.parent


def _tx(session: Session, thing: object) -> Session | Connection:
    # A session without an engine of its own has one per class.
    if session.bind is not None:
        return session
    return session.connection(bind_arguments={"mapper": type(thing)})


def _key(thing: object) -> tuple[str, ...]:
    state = cast("InstanceState[object]", inspect(thing))
    return tuple(str(part) for part in state.identity or ())


def _order(thing: object) -> tuple[str, ...]:
    # As numbers are ordered, where they are numbers.
    return tuple(part.rjust(20) for part in _key(thing))


def _target(sessions: object) -> type[Session] | Session:
    """Return what SQLAlchemy lets one listen to: a class of sessions, or one session."""
    match sessions:
        case scoped_session():
            return _target(sessions.session_factory)
        case sessionmaker():
            return sessions.class_
        case Session():
            return sessions
        case type() if issubclass(sessions, Session):
            return sessions
        case _:
            found = _synchronous(sessions)
    if found is None:
        expected = "a Session, a sessionmaker or a scoped_session"
        raise InputError(str(Problem(where="sessions", expected=expected, got=brief(sessions))))
    return found


def _synchronous(sessions: object) -> type[Session] | Session | None:
    # Only who has greenlet can import it, and only who imported it can hand one in.
    if "sqlalchemy.ext.asyncio" not in sys.modules:
        return None
    from sqlalchemy.ext import asyncio  # noqa: PLC0415 # loaded already

    match sessions:
        case asyncio.async_scoped_session():
            return _synchronous(sessions.session_factory)
        case asyncio.async_sessionmaker():
            return _own_class(sessions)
        case asyncio.AsyncSession():
            return sessions.sync_session
        case type() if issubclass(sessions, asyncio.AsyncSession):
            return sessions.sync_session_class
        case _:
            return None


def _own_class(sessions: "async_sessionmaker[AsyncSession]") -> type[Session]:
    known = sessions.kw.get("sync_session_class", sessions.class_.sync_session_class)
    if known is Session:
        # Everybody's: with a class of its own, this factory's sessions are told apart.
        known = type("Session", (Session,), {})
        sessions.configure(sync_session_class=known)
    return cast("type[Session]", known)
