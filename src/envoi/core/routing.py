"""This room decides who must hear of an event, and why; and who must not, and why not.

Rules are data (`Sender`); people come as `Candidate`s, each once, with the selectors that found
them. Nothing here asks a directory or a clock, so every decision can be replayed and explained.
Order of judgement for one person and one sender, first match wins:

    told already -> the actor -> excluded by selector -> inactive -> no usable address -> chosen
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from envoi.core.condition import Condition, holds
from envoi.core.event import Event
from envoi.core.kind import MailClass
from envoi.core.people import Address, Person


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


_SELECTOR_FORMS = "admins, everyone, role:NAME, user:LOGIN, group:NAME or an e-mail address"


class Why(StrEnum):
    """Reason why a person was chosen or skipped; the value is stored, the sentence is shown."""

    ROLE = "role"
    USER = "user"
    GROUP = "group"
    ADMINS = "admins"
    EVERYONE = "everyone"
    ADDRESS = "address"
    NAMED = "named"  # a ready-made mail names its recipients itself
    TOLD = "told"
    SAME_ADDRESS = "same_address"
    ACTOR = "actor"
    EXCLUDED = "excluded"
    INACTIVE = "inactive"
    NO_ADDRESS = "no_address"
    UNUSABLE = "unusable"
    UNKNOWN = "unknown"


_SENTENCES = {
    Why.ROLE: "is named by the event as {}",
    Why.USER: "is named by the sender as user {}",
    Why.GROUP: "is a member of group {}",
    Why.ADMINS: "is an administrator",
    Why.EVERYONE: "everyone is told",
    Why.ADDRESS: "the sender names the address {}",
    Why.NAMED: "is named as recipient of this mail",
    Why.TOLD: "was told already by sender {}",
    Why.SAME_ADDRESS: "has the same address as {}, who is told",
    Why.ACTOR: "did it and is not told of it",
    Why.EXCLUDED: "is excluded by {}",
    Why.INACTIVE: "is inactive",
    Why.NO_ADDRESS: "has no address",
    Why.UNUSABLE: "has an unusable address: {}",
    Why.UNKNOWN: "is not in the directory",
}


@dataclass(frozen=True, slots=True)
class Because:
    """A reason with its detail, e.g. `Because(Why.ROLE, "reviewers")`.

    >>> str(Because(Why.ROLE, "reviewers"))
    'is named by the event as reviewers'
    >>> Because.read(Because(Why.ROLE, "reviewers").stored)
    Because(why=<Why.ROLE: 'role'>, detail='reviewers')
    """

    why: Why
    detail: str = ""

    def __str__(self) -> str:
        """Return the English sentence for lists, logs and `explain`."""
        return _SENTENCES[self.why].format(self.detail)

    @property
    def stored(self) -> str:
        """The form that the database keeps."""
        return f"{self.why} {self.detail}".strip()

    @classmethod
    def read(cls, stored: str) -> "Because":
        """Return the reason that `stored` names."""
        why, _, detail = stored.partition(" ")
        return cls(Why(why), detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A rule: on this kind, when this holds, mail these people with this template.

    Args:
        name: Unique name, the key of its TOML table.
        kind: The kind it listens to.
        recipients: Who is told, in order of precedence: the first selector that finds a person
            is the reason he reads.
        template: Template to use; defaults to the kind's name.
        when: Conditions; none means always.
        exclude: Selectors of people who are not told though a recipient selector finds them.
        tells_actor: Whether who did it is told of it. Default False.
        tells_inactive: Whether inactive people are told. Default False.
        is_enabled: Whether it speaks at all.
        mail_class: Class of its mail; None: its kind's.
        transport: Name of the relay its mail leaves by.
        headers: Extra header lines, names and values.
        description: A sentence for lists.
    """

    name: str
    kind: str
    recipients: tuple[Selector, ...]
    template: str = ""
    when: tuple[Condition, ...] = ()
    exclude: tuple[Selector, ...] = ()
    tells_actor: bool = False
    tells_inactive: bool = False
    is_enabled: bool = True
    mail_class: MailClass | None = None
    transport: str = "default"
    headers: tuple[tuple[str, str], ...] = ()
    description: str = ""

    @property
    def template_name(self) -> str:
        """The template whose words it uses."""
        return self.template or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What routing must ask a directory to judge one event.

    Args:
        selectors: Everybody whom a sender might choose or exclude.
        references: Logins and addresses that the event names, the actor among them.
        actor: The reference that stands for who did it.
        roles: Which references stand in which role.
        sought: By role, groups of references that were found in texts. Of each group only the
            first counts that a user of the directory answers to, by login or any registered
            address; a group that no user answers to is nobody, and is not told as unknown.
    """

    selectors: frozenset[Selector]
    references: frozenset[str] = frozenset()
    actor: str = ""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    sought: Mapping[str, tuple[tuple[str, ...], ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A person with every selector of the question that found him.

    Args:
        person: Who.
        found_by: The selectors.
        matched: The registered address, as it is stored, by which the event named him in a role;
            None when it named him otherwise.
    """

    person: Person
    found_by: frozenset[Selector]
    matched: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """A directory's answer: everybody who could care, once each, ordered by person id.

    Args:
        candidates: The people, at most as many as were asked for.
        actor: Who did it, where the directory knows him.
        unknown: References that nobody in the directory answers to, with their selectors.
        answered: The role, user, group and address selectors that found somebody at all, on
            whatever page; told with every page.
        sought: The users found by role of `Question.sought`, told with every page.
        has_more: Whether people with a greater id remain to be asked for.
    """

    candidates: tuple[Candidate, ...] = ()
    actor: Person | None = None
    unknown: Mapping[str, frozenset[Selector]] = field(default_factory=lambda: MappingProxyType({}))
    answered: frozenset[Selector] = frozenset()
    sought: Mapping[str, tuple[Person, ...]] = field(default_factory=lambda: MappingProxyType({}))
    has_more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A person chosen, with the address to use and the reason."""

    person: Person
    address: Address
    sender: str
    because: Because


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A person considered and not chosen, with the reason."""

    person: Person
    sender: str
    because: Because


