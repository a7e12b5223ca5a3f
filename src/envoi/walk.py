"""This room walks steps 3 to 8: from a cleaned event to stored deliveries, in one transaction.

`Walk.store` runs when an event is handed over and its audience is small; `Walk.route` runs the
same steps in the worker for an event that was stored alone, a thousand people at a time. Every
step is one call, in the order of the walk.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import cast

from envoi.assembly import Parts
from envoi.core.delivery import Delivery, State
from envoi.core.event import Event
from envoi.core.kind import Kind, Plain, is_one_line, mask_facts
from envoi.core.message import (
    Audible,
    Composed,
    Context,
    Identity,
    Stamp,
    Words,
    address,
    compose,
    context,
    fallback_words,
)
from envoi.core.people import Person
from envoi.core.ready import READY_KIND, ReadyMail, compose_ready, pick_ready
from envoi.core.routing import (
    Audience,
    Because,
    Recipient,
    Sender,
    Skipped,
    Why,
    pick_recipients,
    pick_senders,
    question,
)
from envoi.errors import TemplateError
from envoi.journal import Fact
from envoi.outbox.route import EventClaim
from envoi.seams import Tx

# One transaction of a large audience: long enough to be cheap, short enough to let others write.
CHUNK_PEOPLE = 1_000
# No locale and no time zone is longer.
MAX_CODE_CHARS = 50
NOBODY: Mapping[str, str] = MappingProxyType({})

Mail = tuple[Composed, tuple[Delivery, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What a walk wrote.

    Args:
        event_id: Row id of the event.
        is_new: False when the event's key was stored before and nothing was written.
        is_routing: Whether the worker still has to find the recipients.
        mails: Messages with their deliveries.
        skipped: People considered and not told.
        because: Why nobody is told, where nobody is.
    """

    event_id: int
    is_new: bool = True
    is_routing: bool = False
    mails: tuple[Mail, ...] = ()
    skipped: tuple[Skipped, ...] = ()
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


