"""This room finds who is told in place of people who could not be determined.

Two things look alike and are not. *Nobody is concerned*: no role is filled, or everybody found is
left out for a reason; then nothing is sent. *Nobody could be determined*: the event named or
implied somebody and no directory knows him, or the directory cannot be asked; then the mail goes
to the administrators and the application's fallback addresses, so that what happened is not lost.
Security mail never does: what it says is for one person's eyes.
"""

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from envoi.assembly import Parts
from envoi.core.event import Event
from envoi.core.finding import unanswered
from envoi.core.kind import Kind, MailClass
from envoi.core.people import Person, outsider
from envoi.core.ready import READY_SENDER, ReadyMail, pick_ready
from envoi.core.reason import Because, Why
from envoi.core.routing import Candidate, Question, Recipient, Sender, Skipped
from envoi.core.selector import NO_READERS, Choice, Selector, SelectorType
from envoi.errors import DirectoryError
from envoi.seams import Tx

# Administrators are asked for so many at a time.
PAGE_PEOPLE = 1_000
ADMINS = Selector(SelectorType.ADMINS)
FALLBACK = Because(Why.FALLBACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A sender whose recipients could not be determined.

    Args:
        sender: The sender.
        choices: Those of its recipients that nobody answered to.
        stand_ins: Who is told instead; nobody where nobody is known.
    """

    sender: Sender
    choices: tuple[Choice, ...]
    stand_ins: tuple[Recipient, ...]

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What `explain` shows of it."""
        name = self.sender.name
        missing = [_absent(name, str(one), Why.UNDETERMINED) for one in self.choices]
        if not self.stand_ins:
            missing.append(_absent(name, "fallback", Why.NO_FALLBACK))
        return tuple(missing)


def fallback_recipients(
    parts: Parts,
    tx: Tx,
    application: str,
    sender_name: str,
    *,
    told: Collection[str] = (),
    may_not_read: tuple[str, ...] = (),
) -> tuple[Recipient, ...]:
    """Return who is told when recipients could not be determined, each address once.

    All active administrators with an address, then `application.fallback`. While the directory
    cannot be asked, the plain addresses that the settings name.

    Args:
        parts: The outbox's parts.
        tx: Where a directory in the same database reads.
        application: Whose administrators.
        sender_name: Sender in whose name they are told.
        told: Addresses that are told already.
        may_not_read: References of people who may not read what it is about.
    """
    seen = {address.lower() for address in told}
    recipients: list[Recipient] = []
    for person in _people(parts, tx, application, may_not_read):
        if person.address is None or str(person.address).lower() in seen:
            continue
        seen.add(str(person.address).lower())
        recipients.append(
            Recipient(person=person, address=person.address, sender=sender_name, because=FALLBACK)
        )
    return tuple(recipients)


def ready_recipients(
    parts: Parts, tx: Tx, mail: ReadyMail
) -> tuple[tuple[Recipient, ...], tuple[Skipped, ...]]:
    """Return who gets a ready-made mail: whom it names, else who is told when nobody could be.

    Args:
        parts: The outbox's parts.
        tx: An open transaction.
        mail: Checked.
    """
    if not mail.to_fallback:
        return pick_ready(mail)
    recipients = fallback_recipients(parts, tx, mail.application, READY_SENDER)
    nobody = _absent(READY_SENDER, "fallback", Why.NO_FALLBACK)
    return recipients, () if recipients else (nobody,)


def lacks(
    parts: Parts,
    tx: Tx,
    about: tuple[Kind, Event],
    senders: Sequence[Sender],
    answered: AbstractSet[Selector],
) -> tuple[Lack, ...]:
    """Return the senders that may fall back and have recipients whom nobody answered to.

    Args:
        parts: The outbox's parts.
        tx: An open transaction.
        about: The event with its kind.
        senders: Those that told nobody.
        answered: The selectors that found somebody.
    """
    kind, event = about
    found: list[Lack] = []
    for sender in senders:
        if not may_fall_back(sender, kind):
            continue
        is_admins_mail = ADMINS in sender.links and _has_admins(parts, tx, event.application)
        known = answered | {ADMINS} if is_admins_mail else answered
        choices = unanswered(event, kind, sender, known)
        if choices:
            stand_ins = fallback_recipients(
                parts,
                tx,
                event.application,
                sender.name,
                may_not_read=event.people.get(NO_READERS.name, ()),
            )
            found.append(Lack(sender=sender, choices=choices, stand_ins=stand_ins))
    return tuple(found)


def may_fall_back(sender: Sender, kind: Kind) -> bool:
    """Whether others may read the mail in place of those it was meant for."""
    mail_class = sender.mail_class or kind.mail_class
    return sender.may_fall_back and mail_class is not MailClass.SECURITY


def stand_ins(
    parts: Parts, tx: Tx, event_id: int, told: Sequence[Recipient], lacks: Sequence[Lack]
) -> tuple[Recipient, ...]:
    """Return who is told in place of others and has no copy yet.

    Args:
        parts: The outbox's parts.
        tx: An open transaction.
        event_id: Row id of the event; after a crash some may have been told of it already.
        told: Who is told in this transaction.
        lacks: The senders that fall back.
    """
    wanted = [recipient for lack in lacks for recipient in lack.stand_ins]
    before = parts.outbox.told(tx, event_id, [str(one.address) for one in wanted])
    seen = {*map(str.lower, before), *(str(one.address).lower() for one in told)}
    chosen: list[Recipient] = []
    for recipient in wanted:
        if str(recipient.address).lower() not in seen:
            seen.add(str(recipient.address).lower())
            chosen.append(recipient)
    return tuple(chosen)


def _people(
    parts: Parts, tx: Tx, application: str, may_not_read: tuple[str, ...]
) -> Iterator[Person]:
    settings = parts.settings.applications[application]
    try:
        found = _asked(parts, tx, application, may_not_read)
    except DirectoryError:
        yield from map(outsider, (*settings.admins, *settings.fallback))
        return
    # By address: a fallback address may be that of a user who may not read it.
    barred = {str(one.person.address).lower() for one in found if NO_READERS in one.found_by}
    admins = [one.person for one in found if ADMINS in one.found_by and one.person.is_active]
    for person in (*admins, *map(outsider, settings.fallback)):
        if str(person.address).lower() not in barred:
            yield person


def _has_admins(parts: Parts, tx: Tx, application: str) -> bool:
    try:
        found = _asked(parts, tx, application, ())
    except DirectoryError:
        return bool(parts.settings.applications[application].admins)
    return any(one.person.address and one.person.is_active for one in found)


def _asked(
    parts: Parts, tx: Tx, application: str, may_not_read: tuple[str, ...]
) -> list[Candidate]:
    directory = parts.directory(application)
    asked = Question(
        selectors=frozenset({ADMINS, NO_READERS} if may_not_read else {ADMINS}),
        references=frozenset(may_not_read),
        roles={NO_READERS.name: may_not_read},
    )
    found: list[Candidate] = []
    after, has_more = "", True
    while has_more:
        page = directory.audience(tx, asked, after=after, limit=PAGE_PEOPLE)
        found += page.candidates
        has_more = page.has_more and bool(page.candidates)
        after = page.candidates[-1].person.id if page.candidates else after
    return found


def _absent(sender: str, name: str, why: Why) -> Skipped:
    person = Person(id=f"unknown:{name}", login=name)
    return Skipped(person=person, sender=sender, because=Because(why))