def pick_senders(event: Event, senders: Iterable[Sender]) -> tuple[Sender, ...]:
    """Return the enabled senders that speak for this event, in their order."""
    return tuple(
        sender
        for sender in senders
        if sender.is_enabled
        and sender.kind == event.kind
        and all(holds(condition, event) for condition in sender.when)
    )


def question(event: Event, senders: Iterable[Sender]) -> Question:
    """Return what must be asked of the directory before these senders can choose."""
    senders = tuple(senders)
    wanted = {s for sender in senders for s in (*sender.recipients, *sender.exclude)}
    roles = {**event.people, "actor": (event.actor,) if event.actor else ()}
    return Question(
        selectors=frozenset(wanted),
        references=event.references,
        actor=event.actor,
        roles=roles,
    )


def pick_recipients(
    audience: Audience,
    senders: Iterable[Sender],
    told: Mapping[str, str] = MappingProxyType({}),
) -> tuple[tuple[Recipient, ...], tuple[Skipped, ...]]:
    """Return who hears of an event and who does not, each with the reason.

    Args:
        audience: The directory's answer to `question(event, senders)`.
        senders: The senders that speak, in order: the first that finds a person tells him.
        told: Labels of people already told in an earlier part of the audience, by address.
    """
    recipients: list[Recipient] = []
    skipped: list[Skipped] = []
    told_by_address = dict(told)
    told_by_person: dict[str, str] = {}
    for sender in senders:
        skipped += _unknown_of(sender, audience)
        for candidate in audience.candidates:
            because = _first_match(sender, candidate)
            if because is None:
                continue
            person = candidate.person
            refusal = _refusal(sender, candidate, audience.actor, told_by_person, told_by_address)
            if refusal is not None or person.address is None:
                skipped.append(
                    Skipped(
                        person=person,
                        sender=sender.name,
                        because=refusal or Because(Why.NO_ADDRESS),
                    )
                )
                continue
            told_by_person[person.id] = sender.name
            told_by_address[str(person.address)] = person.label
            recipients.append(
                Recipient(
                    person=person,
                    address=person.address,
                    sender=sender.name,
                    because=because,
                )
            )
    return tuple(recipients), tuple(skipped)


def _first_match(sender: Sender, candidate: Candidate) -> Because | None:
    for selector in sender.recipients:
        if selector in candidate.found_by:
            return Because(Why(selector.type), selector.name)
    return None


def _refusal(
    sender: Sender,
    candidate: Candidate,
    actor: Person | None,
    told_by_person: Mapping[str, str],
    told_by_address: Mapping[str, str],
) -> Because | None:
    person = candidate.person
    if person.id in told_by_person:
        return Because(Why.TOLD, told_by_person[person.id])
    if actor is not None and person.id == actor.id and not sender.tells_actor:
        return Because(Why.ACTOR)
    for selector in sender.exclude:
        if selector in candidate.found_by:
            return Because(Why.EXCLUDED, str(selector))
    if not person.is_active and not sender.tells_inactive:
        return Because(Why.INACTIVE)
    if person.address is None:
        unusable = person.unusable_address
        return Because(Why.UNUSABLE, unusable) if unusable else Because(Why.NO_ADDRESS)
    if str(person.address) in told_by_address:
        return Because(Why.SAME_ADDRESS, told_by_address[str(person.address)])
    return None


def _unknown_of(sender: Sender, audience: Audience) -> list[Skipped]:
    return [
        Skipped(
            person=Person(id=f"unknown:{reference}", login=reference),
            sender=sender.name,
            because=Because(Why.UNKNOWN),
        )
        for reference, selectors in audience.unknown.items()
        if selectors.intersection(sender.recipients)
    ]
