"""This room takes what an application hands over to the outbox, whatever state that is in.

Nothing but a programmer's error ever raises here (and with `strict` what cannot be stored): the
receipt says what became of it, and the journal has it. In the caller's transaction it is stored
in a savepoint; without one, together with what other threads hand over at the same moment; and
where the outbox cannot be reached, in the spool.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from envoi.assembly import Parts
from envoi.core.kind import Plain
from envoi.errors import NotStoredError, OutboxError, OutboxUnavailableError
from envoi.journal import Fact
from envoi.outbox.tx import CallerTx
from envoi.receipt import Receipt, Stored
from envoi.seams import Tx
from envoi.walked import Walked, report

# One transaction of many offers: long enough to be cheap, short enough to let others write.
OFFERS_PER_TRANSACTION = 100

Form = Mapping[str, Mapping[str, Plain]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Something handed over.

    Args:
        store: Steps 3 to 8 within a transaction.
        form: Makes its JSON form for the spool, secrets in clear.
        kind: Kind, for the journal.
        shown: Makes the text of its facts for the journal, secrets masked.
        key: Idempotency key, for the journal.
    """

    store: Callable[[Tx], Walked]
    form: Callable[[], Form]
    kind: str
    shown: Callable[[], str]
    key: str


class Handover:
    """Takes offers over an application's parts.

    Args:
        parts: The outbox's parts.
        nudge: Has the worker of this process, where there is one, look for work.
    """

    def __init__(self, parts: Parts, nudge: Callable[[], None]) -> None:
        """Hold the parts."""
        self._parts = parts
        self._nudge = nudge

    def take(self, offer: Offer, tx: object, *, strict: bool) -> Receipt:
        """Store one offer.

        Args:
            offer: What is handed over.
            tx: The caller's transaction; None: one of our own.
            strict: Raise when it cannot be stored.

        Raises:
            InputError: `tx` is nothing that has a transaction.
            NotStoredError: Only with `strict`.
        """
        # A wrong `tx` is a programmer's error and raises here, before anything is tried.
        caller = self._parts.outbox.join(tx) if tx is not None else None
        try:
            if caller is None:
                return self._store_alone(offer, may_spool=not strict)
            return self._store_within(offer, caller, may_spool=not strict)
        except Exception as err:
            # The one place that catches everything: whatever it was (routing, directory,
            # template, database), the application's own action goes on.
            if strict:
                raise NotStoredError(f"{offer.kind}: {err}") from err
            return self.not_stored(offer, err)

    def take_many(
        self, offers: Sequence[Offer], tx: object, *, strict: bool
    ) -> tuple[Receipt, ...]:
        """Store many offers, a hundred per transaction where `tx` is None; arguments as in `take`.

        Each is stored wholly or not at all, and none on account of another. With `strict` the
        first that cannot be stored undoes its hundred, and nothing behind them is tried.
        """
        if tx is not None:
            return tuple([self.take(offer, tx, strict=strict) for offer in offers])
        receipts: list[Receipt] = []
        for hundred in _hundreds(offers):
            receipts += self._take_hundred(hundred, strict=strict)
        return tuple(receipts)

    def spool(self, form: Form, kind: str, because: object) -> Receipt:
        """Keep something in the spool, which the next worker takes in once."""
        path = self._parts.spool.keep(_dated(form, self._parts.clock()))
        self._parts.journal.note(Fact.EVENT_SPOOLED, kind=kind, path=path, because=because)
        self._nudge()
        return Receipt(stored=Stored.SPOOLED, because=str(because))

    def not_stored(self, offer: Offer, err: Exception) -> Receipt:
        """Tell of an offer that is lost."""
        because = f"{type(err).__name__}: {err}"
        self._parts.journal.note(
            Fact.EVENT_NOT_STORED, kind=offer.kind, because=because, facts=offer.shown()
        )
        return Receipt(stored=Stored.NOT_STORED, because=because)

    def _take_hundred(self, offers: Sequence[Offer], *, strict: bool) -> list[Receipt]:
        try:
            return self._store_at_once(offers)
        except NotStoredError as err:
            if strict:
                raise
            # One of them, or the whole transaction, failed: each for itself from here on.
            if isinstance(err.__cause__, OutboxUnavailableError):
                return [self._store_late(offer) for offer in offers]
        try:
            with self._parts.outbox.transaction() as tx:
                return [self.take(offer, tx, strict=False) for offer in offers]
        except OutboxError:
            # Whatever was said of each before: the transaction failed, and with it all of them.
            return [self._store_late(offer) for offer in offers]

    def _store_at_once(self, offers: Sequence[Offer]) -> list[Receipt]:
        # Without a savepoint for each, which on PostgreSQL is two of five round trips.
        kind = offers[0].kind
        try:
            with self._parts.outbox.transaction() as tx:
                walked: list[Walked] = []
                for offer in offers:
                    kind = offer.kind
                    walked.append(offer.store(tx))
        except Exception as err:
            raise NotStoredError(f"{kind}: {err}") from err
        for offer, one in zip(offers, walked, strict=True):
            self._tell_of(offer, one)
        return [_receipt(one) for one in walked]

    def _store_alone(self, offer: Offer, *, may_spool: bool) -> Receipt:
        try:
            walked = self._parts.outbox.store_together(offer.store)
        except OutboxUnavailableError as err:
            if not may_spool:
                raise
            return self.spool(offer.form(), offer.kind, err)
        self._tell_of(offer, walked)
        return _receipt(walked)

    def _store_within(self, offer: Offer, caller: CallerTx, *, may_spool: bool) -> Receipt:
        if not self._is_ours(caller):
            return self._store_after(offer, caller, may_spool=may_spool)
        with caller.savepoint():
            walked = offer.store(caller)
        caller.after_commit(partial(self._tell_of, offer, walked))
        return _receipt(walked)

    def _is_ours(self, caller: CallerTx) -> bool:
        try:
            return caller.is_our_database(self._parts.outbox.database_id())
        except OutboxUnavailableError:
            return False  # then the spool takes it after the commit

    def _store_after(self, offer: Offer, caller: CallerTx, *, may_spool: bool) -> Receipt:
        if not caller.is_in_transaction:
            return self._store_alone(offer, may_spool=may_spool)
        # Runs inside the caller's commit: an error there would look like a failed commit.
        caller.after_commit(partial(_called, self._store_late, offer))
        because = "the outbox is another database; stored right after your commit"
        return Receipt(stored=Stored.AFTER_COMMIT, because=because)

    def _store_late(self, offer: Offer) -> Receipt:
        try:
            return self._store_alone(offer, may_spool=True)
        except Exception as err:  # noqa: BLE001 # nobody is there to hear of it
            return self.not_stored(offer, err)

    def _tell_of(self, offer: Offer, walked: Walked) -> None:
        if not walked.event_id:
            return  # one more of an incident: it is counted there, and a storm fills no log
        fact = Fact.EVENT_STORED if walked.is_new else Fact.EVENT_REPEATED
        self._parts.journal.note(
            fact,
            event=walked.event_id,
            kind=offer.kind,
            deliveries=walked.deliveries,
            key=offer.key,
        )
        report(self._parts.journal, walked.mails, walked.undetermined)
        if walked.mails or walked.is_routing:
            self._parts.outbox.ring()
        elif walked.is_new:
            self._parts.journal.note(
                Fact.EVENT_UNHEARD,
                event=walked.event_id,
                kind=offer.kind,
                because=walked.because or "everybody considered was skipped",
            )
        self._nudge()


def _called(store: Callable[[Offer], Receipt], offer: Offer) -> None:
    store(offer)


def _receipt(walked: Walked) -> Receipt:
    stored = Stored.ROUTING if walked.is_routing else Stored.STORED
    return Receipt(
        stored=stored if walked.is_new else Stored.REPEATED,
        event_id=walked.event_id,
        deliveries=walked.deliveries,
        skipped=len(walked.skipped),
        because=walked.because,
    )


def _hundreds(offers: Sequence[Offer]) -> Iterator[list[Offer]]:
    rest = iter(offers)
    while hundred := list(islice(rest, OFFERS_PER_TRANSACTION)):
        yield hundred


def _dated(form: Form, now_ms: int) -> dict[str, Plain]:
    # A reset link's lifetime counts from now, however long the file lies there.
    return {
        what: {**table, "occurred_at_ms": table["occurred_at_ms"] or now_ms}
        for what, table in form.items()
    }
