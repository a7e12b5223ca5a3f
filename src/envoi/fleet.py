"""This room runs a process's workers: one for each relay, each in a thread of its own.

So a relay that is slow, or away, stops nobody else. One of the workers does the chores for all.
One that dies of something unforeseen ends the others in order and takes the error to whoever
runs them, as a single worker's would: what is begun anew after that is everything.
"""

from collections.abc import Callable, Iterable, Sequence
from threading import Lock, Thread

from envoi.assembly import Parts
from envoi.chores import Chores, NoChores
from envoi.errors import NotFoundError
from envoi.journal import Fact
from envoi.relays import DEFAULT
from envoi.seams import Carrier
from envoi.shift import Post
from envoi.worker import Worker, worker_name

Task = Callable[[Worker, Callable[[], bool]], None]


class Fleet:
    """The workers of one process.

    Args:
        parts: The outbox's parts.
        make_chores: Makes the chores of the worker of this name.
        carrier: Captures the mail of all relays; None: each relay has its own.
        relays: Names of the relays to serve; empty: all.

    Raises:
        NotFoundError: The settings have no relay of such a name.
        SettingsError: The application's own transport cannot be made.
    """

    def __init__(
        self,
        parts: Parts,
        make_chores: Callable[[str], Chores],
        carrier: Carrier | None = None,
        relays: Sequence[str] = (),
    ) -> None:
        """Make the workers; nothing is claimed yet."""
        self._parts = parts
        self._quiet = _Quiet()
        self._workers: list[Worker] = []
        for post in _posts(parts, carrier, relays):
            # One of them keeps the chores, or each would do the same.
            chores = NoChores() if self._workers else make_chores(post.name)
            self._workers.append(Worker(parts, post, chores, self._stir))

    @property
    def under_way(self) -> int:
        """How many deliveries are claimed and not yet recorded."""
        return sum(worker.under_way for worker in self._workers)

    def wake(self) -> None:
        """Look for work now; other threads may call this."""
        for worker in self._workers:
            worker.wake()

    def turn(self) -> None:
        """Let each worker take one turn, one after the other, in this thread."""
        for worker in self._workers:
            worker.turn()

    def run(self, must_stop: Callable[[], bool]) -> None:
        """Deliver until `must_stop()`, then finish what is under way and give the rest back."""
        for warning in self._parts.settings.warnings:
            self._parts.journal.note(Fact.SETTINGS_DOUBTFUL, because=warning)
        listener = self._parts.outbox.bell.listen(self.wake)
        try:
            self._each(lambda worker, is_over: worker.run(is_over), must_stop)
        finally:
            listener.close()

    def run_until_idle(self, must_stop: Callable[[], bool] = lambda: False) -> None:
        """Deliver everything that is due now, then return; for tests, cron and `work --once`.

        Raises:
            OutboxUnavailableError: For `delivery.drain_s` nothing could be written down.
        """
        self._quiet.stir()
        for worker in self._workers:
            worker.look_again()
        self._each(self._until_quiet, must_stop)

    def drain(self, drain_s: float | None = None) -> None:
        """Give back what did not begin, finish the rest within the drain time, and record it.

        Args:
            drain_s: How long the rest may take. Default `delivery.drain_s`.
        """
        self._each(lambda worker, _is_over: worker.drain(drain_s), lambda: False)

    def _until_quiet(self, worker: Worker, is_over: Callable[[], bool]) -> None:
        while not is_over():
            seen = self._quiet.count
            worker.turn()
            self._quiet.note(worker.name, seen, is_idle=worker.is_idle)
            # Not before all are: what one cannot deliver may be another one's in a moment.
            if self._quiet.is_reached(len(self._workers)):
                self.wake()
                return

    def _stir(self) -> None:
        if len(self._workers) > 1:
            self._quiet.stir()
            for worker in self._workers:
                worker.look_around()

    def _each(self, task: Task, must_stop: Callable[[], bool]) -> None:
        errors: list[BaseException] = []

        def is_over() -> bool:
            return bool(errors) or must_stop()

        def guarded(worker: Worker) -> None:
            try:
                task(worker, is_over)
            except BaseException as err:  # noqa: BLE001 # told below, to whoever runs them
                errors.append(err)
                self.wake()

        _side_by_side(guarded, self._workers)
        if errors:
            raise errors[0]


class _Quiet:
    """Whether all workers have nothing left to do, and all of them at once.

    A worker's saying so counts only if nobody stirred since before it looked.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: set[str] = set()
        self._is_over = False
        self.count = 0

    def stir(self) -> None:
        """Let all look once more."""
        with self._lock:
            self.count += 1
            self._idle.clear()
            self._is_over = False

    def note(self, name: str, seen: int, *, is_idle: bool) -> None:
        """Note whether a worker has anything left to do.

        Args:
            name: The worker's.
            seen: `count` from before it looked.
            is_idle: What it says.
        """
        with self._lock:
            if is_idle and seen == self.count:
                self._idle.add(name)
            else:
                self._idle.discard(name)

    def is_reached(self, of_all: int) -> bool:
        """Whether as many are idle as there are; from then on, until somebody stirs."""
        with self._lock:
            self._is_over = self._is_over or len(self._idle) == of_all
            return self._is_over


def _posts(parts: Parts, carrier: Carrier | None, relays: Sequence[str]) -> list[Post]:
    if carrier is not None:
        return [Post(name=worker_name(), relay=DEFAULT, carrier=carrier, is_capturing=True)]
    return [
        Post(name=worker_name(), relay=name, carrier=parts.relays.carrier(name))
        for name in _known(parts, relays)
    ]


def _known(parts: Parts, relays: Sequence[str]) -> Sequence[str]:
    known = parts.relays.names
    for name in relays:
        if name not in known:
            raise NotFoundError(f"relay {name!r}: expected one of {', '.join(known)}")
    return tuple(dict.fromkeys(relays)) or known


def _side_by_side(work: Callable[[Worker], None], workers: Iterable[Worker]) -> None:
    first, *others = workers
    threads = [
        Thread(target=work, args=[worker], name=f"envoi-{worker.relay}", daemon=True)
        for worker in others
    ]
    for thread in threads:
        thread.start()
    work(first)
    for thread in threads:
        thread.join()
