"""This room turns changes of an application's objects into events: each object is told of once.

A transaction may touch one object several times and many objects of one class. What is told is
what the transaction did to each of them in the end, and the objects of one class, action and
audience stand in one event, so that nobody reads of an object twice. Objects that concern
different people stand in different events: an owner does not read of other owners' objects.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from envoi.core.event import Event
from envoi.core.kind import Plain

OBJECT_CHANGED = "object_changed"
INSERT, UPDATE, DELETE = "INSERT", "UPDATE", "DELETE"
# More lines nobody reads in a mail; what is left out is counted.
MAX_LISTED = 100
# An event's subject is no longer; keys of a database seldom are as long.
MAX_SUBJECT_CHARS = 512

People = Mapping[str, tuple[str, ...]]
_ThingT = TypeVar("_ThingT", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that was done to one object.

    Args:
        class_name: Its class without the module, e.g. `Experimenter`.
        class_path: Its class with the module.
        action: INSERT, UPDATE, DELETE, or the application's own word.
        id: Its primary key as text; parts of a composite one joined by `,`.
        name: How people call it; may be empty.
        url: Its page, as a link or a path below the base URL; may be empty.
        people: Logins or addresses by role of `object_changed`.
    """

    class_name: str
    class_path: str = ""
    action: str
    id: str
    name: str = ""
    url: str = ""
    people: People = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstance:
    """By whom, from where and when changes were made.

    Args:
        actor: Login or registered address; empty when nobody did it.
        client: Address of the machine that it was done from; may be empty.
        at_ms: When, milliseconds since 1970 UTC.
        application: Which application of the outbox speaks.
    """

    at_ms: int
    actor: str = ""
    client: str = ""
    application: str = "main"


def net_actions(done: Iterable[tuple[_ThingT, str]]) -> tuple[tuple[_ThingT, str], ...]:
    """Return what a transaction did to each thing in the end, in the order of its first action.

    A thing that was inserted and then updated is new; one that was inserted and deleted never
    was. Actions of the application's own are kept beside, each once.

    >>> net_actions([("a", "INSERT"), ("b", "UPDATE"), ("a", "UPDATE"), ("b", "DELETE")])
    (('a', 'INSERT'), ('b', 'DELETE'))
    """
    lasting: dict[tuple[_ThingT, str], str] = {}
    for thing, action in done:
        slot = (thing, "" if action in _LASTING else action)
        before = lasting.get(slot, "")
        after = _LASTING[action].get(before, action) if action in _LASTING else action
        if after:
            lasting[slot] = after
        else:
            del lasting[slot]
    return tuple((thing, action) for (thing, _), action in lasting.items())


# By action: what it makes of the action before it, where that is not itself.
_LASTING: Mapping[str, Mapping[str, str]] = {
    INSERT: {DELETE: UPDATE},
    UPDATE: {INSERT: INSERT},
    DELETE: {INSERT: ""},
}


def object_events(changes: Iterable[Change], circumstance: Circumstance) -> tuple[Event, ...]:
    """Return one event for the changes of each class, action and audience."""
    groups: dict[Hashable, list[Change]] = {}
    for change in changes:
        audience = tuple(sorted((role, names) for role, names in change.people.items()))
        slot = (change.class_path, change.class_name, change.action, audience)
        groups.setdefault(slot, []).append(change)
    return tuple(_event(group, circumstance) for group in groups.values())


def subject_of(class_name: str, id_: str) -> str:
    """Return the stable name of an object, which keeps the mails about it in one thread.

    >>> subject_of("Experimenter", "52")
    'Experimenter/52'
    """
    return f"{class_name}/{id_}"[:MAX_SUBJECT_CHARS]


def _event(group: list[Change], circumstance: Circumstance) -> Event:
    first, is_one = group[0], len(group) == 1
    facts: dict[str, Plain] = {
        "class_name": first.class_name,
        "class_path": first.class_path,
        "action": first.action,
        "objects": [_row(change) for change in group[:MAX_LISTED]],
        "count": len(group),
        "client": circumstance.client,
        "at": circumstance.at_ms,
        "url": first.url if is_one else "",
    }
    return Event(
        kind=OBJECT_CHANGED,
        facts=facts,
        actor=circumstance.actor,
        subject=subject_of(first.class_name, first.id) if is_one else "",
        people=first.people,
        occurred_at_ms=circumstance.at_ms,
        application=circumstance.application,
    )


def _row(change: Change) -> dict[str, Plain]:
    return {"id": change.id, "name": change.name, "url": change.url}
