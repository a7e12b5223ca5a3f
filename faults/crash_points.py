"""This room kills a program at each write, sync and send of one delivery and of one enqueue.

Two ways, because the better one is not permitted everywhere. `C1` and `C2` count the system calls
of the untouched program and end it at the entry of each (`tracing`); `C5` and `C6` let each fail
once instead. `C3` and `C4` count Python's own calls on sockets, databases and files (`nursery`).
A sweep goes on until the program ends untouched, so it is complete whatever the program has become.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from envoi.core.delivery import State
from faults import tracing
from faults.annex import Annex, Annexes, Ended, Nursery
from faults.row import Row, Tally
from faults.site import LEASE_S, Site
from faults.waiting import wait, wait_for

Words: TypeAlias = tuple[str, ...]
# Runs a command in an annex; kills it, or spoils a call, at a point.
Strike: TypeAlias = Callable[[Annex, Words], Ended]
# From 1 on: the strike at the first point of a row of points, at the second, ...
Points: TypeAlias = Callable[[int], Strike]

KILL, FAIL = "signal=KILL", "error=EIO"
# What can fail on a disk or a network; a log that cannot be written is another matter.
SPOILABLE = frozenset({"pwrite64", "fsync", "fdatasync", "ftruncate", "sendto", "sendmsg"})

WORK: Words = ("work", "--once")
# So many wait for the end of their leases together.
BATCH = 16
# More points than any program here has: a sweep that comes so far has lost its way.
MOST_POINTS = 2_000
# In the quick form every so-many-th point of each, beginning at a different one with each seed.
QUICK_DELIVERY, QUICK_ENQUEUE = 29, 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is killed.

    Args:
        prepare: Makes an annex ready.
        words: The words behind `envoi`.
        judge: Looks at an annex right after a kill.
    """

    prepare: Callable[[Annex], object]
    words: Callable[[Annex], Words]
    judge: Callable[[Annex, Ended], Tally]


def by_system_call(
    site: Site, nursery: Nursery, program: Program, effect: str = KILL
) -> list[Points]:
    """Return the points of a program, one row of points for each system call that it makes.

    Args:
        site: Where.
        nursery: In which the program runs.
        program: What is struck.
        effect: What happens to it, as strace says it.

    Raises:
        NotHereError: Programs cannot be traced here.
    """
    tracing.require()
    for tracer in ((), tracing.command(site.folder / "calls.log")):
        # Without a tracer first: what is loaded once, and written by that, is no part of it.
        with Annexes(site).one() as annex:
            program.prepare(annex)
            annex.let_go()
            nursery.run(annex.folder, *program.words(annex), tracer=tracer)
    counts = tracing.counts(site.folder / "calls.log")
    calls = sorted(counts if effect == KILL else counts.keys() & SPOILABLE)
    return [partial(_at_system_call, nursery, effect, call) for call in calls]


def _at_system_call(nursery: Nursery, effect: str, call: str, number: int) -> Strike:
    def strike(annex: Annex, words: Words) -> Ended:
        point, log = tracing.Point(call, number), annex.folder / "calls.log"
        tracer = tracing.command(log, effect, point)
        ended = nursery.run(annex.folder, *words, tracer=tracer)
        return replace(ended, at=str(point) if tracing.was_struck(log) else "")

    return strike


def by_call(nursery: Nursery, first: int, step: int) -> Points:
    """Return the points of Python's own calls: the `first`, and every `step`th from there."""

    def at(number: int) -> Strike:
        point = first + (number - 1) * step
        return lambda annex, words: nursery.run(annex.folder, *words, point=point)

    return at


class Sweep:
    """Strikes a program at each of its points, lets it recover, and adds up.

    Args:
        site: Where.
        nursery: In which commands without a fault run.
        program: What is killed.
    """

    def __init__(self, site: Site, nursery: Nursery, program: Program) -> None:
        """Begin with nothing struck."""
        self._annexes = Annexes(site)
        self._nursery = nursery
        self._program = program
        self._waiting: list[Annex] = []
        self._stack = ExitStack()
        self._strikes = 0
        self._found = Tally()

    def run(self, rows: list[Points]) -> Tally:
        """Sweep over rows of points, each until the program ends untouched."""
        with self._stack:
            for points in rows:
                self._sweep(points)
            self._recover()
        self._found.note(f"{self._strikes} points")
        return self._found

    def _sweep(self, points: Points) -> None:
        for number in range(1, MOST_POINTS):
            if len(self._waiting) == BATCH:
                self._recover()
            annex = self._stack.enter_context(self._annexes.one())
            if not self._strike(annex, points(number)):
                return
        self._found.broken.append(f"an end of the program before point {MOST_POINTS}")

    def _strike(self, annex: Annex, strike: Strike) -> bool:
        self._program.prepare(annex)
        annex.let_go()
        ended = strike(annex, self._program.words(annex))
        self._waiting.append(annex)
        is_struck = bool(ended.at)
        self._strikes += is_struck
        self._found.expect(is_struck or ended.code == 0, f"an untouched end with 0; {ended.out}")
        self._found.expect(annex.is_sound, f"a sound database after {ended.at}")
        self._found.add(self._program.judge(annex, ended))
        return is_struck

    def _recover(self) -> None:
        # By then the leases of all of them have run out, and one worker each is enough.
        wait(LEASE_S + 0.1)
        for annex in self._waiting:
            annex.let_go()
            wait_for(partial(self._is_finished, annex), "everything sent", tick_s=LEASE_S / 8)
            self._found.add(annex.judge())
        self._waiting.clear()
        self._stack.pop_all().close()

    def _is_finished(self, annex: Annex) -> bool:
        # One more worker in a process of its own.
        self._nursery.run(annex.folder, *WORK)
        return annex.states == {State.SENT: len(annex.accepted)}


