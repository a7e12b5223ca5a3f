"""This room counts mail by the minute: how much may leave now, and when the next one may.

A rate is a bucket of tokens, one per mail, that fills by one at even gaps and holds a second's
worth (at least one). The gap is chosen so that *no* 60 seconds see more than the rate, wherever
they begin: with b tokens in hand and a gap of T, that is b + 60 s / T - 1 at most, so T is
60 s / (rate - b + 1). Thirty a minute leave one every two seconds; of six hundred up to ten leave
at once, and 98.5% of the rate on average.

The whole bucket is one number: the moment until which its tokens are spent (the "generic cell
rate algorithm"). It lies in the database, so that all workers of all machines share it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

MINUTE_US = 60_000_000
_SECONDS = 60
# A turn is at most so far ahead. Mail whose turns were promised may be cancelled, and what comes
# later must not stand behind it for days; what is not served in its turn gets another.
LONGEST_TURN_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many mails in any 60 seconds.

    Args:
        per_minute: At least 1.
    """

    per_minute: int

    @property
    def burst(self) -> int:
        """How many may leave at once, after a pause: a second's worth, at least one."""
        return max(1, self.per_minute // _SECONDS)

    @property
    def gap_us(self) -> int:
        """Microseconds from one token to the next, rounded up: never too many a minute.

        >>> Rate(30).gap_us, Rate(600).burst
        (2000000, 10)
        """
        return -(-MINUTE_US // (self.per_minute - self.burst + 1))


def rate_of(per_minute: int) -> Rate | None:
    """Return the rate of so many a minute; None for 0, which is no limit.

    >>> rate_of(0), rate_of(2)
    (None, Rate(per_minute=2))
    """
    return Rate(per_minute) if per_minute else None


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is left of a rate, as far as it was used up.

    Args:
        rate: The rate.
        spent_until_us: Until when its tokens are spent; microseconds since 1970.
    """

    rate: Rate
    spent_until_us: int = 0

    def left(self, now_us: int) -> int:
        """Return how many mails may leave now.

        >>> Bucket(Rate(600)).left(0)
        10
        """
        return (self._full_us(now_us) - self._spent_us(now_us)) // self.rate.gap_us

    def next_us(self, now_us: int) -> int:
        """Return when one mail may leave: now, or the moment of the next token."""
        capacity = self.rate.burst * self.rate.gap_us
        return max(now_us, self._spent_us(now_us) + self.rate.gap_us - capacity)

    def is_full(self, now_us: int) -> bool:
        """Whether nothing has left for so long that every token is there again."""
        return self._spent_us(now_us) == now_us

    def take(self, count: int, now_us: int) -> "Bucket":
        """Return the bucket after so many mails; no more than are left may be taken."""
        return Bucket(self.rate, self._spent_us(now_us) + count * self.rate.gap_us)

    def _full_us(self, now_us: int) -> int:
        return now_us + self.rate.burst * self.rate.gap_us

    def _spent_us(self, now_us: int) -> int:
        # A clock that was set back, or a rate that was raised, must not lock mail up for long.
        return max(now_us, min(self.spent_until_us, self._full_us(now_us)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a relay's mail is held to.

    Args:
        relay: All of it together; None: as fast as the relay takes it.
        domain: Mail to any one recipient domain; None: no limit.
        domains: Domains with a rate of their own, in small letters; None for one without.
    """

    relay: Rate | None = None
    domain: Rate | None = None
    domains: Mapping[str, Rate | None] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to count."""
        return bool(self.relay or self.domain or any(self.domains.values()))

    def of_domain(self, domain: str) -> Rate | None:
        """Return what mail to a domain is held to.

        >>> Rates(domain=Rate(60), domains={"example.org": None}).of_domain("Example.org")
        """
        return self.domains.get(domain.lower(), self.domain)


@dataclass(frozen=True, slots=True)
class Line:
    """The turns of the mail that waits for a domain's rate.

    Mail to many has turns one behind the other, so that a hundred thousand rows do not come back
    every time that one may leave. All other mail comes back with the very next token and is
    taken first then: it never stands behind a broadcast.

    Args:
        bucket: The domain's tokens.
        until_ms: The last turn that was promised; milliseconds since 1970.
    """

    bucket: Bucket
    until_ms: int = 0

    def turns(self, count: int, now_us: int) -> tuple[int, ...]:
        """Return the turns of so many that wait now, behind those that were promised before."""
        gap_ms = -(-self.bucket.rate.gap_us // 1000)
        first_ms = -(-self.bucket.next_us(now_us) // 1000)
        last_ms = max(first_ms, now_us // 1000 + LONGEST_TURN_MS)
        # Whoever was promised a turn would have used the tokens: nobody is there any more.
        turn_ms = 0 if self.bucket.is_full(now_us) else self.until_ms
        turns: list[int] = []
        for _ in range(count):
            turn_ms += gap_ms
            if not first_ms <= turn_ms <= last_ms:
                turn_ms = first_ms
            turns.append(turn_ms)
        return tuple(turns)
