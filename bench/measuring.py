"""This room reads from the system what processes cost: processor time and memory.

Read from /proc while they run, so that what their start cost can be left out: `os.wait4` tells
only the sum at their end. The kernel counts processor time in steps of 10 ms.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
# A process that lives shorter than this between two looks is missed in the memory, not in the time.
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Spent:
    """What processes have cost.

    Args:
        cpu_s: Processor seconds, user and system.
        peaks_mb: Greatest memory of each process, by its id.
    """

    cpu_s: float
    peaks_mb: Mapping[int, float]

    @property
    def peak_mb(self) -> float:
        """The greatest memory of each process, added up."""
        return sum(self.peaks_mb.values())


class Meter:
    """Measures processes and all their descendants from now on.

    Args:
        roots: Process ids; those that are no more count nothing.
        without: Process ids that are left out with their own descendants.
        is_wrapper: Whether the first root only starts the others and is not counted.
    """

    def __init__(
        self, roots: Iterable[int], *, without: Iterable[int] = (), is_wrapper: bool = False
    ) -> None:
        """Begin to measure."""
        self._roots = tuple(roots)
        self._without = frozenset(without)
        self._hidden = frozenset(self._roots[:1]) if is_wrapper else frozenset[int]()
        self._peaks: dict[int, float] = {}
        self._began_s = self._cpu_s()
        self._is_over = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> Spent:
        """Return what was spent since the beginning."""
        cpu_s = self._cpu_s() - self._began_s
        self._look()
        self._is_over.set()
        self._thread.join()
        return Spent(cpu_s=cpu_s, peaks_mb=self._peaks)

    def _watch(self) -> None:
        while not self._is_over.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        for pid in self._family():
            if pid not in self._hidden:
                self._peaks[pid] = max(self._peaks.get(pid, 0.0), _peak_mb(pid))

    def _cpu_s(self) -> float:
        return sum(_cpu_s(pid) for pid in self._family())

    def _family(self) -> Iterator[int]:
        waiting = list(self._roots)
        while waiting:
            pid = waiting.pop()
            if pid not in self._without:
                yield pid
                waiting += _children(pid)


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for task in (_PROC / str(pid) / "task").glob("*/children"):
        # A thread may end while we look.
        with suppress(OSError):
            children += map(int, task.read_text().split())
    return children


def _stat(pid: int) -> list[str]:
    try:
        # Behind the name, which may hold anything, in brackets.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    # Its own time and that of its children that have ended (proc(5): fields 14 to 17).
    return sum(map(int, fields[11:15])) / _TICKS_PER_S if fields else 0.0


def _peak_mb(pid: int) -> float:
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) / 1024 if found else 0.0
