"""This room holds a claim to the rates of its relay, over all workers of all machines.

The buckets lie in the database, and are read and written in the transaction of the claim; whoever
claims for a relay with rates has its row locked, so that counts are exact. On PostgreSQL they go
by the server's clock, which is the same for all.

What a domain may not have yet is put off: queued again for its turn, as if it had not been
claimed. So it lies in nobody's way, costs no attempt, and other mail passes it by.
"""

# ruff: noqa: S608 # the clock, the lock and the rows are ours; values are parameters

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from envoi.core.delivery import Delivery, Patience, State
from envoi.core.kind import MailClass
from envoi.core.rate import Bucket, Line, Rate, Rates
from envoi.outbox import claim as claiming
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.outbox.claim import Claim, ClaimOrder
from envoi.seams import Tx

# All of a relay's mail together; no domain is called so.
WHOLE = ""
UNLIMITED = 1_000_000
# So many are put off by one claim; then other work has its turn.
MOST_PUT_OFF = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a worker got.

    Args:
        claims: The deliveries, no more than the rates allow.
        again_at_ms: When there may be more although nothing new comes; None: nobody knows.
    """

    claims: tuple[Claim, ...]
    again_at_ms: int | None = None


def claim(tx: Tx, order: ClaimOrder, rates: Rates, now_ms: int, patience: Patience) -> Taken:
    """Lease what is due, as `claim.claim` does, and as much as the rates allow.

    Args:
        tx: Open write transaction of our own.
        order: Who asks for how much.
        rates: Of the relay that is to carry it.
        now_ms: The clock that due times are compared with.
        patience: How doubt about a dead worker's deliveries is judged.
    """
    if not rates.is_limited:
        claims = claiming.claim(tx, order, now_ms, patience)
        return Taken(claims=claims, again_at_ms=0 if len(claims) == order.limit else None)
    # Before the rates are locked, since it may wait for a message that another claim has locked.
    claiming.take_back(tx, now_ms, patience, order.lease_ms)
    gate = _Gate(tx, order.relay or order.transport, rates, now_ms)
    kept: list[Claim] = []
    while gate.late < MOST_PUT_OFF:
        left = min(order.limit - len(kept), gate.left)
        if left <= 0:
            return gate.end(kept, 0 if len(kept) == order.limit else gate.next_ms)
        found = claiming.claim(tx, replace(order, limit=left), now_ms, patience)
        kept += gate.pass_through(found)
        if len(found) < left:
            return gate.end(kept, None)
    return gate.end(kept, 0)


def waits_because(tx: Tx, delivery: Delivery, rates: Rates, now_ms: int) -> str:
    """Return which rate a delivery waits for, in words; empty when it waits for none.

    Args:
        tx: Open transaction.
        delivery: As it is in the outbox.
        rates: Of the relay whose mail it is.
        now_ms: The clock.
    """
    if delivery.state not in {State.QUEUED, State.UNCERTAIN}:
        return ""
    domain, rate = delivery.address.domain, rates.of_domain(delivery.address.domain)
    found = spent(tx, delivery.transport)
    if rate and delivery.due_at_ms > now_ms and domain in found:
        return turn_of(domain, rate)
    used_us = found.get(WHOLE, (0, 0))[0]
    is_empty = rates.relay and not Bucket(rates.relay, used_us).left(now_ms * 1000)
    return turn_of(f"relay {delivery.transport}", rates.relay) if rates.relay and is_empty else ""


def spent(tx: Tx, relay: str) -> dict[str, tuple[int, int]]:
    """Return how far each bucket of a relay is used up, by domain: microseconds, and the line.

    The domain is `WHOLE` for all of the relay's mail.
    """
    rows = tx.execute(
        "SELECT domain, spent_until_us, line_until_ms FROM envoi_rate WHERE relay = :relay",
        {"relay": relay},
    )
    return {str(row[0]): (cast("int", row[1]), cast("int", row[2])) for row in rows}


class _Gate:
    """The rates of one relay within one claim."""

    def __init__(self, tx: Tx, relay: str, rates: Rates, now_ms: int) -> None:
        self._tx = tx
        self._relay = relay
        self._rates = rates
        self._now_ms = now_ms
        self._lines: dict[str, Line] = {}
        self._now_us = 0
        self.late = 0
        self._lock([WHOLE])

    @property
    def left(self) -> int:
        """How many mails the relay may have now."""
        rate = self._rates.relay
        return self._lines[WHOLE].bucket.left(self._now_us) if rate else UNLIMITED

    @property
    def next_ms(self) -> int:
        """When the relay may have the next one, by the clock of whoever claims."""
        wait_us = self._lines[WHOLE].bucket.next_us(self._now_us) - self._now_us
        return self._now_ms - (-wait_us // 1000)

    def pass_through(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return those that may leave now, in their order; the others are put off."""
        domains = {domain_of(one) for one in claims}
        self._lock(sorted(domains - self._lines.keys()))
        passed: list[Claim] = []
        late: dict[str, list[Claim]] = {}
        for one in claims:
            if self._take(domain_of(one)):
                passed.append(one)
            else:
                late.setdefault(domain_of(one), []).append(one)
        for domain, waiting in late.items():
            self._put_off(domain, waiting)
        self.late += len(claims) - len(passed)
        if self._rates.relay:
            self._spend(WHOLE, len(passed))
        return passed

    def end(self, kept: Sequence[Claim], again_at_ms: int | None) -> Taken:
        """Write the buckets down."""
        rows = [
            (domain, line.bucket.spent_until_us, line.until_ms)
            for domain, line in sorted(self._lines.items())
        ]
        source = st.sql(self._tx.dialect).rows("domain TEXT", "spent BIGINT", "line BIGINT")
        self._tx.execute(
            f"""UPDATE envoi_rate SET spent_until_us = r.spent, line_until_ms = r.line
            FROM {source} AS r WHERE envoi_rate.relay = :relay AND envoi_rate.domain = r.domain""",
            {"relay": self._relay, "rows": records.packed_rows(rows)},
        )
        return Taken(claims=tuple(kept), again_at_ms=again_at_ms)

    def _lock(self, domains: Sequence[str]) -> None:
        # The whole relay's row is everybody's first: no two claims wait for each other's domains.
        limited = [(name,) for name in domains if name == WHOLE or self._rates.of_domain(name)]
        if not limited:
            return
        sql = st.sql(self._tx.dialect)
        words = sql.rows("word TEXT")
        params = {
            "relay": self._relay,
            "rows": records.packed_rows(limited),
            "now_ms": self._now_ms,
        }
        self._tx.execute(
            f"""INSERT INTO envoi_rate (relay, domain)
            SELECT CAST(:relay AS VARCHAR), word FROM {words} AS r WHERE 1 = 1 ORDER BY word
            ON CONFLICT (relay, domain) DO NOTHING""",
            params,
        )
        rows = self._tx.execute(
            f"""SELECT domain, spent_until_us, line_until_ms, {sql.clock} FROM envoi_rate
            WHERE relay = :relay AND domain IN (SELECT word FROM {words} AS r)
            ORDER BY domain {sql.lock}""",
            params,
        )
        for domain, spent_until_us, line_until_ms, clock_ms in rows:
            name = str(domain)
            rate = self._rates.relay if name == WHOLE else self._rates.of_domain(name)
            bucket = Bucket(rate or Rate(1), cast("int", spent_until_us))
            self._lines[name] = Line(bucket, cast("int", line_until_ms))
            self._now_us = self._now_us or cast("int", clock_ms) * 1000

    def _take(self, domain: str) -> bool:
        if domain not in self._lines:
            return True
        may_leave = self._lines[domain].bucket.left(self._now_us) > 0
        if may_leave:
            self._spend(domain, 1)
        return may_leave

    def _spend(self, domain: str, count: int) -> None:
        line = self._lines[domain]
        self._lines[domain] = replace(line, bucket=line.bucket.take(count, self._now_us))

    def _put_off(self, domain: str, claims: Sequence[Claim]) -> None:
        line = self._lines[domain]
        is_many = [one.delivery.mail_class is MailClass.BROADCAST for one in claims]
        counts = Counter(is_many)
        # Other mail comes back with the next tokens, before the turns of mail to many.
        soon = iter(Line(line.bucket).turns(counts[False], self._now_us))
        behind = line.turns(counts[True], self._now_us)
        turns = iter(behind)
        ahead_ms = self._now_ms - self._now_us // 1000
        because = turn_of(domain, line.bucket.rate)
        rows = sorted(
            (one.id, one.delivery.claims, next(turns if many else soon) + ahead_ms, because)
            for one, many in zip(claims, is_many, strict=True)
        )
        put_off(self._tx, rows)
        if behind:
            self._lines[domain] = replace(line, until_ms=behind[-1])


