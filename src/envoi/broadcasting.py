"""This room walks a broadcast: stored at once, its people found in steps, its orders carried out.

It is the walk of every event, with one message for all and a frozen audience: whoever comes into
the directory after it was stored is not reached. Who stores it finds its people at once; should
he die or be stopped, a worker goes on behind the last step, and sending begins when all are found.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from envoi.assembly import Parts
from envoi.core.broadcast import (
    BROADCAST_KIND,
    TEST_PREFIX,
    Broadcast,
    broadcast_of,
    compose_broadcast,
    event_of,
    sender_of,
)
from envoi.core.delivery import Delivery, State
from envoi.core.kind import MailClass
from envoi.core.message import Block, Composed, Message, Stamp, address
from envoi.core.people import Address, Person, outsider
from envoi.core.reason import Because, Why
from envoi.core.routing import (
    Audience,
    Question,
    Recipient,
    Skipped,
    pick_recipients,
)
from envoi.errors import RefusedError
from envoi.journal import Fact
from envoi.outbox import audit, broadcast_report, broadcasts
from envoi.outbox.broadcasts import Kept, Order
from envoi.outbox.route import EventClaim
from envoi.seams import Numbered, Tx

# One transaction of a large audience: long enough to be cheap, short enough to let others write.
CHUNK_PEOPLE = 1_000
# What a worker does of a sweep in one look, so that it goes on delivering.
STEPS_PER_LOOK = 20
_VERBS = {Order.GOING: "resume", Order.PAUSED: "pause", Order.CANCELLED: "cancel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """Whom a broadcast would reach, had it been stored now.

    Args:
        recipients: Addresses that would get a mail.
        skipped: Who would not, with the reason.
    """

    recipients: tuple[Recipient, ...]
    skipped: tuple[Skipped, ...]


class Broadcasting:
    """Broadcasts over an application's parts.

    Args:
        parts: The outbox's parts.
    """

    def __init__(self, parts: Parts) -> None:
        """Hold the parts."""
        self._parts = parts

    def store(self, broadcast: Broadcast, stored_by: str) -> EventClaim:
        """Store a broadcast and lease the search for its people to the caller.

        From the commit on it is told whatever happens to the caller.

        Args:
            broadcast: Checked.
            stored_by: Name of the system's user.
        """
        now_ms = self._parts.clock()
        event = event_of(broadcast)
        with self._parts.outbox.transaction() as tx:
            message = self._composed(broadcast)
            newest = self._newest(tx, broadcast.application)
            kept = broadcasts.put_broadcast(
                tx, event, message, newest=newest, stored_by=stored_by, now_ms=now_ms
            )
            self._note(tx, stored_by, broadcast.author, "admin email", broadcast.subject)
            return broadcasts.claim_finding(tx, kept.event_id, event, now_ms, self._lease_ms)

    def refuse(self, broadcast: Broadcast, made_by: str) -> None:
        """Note that somebody who may not send wanted to."""
        with self._parts.outbox.transaction() as tx:
            self._note(
                tx, made_by, broadcast.author, "admin email", broadcast.subject, audit.REFUSED
            )

    def owns(self, claim: EventClaim) -> bool:
        """Whether an event to be routed is a broadcast."""
        if claim.event.kind != BROADCAST_KIND:
            return False
        with self._parts.outbox.reading() as tx:
            return broadcasts.is_broadcast(tx, claim.event_id)

    def route(self, claim: EventClaim) -> Iterator[None]:
        """Find a broadcast's people, resuming behind the last one stored.

        Every step of the iterator is one transaction of at most 1,000 people.
        """
        broadcast = broadcast_of(claim.event)
        after, has_more = claim.cursor, True
        while has_more:
            with self._parts.outbox.transaction() as tx:
                kept = broadcasts.find(tx, claim.event_id)
                audience = _frozen(self._audience(tx, broadcast, after), kept.newest)
                self._put_people(tx, kept, broadcast, audience)
                after = audience.candidates[-1].person.id if audience.candidates else after
                self._parts.outbox.keep_cursor(tx, claim, after, self._parts.clock())
            has_more = audience.has_more
            yield
        yield from self._parts.outbox.finish_in_steps(claim, self._parts.clock)
        with self._parts.outbox.transaction() as tx:
            # Paused meanwhile: those whom the search added are held as well.
            broadcasts.sweep_again(tx, claim.event_id)
            found = broadcasts.find(tx, claim.event_id).ordinal
        self._parts.journal.note(
            Fact.EVENT_ROUTED, event=claim.event_id, kind=BROADCAST_KIND, deliveries=found
        )

    def give_back(self, claim: EventClaim) -> None:
        """Leave the search for people to a worker, at once."""
        with self._parts.outbox.transaction() as tx:
            broadcasts.give_back_finding(tx, claim, self._parts.clock())
        self._parts.outbox.ring()

    def rehearse(self, broadcast: Broadcast) -> Rehearsal:
        """Return whom it would reach now; nothing is stored."""
        recipients: list[Recipient] = []
        skipped: list[Skipped] = []
        told: dict[str, str] = {}
        after, has_more = "", True
        with self._parts.outbox.reading() as tx:
            while has_more:
                audience = self._audience(tx, broadcast, after)
                chosen, passed_over = pick_recipients(audience, [sender_of(broadcast)], told)
                recipients += chosen
                skipped += passed_over
                told |= {str(one.address): _name_of(one.person) for one in chosen}
                after = audience.candidates[-1].person.id if audience.candidates else after
                has_more = audience.has_more
        return Rehearsal(recipients=tuple(recipients), skipped=tuple(skipped))

    def store_test(self, broadcast: Broadcast, to: Address, stored_by: str) -> int:
        """Store its mail for one address alone, marked as a test; return its event's id."""
        broadcast = replace(broadcast, subject=f"{TEST_PREFIX} {broadcast.subject}", recipients=())
        because = Because(Why.NAMED)
        recipient = Recipient(
            person=outsider(to), address=to, sender=BROADCAST_KIND, because=because
        )
        with self._parts.outbox.transaction() as tx:
            now_ms = self._parts.clock()
            stored = self._parts.outbox.put_event(tx, event_of(broadcast), now_ms)
            message = replace(
                self._composed(broadcast, [because]),
                event_id=stored.id,
                # One mail that somebody waits for does not stand behind fifty thousand.
                mail_class=MailClass.NOTICE,
            )
            deliveries = self._addressed(tx, message, [recipient])
            self._parts.outbox.put(tx, Composed(message=message), deliveries)
            self._note(tx, stored_by, broadcast.author, "admin email --test-to", str(to))
        self._parts.outbox.ring()
        return stored.id

    def order(self, event_id: int, wanted: Order, who: str) -> None:
        """Write down that a broadcast is to pause, go on or end; it holds from the return on.

        Raises:
            NotFoundError: There is none of this id.
            RefusedError: It does not change anything, or cannot be taken back.
        """
        with self._parts.outbox.transaction() as tx:
            kept = broadcasts.find(tx, event_id)
            self._refuse_needless(tx, kept, wanted)
            broadcasts.order(tx, event_id, wanted, who, self._parts.clock())
            self._note(tx, who, "", f"broadcast {_VERBS[wanted]}", str(event_id))

    def _refuse_needless(self, tx: Tx, kept: Kept, wanted: Order) -> None:
        found = broadcast_report.report(tx, kept)
        relay = self._relay_of(kept.application)
        is_open = found.is_finding or found.left or found.held or found.paused
        because = ""
        if kept.order is not Order.CANCELLED and not is_open:
            because = "nothing of it is left to be sent"
        elif wanted is Order.PAUSED and kept.order is Order.PAUSED:
            because = "it is paused already"
        elif wanted is Order.GOING and kept.order is Order.GOING and not found.held:
            because = "it is not paused, and nothing of it is held"
        elif wanted is Order.GOING and not self._parts.has_relay(tx, relay):
            because = f"{self._parts.why_held_at(relay)}: change that first"
        if because:
            raise RefusedError(f"broadcast {kept.event_id}: {because}")

    def _note(
        self, tx: Tx, made_by: str, login: str, action: str, target: str,
        outcome: str = audit.ALLOWED,
    ) -> None:  # fmt: skip
        at_ms = self._parts.clock()
        note = audit.Note(
            made_by=made_by, login=login, action=action, target=target, outcome=outcome, at_ms=at_ms
        )
        audit.note_use(tx, note)

    def sweep(self, event_id: int) -> None:
        """Let a broadcast's deliveries follow what was asked of it, all that can at the moment."""
        after: str | None = ""
        while after is not None:
            after = self._sweep_step(event_id, after)
        self._parts.outbox.ring()

    def _sweep_step(self, event_id: int, after: str) -> str | None:
        with self._parts.outbox.transaction() as tx:
            return broadcasts.sweep(tx, event_id, after, self._parts.clock())

    def sweeper(self) -> "Sweeper":
        """Return what a worker sweeps with, between its turns."""
        return Sweeper(self._parts, self._sweep_step)

    @property
    def _lease_ms(self) -> int:
        return self._parts.settings.delivery.lease_s * 1000

    def _newest(self, tx: Tx, application: str) -> str:
        directory = self._parts.directory(application)
        return directory.newest(tx) if isinstance(directory, Numbered) else ""

    def _audience(self, tx: Tx, broadcast: Broadcast, after: str) -> Audience:
        directory = self._parts.directory(broadcast.application)
        question = Question(selectors=frozenset(broadcast.recipients))
        return directory.audience(tx, question, after=after, limit=CHUNK_PEOPLE)

    def _put_people(self, tx: Tx, kept: Kept, broadcast: Broadcast, audience: Audience) -> None:
        addresses = [str(c.person.address) for c in audience.candidates if c.person.address]
        told = self._parts.outbox.told(tx, kept.event_id, addresses)
        recipients, skipped = pick_recipients(audience, [sender_of(broadcast)], told)
        self._parts.outbox.put_decisions(tx, kept.event_id, skipped)
        message = broadcasts.message_of(tx, kept)
        deliveries = self._addressed(tx, message, recipients)
        broadcasts.put_people(tx, kept, message, deliveries)

    def _relay_of(self, application: str) -> str:
        return self._parts.relay_of(application, to_many=True)

    def _addressed(
        self, tx: Tx, message: Message, recipients: Sequence[Recipient]
    ) -> tuple[Delivery, ...]:
        relay = self._relay_of(message.application)
        state = State.QUEUED if self._parts.has_relay(tx, relay) else State.HELD
        found = address(message, recipients, self._parts.clock(), state=state)
        return tuple(replace(delivery, transport=relay) for delivery in found)

    def _composed(self, broadcast: Broadcast, reasons: Sequence[Because] = ()) -> Message:
        identity = self._parts.identity(broadcast.application)
        reasons = reasons or [Because(Why(s.type), s.name) for s in broadcast.recipients]
        stamp = Stamp(uid=self._parts.fresh_uid(), now_ms=self._parts.clock())
        about: Mapping[str, object] = {
            "kind": BROADCAST_KIND,
            "application": {"name": identity.name, "base_url": identity.base_url},
        }
        blocks: dict[str, Block] = {
            because.stored: self._parts.templates.block(because, identity.locale, about)
            for because in reasons
        }
        return compose_broadcast(broadcast, identity, stamp, blocks)


