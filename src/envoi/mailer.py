"""This room is where an application hands over what happened.

`notify` joins the caller's transaction, so mail exists exactly if the thing it tells of exists.
Two promises hold at every line: a programmer's error (unknown kind, facts against the schema)
raises before anything is written; and nothing else ever raises, waits long or disturbs the
caller's transaction, because an application's own action must not fail on account of mail.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from envoi.errors import EventError, NotStoredError, OutboxUnavailableError
from envoi.fleet import Fleet
from envoi.incidents import Incidents
from envoi.journal import Fact
from envoi.outbox.store import Outbox
from envoi.outbox.tx import CallerTx
from envoi.receipt import Receipt, Stored
from envoi.reportform import Reported
from envoi.reporting import WAIT_S, Doors, Reporting
from envoi.seams import Carrier, Tx
from envoi.settings import Settings, load
from envoi.walk import Walk
from envoi.walked import Walked, report

__all__ = ["Mailer", "Receipt", "Stored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """Something handed over.

    Args:
        store: Steps 3 to 8 within a transaction.
        form: Its JSON form for the spool, secrets in clear.
        kind: Kind, for the journal.
        shown: The facts for the journal, secrets masked.
        key: Idempotency key, for the journal.
    """

    store: Callable[[Tx], Walked]
    form: Mapping[str, Mapping[str, Plain]]
    kind: str
    shown: str
    key: str


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
        self._reporting = Reporting(
            parts, Doors(notify=self.notify, spool=self._spool, links=links)
        )
        self._background = Background(self.make_worker, self._crashed)

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
        kind = self.parts.catalogue.kind(event.kind)
        self._refuse_misfits(kind, event)
        given, event = event, cleaned(event, kind)
        self._tell_of_lost_links(kind, given, event)
        offer = _Offer(
            store=partial(self._incidents.store, kind, event),
            form={"event": forms.event_form(event)},
            kind=kind.name,
            shown=str(mask_facts(kind, event.facts)),
            key=event.key,
        )
        return self._hand_over(offer, tx, strict=strict)

    def send(self, mail: ReadyMail, tx: object = None, *, strict: bool = False) -> Receipt:
        """Hand over a ready-made mail; `tx` and `strict` as in `notify`.

        Raises:
            InputError: The mail does not fit; lists every problem.
            NotStoredError: Only with `strict`.
        """
        mail = forms.checked_mail(mail)
        self._refuse_application(mail.application)
        offer = _Offer(
            store=partial(self.walk.store_ready, mail),
            form={"mail": forms.mail_form(mail)},
            kind=READY_KIND,
            shown=repr(mail.shown_subject),
            key=mail.key,
        )
        return self._hand_over(offer, tx, strict=strict)

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
                behind the caller's back, and the receipt says so. Default 0.02.
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

    def _hand_over(self, offer: _Offer, tx: object, *, strict: bool) -> Receipt:
        # A wrong `tx` is a programmer's error and raises here, before anything is tried.
        caller = self.parts.outbox.join(tx) if tx is not None else None
        try:
            if caller is None:
                return self._store_alone(offer, may_spool=not strict)
            return self._store_within(offer, caller, may_spool=not strict)
        except Exception as err:
            # The one place that catches everything: whatever it was (routing, directory,
            # template, database), the application's own action goes on.
            if strict:
                raise NotStoredError(f"{offer.kind}: {err}") from err
            return self._not_stored(offer, err)

    def _store_alone(self, offer: _Offer, *, may_spool: bool) -> Receipt:
        try:
            with self.parts.outbox.transaction() as tx:
                walked = offer.store(tx)
        except OutboxUnavailableError as err:
            if not may_spool:
                raise
            return self._spool(offer.form, offer.kind, err)
        self._tell_of(offer, walked)
        return _receipt(walked)

    def _store_within(self, offer: _Offer, caller: CallerTx, *, may_spool: bool) -> Receipt:
        if not self._is_ours(caller):
            return self._store_after(offer, caller, may_spool=may_spool)
        with caller.savepoint():
            walked = offer.store(caller)
        caller.after_commit(partial(self._tell_of, offer, walked))
        return _receipt(walked)

    def _is_ours(self, caller: CallerTx) -> bool:
        try:
            return caller.is_our_database(self.parts.outbox.database_id())
        except OutboxUnavailableError:
            return False  # then the spool takes it after the commit

    def _store_after(self, offer: _Offer, caller: CallerTx, *, may_spool: bool) -> Receipt:
        if not caller.is_in_transaction:
            return self._store_alone(offer, may_spool=may_spool)
        caller.after_commit(partial(self._store_late, offer))
        because = "the outbox is another database; stored right after your commit"
        return Receipt(stored=Stored.AFTER_COMMIT, because=because)

    def _store_late(self, offer: _Offer) -> None:
        # Runs inside the caller's commit: an error here would look like a failed commit.
        try:
            self._store_alone(offer, may_spool=True)
        except Exception as err:  # noqa: BLE001 # see above
            self._not_stored(offer, err)

    def _spool(
        self, form: Mapping[str, Mapping[str, Plain]], kind: str, because: object
    ) -> Receipt:
        path = self.parts.spool.keep(_dated(form, self.parts.clock()))
        self.parts.journal.note(Fact.EVENT_SPOOLED, kind=kind, path=path, because=because)
        self._background.nudge()
        return Receipt(stored=Stored.SPOOLED, because=str(because))

    def _not_stored(self, offer: _Offer, err: Exception) -> Receipt:
        because = f"{type(err).__name__}: {err}"
        self.parts.journal.note(
            Fact.EVENT_NOT_STORED, kind=offer.kind, because=because, facts=offer.shown
        )
        return Receipt(stored=Stored.NOT_STORED, because=because)

    def _tell_of(self, offer: _Offer, walked: Walked) -> None:
        if not walked.event_id:
            return  # one more of an incident: it is counted there, and a storm fills no log
        fact = Fact.EVENT_STORED if walked.is_new else Fact.EVENT_REPEATED
        self.parts.journal.note(
            fact,
            event=walked.event_id,
            kind=offer.kind,
            deliveries=walked.deliveries,
            key=offer.key,
        )
        report(self.parts.journal, walked.mails, walked.undetermined)
        if walked.mails or walked.is_routing:
            self.parts.outbox.ring()
        elif walked.is_new:
            self.parts.journal.note(
                Fact.EVENT_UNHEARD,
                event=walked.event_id,
                kind=offer.kind,
                because=walked.because or "everybody considered was skipped",
            )
        self._background.nudge()


def _receipt(walked: Walked) -> Receipt:
    stored = Stored.ROUTING if walked.is_routing else Stored.STORED
    return Receipt(
        stored=stored if walked.is_new else Stored.REPEATED,
        event_id=walked.event_id,
        deliveries=walked.deliveries,
        skipped=len(walked.skipped),
        because=walked.because,
    )


def _dated(form: Mapping[str, Mapping[str, Plain]], now_ms: int) -> dict[str, Plain]:
    # A reset link's lifetime counts from now, however long the file lies there.
    return {
        what: {**table, "occurred_at_ms": table["occurred_at_ms"] or now_ms}
        for what, table in form.items()
    }
