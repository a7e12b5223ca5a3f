"""This room decides who must hear of an event, and why; and who must not, and why not.

Rules are data (`Sender`); people come as `Candidate`s, each once, with the selectors that found
them. Nothing here asks a directory or a clock, so every decision can be replayed and explained.
Order of judgement for one person and one sender, first match wins:

    told already -> may not read it -> the actor -> excluded by selector -> inactive
        -> no usable address -> chosen
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from envoi.core.condition import Condition, holds
from envoi.core.event import Event
from envoi.core.kind import MailClass, Plain
from envoi.core.limit import Limit
from envoi.core.people import Address, Person
from envoi.core.reason import Because, Why
from envoi.core.selector import NO_READERS, Chain, Choice, Selector, SelectorType, read_choice

__all__ = [
    "NO_READERS",
    "Audience",
    "Because",
    "Candidate",
    "Chain",
    "Choice",
    "Question",
    "Recipient",
    "Selector",
    "SelectorType",
    "Sender",
    "Skipped",
    "Why",
    "pick_recipients",
    "pick_senders",
    "read_choice",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A rule: on this kind, when this holds, mail these people with this template.

    Args:
        name: Unique name, the key of its TOML table.
        kind: The kind it listens to.
        recipients: Who is told, in order of precedence: the first selector that finds a person
            is the reason he reads. Of a chain only the first link counts that finds anybody.
        template: Template to use; defaults to the kind's name.
        when: Conditions; none means always.
        exclude: Selectors of people who are not told though a recipient selector finds them.
        tells_actor: Whether who did it is told of it. Default False.
        tells_inactive: Whether inactive people are told. Default False.
        is_enabled: Whether it speaks at all.
        mail_class: Class of its mail; None: its kind's.
        transport: Name of the relay its mail leaves by.
        headers: Extra header lines, names and values.
        facts: Facts that its own mail has, whatever the event says.
        to_matched_address: Whether a person whom the event names by one of his registered
            addresses is told at that address, as it is stored, instead of his primary one; then
            nobody outside the directory is told. Default False.
        fallback: Whether administrators are told in place of people who could not be
            determined; None: where a role or the administrators are among the recipients.
        needs: Selectors that must each find a user, else nobody is told.
        limit: How much of it a person gets within a window; None: as much as there is.
        prefix: What its subjects begin with; None: what all of the application's do.
        description: A sentence for lists.
    """

    name: str
    kind: str
    recipients: tuple[Choice, ...]
    template: str = ""
    when: tuple[Condition, ...] = ()
    exclude: tuple[Selector, ...] = ()
    tells_actor: bool = False
    tells_inactive: bool = False
    is_enabled: bool = True
    mail_class: MailClass | None = None
    transport: str = "default"
    headers: tuple[tuple[str, str], ...] = ()
    facts: Mapping[str, Plain] = field(default_factory=lambda: MappingProxyType({}))
    to_matched_address: bool = False
    fallback: bool | None = None
    needs: tuple[Selector, ...] = ()
    limit: Limit | None = None
    prefix: str | None = None
    description: str = ""

    @property
    def template_name(self) -> str:
        """The template whose words it uses."""
        return self.template or self.kind

    @property
    def links(self) -> tuple[Selector, ...]:
        """Every selector among its recipients, those within chains too."""
        return tuple(link for choice in self.recipients for link in choice.links)

    @property
    def may_fall_back(self) -> bool:
        """Whether administrators stand in for people who could not be determined."""
        if self.fallback is not None:
            return self.fallback
        named_by_events = {SelectorType.ROLE, SelectorType.ADMINS}
        return any(link.type in named_by_events for link in self.links)

    def spoken(self, event: Event) -> Event:
        """Return the event as this sender's mail tells of it."""
        return replace(event, facts={**event.facts, **self.facts}) if self.facts else event


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
    ledger = _Ledger(by_address=dict(told))
    for sender in senders:
        if lacking := _lacking(sender, audience):
            skipped += lacking
            continue
        tried = _tried(sender, audience.answered)
        skipped += _unknown_of(sender, tried, audience)
        for candidate in audience.candidates:
            because = _first_match(tried, candidate)
            if because is None:
                continue
            judged = _judged(sender, candidate, because, audience.actor, ledger)
            if isinstance(judged, Recipient):
                ledger.keep(judged)
                recipients.append(judged)
            else:
                skipped.append(judged)
    return tuple(recipients), tuple(skipped)


