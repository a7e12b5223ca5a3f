"""This room decides when a server went up or down, whatever becomes of its single processes.

A server is up with the first of its processes and down when the last leaves in order. A process
that is replaced is neither; one that dies tells nothing, and the next start says so. Several
processes leave at once and some die unseen, so whether the last one left may be known only when
the others have not been seen for a while.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

# A process says that it lives four times in this time; one that is not seen for it is dead.
STALE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a server.

    Args:
        is_up: Whether it was told to be up, and not yet to be down.
        left_at_ms: When a process left that may have been the last; 0 for none.
        due_at_ms: When that is decided.
        seen_at_ms: When any of its processes was seen last.
    """

    is_up: bool = False
    left_at_ms: int = 0
    due_at_ms: int = 0
    seen_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """The server is up.

    Args:
        at_ms: Since when.
        lost_at_ms: When it was seen last, if nobody shut it down before; else 0.
    """

    at_ms: int
    lost_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """The server is down since this moment."""

    at_ms: int


Turn: TypeAlias = Up | Down


def joined(before: Standing, now_ms: int, *, has_others: bool) -> tuple[Standing, tuple[Turn, ...]]:
    """Return what a new process makes of a server, and what is to be told.

    Args:
        before: What was known.
        now_ms: The clock.
        has_others: Whether other processes of the server live.
    """
    after = Standing(is_up=True, seen_at_ms=now_ms)
    if has_others or (before.left_at_ms and now_ms < before.due_at_ms):
        return after, ()
    if not before.is_up:
        return after, (Up(at_ms=now_ms),)
    if before.left_at_ms:
        return after, (Down(at_ms=before.left_at_ms), Up(at_ms=now_ms))
    return after, (Up(at_ms=now_ms, lost_at_ms=before.seen_at_ms),)


def left(
    before: Standing, now_ms: int, grace_ms: int, *, has_others: bool
) -> tuple[Standing, tuple[Turn, ...]]:
    """Return what a process that leaves in order makes of a server, and what is to be told.

    Args:
        before: What was known.
        now_ms: The clock.
        grace_ms: How long its place may be empty while it is replaced.
        has_others: Whether other processes of the server seem to live.
    """
    if not has_others and not grace_ms:
        return Standing(seen_at_ms=now_ms), (Down(at_ms=now_ms),) if before.is_up else ()
    wait_ms = max(grace_ms, STALE_MS) if has_others else grace_ms
    return replace(before, left_at_ms=now_ms, due_at_ms=now_ms + wait_ms, seen_at_ms=now_ms), ()


def decided(
    before: Standing, now_ms: int, *, has_others: bool
) -> tuple[Standing, tuple[Turn, ...]]:
    """Return what is known of a server when it is due, and what is to be told.

    Args:
        before: What was known.
        now_ms: The clock.
        has_others: Whether processes of the server live.
    """
    if not before.left_at_ms or now_ms < before.due_at_ms:
        return before, ()
    if has_others:
        return replace(before, left_at_ms=0, due_at_ms=0), ()
    turns = (Down(at_ms=before.left_at_ms),) if before.is_up else ()
    return Standing(seen_at_ms=before.seen_at_ms), turns
