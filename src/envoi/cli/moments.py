"""This room shows moments in the local time zone, and reads those that somebody types."""

import re
from datetime import UTC, datetime

from envoi.errors import InputError


def local(moment_ms: int) -> str:
    """Return a moment as people read it: local time with its zone; `-` for none."""
    if not moment_ms:
        return "-"
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.astimezone().isoformat(" ", timespec="seconds")


def both(name: str, moment_ms: int) -> dict[str, int | str | None]:
    """Return a moment's two fields for JSON: `NAME_ms` as a number and `NAME` as ISO 8601.

    >>> both("due_at", 0)
    {'due_at_ms': None, 'due_at': None}
    """
    if not moment_ms:
        return {f"{name}_ms": None, name: None}
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone()
    return {f"{name}_ms": moment_ms, name: moment.isoformat(timespec="milliseconds")}


_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO = re.compile(r"([0-9]{1,9})([smhd])")


def moment_typed(text: str, now: int, where: str) -> int:
    """Return the moment that somebody typed: `2h` ago, or an ISO date and time.

    >>> moment_typed("2h", 10_000_000, "--since")
    2800000

    Args:
        text: A number with s, m, h or d; or ISO 8601, local time unless it names a zone.
        now: The clock in milliseconds.
        where: The option it was typed for.

    Raises:
        InputError: It is neither.
    """
    if match := _AGO.fullmatch(text):
        return max(1, now - int(match[1]) * _UNITS_MS[match[2]])
    try:
        return max(1, int(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError, OSError) as err:
        expected = "90s, 30m, 2h, 7d or a moment such as 2026-05-31T08:00"
        raise InputError(f"{where}: expected {expected}, got {text!r:.60}") from err


def lasting_ms(text: str, where: str) -> int:
    """Return a length of time that somebody typed, in milliseconds.

    >>> lasting_ms("7d", "--for")
    604800000

    Args:
        text: A number with s, m, h or d.
        where: The option it was typed for.

    Raises:
        InputError: It is none.
    """
    match = _AGO.fullmatch(text)
    if match is None or not int(match[1]):
        raise InputError(f"{where}: expected 90s, 30m, 2h or 7d, got {text!r:.60}")
    return int(match[1]) * _UNITS_MS[match[2]]