class Walk:
    """Steps 3 to 8 over an application's parts."""

    def __init__(self, parts: Parts) -> None:
        """Hold the parts."""
        self._parts = parts

    def store(self, kind: Kind, event: Event, tx: Tx) -> Walked:
        """Store an event with its deliveries, or alone when more people than a few may care."""
        senders = pick_senders(event, self._parts.senders(tx))
        found = self._parts.directory(event.application).count(tx, question(event, senders))
        if found > self._parts.settings.outbox.route_at_once:
            return self._put_event(tx, kind, event, is_routing=True)
        stored = self._put_event(tx, kind, event, is_routing=False)
        if not stored.is_new:
            return stored
        audience = self._audience(tx, event, senders)
        mails, skipped = self._tell(
            tx, self._scene(kind, event, audience, stored), senders, audience
        )
        because = "" if senders else "no sender that is enabled speaks for it"
        return replace(stored, mails=mails, skipped=skipped, because=because)

    def store_ready(self, mail: ReadyMail, tx: Tx) -> Walked:
        """Store a ready-made mail with one delivery per recipient."""
        event = Event(
            kind=READY_KIND,
            facts={"subject": mail.shown_subject},
            key=mail.key,
            application=mail.application,
        )
        stored = self._put_event(tx, None, event, is_routing=False)
        if not stored.is_new:
            return stored
        identity = self._parts.identity(mail.application)
        composed = compose_ready(mail, identity, self._stamp())
        recipients, skipped = pick_ready(mail)
        mails = [self._put(tx, stored.event_id, composed, recipients)]
        self._parts.outbox.put_decisions(tx, stored.event_id, skipped)
        return replace(stored, mails=tuple(mails), skipped=skipped)

    def route(self, claim: EventClaim) -> Iterator[None]:
        """Route an event that was stored alone, resuming behind the last person stored.

        Every step of the iterator is one transaction of at most 1,000 people, so that the worker
        sends what is urgent in between.
        """
        kind = self._parts.catalogue.kind(claim.event.kind)
        after, has_more, deliveries = claim.cursor, True, 0
        while has_more:
            with self._parts.outbox.transaction() as tx:
                senders = pick_senders(claim.event, self._parts.senders(tx))
                audience = self._audience(tx, claim.event, senders, after)
                stored = Walked(event_id=claim.event_id)
                scene = self._scene(kind, claim.event, audience, stored)
                mails, _ = self._tell(tx, scene, senders, audience, is_routing=True)
                after = audience.candidates[-1].person.id if audience.candidates else after
                self._parts.outbox.keep_cursor(tx, claim, after, self._parts.clock())
            has_more = audience.has_more
            deliveries += sum(len(rows) for _, rows in mails)
            yield
        self._parts.outbox.finish_routing(claim, self._parts.clock())
        self._parts.journal.note(
            Fact.EVENT_ROUTED, event=claim.event_id, kind=kind.name, deliveries=deliveries
        )

    def compose(self, scene: Scene, sender: Sender, voice: tuple[str, str]) -> Composed:
        """Write one sender's message in one voice; a preview stops after this."""
        render = partial(self._render, scene.kind)
        composed = compose(scene.audible, sender, voice, render, self._stamp())
        facts = context(scene.audible, mask_facts(scene.kind, scene.event.facts))
        reasons = [Because(Why(selector.type), selector.name) for selector in sender.recipients]
        blocks = {
            because.stored: self._parts.templates.block(because, voice[0], facts)
            for because in reasons
        }
        return replace(composed, message=replace(composed.message, blocks=blocks))

    def _put_event(self, tx: Tx, kind: Kind | None, event: Event, *, is_routing: bool) -> Walked:
        masked = replace(event, facts=mask_facts(kind, event.facts)) if kind else event
        real_facts = event.facts if is_routing else None
        stored = self._parts.outbox.put_event(tx, masked, self._parts.clock(), to_route=real_facts)
        return Walked(event_id=stored.id, is_new=stored.is_new, is_routing=is_routing)

    def _audience(
        self, tx: Tx, event: Event, senders: Sequence[Sender], after: str = ""
    ) -> Audience:
        directory = self._parts.directory(event.application)
        return directory.audience(tx, question(event, senders), after=after, limit=CHUNK_PEOPLE)

    def _scene(self, kind: Kind, event: Event, audience: Audience, stored: Walked) -> Scene:
        return Scene(
            kind=kind,
            event=event,
            actor=audience.actor,
            identity=self._parts.identity(event.application),
            event_id=stored.event_id,
        )

    def _tell(
        self, tx: Tx, scene: Scene, senders: Sequence[Sender], audience: Audience, *,
        is_routing: bool = False,
    ) -> tuple[tuple[Mail, ...], tuple[Skipped, ...]]:  # fmt: skip
        told = self._told(tx, scene, audience) if is_routing else NOBODY
        recipients, skipped = pick_recipients(audience, senders, told)
        self._parts.outbox.put_decisions(tx, scene.event_id, skipped)
        mails: list[Mail] = []
        for sender in senders:
            for voice, group in _by_voice(sender, recipients, scene.identity).items():
                composed = self.compose(scene, sender, voice)
                mails.append(
                    self._put(
                        tx, scene.event_id, composed, group,
                        transport=sender.transport, is_routing=is_routing,
                    )
                )  # fmt: skip
        return tuple(mails), skipped

    def _told(self, tx: Tx, scene: Scene, audience: Audience) -> Mapping[str, str]:
        addresses = [str(c.person.address) for c in audience.candidates if c.person.address]
        return self._parts.outbox.told(tx, scene.event_id, addresses)

    def _put(
        self, tx: Tx, event_id: int, composed: Composed, recipients: Sequence[Recipient], *,
        transport: str = "default", is_routing: bool = False,
    ) -> Mail:  # fmt: skip
        message = replace(composed.message, event_id=event_id)
        state = State.QUEUED if self._parts.has_relay(tx) else State.HELD
        deliveries = tuple(
            replace(delivery, transport=transport)
            for delivery in address(message, recipients, message.date_ms, state=state)
        )
        composed = replace(composed, message=message)
        self._parts.outbox.put(tx, composed, deliveries, is_routing=is_routing)
        return composed, deliveries

    def _render(
        self, kind: Kind, template: str, locale: str, time_zone: str, plain: Context
    ) -> Words:
        # A broken template must not cost the mail: the facts go out plainly instead (D9).
        try:
            return self._parts.templates.render(template, locale, time_zone, plain)
        except TemplateError as err:
            self._parts.journal.note(
                Fact.TEMPLATE_BROKEN, template=template, locale=locale, because=err
            )
            return fallback_words(kind, cast("Mapping[str, Plain]", plain["facts"]))

    def _stamp(self) -> Stamp:
        return Stamp(uid=self._parts.fresh_uid(), now_ms=self._parts.clock())


def _by_voice(
    sender: Sender, recipients: Sequence[Recipient], identity: Identity
) -> dict[tuple[str, str], list[Recipient]]:
    voices: dict[tuple[str, str], list[Recipient]] = {}
    for recipient in recipients:
        if recipient.sender == sender.name:
            person = recipient.person
            voice = (
                _code(person.locale) or identity.locale,
                _code(person.time_zone) or identity.time_zone,
            )
            voices.setdefault(voice, []).append(recipient)
    return voices


def _code(text: str) -> str:
    # A profile may hold anything, and a message's row holds codes: whoever wrote a novel into his
    # locale must not cost the others their mail (I6).
    return text if len(text) <= MAX_CODE_CHARS and is_one_line(text) else ""
