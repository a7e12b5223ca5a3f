"""This room says what a row of the fault table is, and what is counted in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.site import Site

Engine: TypeAlias = Literal["sqlite", "postgresql"]
BOTH: tuple[Engine, ...] = ("sqlite", "postgresql")


class NotHereError(Exception):
    """The fault cannot be made on this machine; says why. Never counted as survived."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the mail of one row.

    Args:
        messages: Pairs (a message for one recipient) that the outbox accepted.
        lost: Neither at the relay nor anywhere in the outbox where somebody would see them.
        duplicated_excused: Copies too many for which there is the one excuse (invariant I2).
        duplicated: Copies too many without an excuse.
        wrongly_failed: Failed although the relay never refused them for good.
        falsely_sent: Told as sent, and no copy is there.
        stray: Copies for somebody whom nobody wrote to.
        changed_message_id: Recipients whose copies differ in Message-ID or in any other byte.
        broken: What else the row promises and did not hold, in words.
        notes: What is worth knowing and is no fault.
    """

    messages: int = 0
    lost: int = 0
    duplicated_excused: int = 0
    duplicated: int = 0
    wrongly_failed: int = 0
    falsely_sent: int = 0
    stray: int = 0
    changed_message_id: int = 0
    broken: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    @property
    def is_clean(self) -> bool:
        """Whether nothing happened but what has an excuse."""
        figures = (
            self.lost, self.duplicated, self.wrongly_failed, self.falsely_sent, self.stray,
            self.changed_message_id,
        )  # fmt: skip
        return not any(figures) and not self.broken

    def expect(self, holds: object, promise: str) -> None:
        """Note a promise that did not hold; the row goes on and fails at its end."""
        if not holds:
            self.broken.append(promise)

    def note(self, words: str) -> None:
        """Note what a reader of the table should know."""
        self.notes.append(words)

    def add(self, other: Tally) -> None:
        """Take in the figures of another round of the same row."""
        self.messages += other.messages
        self.lost += other.lost
        self.duplicated_excused += other.duplicated_excused
        self.duplicated += other.duplicated
        self.wrongly_failed += other.wrongly_failed
        self.falsely_sent += other.falsely_sent
        self.stray += other.stray
        self.changed_message_id += other.changed_message_id
        self.broken += other.broken
        self.notes += other.notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault.

    Args:
        id: Its name in the catalogue and on the command line, e.g. `R9`.
        title: What goes wrong, in a few words.
        run: Makes the fault on a site; the second argument is the seed of its chances. May raise
            `NotHereError`; any other error is a failure of the row.
        engines: On which engines it means something.
        is_quick: Whether it is part of the quick form.
        limit_s: After so long it is stopped and has failed.
        seeds: How many rounds with different chances the full form takes.
        has_own_server: Whether it needs a PostgreSQL server that no other row uses, for example
            because it restarts it: `Site.server`.
    """

    id: str
    title: str
    run: Callable[[Site, int], Tally]
    engines: tuple[Engine, ...] = BOTH
    is_quick: bool = False
    limit_s: float = 120
    seeds: int = 1
    has_own_server: bool = False
