"""This room counts equal errors and lets few of them walk on.

`Incidents.store` stands before step 3: an error is counted under its incident's lock, in the
transaction that stores its mail, so that the counts are exact over all processes. `look` is a
chore: when the window of an incident ends, one mail counts what was held back; what met the limit
of all error mail is told in one digest, an hour after the first of it.
"""

from collections.abc import Callable
from dataclasses import replace

from envoi.assembly import Parts
from envoi.core.error_digest import DIGEST_MS, MAX_LISTED, error_digest
from envoi.core.event import Event, cleaned
from envoi.core.incident import CLOSING, ERROR_KIND, RECIPIENTS, Raised, fingerprint
from envoi.core.kind import Kind
from envoi.core.recurrence import Incident, News, closed, seen
from envoi.errors import EnvoiError, OutboxError
from envoi.journal import Fact
from envoi.outbox import incidents
from envoi.seams import Tx
from envoi.walked import Walked, report

# What the row of an incident shows; the whole of it stands in the mail.
MAX_SHOWN_CHARS = 500
# An event of somebody else's making may call anything a fingerprint.
MAX_FINGERPRINT_CHARS = 64
# More than this nobody counts together.
MAX_TIMES = 1_000_000_000


class Incidents:
    """Incidents over an application's parts.

    Args:
        parts: The outbox's parts.
        store: Steps 3 to 8 of an event of a kind, within a transaction.
    """

    def __init__(self, parts: Parts, store: Callable[[Kind, Event, Tx], Walked]) -> None:
        """Hold the parts."""
        self._parts = parts
        self._store = store

    def store(self, kind: Kind, event: Event, tx: Tx) -> Walked:
        """Store an event; an error only if a mail is to tell of it, and counted in any case."""
        if event.kind != ERROR_KIND:
            return self._store(kind, event, tx)
        event = _named(event)
        name = str(event.facts["fingerprint"])
        error_type = _shown(event, "error_type")
        before = incidents.lock(tx, event.application, name, error_type)
        times = _times(event)
        release = _shown(event, "release")
        after, news = seen(before, self._parts.clock(), times, release)
        incidents.keep(
            tx,
            replace(
                after,
                error_type=error_type,
                message=_shown(event, "message"),
                place=_shown(event, "place"),
            ),
        )
        if not news.is_told:
            return Walked(event_id=0, because=_because(after, news))
        return self._store(kind, _telling(event, after, news, before.held_back + times - 1), tx)

    def look(self, now_ms: int) -> bool:
        """Close the windows that have ended and tell digests; whether there is mail of it.

        Raises:
            OutboxError: The outbox cannot be used now.
        """
        with self._parts.outbox.reading() as tx:
            ended = incidents.ended(tx, now_ms)
            waiting = incidents.waiting_digests(tx)
        told = [self._close(incident, now_ms) for incident in ended]
        told += [
            self._digest(application, since_ms)
            for application, since_ms in waiting
            if since_ms + DIGEST_MS <= now_ms
        ]
        return any(told)

    def _digest(self, application: str, since_ms: int) -> bool:
        errors = self._parts.settings.errors
        with self._parts.outbox.transaction() as tx:
            found = incidents.take_digest(tx, application, most=MAX_LISTED)
            if not found.incidents or not errors.enabled or not errors.to:
                return False  # another process told it, or nobody wants to hear of errors now
            event = error_digest(
                application,
                found.listed,
                incidents=found.incidents,
                count=found.count,
                since_ms=since_ms,
                recipients=[str(address) for address in errors.to],
            )
            walked = self._stored(tx, event)
        if walked is not None:
            report(self._parts.journal, walked.mails, walked.undetermined)
        return walked is not None

    def _close(self, known: Incident, now_ms: int) -> bool:
        with self._parts.outbox.transaction() as tx:
            incident = incidents.lock(tx, known.application, known.fingerprint, known.error_type)
            if not 0 < incident.window_ends_at_ms <= now_ms:
                return False  # another process closed it, or it began anew
            incidents.keep(tx, closed(incident))
            walked = self._told(tx, incident)
        if walked is not None:
            report(self._parts.journal, walked.mails, walked.undetermined)
        return walked is not None

    def _told(self, tx: Tx, incident: Incident) -> Walked | None:
        errors = self._parts.settings.errors
        is_wanted = (
            errors.enabled and errors.to and incident.standing is not incident.standing.MUTED
        )
        if not incident.held_back or not is_wanted or incident.digest_since_ms:
            return None
        return self._stored(tx, _closing(incident, tuple(str(address) for address in errors.to)))

    def _stored(self, tx: Tx, event: Event) -> Walked | None:
        kind = self._parts.catalogue.kind(event.kind)
        event = cleaned(event, kind)
        try:
            return self._store(kind, event, tx)
        except OutboxError:
            raise
        except EnvoiError as err:  # its application left the settings
            self._parts.journal.note(
                Fact.EVENT_NOT_STORED, kind=kind.name, because=err, facts=event.facts
            )
            return None


def _named(event: Event) -> Event:
    name = str(event.facts.get("fingerprint") or "")
    if 0 < len(name) <= MAX_FINGERPRINT_CHARS:
        return event
    # Somebody else's making: what it says of itself tells it from others.
    raised = Raised(type=_shown(event, "error_type"), message=_shown(event, "message"))
    return replace(event, facts={**event.facts, "fingerprint": fingerprint(raised)})


def _telling(event: Event, incident: Incident, news: News, held_back: int) -> Event:
    counts = {
        "news": news.value,
        "count": incident.count,
        "left_out": held_back,
        "first_seen": incident.first_at_ms,
    }
    return replace(event, facts={**event.facts, **counts})


def _closing(incident: Incident, recipients: tuple[str, ...]) -> Event:
    return Event(
        kind=ERROR_KIND,
        facts={
            "error_type": incident.error_type,
            "message": incident.message,
            "place": incident.place,
            "release": incident.release,
            "happened_at": incident.last_at_ms,
            "fingerprint": incident.fingerprint,
            "news": CLOSING,
            "count": incident.count,
            "left_out": incident.held_back,
            "first_seen": incident.first_at_ms,
        },
        people={RECIPIENTS: recipients},
        application=incident.application,
    )


def _times(event: Event) -> int:
    # Whoever makes an event may write any number here.
    times = event.facts.get("times")
    return times if isinstance(times, int) and 0 < times <= MAX_TIMES else 1


def _shown(event: Event, name: str) -> str:
    return str(event.facts.get(name) or "")[:MAX_SHOWN_CHARS]


def _because(incident: Incident, news: News) -> str:
    if news is News.MUTED:
        return f"incident {incident.fingerprint} is muted"
    if news is News.EXPECTED:
        return f"incident {incident.fingerprint} is resolved in a later release"
    many = f"number {incident.window_count} of its window"
    return f"incident {incident.fingerprint}: {many} is counted and not mailed"
