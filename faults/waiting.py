"""This room waits for what must come true, and never for ever."""

import time
from collections.abc import Callable

from faults.process import PATIENCE_S

_TICK_S = 0.01


class StuckError(Exception):
    """Something that must come true did not in time."""


def wait_for(
    condition: Callable[[], object],
    what: str,
    timeout_s: float = PATIENCE_S,
    tick_s: float = _TICK_S,
) -> None:
    """Wait until a condition holds.

    Args:
        condition: Asked again and again.
        what: It, in words; for the error.
        timeout_s: How long.
        tick_s: The wait between two questions.

    Raises:
        StuckError: It did not come true.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline_s:
            raise StuckError(f"not within {timeout_s:g} s: {what}")
        time.sleep(tick_s)


def wait(seconds: float) -> None:
    """Let time pass because the fault itself lasts that long."""
    time.sleep(seconds)