@dataclass(slots=True, kw_only=True)
class _Ledger:
    """Who is told already: sender's name by person id, person's label by address."""

    by_person: dict[str, str] = field(default_factory=dict[str, str])
    by_address: dict[str, str]

    def keep(self, recipient: Recipient) -> None:
        """Note one more."""
        self.by_person[recipient.person.id] = recipient.sender
        self.by_address[str(recipient.address)] = recipient.person.label


def _lacking(sender: Sender, audience: Audience) -> list[Skipped]:
    return [
        Skipped(
            person=Person(id=f"unknown:{selector}", login=str(selector)),
            sender=sender.name,
            because=Because(Why.UNKNOWN),
        )
        for selector in sender.needs
        if not _is_user_found(selector, audience)
    ]


def _is_user_found(selector: Selector, audience: Audience) -> bool:
    # Of an address that somebody typed a directory makes an outsider, who is not meant.
    found = [one.person for one in audience.candidates if selector in one.found_by]
    return selector in audience.answered and (not found or any(one.login for one in found))


def _tried(sender: Sender, answered: AbstractSet[Selector]) -> tuple[Selector, ...]:
    return tuple(link for choice in sender.recipients for link in _links_tried(choice, answered))


def _links_tried(choice: Choice, answered: AbstractSet[Selector]) -> tuple[Selector, ...]:
    for count, link in enumerate(choice.links, start=1):
        # Directories tell of these two by the people alone; there is hardly nobody of them.
        is_certain = link.type in {SelectorType.ADMINS, SelectorType.EVERYONE}
        if is_certain or link in answered:
            return choice.links[:count]
    return choice.links


def _first_match(tried: Iterable[Selector], candidate: Candidate) -> Because | None:
    return next((link.because for link in tried if link in candidate.found_by), None)


def _judged(
    sender: Sender, candidate: Candidate, because: Because, actor: Person | None, ledger: _Ledger
) -> Recipient | Skipped:
    person = candidate.person
    address = candidate.matched if sender.to_matched_address else None
    address = address or person.address
    refusal = _refusal(sender, candidate, actor, ledger) or _no_way(person, address, ledger)
    if refusal is not None or address is None:
        refusal = refusal or Because(Why.NO_ADDRESS)
        return Skipped(person=person, sender=sender.name, because=refusal)
    return Recipient(person=person, address=address, sender=sender.name, because=because)


def _refusal(
    sender: Sender, candidate: Candidate, actor: Person | None, ledger: _Ledger
) -> Because | None:
    person = candidate.person
    if person.id in ledger.by_person:
        return Because(Why.TOLD, ledger.by_person[person.id])
    if NO_READERS in candidate.found_by:
        return Because(Why.NO_READER)
    if actor is not None and person.id == actor.id and not sender.tells_actor:
        return Because(Why.ACTOR)
    for selector in sender.exclude:
        if selector in candidate.found_by:
            return Because(Why.EXCLUDED, str(selector))
    if not person.is_active and not sender.tells_inactive:
        return Because(Why.INACTIVE)
    # What somebody typed is not an address that an account is known to have.
    if sender.to_matched_address and not person.login:
        return Because(Why.UNKNOWN)
    return None


def _no_way(person: Person, address: Address | None, ledger: _Ledger) -> Because | None:
    if address is None:
        unusable = person.unusable_address
        return Because(Why.UNUSABLE, unusable) if unusable else Because(Why.NO_ADDRESS)
    if str(address) in ledger.by_address:
        return Because(Why.SAME_ADDRESS, ledger.by_address[str(address)])
    return None


def _unknown_of(sender: Sender, tried: Iterable[Selector], audience: Audience) -> list[Skipped]:
    wanted = frozenset(tried)
    return [
        Skipped(
            person=Person(id=f"unknown:{reference}", login=reference),
            sender=sender.name,
            because=Because(Why.UNKNOWN),
        )
        for reference, selectors in audience.unknown.items()
        if selectors & wanted
    ]
