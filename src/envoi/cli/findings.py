"""This room holds what a check finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"  # works and should not stay so
    WRONG = "wrong"  # does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        level: How bad.
        about: Which part: settings, senders, kinds, outbox, directory, relay or errors.
        said: What was found.
        advice: What to do; empty when nothing is to be done.
    """

    level: Level
    about: str
    said: str
    advice: str = ""
