"""This room makes an event of what was typed: a JSON object, flags, or both."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from envoi.core.event import Event, check_event, cleaned
from envoi.core.kind import Fact, FactType, Kind, Plain
from envoi.errors import EventError, InputError

_WORDS = {"yes": True, "true": True, "no": False, "false": False}


def checked_event(kind: Kind, event: Event) -> Event:
    """Return the event with its facts made harmless.

    Raises:
        EventError: It does not fit its kind; lists every problem.
    """
    problems = check_event(kind, event)
    if problems:
        raise EventError("\n".join(str(problem) for problem in problems))
    return cleaned(event, kind)


def facts_typed(kind: Kind, pairs: Iterable[str]) -> dict[str, Plain]:
    """Return the facts that `name=value` texts name, each of the type its kind asks for.

    A fact that is a list takes one value per repetition.

    Raises:
        InputError: No such fact, or a value that is none of its type.
    """
    facts: dict[str, Plain] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        fact = kind.facts.get(name)
        if not equals or fact is None:
            known = ", ".join(kind.facts) or "none"
            raise InputError(f"--fact: expected NAME=VALUE with one of {known}, got {pair!r:.60}")
        value = _value(name, fact, text)
        before = facts.get(name)
        if isinstance(before, list) and isinstance(value, list):
            facts[name] = [*before, *value]
        elif name in facts:
            raise InputError(f"--fact {name}: expected it once, got it twice")
        else:
            facts[name] = value
    return facts


def people_typed(pairs: Iterable[str]) -> dict[str, Plain]:
    """Return the people that `role=login` texts name, by role.

    Raises:
        InputError: A text without a role or a name.
    """
    people: dict[str, list[Plain]] = {}
    for pair in pairs:
        role, _, names = pair.partition("=")
        listed = [name.strip() for name in names.split(",") if name.strip()]
        if not role or not listed:
            raise InputError(f"--to-role: expected ROLE=LOGIN, got {pair!r:.60}")
        people.setdefault(role, []).extend(listed)
    return {role: list(names) for role, names in people.items()}


def merged_form(form: object, flags: Mapping[str, Plain]) -> object:
    """Return an event's JSON form with what was typed beside it, which wins field by field."""
    if not isinstance(form, Mapping):
        return form  # refused by name where it is read
    table: dict[object, object] = {**form}
    for name, value in flags.items():
        before = table.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            table[name] = {**before, **value}
        elif value:
            table[name] = value
    return table


def _value(name: str, fact: Fact, text: str) -> Plain:
    read = _READERS.get(fact.type)
    if read is None:
        return text
    try:
        return read(text)
    except (ValueError, KeyError, OverflowError) as err:
        shown = "********" if fact.is_secret else f"{text!r:.60}"
        raise InputError(
            f"--fact {name}: expected a value of type {fact.type}, got {shown}"
        ) from err


def _moment(text: str) -> int:
    if text.isdecimal():
        return int(text)
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _rows(text: str) -> Plain:
    rows: Plain = json.loads(text)
    return rows if isinstance(rows, list) else [rows]


_READERS: Mapping[FactType, Callable[[str], Plain]] = {
    FactType.INTEGER: int,
    FactType.NUMBER: float,
    FactType.BOOLEAN: lambda text: _WORDS[text.lower()],
    FactType.MOMENT: _moment,
    FactType.LINES: lambda text: [text],
    FactType.ROWS: _rows,
}