def put_off(tx: Tx, rows: Sequence[tuple[int, int, int, str]]) -> None:
    """Queue claims again for later, as if they had not been claimed.

    Patience counts from the turn where nothing was tried before: who waits for a rate must not
    be given up at his first refusal.

    Args:
        tx: The transaction of the claim.
        rows: Id and number of each claim, when it is due, and why.
    """
    columns = ("row_id BIGINT", "row_claims BIGINT", "row_due BIGINT", "row_reply TEXT")
    tx.execute(
        f"""UPDATE envoi_delivery SET state = 'queued', lease_until_ms = 0, worker = '',
            due_at_ms = r.row_due, last_reply = r.row_reply,
            created_at_ms = CASE WHEN EXISTS (
                SELECT 1 FROM envoi_attempt a WHERE a.delivery_id = envoi_delivery.id)
                THEN envoi_delivery.created_at_ms ELSE r.row_due END
        FROM {st.sql(tx.dialect).rows(*columns)} AS r WHERE {st.HELD}""",
        {"rows": records.packed_rows(rows)},
    )


def turn_of(whose: str, rate: Rate) -> str:
    """Return why mail waits, as its delivery shows it.

    >>> turn_of("gmail.com", Rate(30))
    'waits for its turn: gmail.com gets 30 mails a minute at most'
    """
    noun = "mail" if rate.per_minute == 1 else "mails"
    return f"waits for its turn: {whose} gets {rate.per_minute} {noun} a minute at most"


def domain_of(claimed: Claim) -> str:
    """Return the domain that a delivery goes to."""
    return claimed.delivery.address.domain
