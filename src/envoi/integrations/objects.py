"""This room says which of an application's objects are watched, and tells of what was done to them.

It is what the toolkits' own rooms share: `sqlalchemy` and `django` find out what a transaction
does, and hand it in here. Whatever the application's own functions do wrong, they do inside a
savepoint: their error is journaled, and the application's transaction goes on (DESIGN 4.11).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

from envoi.core.event import Event
from envoi.core.kind import Plain
from envoi.core.objects import (
    DELETE,
    INSERT,
    OBJECT_CHANGED,
    UPDATE,
    Change,
    Circumstance,
    object_events,
    subject_of,
)
from envoi.core.problem import Problem
from envoi.errors import InputError, OutboxError
from envoi.journal import Fact
from envoi.mailer import Mailer

__all__ = [
    "DELETE", "INSERT", "UPDATE", "Deed", "Described", "Savepoint", "Watched", "Watcher", "nobody",
]  # fmt: skip

# What a function of the application says of one of its objects. `Any`: a list of watched classes
# holds functions of as many types, and no type describes them together.
Names: TypeAlias = Mapping[str, Iterable[str] | None]
# What is told of one object.
Described: TypeAlias = tuple[Change | Event, ...]
# Undoes whatever those functions do to the application's transaction when they fail.
Savepoint: TypeAlias = Callable[[], AbstractContextManager[None]]


def nobody() -> str:
    """Return nothing: what is asked when the application names no actor and no client."""
    return ""


@dataclass(frozen=True, slots=True)
class Watched:
    """A class of the application's objects, and what is told of them.

    Every function is given the object. For `object_changed` name, url and people are enough;
    another kind has facts of its own, and one event is made per object.

    Args:
        model: The mapped class.
        actions: What is told: INSERT, UPDATE, DELETE, and words of the application's own.
        kind: Kind of the event. Default `object_changed`.
        name: How people call it. Default: its `str()`, where its class says what that is.
        url: Its page, as a link or a path below the base URL.
        people: Logins or addresses by role of the kind.
        facts: The facts of the event, for every kind but `object_changed`.
        subject: Stable name that keeps mails in one thread. Default `Class/id`.
    """

    model: type
    actions: tuple[str, ...] = field(default=(INSERT, UPDATE, DELETE), kw_only=True)
    kind: str = field(default=OBJECT_CHANGED, kw_only=True)
    name: Callable[[Any], str] | None = field(default=None, kw_only=True)
    url: Callable[[Any], str] | None = field(default=None, kw_only=True)
    people: Callable[[Any], Names] | None = field(default=None, kw_only=True)
    facts: Callable[[Any], Mapping[str, Plain]] | None = field(default=None, kw_only=True)
    subject: Callable[[Any], str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what could never be told."""
        where = f"Watched({self.model.__name__})"
        # A text is a sequence of texts as well, of one letter each.
        actions = cast("object", self.actions)
        if isinstance(actions, str) or not self.actions or not all(self.actions):
            expected = "a tuple of INSERT, UPDATE, DELETE or words of your own"
            problem = Problem(where=f"{where}.actions", expected=expected, got=repr(self.actions))
            raise InputError(str(problem))
        if (self.facts is None) is (self.kind != OBJECT_CHANGED):
            is_general = self.kind == OBJECT_CHANGED
            expected = "no facts: they are made here" if is_general else "a function of the object"
            got = "a function" if self.facts else "none"
            hint = "name a kind of your own, or use name, url and people" if is_general else ""
            where = f"{where}.facts"
            raise InputError(str(Problem(where=where, expected=expected, got=got, hint=hint)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What was done to one object.

    Args:
        thing: The object.
        action: INSERT, UPDATE, DELETE, or the application's own word.
        id: Its primary key as text.
    """

    thing: object
    action: str
    id: str


class Watcher:
    """What the toolkits share: which classes are watched, and how their objects are told of.

    Args:
        mailer: Takes the events.
        watched: The classes.
        actor: Says who acts at this moment, as login or address; empty for nobody.
        client: Says from which machine, at this moment.
        application: Which application of the outbox speaks.

    Raises:
        UnknownKindError: No such kind.
    """

    def __init__(
        self,
        mailer: Mailer,
        watched: Iterable[Watched],
        *,
        actor: Callable[[], str] = nobody,
        client: Callable[[], str] = nobody,
        application: str = "main",
    ) -> None:
        """Look every kind up, so that a misspelt one is told of at start."""
        self.mailer = mailer
        self._actor = actor
        self._client = client
        self._application = application
        self._by_model: dict[type, list[Watched]] = {}
        for one in watched:
            mailer.parts.catalogue.kind(one.kind)
            self._by_model.setdefault(one.model, []).append(one)

    @property
    def models(self) -> tuple[type, ...]:
        """The watched classes."""
        return tuple(self._by_model)

    def rules(self, thing: object, action: str) -> tuple[Watched, ...]:
        """Return what is told of an object: by its class, else by the nearest class above it."""
        for model in type(thing).__mro__:
            if model in self._by_model:
                return tuple(one for one in self._by_model[model] if action in one.actions)
        return ()

    def describe(self, deeds: Sequence[Deed], savepoint: Savepoint) -> tuple[Described, ...]:
        """Ask the application's functions about its objects, within a savepoint.

        Returns:
            What is told of each deed. What cannot be told is journaled, and the others are told.
        """
        asked = [deed for deed in deeds if self.rules(deed.thing, deed.action)]
        if not asked:
            return ((),) * len(deeds)
        try:
            with savepoint():
                return tuple(self._described(deed) for deed in deeds)
        except Exception:  # noqa: BLE001 # somebody else's code, in his own commit
            # Which of them it was is found out one by one, each with a savepoint of its own.
            return tuple(self._described_alone(deed, savepoint) for deed in deeds)

    def tell(self, described: Iterable[Change | Event], tx: object, savepoint: Savepoint) -> None:
        """Hand over what was described, within the transaction `tx`; never raises."""
        described = tuple(described)
        for event in self._events(described, savepoint) if described else ():
            try:
                self.mailer.notify(event, tx)
            except Exception as err:  # noqa: BLE001 # facts that do not fit: no reason to roll back
                self._journal(event.kind, None, err)

    def _described(self, deed: Deed) -> Described:
        return tuple(_described(rule, deed) for rule in self.rules(deed.thing, deed.action))

    def _described_alone(self, deed: Deed, savepoint: Savepoint) -> Described:
        described: list[Change | Event] = []
        for rule in self.rules(deed.thing, deed.action):
            try:
                with savepoint():
                    described.append(_described(rule, deed))
            except Exception as err:  # noqa: BLE001 # as above
                self._journal(rule.kind, deed, err)
        return tuple(described)

    def _events(self, described: Described, savepoint: Savepoint) -> list[Event]:
        actor, client = self._asked(savepoint)
        circumstance = Circumstance(
            actor=actor,
            client=client,
            at_ms=self.mailer.parts.clock(),
            application=self._application,
        )
        changes = [one for one in described if isinstance(one, Change)]
        own = [_placed(one, circumstance) for one in described if isinstance(one, Event)]
        return [*object_events(changes, circumstance), *own]

    def _asked(self, savepoint: Savepoint) -> tuple[str, str]:
        if self._actor is nobody and self._client is nobody:
            return "", ""
        try:
            with savepoint():
                return self._actor() or "", self._client() or ""
        except Exception as err:  # noqa: BLE001 # the application's; what happened is still news
            self.mailer.parts.journal.note(Fact.EVENT_ANONYMOUS, because=_cause(err))
            return "", ""

    def _journal(self, kind: str, deed: Deed | None, err: Exception) -> None:
        about = f"{type(deed.thing).__name__} {deed.id} {deed.action}: " if deed else ""
        because = f"{about}{_cause(err)}"
        self.mailer.parts.journal.note(Fact.EVENT_NOT_STORED, kind=kind, because=because)


def _cause(err: Exception) -> str:
    # A statement of the application's own that failed is not the outbox's trouble.
    cause = err.__cause__ if isinstance(err, OutboxError) and err.__cause__ else err
    return f"{type(cause).__name__}: {cause}"


def _described(rule: Watched, deed: Deed) -> Change | Event:
    thing, model = deed.thing, type(deed.thing)
    people = _people(rule.people(thing)) if rule.people else {}
    if rule.facts is None:
        return Change(
            class_name=model.__name__,
            class_path=f"{model.__module__}.{model.__qualname__}",
            action=deed.action,
            id=deed.id,
            # Whatever reads as text: toolkits have texts that are translated when they are read.
            name=str(rule.name(thing) or "") if rule.name else _own_name(thing),
            url=str(rule.url(thing) or "") if rule.url else "",
            people=people,
        )
    return Event(
        kind=rule.kind,
        facts=rule.facts(thing),
        subject=rule.subject(thing) if rule.subject else subject_of(model.__name__, deed.id),
        people=people,
    )


def _people(named: Names) -> dict[str, tuple[str, ...]]:
    # One login is often given as it is, and an owner who is nobody as nothing.
    return {
        role: tuple(
            str(name) for name in ((names,) if isinstance(names, str) else names or ()) if name
        )
        for role, names in named.items()
    }


def _own_name(thing: object) -> str:
    # What a class of nobody's making says is `<User object at 0x7f...>`, or every column there is.
    words = type(thing).__str__
    is_said = words is not object.__str__ and getattr(words, "__module__", "") not in _SILENT
    return str(thing) if is_said else ""


# Where the `__str__` stands that every model of a toolkit has.
_SILENT = frozenset({"django.db.models.base"})


def _placed(event: Event, circumstance: Circumstance) -> Event:
    return replace(
        event,
        actor=circumstance.actor,
        occurred_at_ms=circumstance.at_ms,
        application=circumstance.application,
    )
