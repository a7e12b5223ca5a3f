"""This room keeps whether the outbox can be written, and tells of it when that changes.

A worker and its chores find it out in many places, once a second each. One line says that the
outbox broke down and one that it works again, whoever saw it first.
"""

from threading import Lock

from envoi.errors import OutboxError
from envoi.journal import Fact, Journal


class Breakdown:
    """A time in which the outbox cannot be used: disk full, locked, database restarting.

    Args:
        journal: Told when it begins and ends.
    """

    def __init__(self, journal: Journal) -> None:
        """Start well."""
        self._journal = journal
        self._lock = Lock()
        self._is_on = False

    def begin(self, worker: str, err: OutboxError) -> None:
        """Note that something could not be done; told of once."""
        if self._turn(is_on=True):
            self._journal.note(Fact.WORKER_BROKEN, worker=worker, because=err)

    def end(self, worker: str) -> None:
        """Note that something was written; told of where nothing could be before."""
        if self._is_on and self._turn(is_on=False):
            self._journal.note(Fact.WORKER_MENDED, worker=worker)

    def _turn(self, *, is_on: bool) -> bool:
        # The workers of several relays share it.
        with self._lock:
            was_on, self._is_on = self._is_on, is_on
        return was_on != is_on
