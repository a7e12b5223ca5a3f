"""This room keeps senders to their limits: in the walk, and when a window ends.

`applied` is a part of step 5, in the transaction of the event. `Closer` is a chore: whoever had
things held back gets one mail that counts them when the window ends.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from envoi.assembly import Parts
from envoi.core.event import Event, cleaned
from envoi.core.holdback import NOTHING_EARLIER, Earlier, Tally, hold_back, key_of
from envoi.core.incident import CLOSING, ERROR_KIND
from envoi.core.kind import Kind
from envoi.core.routing import Recipient, Sender, Skipped
from envoi.errors import EnvoiError, OutboxError
from envoi.journal import Fact
from envoi.outbox import incidents, limits
from envoi.outbox.limits import Counted
from envoi.outbox.route import EventClaim, postpone_event
from envoi.seams import Tx
from envoi.walked import Walked, report

# What a closing mail is made of.
HELD_BACK = "held_back"
# Another transaction counts for milliseconds, unless an application keeps it open.
NEXT_TRY_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """What the limits of an event's senders made of its recipients.

    Args:
        recipients: Who is told.
        skipped: Who is not.
        earlier: What was held back before, by sender and address in small letters.
    """

    recipients: tuple[Recipient, ...]
    skipped: tuple[Skipped, ...] = ()
    earlier: Mapping[tuple[str, str], Earlier] = field(
        default_factory=dict[tuple[str, str], Earlier]
    )

    def by_earlier(self, group: Iterable[Recipient]) -> dict[Earlier, list[Recipient]]:
        """Return recipients by what their mail says of earlier ones."""
        found: dict[Earlier, list[Recipient]] = {}
        for recipient in group:
            slot = recipient.sender, key_of(recipient)
            found.setdefault(self.earlier.get(slot, NOTHING_EARLIER), []).append(recipient)
        return found


def may_count(tx: Tx, event: Event, senders: Iterable[Sender]) -> bool:
    """Whether this transaction may count the mail of these senders now."""
    counted = [Counted(event.application, one.name) for one in senders if one.limit]
    return limits.may_count(tx, counted)


def put_off(parts: Parts, claim: EventClaim) -> None:
    """Give an event back whose senders are counted elsewhere at this moment."""
    with parts.outbox.transaction() as tx:
        postpone_event(tx, claim, parts.clock() + NEXT_TRY_MS, "")


def applied(
    parts: Parts, tx: Tx, event: Event, senders: Sequence[Sender], chosen: Sequence[Recipient]
) -> Limited:
    """Hold back what is beyond a limit, and count it.

    Args:
        parts: The outbox's parts.
        tx: The event's transaction, which may count (`may_count`).
        event: What happened.
        senders: Those that speak.
        chosen: Whom they would tell.
    """
    recipients: list[Recipient] = []
    skipped: list[Skipped] = []
    earlier: dict[tuple[str, str], Earlier] = {}
    for sender in senders:
        own = [one for one in chosen if one.sender == sender.name]
        if sender.limit is None or not own:
            recipients += own
            continue
        counted = Counted(event.application, sender.name)
        known = limits.tallies(tx, counted, {key_of(one) for one in own})
        held = hold_back(own, sender.limit, known, parts.clock())
        limits.keep_tallies(tx, counted, held.tallies)
        recipients += held.recipients
        skipped += held.skipped
        earlier |= {(sender.name, address): one for address, one in held.earlier.items()}
        if held.skipped and sender.name == ERROR_KIND == event.kind:
            _leave_to_digest(tx, event, parts.clock())
    return Limited(recipients=tuple(recipients), skipped=tuple(skipped), earlier=earlier)


def _leave_to_digest(tx: Tx, event: Event, now_ms: int) -> None:
    # The digest names them; a number alone would say that something is wrong, and not what.
    name, left_out = str(event.facts.get("fingerprint") or ""), event.facts.get("left_out")
    before = left_out if isinstance(left_out, int) else 0
    times = before if event.facts.get("news") == CLOSING else before + 1
    incidents.hold(tx, event.application, name, times, now_ms)


class Closer:
    """Tells people of what was held back from them, when their window ends.

    Args:
        parts: The outbox's parts.
        store: Stores an event of a kind within a transaction.
    """

    def __init__(self, parts: Parts, store: Callable[[Kind, Event, Tx], Walked]) -> None:
        """Hold the parts."""
        self._parts = parts
        self._store = store

    def look(self, now_ms: int) -> bool:
        """Close the windows that have ended; whether somebody is told of it.

        Raises:
            OutboxError: The outbox cannot be used now.
        """
        with self._parts.outbox.reading() as tx:
            ended = limits.ended(tx, now_ms)
        told = [self._close(counted, now_ms) for counted in ended]
        return any(told)

    def _close(self, counted: Counted, now_ms: int) -> bool:
        told: list[Walked] = []
        with self._parts.outbox.transaction() as tx:
            if limits.may_count(tx, (counted,)):
                held = [one for one in limits.take_ended(tx, counted, now_ms) if one.held_back]
                # What error mail left is told by name, in the digest.
                told += self._told(tx, counted, held) if counted.sender != ERROR_KIND else []
        for walked in told:
            report(self._parts.journal, walked.mails, walked.undetermined)
        return bool(told)

    def _told(self, tx: Tx, counted: Counted, held: Iterable[Tally]) -> list[Walked]:
        described = {sender.name: sender.description for sender in self._parts.senders(tx)}
        what = described.get(counted.sender) or counted.sender
        kind = self._parts.catalogue.kind(HELD_BACK)
        told: list[Walked] = []
        for tally in held:
            event = cleaned(_closing(counted, tally, what), kind)
            try:
                told.append(self._store(kind, event, tx))
            except OutboxError:
                raise
            except EnvoiError as err:  # its application left the settings, and its people too
                note = self._parts.journal.note
                note(Fact.EVENT_NOT_STORED, kind=kind.name, because=err, facts=event.facts)
        return told


def _closing(counted: Counted, tally: Tally, what: str) -> Event:
    return Event(
        kind=HELD_BACK,
        subject=f"held-back/{counted.sender}",
        people={"recipients": (tally.address,)},
        facts={
            "count": tally.held_back,
            "what": what,
            "sender": counted.sender,
            "since": tally.held_since_ms,
            "until": tally.ends_at_ms,
        },
        application=counted.application,
    )
