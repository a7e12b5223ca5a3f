"""This room holds the event: what happened, to what, by whom, and who is named in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from envoi.core.kind import Kind, Plain, clean_facts, clean_line

# A key identifies one happening ("comment 4711 created"); longer ones are a mistake, and
# PostgreSQL cannot index texts without bound.
MAX_KEY_CHARS = 256
MAX_SUBJECT_CHARS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in an application.

    Args:
        kind: Name of its registered kind.
        facts: What the templates and the senders' conditions may read; plain values only.
        actor: Login or registered address of who did it; empty when nobody did.
        subject: Stable name of the object it is about, e.g. `docs/pull/7`. Mails about one
            subject stand in one thread.
        people: Who stands in which role, by login or address, e.g. `{"reviewers": ("ann",)}`.
        key: Idempotency key: a second event with the same key is answered with the first.
        occurred_at_ms: When it happened, milliseconds since 1970 UTC; 0: when it was handed over.
        application: Which application of this outbox speaks.
    """

    kind: str
    facts: Mapping[str, Plain] = field(default_factory=lambda: MappingProxyType({}))
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


def cleaned(event: Event, kind: Kind) -> Event:
    """Return the event with its facts made harmless, as everything after step 2 sees it."""
    return Event(
        kind=event.kind,
        facts=clean_facts(kind, event.facts),
        actor=event.actor,
        subject=clean_line(event.subject),
        people={role: tuple(dict.fromkeys(names)) for role, names in event.people.items()},
        key=event.key,
        occurred_at_ms=event.occurred_at_ms,
        application=event.application,
    )
