"""This room walks steps 3 to 8: from a cleaned event to stored deliveries, in one transaction.

`Walk.store` runs when an event is handed over and its audience is small; `Walk.route` runs the
same steps in the worker for an event that was stored alone, a thousand people at a time. Every
step is one call, in the order of the walk.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import cast

from envoi import limiting, reach
from envoi.assembly import Parts
from envoi.broadcasting import Broadcasting
from envoi.core.delivery import State
from envoi.core.event import Event, happened
from envoi.core.finding import question, with_found
from envoi.core.holdback import NOTHING_EARLIER, Earlier
from envoi.core.kind import Kind, MailClass, Plain, is_one_line, mask_facts
from envoi.core.message import (
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
from envoi.core.ready import READY_KIND, ReadyMail, compose_ready
from envoi.core.reason import Because, Why
from envoi.core.routing import (
    Audience,
    Recipient,
    Sender,
    Skipped,
    pick_recipients,
    pick_senders,
)
from envoi.core.selector import SelectorType
from envoi.errors import DirectoryError, TemplateError
from envoi.journal import Fact
from envoi.outbox.route import EventClaim
from envoi.reporting import directory_for, identity_for
from envoi.seams import Tx
from envoi.walked import Mail, Scene, Told, Undetermined, Walked, report

# One transaction of a large audience: long enough to be cheap, short enough to let others write.
CHUNK_PEOPLE = 1_000
# One a minute: a directory that is restarted or moved is back by then, and what happened is told
# to the administrators while it is still news.
DIRECTORY_TRIES = 10
# No locale and no time zone is longer.
MAX_CODE_CHARS = 50
# Selectors that find more people than an event says.
OPEN_ENDED = frozenset({SelectorType.EVERYONE, SelectorType.ADMINS, SelectorType.GROUP})
NOBODY: Mapping[str, str] = MappingProxyType({})


class Walk:
    """Steps 3 to 8 over an application's parts."""

    def __init__(self, parts: Parts) -> None:
        """Hold the parts."""
        self._parts = parts
        self._broadcasting = Broadcasting(parts)

    def store(self, kind: Kind, event: Event, tx: Tx) -> Walked:
        """Store an event with its deliveries, or alone when its people are found later.

        Later means by the worker: where more people than a few may care, where the directory
        cannot be asked now, and where the kind wants it (`Kind.route_later`).
        """
        if kind.route_later:
            return self._put_event(tx, kind, event, is_routing=True)
        senders = pick_senders(event, self._parts.senders(tx))
        if not limiting.may_count(tx, event, senders):
            return self._put_event(tx, kind, event, is_routing=True)
        try:
            audience = self._small_audience(tx, event, kind, senders)
        except DirectoryError as err:
            stored = self._put_event(tx, kind, event, is_routing=True)
            return replace(stored, because=f"the directory cannot be asked now: {err}")
        if audience is None:
            return self._put_event(tx, kind, event, is_routing=True)
        stored = self._put_event(tx, kind, event, is_routing=False)
        if not stored.is_new:
            return stored
        known = happened(event, self._parts.clock())
        scene = self._scene(kind, known, audience, stored.event_id)
        told = self._tell(tx, scene, senders, audience, Told())
        because = "" if senders else "no sender that is enabled speaks for it"
        if told.undetermined and not told.mails:
            because = "its recipients cannot be determined, and nobody stands in for them"
        return replace(stored, because=because, mails=told.mails, skipped=told.skipped,
            undetermined=told.undetermined)  # fmt: skip

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
        recipients, skipped = reach.ready_recipients(self._parts, tx, mail)
        mails = [self._put(tx, stored.event_id, composed, recipients)] if recipients else []
        self._parts.outbox.put_decisions(tx, stored.event_id, skipped)
        stored = replace(stored, mails=tuple(mails), skipped=skipped)
        if not mail.to_fallback:
            return stored
        told = tuple(str(recipient.address) for recipient in recipients)
        undetermined = Undetermined(subject=composed.message.subject, told=told)
        return replace(stored, undetermined=(undetermined,))

    def route(self, claim: EventClaim) -> Iterator[None]:
        """Route an event that was stored alone, resuming behind the last person stored.

        Every step of the iterator is one transaction of at most 1,000 people, so that the worker
        sends what is urgent in between; a small audience is routed in one.

        Raises:
            DirectoryError: The directory cannot be asked, and it is too early to give up on it.
        """
        if self._broadcasting.owns(claim):
            yield from self._broadcasting.route(claim)
            return
        kind = self._parts.catalogue.kind(claim.event.kind)
        after, has_more = claim.cursor, True
        heard: set[str] = set()
        deliveries = 0
        is_late = False
        while has_more:
            with self._parts.outbox.transaction() as tx:
                senders = pick_senders(claim.event, self._parts.senders(tx))
                is_late = not limiting.may_count(tx, claim.event, senders)
                if is_late:
                    break
                audience = self._later_audience(tx, claim, kind, senders, after)
                known = happened(claim.event, claim.stored_at_ms)
                scene = self._scene(kind, known, audience, claim.event_id)
                so_far = Told(heard=heard, is_routing=True, is_resumed=bool(claim.cursor))
                told = self._tell(tx, scene, senders, audience, so_far)
                after = audience.candidates[-1].person.id if audience.candidates else after
                self._parts.outbox.keep_cursor(tx, claim, after, self._parts.clock())
            has_more = audience.has_more
            deliveries += sum(len(rows) for _, rows in told.mails)
            report(self._parts.journal, told.mails, told.undetermined)
            if has_more:
                yield
        if is_late:
            limiting.put_off(self._parts, claim)
            return
        yield from self._parts.outbox.finish_in_steps(claim, self._parts.clock)
        self._parts.journal.note(
            Fact.EVENT_ROUTED, event=claim.event_id, kind=kind.name, deliveries=deliveries
        )

    def compose(
        self,
        scene: Scene,
        sender: Sender,
        voice: tuple[str, str],
        reasons: Iterable[Because] = (),
        earlier: Earlier = NOTHING_EARLIER,
    ) -> Composed:
        """Write one sender's message in one voice; a preview stops after this.

        Args:
            scene: The event with all that its mail is made of.
            sender: Who speaks.
            voice: Locale and time zone.
            reasons: Why somebody reads it, besides what the sender's recipients say.
            earlier: What was held back before from those who read it.
        """
        if sender.facts:
            scene = replace(scene, event=sender.spoken(scene.event))
        render = partial(self._render, scene.kind)
        composed = compose(scene.audible, sender, voice, render, self._stamp())
        facts = {
            **context(scene.audible, mask_facts(scene.kind, scene.event.facts)),
            **_earlier_facts(earlier, voice[1]),
        }
        blocks = {
            because.stored: self._parts.templates.block(because, voice[0], facts)
            for because in (*(link.because for link in sender.links), *reasons)
        }
        message = replace(composed.message, blocks=blocks, event_id=scene.event_id)
        return replace(composed, message=message)

    def _put_event(self, tx: Tx, kind: Kind | None, event: Event, *, is_routing: bool) -> Walked:
        masked = replace(event, facts=mask_facts(kind, event.facts)) if kind else event
        real_facts = event.facts if is_routing else None
        stored = self._parts.outbox.put_event(tx, masked, self._parts.clock(), to_route=real_facts)
        return Walked(event_id=stored.id, is_new=stored.is_new, is_routing=is_routing)

    def _small_audience(
        self, tx: Tx, event: Event, kind: Kind, senders: Sequence[Sender]
    ) -> Audience | None:
        asked = question(event, kind, senders)
        directory = directory_for(self._parts, event)
        most = self._parts.settings.outbox.route_at_once
        # Whom an event names by hand are as many as it names, and need no counting first.
        is_open = any(selector.type in OPEN_ENDED for selector in asked.selectors)
        if is_open and directory.count(tx, asked) > most:
            return None
        audience = directory.audience(tx, asked, limit=min(most + 1, CHUNK_PEOPLE))
        return None if audience.has_more or len(audience.candidates) > most else audience

    def _later_audience(
        self, tx: Tx, claim: EventClaim, kind: Kind, senders: Sequence[Sender], after: str
    ) -> Audience:
        asked = question(claim.event, kind, senders)
        directory = directory_for(self._parts, claim.event)
        try:
            return directory.audience(tx, asked, after=after, limit=CHUNK_PEOPLE)
        except DirectoryError:
            # Whoever is told already is known to be concerned: the others are worth any wait.
            if after or not self._has_waited_enough(claim, kind):
                raise
            return Audience()

    def _has_waited_enough(self, claim: EventClaim, kind: Kind) -> bool:
        if kind.mail_class is not MailClass.SECURITY:
            return claim.claims >= DIRECTORY_TRIES
        # Nobody stands in for whom it is meant, so it waits as long as it is worth anything.
        lifetime_ms = kind.lifetime_s * 1000 or self._parts.patience.give_up_after_ms
        return self._parts.clock() - claim.stored_at_ms >= lifetime_ms

    def _scene(self, kind: Kind, event: Event, audience: Audience, event_id: int) -> Scene:
        return Scene(
            kind=kind,
            event=with_found(event, kind, audience.sought),
            actor=audience.actor,
            identity=identity_for(self._parts, event.application, kind.name),
            event_id=event_id,
        )

    def _tell(
        self, tx: Tx, scene: Scene, senders: Sequence[Sender], audience: Audience, so_far: Told
    ) -> Told:
        before = self._told(tx, scene, audience) if so_far.is_routing else NOBODY
        recipients, skipped = pick_recipients(audience, senders, before)
        so_far.heard.update(_heard(recipients, skipped))
        lacks = self._lacks(tx, scene, senders, audience, so_far)
        recipients += reach.stand_ins(self._parts, tx, scene.event_id, recipients, lacks)
        absent = tuple(one for lack in lacks for one in lack.skipped)
        limited = limiting.applied(self._parts, tx, scene.event, senders, recipients)
        skipped += limited.skipped
        self._parts.outbox.put_decisions(tx, scene.event_id, skipped + absent)
        mails = [
            self._put(
                tx, scene.event_id, composed, group,
                transport=sender.transport, is_routing=so_far.is_routing,
            )
            for sender in senders
            for composed, group in self._composed(scene, sender, limited)
        ]  # fmt: skip
        undetermined = tuple(self._undetermined(scene, lack, mails) for lack in lacks)
        return replace(so_far, mails=tuple(mails), skipped=skipped, undetermined=undetermined)

    def _composed(
        self, scene: Scene, sender: Sender, limited: limiting.Limited
    ) -> Iterator[tuple[Composed, Sequence[Recipient]]]:
        for voice, whole in _by_voice(sender, limited.recipients, scene.identity).items():
            for earlier, group in limited.by_earlier(whole).items():
                reasons = {r.because for r in group if r.because.why is Why.FALLBACK}
                yield self.compose(scene, sender, voice, reasons, earlier), group

    def _told(self, tx: Tx, scene: Scene, audience: Audience) -> Mapping[str, str]:
        addresses = [str(c.person.address) for c in audience.candidates if c.person.address]
        addresses += [str(c.matched) for c in audience.candidates if c.matched]
        return self._parts.outbox.told(tx, scene.event_id, addresses)

    def _lacks(
        self, tx: Tx, scene: Scene, senders: Sequence[Sender], audience: Audience, so_far: Told
    ) -> tuple[reach.Lack, ...]:
        # After a crash in the middle of a large audience nobody knows whom the first half told.
        if audience.has_more or so_far.is_resumed:
            return ()
        silent = [sender for sender in senders if sender.name not in so_far.heard]
        about = scene.kind, scene.event
        return reach.lacks(self._parts, tx, about, silent, audience.answered)

    def _undetermined(self, scene: Scene, lack: reach.Lack, mails: Sequence[Mail]) -> Undetermined:
        told = tuple(str(recipient.address) for recipient in lack.stand_ins)
        subjects = [
            composed.message.subject
            for composed, deliveries in mails
            if any(delivery.sender == lack.sender.name for delivery in deliveries)
        ]
        if not subjects:
            voice = scene.identity.locale, scene.identity.time_zone
            subjects = [self.compose(scene, lack.sender, voice).message.subject]
        return Undetermined(subject=subjects[0], told=told)

    def _put(
        self, tx: Tx, event_id: int, composed: Composed, recipients: Sequence[Recipient], *,
        transport: str = "default", is_routing: bool = False,
    ) -> Mail:  # fmt: skip
        message = composed.message
        if message.event_id != event_id:
            message = replace(message, event_id=event_id)
            composed = replace(composed, message=message)
        transport = self._parts.relay_of(message.application, transport)
        state = State.QUEUED if self._parts.has_relay(tx, transport) else State.HELD
        deliveries = address(message, recipients, message.date_ms, state=state, transport=transport)
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


def _heard(recipients: Sequence[Recipient], skipped: Sequence[Skipped]) -> set[str]:
    # Who was told by another sender, or shares a mailbox with somebody told, has heard of it.
    told = {Why.TOLD, Why.SAME_ADDRESS}
    return {r.sender for r in recipients} | {s.sender for s in skipped if s.because.why in told}


def _earlier_facts(earlier: Earlier, zone: str) -> dict[str, object]:
    if earlier == NOTHING_EARLIER:
        return {}
    return {"held_back": {"count": earlier.count, "since": earlier.since_ms, "zone": zone}}


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
