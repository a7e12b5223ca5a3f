"""This room is a wall clock that can be moved while a worker runs, as NTP and operators do it."""

from pathlib import Path

from faults.process import Process
from faults.site import Site


class Clock:
    """A clock that is wrong by as much as is wanted.

    Args:
        folder: Where its file lies.
        name: Of the file; each host has a clock of its own.
    """

    def __init__(self, folder: Path, name: str = "clock") -> None:
        """Begin right."""
        self._path = folder / name
        self._ahead_ms = 0
        self.move_ms(0)

    def move_ms(self, by_ms: int) -> None:
        """Move it on, or back."""
        self._ahead_ms += by_ms
        draft = self._path.with_suffix(".draft")
        draft.write_text(str(self._ahead_ms), "utf-8")
        draft.rename(self._path)

    def work(self, site: Site) -> Process:
        """Start a worker that lives by this clock."""
        return site.start("-m", "faults.clock_worker", str(self._path))