class Sweeper:
    """Carries out orders whose giver did not live to do so, some steps at each look.

    Args:
        parts: The outbox's parts.
        step: One step of a sweep: broadcast and address in, the next address out.
    """

    def __init__(self, parts: Parts, step: Callable[[int, str], str | None]) -> None:
        """Begin with nothing to sweep."""
        self._parts = parts
        self._step = step
        self._event_id = 0
        self._after = ""

    def look(self) -> None:
        """Take the next steps; raises `OutboxError` when they cannot be written down."""
        if not self._after:
            with self._parts.outbox.reading() as tx:
                behind = broadcasts.unswept(tx, self._event_id)
                self._event_id = behind or broadcasts.unswept(tx)
        for _ in range(STEPS_PER_LOOK if self._event_id else 0):
            self._after = self._step(self._event_id, self._after) or ""
            if not self._after:
                return


def _frozen(audience: Audience, newest: str) -> Audience:
    """Return the part of an audience that was there when the broadcast was stored."""
    if not newest or not audience.candidates or audience.candidates[-1].person.id <= newest:
        return audience
    known = tuple(one for one in audience.candidates if one.person.id <= newest)
    return replace(audience, candidates=known, has_more=False)


def _name_of(person: Person) -> str:
    # As the row of a delivery would name him, which the next step of a real one asks.
    return person.full_name if person.login else str(person.address)
