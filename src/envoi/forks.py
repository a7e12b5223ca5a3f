"""This room keeps forks apart from our transactions.

A child has a copy of SQLite's memory without the threads and without the file locks behind it. If
another thread was in the middle of a transaction, the child finds the file locked for ever; if a
connection was merely open, the child believes that it holds locks which it does not, and the
parent may remove the log that the child writes to. So a fork waits a moment for transactions of
other threads, and no connection of ours is open while it happens.
"""

import os
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from threading import Condition, get_ident


class ForkGate:
    """Lets a fork happen only between the transactions of one database.

    Args:
        wait_s: How long a fork waits at most. Then it happens nevertheless.
        let_go: Closes what must not be open during the fork.
    """

    def __init__(self, wait_s: float, let_go: Callable[[], None]) -> None:
        """Watch forks from now on."""
        self._wait_s = wait_s
        self._let_go = let_go
        self._forget()
        # Hooks cannot be taken back, so they must not keep a discarded database alive.
        os.register_at_fork(
            before=partial(_call, weakref.WeakMethod(self._before)),
            after_in_parent=partial(_call, weakref.WeakMethod(self._after)),
            after_in_child=partial(_call, weakref.WeakMethod(self._forget)),
        )

    @contextmanager
    def present(self) -> Generator[None]:
        """Keep forks of other threads waiting."""
        condition, me = self._condition, get_ident()
        with condition:
            self._presences[me] = self._presences.get(me, 0) + 1
        try:
            yield
        finally:
            with condition:
                self._presences[me] = self._presences.get(me, 1) - 1
                if not self._presences[me]:
                    del self._presences[me]
                condition.notify_all()

    def _before(self) -> None:
        # Held until the fork has happened, so that nobody enters meanwhile.
        self._condition.acquire()
        self._condition.wait_for(self._is_quiet, self._wait_s)
        self._let_go()

    def _is_quiet(self) -> bool:
        return not self._presences.keys() - {get_ident()}

    def _after(self) -> None:
        self._condition.release()

    def _forget(self) -> None:
        # Threads do not cross a fork, and with them goes whatever they held.
        self._condition = Condition()
        self._presences: dict[int, int] = {}


def _call(method: "weakref.WeakMethod[Callable[[], None]]") -> None:
    known = method()
    if known is not None:
        known()
