"""This room holds the event: what happened, to what, by whom, and who is named in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import cast

from envoi.core.kind import Kind, Plain, check_facts, clean_facts, clean_line, is_one_line
from envoi.core.problem import Problem, brief, printable
from envoi.core.thread import MAX_SUBJECT_CHARS, subject_of

# A key identifies one happening ("comment 4711 created"); longer ones are a mistake, and
# PostgreSQL cannot index texts without bound.
MAX_KEY_CHARS = 256
# One event names the people around one object; a mail to thousands is a group or a broadcast.
MAX_NAMED = 10_000
# The role, known to every kind, of people who may not read what an event is about.
MAY_NOT_READ = "may_not_read"
MAX_MOMENT_MS = 253_402_300_799_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in an application.

    Args:
        kind: Name of its registered kind.
        facts: What the templates and the senders' conditions may read; plain values only.
        actor: Login or registered address of who did it; empty when nobody did.
        subject: Stable name of the object it is about, e.g. `docs/pull/7`. Mails about one
            subject stand in one thread. Empty: what the kind's pattern makes of the facts.
        people: Who stands in which role, by login or address, e.g. `{"reviewers": ("ann",)}`.
            Whoever stands in the role `may_not_read` is told nothing, whatever else he is.
        key: Idempotency key: a second event with the same key is answered with the first.
        occurred_at_ms: When it happened, milliseconds since 1970 UTC; 0: when it was handed over.
        application: Which application of this outbox speaks.
    """

    kind: str
    # Not in the repr: an application that logs its events must not log reset links.
    facts: Mapping[str, Plain] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    actor: str = ""
    subject: str = ""
    people: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    key: str = ""
    occurred_at_ms: int = 0
    application: str = "main"

    @property
    def references(self) -> frozenset[str]:
        """Everybody that the event names, by login or address."""
        named = {reference for references in self.people.values() for reference in references}
        return frozenset(named | {self.actor} - {""})


def check_event(kind: Kind, event: Event) -> tuple[Problem, ...]:
    """List everything in which the event does not fit its kind; empty when it does."""
    return (*check_facts(kind, event.facts), *_check_people(kind, event), *_check_words(event))


def cleaned(event: Event, kind: Kind) -> Event:
    """Return the event with its facts made harmless, as everything after step 2 sees it."""
    facts = clean_facts(kind, event.facts)
    return Event(
        kind=event.kind,
        facts=facts,
        actor=_reference(event.actor),
        subject=clean_line(event.subject) or subject_of(kind, facts),
        people={
            role: tuple(dict.fromkeys(_reference(name) for name in names))
            for role, names in event.people.items()
        },
        key=event.key,
        occurred_at_ms=event.occurred_at_ms,
        application=event.application,
    )


def happened(event: Event, at_ms: int) -> Event:
    """Return the event with the time it was handed over, unless it says itself when it happened."""
    return event if event.occurred_at_ms else replace(event, occurred_at_ms=at_ms)


def _reference(name: str) -> str:
    # Whom these name gets mail, or does not. Without its control characters `ann\0` would be ann
    # and `a@b\u202e.test` somebody else's address (A8, A10, A21); written out they are nobody.
    # What is cut is longer than any login or address, so cutting makes it nobody else.
    return printable(name.strip(" "))[:MAX_SUBJECT_CHARS]


def _check_people(kind: Kind, event: Event) -> Iterator[Problem]:
    roles = (*kind.roles, MAY_NOT_READ)
    known = ", ".join(roles)
    count = 0
    for role, names in event.people.items():
        where = f"people.{role}"
        if role not in roles:
            yield Problem(where=where, expected=f"one of {known}", got="an unknown role")
        elif not _are_names(names):
            expected = "a list of logins or addresses"
            yield Problem(where=where, expected=expected, got=brief(names))
        else:
            count += len(names)
    if count > MAX_NAMED:
        yield Problem(where="people", expected=f"at most {MAX_NAMED} names", got=str(count))


def _check_words(event: Event) -> Iterator[Problem]:
    for where, value, longest in (
        ("actor", event.actor, MAX_SUBJECT_CHARS),
        ("subject", event.subject, MAX_SUBJECT_CHARS),
        ("key", event.key, MAX_KEY_CHARS),
        ("application", event.application, MAX_KEY_CHARS),
    ):
        if not _is_text(value, longest):
            expected = f"a text of at most {longest} characters"
            yield Problem(where=where, expected=expected, got=brief(value))
        # A key is compared, so it is not cleaned; and no database takes every control character.
        elif where == "key" and not is_one_line(value):
            yield Problem(where=where, expected="one line of text", got=f"{value!r:.40}")
    if not is_moment(event.occurred_at_ms):
        expected = "milliseconds since 1970"
        got = brief(event.occurred_at_ms)
        yield Problem(where="occurred_at_ms", expected=expected, got=got)


def _are_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(name, str) for name in cast("list[object]", value)
    )


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest


def is_moment(value: object) -> bool:
    """Whether it is a moment in milliseconds since 1970 UTC, 0 included."""
    # Beyond the year 9999 no Date header and no template can show it.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_MOMENT_MS
