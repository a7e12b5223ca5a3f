"""This room has the targets: what Envoi must reach beside others, and what was seen of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench import table
from bench.against import POST_OFFICE_NAME, SEND_MANY_NAME, SMTP_SOURCE_NAME, SYNCED_CELERY_NAME
from bench.alone import SIZES
from bench.rounds import Result, ratio
from bench.rows import told
from bench.running import Measured

Results = Mapping[tuple[str, str], Result]
# Two equal things never measure equal.
EQUAL_WITHIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target.

    Args:
        measure: What is measured, in words.
        floor: What must be reached.
        aim: What would be good.
        seen: The figure of every round; none when a row of it was not run.
        unit: Behind the figures; `x` for ratios.
        is_most: Whether floor and aim are upper bounds.
    """

    measure: str
    floor: float
    aim: float
    seen: Callable[[Results], Sequence[float]]
    unit: str = "x"
    is_most: bool = False

    def answer(self, seen: float) -> str:
        """Say whether a figure reaches the target."""
        if self._is_within(seen, self.aim):
            return "aim"
        return "floor" if self._is_within(seen, self.floor) else "NO"

    def _is_within(self, seen: float, bound: float) -> bool:
        if not self.is_most:
            return seen >= bound
        return seen <= (bound * (1 + EQUAL_WITHIN) if bound == 1 else bound)


def targets() -> tuple[Target, ...]:
    """Return all of them."""
    return (*_of_the_session(), *_of_the_walk(), *_of_engines(), *_of_costs())


def lines(results: Results) -> Iterator[str]:
    """Return the targets as a table."""
    rows = [("target", "floor", "aim", "seen", "min..max", "reached")]
    for target in targets():
        bound = "<= " if target.is_most else ""
        seen = target.seen(results)
        rows.append((
            target.measure,
            f"{bound}{target.floor:g} {target.unit}",
            f"{bound}{target.aim:g} {target.unit}",
            f"{table.figure(median(seen))} {target.unit}" if seen else "not measured",
            f"{table.figure(min(seen))}..{table.figure(max(seen))}" if len(seen) > 1 else "",
            target.answer(median(seen)) if seen else "",
        ))  # fmt: skip
    yield ""
    yield from table.columns(rows)


def form(results: Results) -> list[dict[str, object]]:
    """Return the targets as plain values."""
    return [
        {
            "measure": target.measure,
            "floor": target.floor,
            "aim": target.aim,
            "unit": target.unit,
            "seen": list(seen),
            "reached": target.answer(median(seen)) if seen else "",
        }
        for target in targets()
        for seen in [target.seen(results)]
    ]


def _of_the_session() -> Iterator[Target]:
    yield Target(
        measure="SMTP session alone against smtp-source, both 10 connections",
        floor=1.5,
        aim=2.5,
        seen=_times("session", "Envoi session", SMTP_SOURCE_NAME),
    )
    yield Target(
        measure="the same, 10 ms to the relay and back",
        floor=2,
        aim=3,
        seen=_times("session10", "Envoi session", SMTP_SOURCE_NAME),
    )
    yield Target(
        measure="the same with CHUNKING, 16 contents under way",
        floor=2,
        aim=6,
        seen=_times("session10", "Envoi session, CHUNKING 16", SMTP_SOURCE_NAME),
    )


def _of_the_walk() -> Iterator[Target]:
    yield Target(
        measure="single events, whole walk, against django-post-office storing a ready mail",
        floor=2,
        aim=4,
        seen=_times("small", "Envoi events, then delivered", POST_OFFICE_NAME),
    )
    yield Target(
        measure="the same with a worker beside, against Celery + Redis, synced",
        floor=4,
        aim=8,
        seen=_times("small", "Envoi events, worker beside", SYNCED_CELERY_NAME),
    )
    yield Target(
        measure="ready mail, one per transaction, against django-post-office",
        floor=3,
        aim=6,
        seen=_times("small", "Envoi ready mail, then delivered", POST_OFFICE_NAME),
    )
    yield Target(
        measure="ready mail by 100, against django-post-office send_many",
        floor=8,
        aim=18,
        seen=_times("small", "Envoi ready mail by 100, then delivered", SEND_MANY_NAME),
    )
    yield Target(
        measure="64 callers at once against one, each waiting for `stored`",
        floor=4,
        aim=10,
        seen=_times("callers", "64 callers, SQLite", "1 caller, SQLite", told("stored_per_s")),
    )
    yield Target(
        measure="one broadcast against smtp-source raw (50,000; a quick run 5,000)",
        floor=0.6,
        aim=1.2,
        seen=_times("small", "Envoi broadcast", SMTP_SOURCE_NAME),
    )


def _of_engines() -> Iterator[Target]:
    for words, name in (
        ("single events", "Envoi events, then delivered"),
        ("ready mail by 100", "Envoi ready mail by 100, then delivered"),
    ):
        yield Target(
            measure=f"PostgreSQL against SQLite, {words}",
            floor=0.5,
            aim=0.8,
            seen=_times("small", f"{name}, PostgreSQL", name),
        )


def _of_costs() -> Iterator[Target]:
    yield Target(
        measure="processor time per delivered mail of a broadcast",
        floor=60,
        aim=30,
        unit="us",
        is_most=True,
        seen=_figures("small", "Envoi broadcast", lambda run: run.cpu_us),
    )
    yield Target(
        measure="peak memory of the worker, greatest of all rows",
        floor=100,
        aim=60,
        unit="MB",
        is_most=True,
        seen=_greatest_worker,
    )
    yield Target(
        measure=f"a mail's cost beside {SIZES[-1]:,} stored ones against {SIZES[0]:,}",
        floor=1.3,
        aim=1.1,
        is_most=True,
        seen=_figures(
            "growth", "ready mail by 100, then delivered, SQLite", told(f"x_{SIZES[-1]}")
        ),
    )
    yield Target(
        measure="from the commit to the relay's 250, idle system",
        floor=50,
        aim=10,
        unit="ms",
        is_most=True,
        seen=_figures("waiting", "relay idle, SQLite", told("sent_ms")),
    )
    yield Target(
        measure="`notify` while the relay hangs against an idle relay",
        floor=1,
        aim=1,
        is_most=True,
        seen=_times("waiting", "relay hangs, SQLite", "relay idle, SQLite", told("notify_us")),
    )


def _times(
    group: str,
    ours: str,
    theirs: str,
    figure: Callable[[Measured], float] = lambda run: run.rate,
) -> Callable[[Results], Sequence[float]]:
    def seen(results: Results) -> Sequence[float]:
        both = results.get((group, ours)), results.get((group, theirs))
        return ratio(both[0], both[1], figure) if both[0] and both[1] else ()

    return seen


def _figures(
    group: str, row: str, figure: Callable[[Measured], float]
) -> Callable[[Results], Sequence[float]]:
    def seen(results: Results) -> Sequence[float]:
        result = results.get((group, row))
        return tuple(value for value in result.of(figure) if value) if result else ()

    return seen


def _greatest_worker(results: Results) -> Sequence[float]:
    memories = [result.of(lambda run: run.worker_mb) for result in results.values() if result.runs]
    return max(memories, key=median, default=()) if any(map(any, memories)) else ()
