"""This room tells of models that a Django project saves and deletes.

What is noted in a transaction is told just before its outermost commit, inside it: so the objects
of a class stand in one mail, and the mail exists exactly if they do. Django tells nobody that a
commit begins, so the `commit` of a connection is wrapped when its first note is made; the notes
themselves lie among its `on_commit` callbacks, where a savepoint that is rolled back takes them
away. A callback that is called after all (Django's `captureOnCommitCallbacks` does) tells alone.

`QuerySet.update`, `bulk_create`, `bulk_update` and SQL by hand send no signals, so nobody hears of
them; nor of fixtures, and of what the project's own functions save while they describe something.
Signals are sent for exactly the watched class, as Django does.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from envoi.core.objects import DELETE, INSERT, UPDATE, net_actions
from envoi.core.problem import Problem
from envoi.errors import InputError
from envoi.integrations.django.request import current_client, current_login
from envoi.integrations.django.toolkit import (
    POST_SAVE,
    PRE_DELETE,
    Connection,
    atomic,
    connection_of,
    on_commit,
)
from envoi.integrations.objects import Deed, Described, Watched, Watcher
from envoi.mailer import Mailer


def watch(
    mailer: Mailer,
    watched: Iterable[Watched],
    *,
    actor: Callable[[], str] = current_login,
    client: Callable[[], str] = current_client,
    application: str = "main",
) -> "Watching":
    """Tell of what is done to objects of these models, on every database.

    Args:
        mailer: Takes the events.
        watched: The models and what is told of them.
        actor: Says who acts, as login or address. Default: the user of the request that
            `envoi.integrations.django.request.remember` remembers.
        client: Says from which machine. Default: that of the same request.
        application: Which application of the outbox speaks.

    Raises:
        InputError: A class is no model.
        UnknownKindError: No such kind.
    """
    watched = tuple(watched)
    for one in watched:
        if not hasattr(one.model, "_meta"):
            got = one.model.__qualname__
            raise InputError(str(Problem(where="watched", expected="models", got=got)))
    return Watching(Watcher(mailer, watched, actor=actor, client=client, application=application))


class Watching:
    """The watch over some models, until `stop`.

    Args:
        watcher: What is watched.
    """

    def __init__(self, watcher: Watcher) -> None:
        """Listen."""
        self._watcher = watcher
        for model in watcher.models:
            POST_SAVE.connect(self._on_saved, sender=model, weak=False)
            PRE_DELETE.connect(self._on_deleting, sender=model, weak=False)

    def stop(self) -> None:
        """Watch no longer; what is not committed yet is told still."""
        for model in self._watcher.models:
            POST_SAVE.disconnect(self._on_saved, sender=model)
            PRE_DELETE.disconnect(self._on_deleting, sender=model)

    def tell(self, thing: object, action: str, using: str = "default") -> None:
        """Tell of an action of the application's own, such as PASSWORD, with the commit.

        Raises:
            InputError: The object's class is not watched for this action.
        """
        if not self._watcher.rules(thing, action):
            watched = ", ".join(model.__name__ for model in self._watcher.models) or "none"
            got = f"{action!r} of {type(thing).__name__}"
            expected = f"an action that Watched.actions names, of {watched}"
            raise InputError(str(Problem(where="action", expected=expected, got=got)))
        self._note(Note(self, thing, action, using))

    def tell_notes(self, notes: "Sequence[Note]", tx: str | None) -> None:
        """Tell of what was noted, within a transaction of this alias, or in none."""
        things = {note.thing_key: note for note in notes}
        gone = {note.thing_key: note for note in notes if note.action == DELETE}
        told: list[Described] = []
        deeds: list[Deed] = []
        for key, action in net_actions((note.thing_key, note.action) for note in notes):
            if action == DELETE:
                told.append(gone[key].described)
            else:
                deeds.append(_deed(things[key].thing, action))
        savepoint = _savepoint(notes[0].using)
        told += self._watcher.describe(deeds, savepoint)
        self._watcher.tell([each for one in told for each in one], tx, savepoint)

    def _on_saved(
        self, instance: object, using: str, *, created: bool, raw: bool, **_more: object
    ) -> None:
        # A fixture that is loaded is nobody's doing.
        if not raw:
            self._note(Note(self, instance, INSERT if created else UPDATE, using))

    def _on_deleting(self, instance: object, using: str, **_more: object) -> None:
        if _commit_of(using).is_telling:
            return
        # While its row, and those around it, are still there.
        [described] = self._watcher.describe([_deed(instance, DELETE)], _savepoint(using))
        self._note(Note(self, instance, DELETE, using, described))

    def _note(self, note: "Note") -> None:
        commit = _commit_of(note.using)
        if commit.is_telling:
            return  # what a description saves would be described in turn, without end
        if commit.connection.in_atomic_block:
            on_commit(note, note.using)
        else:
            commit.tell([note], note.using)


class Note:
    """One action on one object, kept among a transaction's `on_commit` callbacks.

    Args:
        watching: Who tells of it.
        thing: The object.
        action: What was done.
        using: Alias of its database.
        described: What was said of it before its row went.
    """

    __slots__ = ("action", "described", "id", "thing", "using", "watching")

    def __init__(
        self, watching: Watching, thing: object, action: str, using: str, described: Described = ()
    ) -> None:
        """Hold the object, and its key, which a deletion takes from it."""
        self.watching = watching
        self.thing = thing
        self.action = action
        self.using = using
        self.described = described
        self.id = _key(thing)

    @property
    def thing_key(self) -> tuple[type, str]:
        """Which object: another instance of the same row is the same."""
        return type(self.thing), self.id

    def __call__(self) -> None:
        """Tell of it alone: the transaction ended without a commit of its connection."""
        _commit_of(self.using).tell([self], None)


class Commit:
    """A connection's `commit` that tells of what was noted before.

    Args:
        connection: Whose.
    """

    def __init__(self, connection: Connection) -> None:
        """Hold the connection and Django's own `commit`."""
        self.connection = connection
        self.is_telling = False
        self._commit = connection.commit

    def __call__(self) -> None:
        """Tell, and commit."""
        notes = self._take_notes()
        if notes:
            self._tell_inside(notes)
        self._commit()

    def tell(self, notes: Sequence[Note], tx: str | None) -> None:
        """Let each watch tell of its notes, within a transaction of this alias, or in none."""
        was_telling, self.is_telling = self.is_telling, True
        try:
            for watching in dict.fromkeys(note.watching for note in notes):
                own = [note for note in notes if note.watching is watching]
                watching.tell_notes(own, tx)
        finally:
            self.is_telling = was_telling

    def _take_notes(self) -> list[Note]:
        callbacks = self.connection.run_on_commit
        notes = [entry[1] for entry in callbacks if isinstance(entry[1], Note)]
        self.connection.run_on_commit = [
            entry for entry in callbacks if not isinstance(entry[1], Note)
        ]
        return notes

    def _tell_inside(self, notes: list[Note]) -> None:
        # The outermost block says a moment too soon that it has ended: within the transaction
        # that is still open, savepoints and callbacks are wanted.
        was_in_block, self.connection.in_atomic_block = self.connection.in_atomic_block, True
        try:
            self.tell(notes, self.connection.alias)
        finally:
            self.connection.in_atomic_block = was_in_block


def _commit_of(using: str) -> Commit:
    connection = connection_of(using)
    known = vars(connection).get("commit")
    if not isinstance(known, Commit):
        known = connection.commit = Commit(connection)
    return known


def _savepoint(using: str) -> Callable[[], AbstractContextManager[None]]:
    return partial(atomic, using)


def _deed(thing: object, action: str) -> Deed:
    return Deed(thing=thing, action=action, id=_key(thing))


def _key(thing: object) -> str:
    return str(getattr(thing, "pk", ""))
