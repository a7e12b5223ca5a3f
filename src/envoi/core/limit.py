"""This room reads limits: how much mail of one sender a person gets within a window of time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from envoi.core.kind import Plain
from envoi.core.problem import Problem

MAX_COUNT = 1_000_000
# A year: who wants to hear of something once, wants to hear of it again some day.
MAX_WINDOW_S = 366 * 24 * 3600
LIMIT_KEYS = ("count", "window_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many mails of one sender one person gets per window.

    Args:
        count: Mails. Too few hide what is new, too many bury it; 0: there is no limit.
            Default 10.
        window_s: Length of the window, from its first mail, in seconds. Default 3,600.
    """

    count: int = 10
    window_s: int = 3_600

    def __str__(self) -> str:
        """Return the limit as the reasons of `explain` name it."""
        unit, name = next(pair for pair in _UNITS if self.window_s % pair[0] == 0)
        return f"{self.count} per {self.window_s // unit} {name}"


_UNITS = ((3_600, "h"), (60, "min"), (1, "s"))
# Of senders whose kind is one that a machine may tell of without end.
DEFAULT_LIMIT = Limit()


def limit_problems(where: str, value: object) -> list[Problem]:
    """List what is wrong with a `limit` table; empty when it can be read."""
    if not isinstance(value, Mapping):
        return [_misfit(where, "a table { count = 10, window_s = 3600 }", value)]
    table = cast("Mapping[str, object]", value)
    problems = [
        _misfit(f"{where}.{key}", f"one of {', '.join(LIMIT_KEYS)}", "an unknown key")
        for key in table
        if key not in LIMIT_KEYS
    ]
    for key, least, most in (("count", 0, MAX_COUNT), ("window_s", 1, MAX_WINDOW_S)):
        number = table.get(key, least)
        # `true` is an integer to Python.
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            problems.append(_misfit(f"{where}.{key}", f"a number from {least} to {most}", number))
    return problems


def read_limit(value: Mapping[str, Plain]) -> Limit:
    """Return the limit of a table that fits.

    >>> str(read_limit({"count": 3}))
    '3 per 1 h'
    """
    return Limit(**{key: cast("int", number) for key, number in value.items()})


def _misfit(where: str, expected: str, got: object) -> Problem:
    shown = got if got == "an unknown key" else repr(got)
    return Problem(where=where, expected=expected, got=str(shown))
