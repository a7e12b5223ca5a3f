"""This room stores what several threads hand in at the same time, in one transaction.

On SQLite writers go one after the other, and each waits for the disk: sixty-four threads with a
connection each store no more than one alone. Here the first to come leads: it stores what
the others have brought by then as well, and all of them hear of it after the one sync. Nobody
waits for somebody to come: a thread that is alone stores at once, as if this room were not there.

* Everybody's work stands in a savepoint, so an error undoes and reaches nobody else's.
* When the transaction itself fails, everybody hears why, and nothing is stored.
* Whoever led has served his turn: the first of those who came meanwhile leads next.

PostgreSQL groups commits by itself, where each thread has a connection of its own.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock, get_ident
from typing import Generic, TypeVar, cast

from envoi.errors import OutboxError, OutboxUnavailableError
from envoi.outbox.direct import DirectTx

# So long that the sync costs each of them little, and so short that another process, which waits
# for our transaction, need not wait for long.
MOST_AT_ONCE = 100

_Result = TypeVar("_Result")


@dataclass(slots=True, eq=False)
class _Slip(Generic[_Result]):
    """What one thread brings, and what became of it."""

    work: Callable[[DirectTx], _Result]
    result: _Result | None = None
    error: BaseException | None = None
    is_done: bool = False
    # Rings when it is done, or when its thread shall lead.
    bell: Lock = field(default_factory=Lock)

    def outcome(self) -> _Result:
        """Return what the work returned, or raise what it, or the transaction, raised."""
        if self.error is not None:
            raise self.error
        return cast("_Result", self.result)


class Together:
    """Stores in few transactions what many threads hand in.

    Args:
        transaction: Opens a transaction of our own, whose commit is synced.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[DirectTx]]) -> None:
        """Begin with nobody waiting."""
        self._transaction = transaction
        self._forget()

    def store(self, work: Callable[[DirectTx], _Result]) -> _Result:
        """Do some work in a transaction, perhaps with that of others; return when it is synced.

        Args:
            work: May run in another thread; what it raises undoes what it wrote.

        Raises:
            OutboxUnavailableError: The transaction failed; nothing of it is stored.
        """
        if os.getpid() != self._pid:
            self._forget()  # threads do not cross a fork, and one of them may have held the lock
        if self._leader == get_ident():
            # Work that hands something in itself would wait for its own end.
            with self._transaction() as tx:
                return work(tx)
        slip = _Slip(work)
        slip.bell.acquire()
        if not self._queue(slip):
            self._await(slip)
        if not slip.is_done:
            self._lead()
        return slip.outcome()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = Lock()
        self._waiting: list[_Slip[object]] = []
        self._is_led = False
        self._heir: _Slip[object] | None = None
        self._leader = 0

    def _queue(self, slip: "_Slip[_Result]") -> bool:
        """Queue up; whether nobody leads, so that this thread must."""
        with self._lock:
            self._waiting.append(cast("_Slip[object]", slip))
            must_lead = not self._is_led
            self._is_led = True
        return must_lead

    def _await(self, slip: "_Slip[_Result]") -> None:
        try:
            slip.bell.acquire()
        except BaseException:  # Ctrl-C: nobody may wait for a leader who is gone
            with self._lock:
                self._waiting = [one for one in self._waiting if one is not slip]
                if self._heir is slip:
                    self._appoint()
            raise

    def _lead(self) -> None:
        with self._lock:
            self._heir = None
            slips = self._waiting[:MOST_AT_ONCE]
            del self._waiting[:MOST_AT_ONCE]
        self._leader = get_ident()
        try:
            self._store(slips)
        finally:
            self._leader = 0
            with self._lock:
                self._appoint()
            for slip in slips:
                slip.is_done = True
                slip.bell.release()

    def _appoint(self) -> None:
        self._heir = self._waiting[0] if self._waiting else None
        self._is_led = self._heir is not None
        if self._heir is not None:
            self._heir.bell.release()

    def _store(self, slips: "list[_Slip[object]]") -> None:
        try:
            with self._transaction() as tx:
                if len(slips) == 1:
                    slips[0].result = slips[0].work(tx)
                    return
                for slip in slips:
                    _store_apart(slip, tx)
        except BaseException as err:  # each thread raises its own
            for slip in slips:
                slip.error = err if len(slips) == 1 else slip.error or _told_to_each(err)
            if not isinstance(err, Exception):
                raise


def _store_apart(slip: "_Slip[object]", tx: DirectTx) -> None:
    try:
        with tx.savepoint():
            slip.result = slip.work(tx)
    except Exception as err:  # noqa: BLE001 # the thread that brought it raises it
        slip.error = err


def _told_to_each(err: BaseException) -> BaseException:
    # One object raised in several threads would gather the tracebacks of all.
    words = str(err) if isinstance(err, OutboxError) else "the thread that stored it was stopped"
    told = (type(err) if isinstance(err, OutboxError) else OutboxUnavailableError)(words)
    told.__cause__ = err
    return told
