"""This room decides how much mail of one sender a person gets within a window of time.

Somebody who guesses passwords, or a script that changes ten thousand objects, must not fill
anybody's mailbox. The window of a person begins with the first mail and lasts as long as the
limit says; what comes beyond the count is held back, and counted: in the first mail of the next
window, or in a closing one when the window ends. Nothing is dropped silently.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from envoi.core.limit import Limit
from envoi.core.reason import Because, Why
from envoi.core.routing import Recipient, Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one person had of one sender in the window that runs.

    Args:
        address: Who, in small letters.
        ends_at_ms: When the window ends.
        told: Mails that went out in it.
        held_back: What was not told in it, or in a window before that nobody closed.
        held_since_ms: When the first of those came; 0 where nothing was held back.
    """

    address: str
    ends_at_ms: int = 0
    told: int = 0
    held_back: int = 0
    held_since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was held back before, as the next mail tells of it: how many, since when."""

    count: int = 0
    since_ms: int = 0


NOTHING_EARLIER = Earlier()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """What a limit made of a sender's recipients.

    Args:
        recipients: Those who are told.
        skipped: Those who are not, with the limit as the reason.
        tallies: The counts as they are now, to be kept.
        earlier: What was held back before from those who are told, by address in small letters.
    """

    recipients: tuple[Recipient, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    tallies: tuple[Tally, ...] = ()
    earlier: Mapping[str, Earlier] = field(default_factory=dict[str, Earlier])


def hold_back(
    recipients: Iterable[Recipient], limit: Limit, known: Mapping[str, Tally], now_ms: int
) -> HeldBack:
    """Count one event against a limit, for each person of his own.

    Args:
        recipients: Of one sender.
        limit: That sender's.
        known: What these people had so far, by address in small letters.
        now_ms: The clock.
    """
    told: list[Recipient] = []
    skipped: list[Skipped] = []
    tallies: dict[str, Tally] = {}
    earlier: dict[str, Earlier] = {}
    for recipient in recipients:
        address = key_of(recipient)
        before = tallies.get(address) or known.get(address) or Tally(address=address)
        if before.ends_at_ms <= now_ms:
            if before.held_back:
                earlier[address] = Earlier(before.held_back, before.held_since_ms)
            before = Tally(address=address, ends_at_ms=now_ms + limit.window_s * 1000)
        if before.told < limit.count:
            told.append(recipient)
            tallies[address] = replace(before, told=before.told + 1)
        else:
            skipped.append(_skipped(recipient, limit))
            since_ms = before.held_since_ms or now_ms
            count = before.held_back + 1
            tallies[address] = replace(before, held_back=count, held_since_ms=since_ms)
    return HeldBack(
        recipients=tuple(told),
        skipped=tuple(skipped),
        tallies=tuple(tallies.values()),
        earlier=earlier,
    )


def key_of(recipient: Recipient) -> str:
    """Return what a person is counted by: his address in small letters."""
    return str(recipient.address).lower()


def _skipped(recipient: Recipient, limit: Limit) -> Skipped:
    because = Because(Why.LIMIT, str(limit))
    return Skipped(person=recipient.person, sender=recipient.sender, because=because)
