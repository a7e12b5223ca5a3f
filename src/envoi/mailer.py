"""This room is where an application hands over what happened.

`notify` joins the caller's transaction, so mail exists exactly if the thing it tells of exists.
Two promises hold at every line: a programmer's error (unknown kind, facts against the schema)
raises before anything is written; and nothing else ever raises, waits long or disturbs the
caller's transaction, because an application's own action must not fail on account of mail.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

from envoi import forms
from envoi.assembly import Parts, assemble
from envoi.background import Background
from envoi.broken_links import BrokenLinks
from envoi.chores import Chores
from envoi.core.event import Event, check_event, cleaned
from envoi.core.incident import Request
from envoi.core.kind import Kind, Plain, mask_facts
from envoi.core.links import lost_links
from envoi.core.problem import Problem
from envoi.core.ready import READY_KIND, ReadyMail
from envoi.errors import EventError
from envoi.fleet import Fleet
from envoi.handover import Handover, Offer
from envoi.incidents import Incidents
from envoi.journal import Fact
from envoi.outbox.store import Outbox
from envoi.receipt import Receipt, Stored
from envoi.reportform import Reported
from envoi.reporting import WAIT_S, Doors, Reporting
from envoi.seams import Carrier
from envoi.settings import Settings, load
from envoi.walk import Walk

__all__ = ["Mailer", "Receipt", "Stored"]


class Mailer:
    """The front door: takes events and ready-made mail, and may deliver inside the application.

    Args:
        parts: Settings, outbox, directories, templates and journal; see `assembly.assemble`.
    """

    def __init__(self, parts: Parts) -> None:
        """Hold the parts; nothing is opened before it is needed."""
        self.parts = parts
        self.walk = Walk(parts)
        self._incidents = Incidents(parts, self.walk.store)
        links = BrokenLinks(parts, self.walk.store)
        self._background = Background(self.make_worker, self._crashed)
        self._handover = Handover(parts, self._background.nudge)
        self._reporting = Reporting(
            parts, Doors(notify=self.notify, spool=self._handover.spool, links=links)
        )

    @classmethod
    def from_file(cls, path: str | Path | None = None) -> "Mailer":
        """Return a mailer by an `envoi.toml`; None: `ENVOI_CONFIG`, else `./envoi.toml`.

        Raises:
            SettingsError: Lists every problem of the file and the environment.
        """
        return cls.from_settings(load(Path(path) if path else None, os.environ))

    @classmethod
    def from_settings(cls, settings: Settings) -> "Mailer":
        """Return a mailer by settings that were loaded or made in Python."""
        return cls(assemble(settings))

    @property
    def outbox(self) -> Outbox:
        """The durable store: `mailer.outbox.upgrade()` makes its tables."""
        return self.parts.outbox

    def register(self, *kinds: Kind) -> None:
        """Add kinds that the application defines in Python; a known name replaces that kind."""
        for kind in kinds:
            self.parts.catalogue.add(kind)

    def notify(self, event: Event, tx: object = None, *, strict: bool = False) -> Receipt:
        """Say what happened.

        Args:
            event: The event.
            tx: The caller's transaction: a SQLAlchemy `Connection` or `Session` (in
                `AsyncSession.run_sync` its sync session), or a Django connection or alias. None
                stores at once in a transaction of our own.
            strict: Raise when the event cannot be stored. Default False: the receipt says so.

        Raises:
            UnknownKindError: No such kind.
            EventError: The event does not fit its kind; lists every problem.
            NotStoredError: Only with `strict`.
        """
        return self._handover.take(self._event_offer(event), tx, strict=strict)

    def notify_many(
        self, events: Iterable[Event], tx: object = None, *, strict: bool = False
    ) -> tuple[Receipt, ...]:
        """Say what happened, many times: a hundred events share one transaction and one sync.

        Each event is stored wholly or not at all, and none on account of another.

        Args:
            events: The events; all are checked before any is stored.
            tx: The caller's transaction, as in `notify`; None: transactions of our own.
            strict: Raise at the first event that cannot be stored; the others of its hundred
                are not stored either. Default False: its receipt says so.

        Returns:
            A receipt per event, in their order.

        Raises:
            UnknownKindError: No such kind; nothing is stored.
            EventError: An event does not fit its kind; nothing is stored.
            NotStoredError: Only with `strict`.
        """
        offers = [self._event_offer(event) for event in events]
        return self._handover.take_many(offers, tx, strict=strict)

    def send(self, mail: ReadyMail, tx: object = None, *, strict: bool = False) -> Receipt:
        """Hand over a ready-made mail; `tx` and `strict` as in `notify`.

        Raises:
            InputError: The mail does not fit; lists every problem.
            NotStoredError: Only with `strict`.
        """
        return self._handover.take(self._mail_offer(mail), tx, strict=strict)

    def send_many(
        self, mails: Iterable[ReadyMail], tx: object = None, *, strict: bool = False
    ) -> tuple[Receipt, ...]:
        """Hand over many ready-made mails; `tx`, `strict` and receipts as in `notify_many`.

        Raises:
            InputError: A mail does not fit; nothing is stored.
            NotStoredError: Only with `strict`.
        """
        offers = [self._mail_offer(mail) for mail in mails]
        return self._handover.take_many(offers, tx, strict=strict)

    def report(
        self,
        error: BaseException,
        request: Request | None = None,
        *,
        application: str = "main",
        release: str = "",
        wait_s: float = WAIT_S,
    ) -> Receipt:
        """Tell the addresses of `errors.to` of an error; never raises, never joins a transaction.

        Args:
            error: As it was caught.
            request: The request that met it; None outside of one.
            application: Whose error.
            release: Version of the application; may be empty.
            wait_s: How long this may take, in seconds; what is not stored by then is stored
                behind the caller's back, and the receipt says so. Default 0.005.
        """
        return self._reporting.report(error, request, (application, release), wait_s)

    def report_seen(self, reported: Reported) -> Receipt:
        """Tell the addresses of `errors.to` of an error that another program met.

        Args:
            reported: As `reportform.read_report` read it.

        Raises:
            NotStoredError: It cannot be stored.
        """
        refusal = self._reporting.refusal or reported.refusal
        if refusal:
            return Receipt(stored=Stored.NOT_WANTED, because=refusal)
        to = self.parts.settings.errors.to
        return self.notify(reported.event([str(address) for address in to]), strict=True)

    def not_found(
        self, request: Request, *, application: str = "main", appends_slash: bool = False
    ) -> Receipt:
        """Count a page that is not there (404) where another page led to it; never raises.

        With `errors.not_found` the addresses of `errors.to` hear of it, by the hour.

        Args:
            request: What was asked for, with its headers.
            application: Which application was asked.
            appends_slash: Whether it leads `/page` to `/page/` by itself. Default False.
        """
        return self._reporting.not_found(request, application, appends_slash=appends_slash)

    def hide_variables(self, is_hidden: Callable[[FrameType, str], bool]) -> None:
        """Say which local variables no report may show, beside those that are called like secrets.

        Args:
            is_hidden: Asked with a call's frame and the name of one of its variables.
        """
        self._reporting.is_hidden = is_hidden

    def start(self) -> None:
        """Deliver in this application: a worker thread, begun after a fork, never at import."""
        self._background.start()

    def stop(self) -> None:
        """Stop delivering here; what is under way is finished or given back. May be repeated."""
        self._background.stop()

    def close(self) -> None:
        """Stop and close every database connection; reports that are under way are stored."""
        self._reporting.finish()
        self.stop()
        self.parts.close()

    def make_worker(self, carrier: Carrier | None = None, relays: Sequence[str] = ()) -> Fleet:
        """Return what delivers from this outbox: a worker for each relay.

        Args:
            carrier: Captures the mail of all relays instead of sending it; None: it is sent.
            relays: Names of the relays to serve. Default: all of the settings.

        Raises:
            NotFoundError: The settings have no relay of such a name.
        """
        return Fleet(self.parts, self._chores, carrier, relays)

    def _chores(self, worker: str) -> Chores:
        return Chores(self.parts, self.walk, self._take_in, worker)

    def _take_in(self, form: Mapping[str, Plain], uid: str) -> None:
        # The name of the spooled file is the key of an event that has none, so that a crash
        # between the commit and the removal of the file cannot store it twice.
        if "mail" in form:
            mail = forms.read_mail(form["mail"])
            self.send(replace(mail, key=mail.key or f"spool:{uid}"), strict=True)
        else:
            event = forms.read_event(form.get("event"))
            self.notify(replace(event, key=event.key or f"spool:{uid}"), strict=True)

    def _crashed(self, err: Exception) -> None:
        because = f"{type(err).__name__}: {err}"
        self.parts.journal.note(Fact.WORKER_BROKEN, worker="in-process", because=because)

    def _event_offer(self, event: Event) -> Offer:
        kind = self.parts.catalogue.kind(event.kind)
        self._refuse_misfits(kind, event)
        clean = cleaned(event, kind)
        self._tell_of_lost_links(kind, event, clean)
        return Offer(
            store=partial(self._incidents.store, kind, clean),
            form=lambda: {"event": forms.event_form(clean)},
            kind=kind.name,
            shown=lambda: str(mask_facts(kind, clean.facts)),
            key=clean.key,
        )

    def _mail_offer(self, mail: ReadyMail) -> Offer:
        clean = forms.checked_mail(mail)
        self._refuse_application(clean.application)
        return Offer(
            store=partial(self.walk.store_ready, clean),
            form=lambda: {"mail": forms.mail_form(clean)},
            kind=READY_KIND,
            shown=lambda: repr(clean.shown_subject),
            key=clean.key,
        )

    def _tell_of_lost_links(self, kind: Kind, given: Event, event: Event) -> None:
        # By the name alone: what a link holds may be secret.
        base_url = self.parts.settings.applications[event.application].base_url
        lost = lost_links(kind, given.facts, event.facts, base_url)
        for name, because in lost.items():
            self.parts.journal.note(Fact.LINK_LOST, kind=kind.name, what=name, because=because)

    def _refuse_misfits(self, kind: Kind, event: Event) -> None:
        self._refuse_application(event.application)
        problems = check_event(kind, event)
        if problems:
            lines = "\n".join(str(problem) for problem in problems)
            raise EventError(f"{kind.name}: {lines}" if len(problems) == 1 else lines)

    def _refuse_application(self, application: str) -> None:
        known = self.parts.settings.applications
        if application not in known:
            name = f"{application!r:.80}"
            hint = f"name it in the settings as [application.{name[1:-1]}]"
            expected = f"one of {', '.join(known)}"
            problem = Problem(where="application", expected=expected, got=name, hint=hint)
            raise EventError(str(problem))
