"""This room holds what the walk works with and what it leaves behind."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from envoi.core.delivery import Delivery, State
from envoi.core.event import Event
from envoi.core.kind import Kind
from envoi.core.message import Audible, Composed, Identity
from envoi.core.people import Person
from envoi.core.routing import Skipped
from envoi.journal import Fact, Journal

Mail = tuple[Composed, tuple[Delivery, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undetermined:
    """One mail whose recipients could not be determined, as the journal tells of it.

    Args:
        subject: Subject of the mail.
        told: Addresses that were told instead; none: nobody was.
    """

    subject: str
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What a walk wrote.

    Args:
        event_id: Row id of the event.
        is_new: False when the event's key was stored before and nothing was written.
        is_routing: Whether the worker still has to find the recipients.
        mails: Messages with their deliveries.
        skipped: People considered and not told.
        undetermined: Mail whose recipients could not be determined.
        because: Why nobody is told, where nobody is; or why that is found out later.
    """

    event_id: int
    is_new: bool = True
    is_routing: bool = False
    mails: tuple[Mail, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    undetermined: tuple[Undetermined, ...] = ()
    because: str = ""

    @property
    def deliveries(self) -> int:
        """How many people will get mail."""
        return sum(len(deliveries) for _, deliveries in self.mails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An event with all that its mail is made of.

    Args:
        kind: Its kind.
        event: Cleaned, with its secrets.
        actor: Who did it, where the directory knows him.
        identity: How its application presents itself.
        event_id: Row id; 0 in a preview.
    """

    kind: Kind
    event: Event
    actor: Person | None
    identity: Identity
    event_id: int = 0

    @property
    def audible(self) -> Audible:
        """What `compose` needs."""
        return Audible(event=self.event, kind=self.kind, actor=self.actor, identity=self.identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one transaction of a walk told.

    Args:
        heard: Names of the senders that reached somebody, in this and in earlier transactions.
        is_routing: Whether the worker walks.
        is_resumed: Whether an earlier worker told a part of the audience.
        mails: Messages with their deliveries.
        skipped: People considered and not told.
        undetermined: Mail whose recipients could not be determined.
    """

    heard: set[str] = field(default_factory=set[str])
    is_routing: bool = False
    is_resumed: bool = False
    mails: tuple[Mail, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    undetermined: tuple[Undetermined, ...] = ()


def report(journal: Journal, mails: Sequence[Mail], undetermined: Sequence[Undetermined]) -> None:
    """State, after the commit, what nobody will see otherwise: mail that is held, or went astray.

    Args:
        journal: Where it is stated.
        mails: What was stored.
        undetermined: Mail whose recipients could not be determined.
    """
    for one in undetermined:
        if one.told:
            told = ", ".join(one.told)
            journal.note(Fact.RECIPIENTS_UNDETERMINED, subject=one.subject, told=told)
        else:
            journal.note(Fact.RECIPIENTS_NOBODY, subject=one.subject)
    for composed, deliveries in mails:
        for delivery in deliveries:
            if delivery.state is State.HELD:
                journal.note(
                    Fact.MAIL_NOT_CONFIGURED,
                    recipient=delivery.address,
                    subject=composed.message.subject,
                    text=composed.message.text,
                )
