"""This room stores what requests leave behind, in one thread of its own.

A request that failed hands its report over and goes on. The thread begins when there is something
to store and ends when there is nothing left; a fork leaves it, and what waits, to the parent.
What waits is bounded: equal errors are counted together, and where different ones find no room
their number is stored as soon as there is some.
"""

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from envoi.core.broken_link import BrokenLink
from envoi.core.event import Event
from envoi.receipt import Receipt

# What a storm of different errors may hold in memory. One with its traceback takes 5 KB or so.
MAX_WAITING = 500
MAX_WAITING_CHARS = 16_000_000
MAX_LINKS = 1_000
# Links are gathered for this long: each writing waits for the disk.
LINKS_EVERY_S = 1.0
# An outbox that could not be reached is not asked again before; meanwhile the spool takes all.
DOWN_S = 1.0
# The first report of a process loads the database's driver and the templates, and whoever computes
# meanwhile waits for the interpreter; so the page of the request that failed leaves before.
COLD_S = 0.05
# At the end of the process nobody waits for links to be gathered.
LOOK_EVERY_S = 0.1


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A report that waits, or waited.

    Args:
        event: The report.
        times: How many equal errors it stands for.
        receipt: What became of it; None while it waits.
    """

    event: Event
    times: int = 1
    receipt: Receipt | None = None
    _is_stored: threading.Event = field(default_factory=threading.Event)

    @property
    def counted(self) -> Event:
        """The report with its number."""
        event = self.event
        facts = {**event.facts, "times": self.times}
        return event if self.times == 1 else replace(event, facts=facts)

    def wait(self, wait_s: float) -> Receipt | None:
        """Return what became of it, or None after this many seconds."""
        if wait_s > 0:
            self._is_stored.wait(wait_s)
        return self.receipt

    def settle(self, receipt: Receipt) -> None:
        """Say what became of it."""
        self.receipt = receipt
        self._is_stored.set()


class Keeper:
    """The thread, and what waits for it.

    Args:
        store: Stores a report; told whether the outbox could not be reached a moment ago. Raises
            nothing; the receipt says whether it can be reached.
        store_links: Writes links down with how often they were followed; whether they need not be
            kept any longer. Raises nothing.
        overflow: Makes the report of so many that found no room.
    """

    def __init__(
        self,
        store: "Callable[[Event, bool], tuple[Receipt, bool]]",
        store_links: Callable[[Mapping[BrokenLink, int]], bool],
        overflow: Callable[[int], Event],
    ) -> None:
        """Start with nothing to do and without a thread."""
        self._store = store
        self._store_links = store_links
        self._overflow = overflow
        self._forget()
        # Hooks cannot be taken back, so they must not keep a discarded mailer alive.
        os.register_at_fork(after_in_child=partial(_call, weakref.WeakMethod(self._forget)))

    def offer(self, event: Event) -> Waiting | None:
        """Take a report; None where there is no room: then it is counted."""
        key = f"{event.application} {event.facts.get('fingerprint')}"
        with self._condition:
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.times += 1
                return waiting
            size = _chars(event)
            if len(self._waiting) >= MAX_WAITING or self._chars + size > MAX_WAITING_CHARS:
                self._lost += 1
                return None
            waiting = self._waiting[key] = Waiting(event=event)
            self._chars += size
            self._go()
            return waiting

    def note(self, link: BrokenLink) -> bool:
        """Take a broken link; False where there is no room."""
        with self._condition:
            if link not in self._links and len(self._links) >= MAX_LINKS:
                return False
            self._links[link] = self._links.get(link, 0) + 1
            self._go()
            return True

    def finish(self) -> None:
        """Return when everything is stored."""
        with self._condition:
            self._is_hurried = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._condition:
            self._is_hurried = False

    def _forget(self) -> None:
        self._condition = threading.Condition()
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()
        self._links: dict[BrokenLink, int] = {}
        self._thread: threading.Thread | None = None
        self._chars = self._lost = 0
        self._links_due_s = self._down_until_s = 0.0
        self._is_hurried = False
        self.is_cold = True

    def _go(self) -> None:
        self._condition.notify_all()
        if self._thread is not None:
            return
        # The process does not end before it is done.
        self._thread = threading.Thread(target=self._run, name="envoi-keeper", daemon=False)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or no thread is to be had
            self._is_hurried = True
            self._run()

    def _run(self) -> None:
        try:
            self._let_pass()
            while work := self._taken():
                work()
        except BaseException:
            # Whoever comes next begins a new thread.
            self._thread = None
            raise

    def _let_pass(self) -> None:
        with self._condition:
            if self.is_cold and not self._is_hurried:
                self._condition.wait_for(lambda: self._is_hurried, COLD_S)
        self.is_cold = False

    def _taken(self) -> Callable[[], None] | None:
        with self._condition:
            work = self._next()
            if work is None:
                # Under the lock: what comes a moment later begins a new one.
                self._thread = None
            return work

    def _next(self) -> Callable[[], None] | None:
        while True:
            if self._waiting:
                _, waiting = self._waiting.popitem(last=False)
                self._chars -= _chars(waiting.event)
                return partial(self._keep, waiting)
            if self._lost:
                lost, self._lost = self._lost, 0
                waiting = Waiting(event=self._overflow(lost), times=lost)
                return partial(self._keep, waiting)
            if not self._links:
                return None
            wait_s = self._links_due_s - time.monotonic()
            if wait_s <= 0 or self._is_hurried or not threading.main_thread().is_alive():
                links, self._links = self._links, {}
                return partial(self._keep_links, links)
            self._condition.wait(min(wait_s, LOOK_EVERY_S))

    def _keep(self, waiting: Waiting) -> None:
        is_down = time.monotonic() < self._down_until_s
        receipt, is_reached = self._store(waiting.counted, is_down)
        if not is_reached and not is_down:
            self._down_until_s = time.monotonic() + DOWN_S
        waiting.settle(receipt)

    def _keep_links(self, links: Mapping[BrokenLink, int]) -> None:
        is_done = self._store_links(links)
        with self._condition:
            self._links_due_s = time.monotonic() + LINKS_EVERY_S
            # The end of the process waits for nobody: then the journal alone has them.
            if is_done or self._is_hurried or not threading.main_thread().is_alive():
                return
            for link, times in links.items():
                self._links[link] = self._links.get(link, 0) + times


def _chars(event: Event) -> int:
    return sum(len(value) for value in event.facts.values() if isinstance(value, str))


def _call(method: "weakref.WeakMethod[Callable[[], None]]") -> None:
    known = method()
    if known is not None:
        known()
