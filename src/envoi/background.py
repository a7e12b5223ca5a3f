"""This room runs a worker inside an application: begun lazily after a fork, never at import.

`start` in a process that is about to fork (gunicorn --preload, uwsgi) must not leave threads and
connections behind: the thread begins a moment later, or at the first event, and a fork in between
cancels it in the parent. In the child everything is new: locks, connections, worker, thread.
"""

import atexit
import os
import weakref
from collections.abc import Callable
from functools import partial
from threading import Event as Signal
from threading import Lock, Thread, Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envoi.fleet import Fleet

# A preloading server forks within milliseconds of importing the application; a plain one waits
# this long for its first delivery after the start, unless it hands over an event before.
GRACE_S = 1.0
# A worker that died of something unforeseen is begun again after this.
RESTART_S = 5.0


class Background:
    """The worker thread of one mailer.

    Args:
        make_worker: Builds the workers, in the process and thread that will run them.
        on_crash: Told of an error that ended a worker; it is begun again after that.
    """

    def __init__(
        self, make_worker: "Callable[[], Fleet]", on_crash: Callable[[Exception], None]
    ) -> None:
        """Start stopped."""
        self._make_worker = make_worker
        self._on_crash = on_crash
        self._is_wanted = False
        self._is_hooked = False
        self._lock = Lock()
        self._must_stop = Signal()
        self._thread: Thread | None = None
        self._timer: Timer | None = None
        self._worker: Fleet | None = None

    def start(self) -> None:
        """Want a worker in this process and in every process forked from it."""
        self._is_wanted = True
        self._hook_forks()
        with self._lock:
            if self._thread is None and self._timer is None:
                self._timer = Timer(GRACE_S, self._begin)
                self._timer.daemon = True
                self._timer.start()

    def nudge(self) -> None:
        """Begin the worker if one is wanted and not running; wake it if it is."""
        if not self._is_wanted:
            return
        worker = self._worker
        if worker is not None:
            worker.wake()
        else:
            self._begin()

    def stop(self) -> None:
        """Stop the worker of this process and wait until it has given back what it holds."""
        self._is_wanted = False
        with self._lock:
            thread, timer, worker = self._thread, self._timer, self._worker
            self._thread = self._timer = None
        if timer is not None:
            timer.cancel()
        self._must_stop.set()
        if worker is not None:
            worker.wake()
        if thread is not None:
            thread.join()
        # A later start begins anew.
        self._must_stop = Signal()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is not None or not self._is_wanted:
                return
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._thread = Thread(target=self._run, name="envoi-worker", daemon=True)
            self._thread.start()
        atexit.register(self.stop)

    def _run(self) -> None:
        while self._is_wanted and not self._must_stop.is_set():
            try:
                self._worker = self._make_worker()
                self._worker.run(self._must_stop.is_set)
            except Exception as err:  # noqa: BLE001 # a thread that dies silently loses mail
                self._on_crash(err)
                self._must_stop.wait(RESTART_S)
            finally:
                self._worker = None

    def _forget(self) -> None:
        self._lock = Lock()
        self._must_stop = Signal()
        self._thread = self._timer = self._worker = None

    def _hook_forks(self) -> None:
        if self._is_hooked:
            return
        self._is_hooked = True
        # Hooks cannot be taken back, so they must not keep a discarded mailer alive.
        os.register_at_fork(
            after_in_parent=partial(_call, weakref.WeakMethod(self._after_fork_in_parent)),
            after_in_child=partial(_call, weakref.WeakMethod(self._after_fork_in_child)),
        )

    def _after_fork_in_parent(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _after_fork_in_child(self) -> None:
        self._forget()
        if self._is_wanted:
            self.start()


def _call(method: "weakref.WeakMethod[Callable[[], None]]") -> None:
    known = method()
    if known is not None:
        known()
