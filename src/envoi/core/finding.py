"""This room finds people in what an event says: raw authors and mentions in texts.

An application that knows only `Ann Lee <ann@example.org>` or a comment's text hands over that;
the kind says which facts hold such things (`Kind.seeks`), `question` asks the directory for whoever
is meant, and `with_found` writes into the facts whom it found. Texts come from strangers, so the
search takes time in proportion to their length and asks for a bounded number of names.
"""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import islice
from types import MappingProxyType

from envoi.core.event import Event
from envoi.core.kind import Kind, Plain, Seek
from envoi.core.people import Person
from envoi.core.routing import Question, Sender
from envoi.core.selector import NO_READERS, Choice, Selector, SelectorType

# A comment that mentions more people than a team has is not a comment.
MAX_MENTIONS = 100
# The first letter or digit decides: `ann@example.org` mentions nobody. Both ends of a name are
# letters or digits, so that the full stop behind it is not part of it.
_MENTION = re.compile(r"(?<![A-Za-z0-9])@([A-Za-z0-9][-_.A-Za-z0-9]*[A-Za-z0-9])")
_IN_BRACKETS = re.compile(r"<([^<>]*)>")
_BETWEEN_WORDS = re.compile(r"[\s<>()\[\],;\"]+")


def question(event: Event, kind: Kind, senders: Iterable[Sender]) -> Question:
    """Return what must be asked of the directory before these senders can choose.

    Args:
        event: Cleaned.
        kind: Its kind, which says where people are looked for.
        senders: The senders that speak.
    """
    wanted = {
        link for sender in senders for link in (*sender.links, *sender.exclude, *sender.needs)
    }
    if event.people.get(NO_READERS.name):
        wanted.add(NO_READERS)
    return Question(
        selectors=frozenset(wanted),
        references=event.references,
        actor=event.actor,
        roles={**event.people, "actor": (event.actor,) if event.actor else ()},
        sought=sought(event, kind),
    )


def sought(event: Event, kind: Kind) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Return by role the groups of references that may stand for somebody."""
    found = {role: _groups(seek, event.facts) for role, seek in kind.seeks.items()}
    return MappingProxyType({role: groups for role, groups in found.items() if groups})


def unanswered(
    event: Event, kind: Kind, sender: Sender, answered: AbstractSet[Selector]
) -> tuple[Choice, ...]:
    """Return the recipients of a sender that somebody stands for whom nobody could be found.

    Args:
        event: Cleaned.
        kind: Its kind.
        sender: Whose recipients.
        answered: The selectors that found somebody.
    """
    return tuple(
        choice
        for choice in sender.recipients
        if any(_is_asked(event, kind, link) for link in choice.links)
        and answered.isdisjoint(choice.links)
    )


def is_named(event: Event, kind: Kind, role: str) -> bool:
    """Whether the event says that somebody stands in the role, known to a directory or not.

    Who is merely mentioned is not: `@todo` is nobody's name, and no reason to worry.
    """
    if role == "actor":
        return bool(event.actor)
    seek = kind.seeks.get(role, Seek())
    return any(event.people.get(role, ())) or bool(_text(event.facts, seek.name_in))


def with_found(event: Event, kind: Kind, found: Mapping[str, tuple[Person, ...]]) -> Event:
    """Return the event whose facts name people as the directory knows them.

    Args:
        event: Cleaned.
        kind: Its kind.
        found: `Audience.sought`. An author who was not found keeps his name and loses his address.
    """
    facts = dict(event.facts)
    for role, seek in kind.seeks.items():
        if seek.name_in and _text(facts, seek.name_in):
            facts |= _names(seek, facts, found.get(role, ()))
    return replace(event, facts=facts)


def mentions(text: str, earlier: str = "") -> tuple[str, ...]:
    """Return the logins that the text mentions and an earlier form of it did not.

    >>> mentions("@ann and @Ben.Lee: see @todo, mail x@example.org", "cc @TODO")
    ('ann', 'Ben.Lee')
    """
    known = {name.lower() for name in _MENTION.findall(earlier)} if earlier else set[str]()
    names = {m[1].lower(): m[1] for m in _MENTION.finditer(text) if m[1].lower() not in known}
    return tuple(islice(names.values(), MAX_MENTIONS))


def author_names(raw: str) -> tuple[str, ...]:
    """Return what a raw author may be registered by, in the order in which it is tried.

    >>> author_names("Ann Lee <ann@example.org>"), author_names("ann@example.org (Ann Lee)")
    (('ann@example.org', 'Ann Lee'), ('ann@example.org', 'Ann Lee'))
    """
    inside = _IN_BRACKETS.search(raw)
    if inside is None:
        return _names_around(raw)
    name = _unquoted(raw[: inside.start()] + raw[inside.end() :])
    return tuple(filter(None, (inside[1].strip(), name)))


def author_label(raw: str) -> str:
    """Return how a raw author is shown: without an address, which is nobody else's business.

    >>> author_label("Ann Lee <ann@example.org>"), author_label("ann@example.org")
    ('Ann Lee', 'ann')
    """
    names = author_names(raw)
    name = names[-1] if names else ""
    return name.partition("@")[0].strip() if "@" in name else name


def _is_asked(event: Event, kind: Kind, link: Selector) -> bool:
    match link.type:
        case SelectorType.ROLE:
            return is_named(event, kind, link.name)
        case SelectorType.EVERYONE:
            return False  # of a place without users everyone is nobody
        case _:
            return True


def _groups(seek: Seek, facts: Mapping[str, Plain]) -> tuple[tuple[str, ...], ...]:
    author = author_names(_text(facts, seek.name_in))
    text, earlier = _text(facts, seek.mentions_in), _text(facts, seek.except_in)
    return (*((author,) if author else ()), *((name,) for name in mentions(text, earlier)))


def _names(seek: Seek, facts: Mapping[str, Plain], found: tuple[Person, ...]) -> dict[str, Plain]:
    if not found:
        return {seek.name_in: author_label(_text(facts, seek.name_in))}
    names: dict[str, Plain] = {seek.name_in: found[0].login}
    if seek.full_name_in and not _text(facts, seek.full_name_in):
        names[seek.full_name_in] = found[0].full_name
    return names


def _text(facts: Mapping[str, Plain], name: str) -> str:
    value = facts.get(name) if name else None
    return value if isinstance(value, str) else ""


def _names_around(raw: str) -> tuple[str, ...]:
    # Nothing makes people set brackets: `Ann Lee ann@example.org` stands in many histories.
    address = next((word for word in _BETWEEN_WORDS.split(raw) if "@" in word[1:-1]), "")
    if not address:
        return tuple(filter(None, (raw.strip(),)))
    name = " ".join(raw.replace(address, " ", 1).split()).strip(' <>()[],;"')
    return tuple(filter(None, (address, name)))


def _unquoted(name: str) -> str:
    return " ".join(name.split()).strip('"').strip()
