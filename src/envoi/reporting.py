"""This room makes reports of errors: what happened, told to the addresses of `errors.to`.

A report walks the way of every event (kind `error_report`), in a transaction of its own: that of
the request is broken, or is the cause. It never raises and never reports itself. In the request
the error is looked at and scrubbed; all else happens in the keeper's thread.
"""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import local
from typing import TYPE_CHECKING

from envoi.assembly import Parts
from envoi.broken_links import BrokenLinks
from envoi.core.broken_link import LINKS_KIND, BrokenLink, found
from envoi.core.error_digest import DIGEST_KIND
from envoi.core.event import Event
from envoi.core.incident import ERROR_KIND, RECIPIENTS, Raised, Request, Sighting, event_of
from envoi.core.kind import Plain
from envoi.core.message import Identity
from envoi.directory.addressed import Addressed
from envoi.errors import OutboxError
from envoi.forms import event_form
from envoi.journal import Fact
from envoi.keeper import Keeper
from envoi.receipt import Receipt, Stored
from envoi.seams import Directory
from envoi.witness import Witness

if TYPE_CHECKING:
    from types import FrameType

# The request that met an error gives its report this long; a database that is busy, or is the
# error, may take far longer. All in all it must stay below 20 ms, on a busy machine as well, where
# whoever sleeps is woken late.
WAIT_S = 0.005
# Within this one exception is reported once, whoever hands it over.
REPEATED_MS = 1_000
_MARK = "_envoi_reported_at_ms"
# What is said of reports that found no room, as an error of its own.
LOST = "ReportsLost"
# Kinds that are told to the addresses of `errors.to`, from `errors.from`.
REPORTS = frozenset({ERROR_KIND, DIGEST_KIND, LINKS_KIND})


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where a report is handed over.

    Args:
        notify: Stores an event at once or spools it; the receipt says which.
        spool: Keeps the form of an event beside the outbox.
        links: Keeps broken links.
    """

    notify: Callable[[Event], Receipt]
    spool: Callable[[Mapping[str, Mapping[str, Plain]], str, object], Receipt]
    links: BrokenLinks


class Reporting:
    """Reports over an application's parts.

    Args:
        parts: The outbox's parts.
        doors: Where reports are handed over.
    """

    def __init__(self, parts: Parts, doors: Doors) -> None:
        """Begin no thread yet."""
        self._parts = parts
        self._doors = doors
        self._here = local()
        self._keeper = Keeper(self._store, self._store_links, self._overflow)
        self._host = platform.node()
        self.is_hidden: Callable[[FrameType, str], bool] | None = None

    def report(
        self, error: BaseException, request: Request | None, told: tuple[str, str], wait_s: float
    ) -> Receipt:
        """Look at an error and hand its report over; raises nothing.

        Args:
            error: As it was caught.
            request: The request that met it, if any.
            told: Application and release.
            wait_s: How long to wait until it is stored, in seconds, what it takes to look at the
                error included.
        """
        refusal = self.refusal
        if refusal:
            return Receipt(stored=Stored.NOT_WANTED, because=refusal)
        if self._is_under_way:
            # F9: an error within a report would be followed by one within its own report.
            return self._not_reported(error, "it happened while an error was reported")
        began_s = time.monotonic()
        try:
            self._here.is_under_way = True
            if self._is_repeated(error):
                return Receipt(stored=Stored.NOT_WANTED, because="it was reported just now")
            event = self._event(error, request, *told)
        except Exception as err:  # noqa: BLE001 # the caller has an error of his own to care for
            return self._not_reported(error, f"{type(err).__name__}: {err}")
        finally:
            self._here.is_under_way = False
        return self._hand_over(event, wait_s - (time.monotonic() - began_s))

    def not_found(self, request: Request, application: str, *, appends_slash: bool) -> Receipt:
        """Count a missing page where somebody linked to it; raises nothing."""
        refusal = self.refusal or self._link_refusal
        if refusal or self._is_under_way:
            return Receipt(stored=Stored.NOT_WANTED, because=refusal)
        try:
            ignored = self._doors.links.ignored
            link = found(request, ignored, application=application, appends_slash=appends_slash)
        except Exception as err:  # noqa: BLE001 # the visitor's page must come
            return self._not_stored(LINKS_KIND, f"{type(err).__name__}: {err}")
        if link is None:
            return Receipt(stored=Stored.NOT_WANTED, because="nobody linked to it")
        if application not in self._parts.settings.applications:
            return self._not_stored(LINKS_KIND, f"application {application!r:.80} is not set")
        if not self._keeper.note(link):
            return self._not_stored(LINKS_KIND, "too many different ones are waiting")
        return Receipt(stored=Stored.UNDER_WAY, because="it is counted in a moment")

    def finish(self) -> None:
        """Wait until every report that is under way is stored."""
        self._keeper.finish()

    @property
    def refusal(self) -> str:
        """Why nobody is told of errors; empty when somebody is."""
        errors = self._parts.settings.errors
        if not errors.enabled:
            return "errors.enabled is false"
        return "" if errors.to else "errors.to names nobody"

    @property
    def _link_refusal(self) -> str:
        return "" if self._parts.settings.errors.not_found else "errors.not_found is false"

    @property
    def _is_under_way(self) -> bool:
        """Whether this thread is making a report: what fails in it is not reported."""
        return getattr(self._here, "is_under_way", False)

    def _is_repeated(self, error: BaseException) -> bool:
        # A framework logs what a middleware sees as well. Not for ever: some programs raise one
        # object again and again.
        marks: dict[str, object] = vars(error)
        before, now_ms = marks.get(_MARK), self._parts.clock()
        marks[_MARK] = now_ms
        return isinstance(before, int) and abs(now_ms - before) < REPEATED_MS

    def _event(
        self, error: BaseException, request: Request | None, application: str, release: str
    ) -> Event:
        errors = self._parts.settings.errors
        witness = Witness(
            error,
            request.known if request else (),
            variables_of=errors.dump_local_frames_count if errors.dump_local_frames else 0,
            is_hidden=self.is_hidden,
        )
        size = errors.dump_request_size if errors.dump_request else 0
        asked = request.scrubbed(witness.scrubber, max_chars=size) if request else None
        return self._event_of(witness.look(), asked, application, release)

    def _event_of(
        self, raised: Raised, request: Request | None, application: str, release: str
    ) -> Event:
        sighting = Sighting(
            raised=raised,
            request=request,
            host=self._host,
            release=release,
            at_ms=self._parts.clock(),
            application=application,
        )
        return event_of(sighting, [str(address) for address in self._parts.settings.errors.to])

    def _hand_over(self, event: Event, wait_s: float) -> Receipt:
        waiting = self._keeper.offer(event)
        if waiting is None:
            return self._not_stored(ERROR_KIND, "too many different errors are waiting")
        because = "the outbox is busy; stored in a moment"
        if self._keeper.is_cold and wait_s <= WAIT_S:
            wait_s = 0  # it will not be stored by then
        return waiting.wait(wait_s) or Receipt(stored=Stored.UNDER_WAY, because=because)

    def _store(self, event: Event, is_down: bool) -> tuple[Receipt, bool]:  # noqa: FBT001 # the keeper's own
        self._here.is_under_way = True
        try:
            if is_down:
                form = {"event": event_form(event)}
                receipt = self._doors.spool(form, event.kind, "the outbox cannot be reached")
            else:
                receipt = self._doors.notify(event)
        except Exception as err:  # noqa: BLE001 # nobody is there to hear of it
            receipt = self._not_stored(event.kind, f"{type(err).__name__}: {err}")
        finally:
            self._here.is_under_way = False
        return receipt, receipt.stored is not Stored.SPOOLED

    def _store_links(self, links: Mapping[BrokenLink, int]) -> bool:
        self._here.is_under_way = True
        try:
            self._doors.links.keep(links)
        except Exception as err:  # noqa: BLE001 # nobody is there to hear of it
            self._not_stored(LINKS_KIND, f"{type(err).__name__}: {err}")
            # What the outbox refuses today it may take in a moment; anything else is a defect.
            return not isinstance(err, OutboxError)
        finally:
            self._here.is_under_way = False
        return True

    def _overflow(self, lost: int) -> Event:
        # All of them are one incident, whose count says how many there were.
        message = f"{lost} reports found no room: too many different errors were waiting"
        raised = Raised(type=LOST, message=message)
        return self._event_of(raised, None, "main", "")

    def _not_reported(self, error: BaseException, because: str) -> Receipt:
        # Its type alone: what an error says may be secret, and saying it may fail.
        return self._not_stored(ERROR_KIND, because, type(error).__name__)

    def _not_stored(self, kind: str, because: str, facts: str = "") -> Receipt:
        note = self._parts.journal.note
        note(Fact.EVENT_NOT_STORED, kind=kind, because=because, facts=facts)
        return Receipt(stored=Stored.NOT_STORED, because=because)


def directory_for(parts: Parts, event: Event) -> Directory:
    """Return who is asked for the people of an event; of a report, its plain addresses first."""
    directory = parts.directory(event.application)
    return Addressed(directory, RECIPIENTS) if event.kind in REPORTS else directory


def identity_for(parts: Parts, application: str, kind: str) -> Identity:
    """Return how an application presents itself in mail of a kind; of reports, as `[errors]` says.

    Args:
        parts: The outbox's parts.
        application: Its name.
        kind: The kind's name.
    """
    identity = parts.identity(application)
    if kind not in REPORTS:
        return identity
    errors = parts.settings.errors
    return replace(identity, sender=errors.sender or identity.sender, prefix=errors.subject_prefix)