def _one_mail(annex: Annex) -> None:
    annex.enqueue(1, f"{annex.folder.name}-")


def _three_mails(annex: Annex) -> None:
    annex.set(smtp={"connections": 1})
    annex.enqueue(3, f"{annex.folder.name}-")


def _after_work(annex: Annex, ended: Ended) -> Tally:
    """Note what is in doubt: it alone may go twice, and it is one at most."""
    found = Tally()
    if ended.code is None:
        begun, sent = annex.begun, annex.sent
        found.expect(len(begun) <= 1, f"one delivery in doubt per connection, got {len(begun)}")
        annex.disrupt(f"kill at {ended.at}", len(begun))
        unmarked = annex.evidence.copies.keys() - begun - sent
        found.expect(not unmarked, f"a mark before each content at {ended.at}, none for {unmarked}")
    return found


def _enqueue(annex: Annex) -> Words:
    """Return the words of `envoi` that hand in an annex's mail."""
    key = ("--key", "order-7")
    return ("send", *key, "--subject", "News", "--to", _address(annex), "Something happened.")


def _address(annex: Annex) -> str:
    return f"{annex.folder.name}-u0@x.test"


def _after_enqueue(nursery: Nursery, annex: Annex, ended: Ended) -> Tally:
    """Check that all of it is there or nothing; then hand it in again with the same key."""
    found = Tally()
    left = annex.rows
    was_told = "stored" in ended.out
    found.expect(left in {(0, 0, 0), (1, 1, 1)}, f"all or nothing at {ended.at}, got {left}")
    found.expect(not was_told or left == (1, 1, 1), f"what was told to be stored at {ended.at}")
    if ended.code:
        found.expect(left == (0, 0, 0), f"an error or a mail, not both, at {ended.at}: {ended.out}")
    annex.let_go()
    again = nursery.run(annex.folder, *_enqueue(annex))
    found.expect(again.code == 0, f"the same key to be taken again, got {again.out}")
    found.expect(annex.rows == (1, 1, 1), f"one mail for one key, got {annex.rows}")
    annex.accepted.append(_address(annex))
    return found


def _delivery(prepare: Callable[[Annex], object]) -> Program:
    return Program(prepare=prepare, words=lambda _annex: WORK, judge=_after_work)


def _handing_in(nursery: Nursery) -> Program:
    def nothing(_annex: Annex) -> None:
        """Leave the annex empty."""

    return Program(prepare=nothing, words=_enqueue, judge=partial(_after_enqueue, nursery))


def delivery_by_system_call(site: Site, _seed: int) -> Tally:
    """Kill the worker at each write, sync and send of one delivery."""
    program = _delivery(_one_mail)
    with Nursery() as nursery:
        return Sweep(site, nursery, program).run(by_system_call(site, nursery, program))


def enqueue_by_system_call(site: Site, _seed: int) -> Tally:
    """Kill `envoi send` at each write, sync and send."""
    with Nursery() as nursery:
        program = _handing_in(nursery)
        return Sweep(site, nursery, program).run(by_system_call(site, nursery, program))


def delivery_by_call(site: Site, seed: int) -> Tally:
    """Kill the worker before each call of Python's that matters, with three mails to deliver."""
    with Nursery() as nursery:
        sweep = Sweep(site, nursery, _delivery(_three_mails))
        return sweep.run([by_call(nursery, *_stride(site, seed, QUICK_DELIVERY))])


def enqueue_by_call(site: Site, seed: int) -> Tally:
    """Kill `envoi send` before each call of Python's that matters."""
    with Nursery() as nursery:
        sweep = Sweep(site, nursery, _handing_in(nursery))
        return sweep.run([by_call(nursery, *_stride(site, seed, QUICK_ENQUEUE))])


def delivery_with_errors(site: Site, _seed: int) -> Tally:
    """Let each write, sync and send of one delivery fail once; no copy is excused."""
    program = _delivery(_one_mail)
    with Nursery() as nursery:
        points = by_system_call(site, nursery, program, FAIL)
        return Sweep(site, nursery, program).run(points)


def enqueue_with_errors(site: Site, _seed: int) -> Tally:
    """Let each write, sync and send of `envoi send` fail once."""
    with Nursery() as nursery:
        program = _handing_in(nursery)
        return Sweep(site, nursery, program).run(by_system_call(site, nursery, program, FAIL))


def _stride(site: Site, seed: int, step: int) -> tuple[int, int]:
    return (1 + seed % step, step) if site.is_quick else (1, 1)


# On PostgreSQL a send that fails while its connection lives is nothing that happens, and libpq
# waits for the server's own word about it; S8c cuts connections as the world does.
ROWS = (
    Row(
        id="C1",
        title="killed at each write, sync and send of a delivery",
        run=delivery_by_system_call,
        limit_s=600,
    ),
    Row(
        id="C2",
        title="killed at each write, sync and send of an enqueue",
        run=enqueue_by_system_call,
        limit_s=600,
    ),
    Row(
        id="C3",
        title="killed before each call of three deliveries",
        run=delivery_by_call,
        limit_s=480,
        is_quick=True,
    ),
    Row(
        id="C4",
        title="killed before each call of an enqueue",
        run=enqueue_by_call,
        limit_s=480,
        is_quick=True,
    ),
    Row(
        id="C5",
        title="each write, sync and send of a delivery fails once",
        run=delivery_with_errors,
        engines=("sqlite",),
        limit_s=600,
    ),
    Row(
        id="C6",
        title="each write, sync and send of an enqueue fails once",
        run=enqueue_with_errors,
        engines=("sqlite",),
        limit_s=600,
    ),
)
