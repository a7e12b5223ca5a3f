"""This room reads selectors: the ways in which a sender names people."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from envoi.core.event import MAY_NOT_READ
from envoi.core.reason import Because, Why


class SelectorType(StrEnum):
    """Ways in which a sender names people."""

    ROLE = "role"  # whom the event names: `role:reviewers`; `role:actor` is who did it
    USER = "user"  # one user by login: `user:ann`
    GROUP = "group"  # every member: `group:developers`
    ADMINS = "admins"  # users with the admin flag, and the application's plain admin addresses
    EVERYONE = "everyone"  # every user of the directory
    ADDRESS = "address"  # one plain address: `address:ops@example.org`, or just the address


@dataclass(frozen=True, slots=True)
class Selector:
    """One way to find people, as a sender's `recipients` list names it.

    >>> str(Selector.parse("role:reviewers")), str(Selector.parse("ops@example.org"))
    ('role:reviewers', 'address:ops@example.org')
    """

    type: SelectorType
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read `admins`, `everyone`, `role:x`, `user:x`, `group:x`, `address:x@y` or `x@y`.

        Raises:
            ValueError: The text is none of these.
        """
        # Spaces are how lists are laid out; a line break beside an address is no accident (A8).
        word, colon, name = (part.strip(" \t") for part in text.partition(":"))
        if not colon and "@" in word:
            return cls(SelectorType.ADDRESS, word)
        if word not in list(SelectorType):
            raise ValueError(f"{text!r} is no selector; expected {_SELECTOR_FORMS}")
        selector_type = SelectorType(word)
        if bool(name) == (selector_type in {SelectorType.ADMINS, SelectorType.EVERYONE}):
            raise ValueError(f"{text!r} is no selector; expected {_SELECTOR_FORMS}")
        return cls(selector_type, name)

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        return f"{self.type}:{self.name}" if self.name else str(self.type)

    @property
    def links(self) -> tuple["Selector", ...]:
        """Itself, as a chain of one."""
        return (self,)

    @property
    def because(self) -> Because:
        """The reason why somebody whom it finds is told."""
        return Because(Why(self.type), self.name)


# Whoever stands in this role is told nothing, whatever the event's kind.
NO_READERS = Selector(SelectorType.ROLE, MAY_NOT_READ)
_SELECTOR_FORMS = "admins, everyone, role:NAME, user:LOGIN, group:NAME or an e-mail address"


@dataclass(frozen=True, slots=True)
class Chain:
    """Selectors of which the first one counts that finds anybody at all.

    >>> str(read_choice("role:author | role:owner"))
    'role:author|role:owner'
    """

    links: tuple[Selector, ...]

    def __str__(self) -> str:
        """Return the form that `read_choice` reads."""
        return "|".join(map(str, self.links))


Choice: TypeAlias = Selector | Chain


def read_choice(text: str) -> Choice:
    """Read a selector, or several with `|` between them: each but the first stands in.

    Raises:
        ValueError: A part is no selector.
    """
    links = tuple(Selector.parse(part) for part in text.split("|"))
    return links[0] if len(links) == 1 else Chain(links)
