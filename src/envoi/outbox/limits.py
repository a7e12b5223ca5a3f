"""This room counts, by sender and person, the mail that a limit is set for.

Counts are exact over all processes: they are read and written in the transaction of the event,
by one transaction at a time per sender. Nobody waits for that: whoever cannot count now stores
the event alone, and a worker counts it, so that an application's long transaction holds up no
other one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from envoi.core.holdback import Tally
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.seams import Tx

# A limit that ends is closed by a mail per person; so many are closed in one transaction.
BATCH_ROWS = 100

_KEEP = """
    INSERT INTO envoi_limit
        (application, sender, address, ends_at_ms, told, held_back, held_since_ms)
    VALUES (:application, :sender, :address, :ends_at_ms, :told, :held_back, :held_since_ms)
    ON CONFLICT (application, sender, address) DO UPDATE SET ends_at_ms = excluded.ends_at_ms,
        told = excluded.told, held_back = excluded.held_back,
        held_since_ms = excluded.held_since_ms"""

_DUE = """
    SELECT application, sender FROM envoi_limit WHERE ends_at_ms <= :now_ms
    GROUP BY application, sender ORDER BY MIN(ends_at_ms) LIMIT :limit"""

_TAKE = """
    DELETE FROM envoi_limit
    WHERE application = :application AND sender = :sender AND address IN (
        SELECT address FROM envoi_limit
        WHERE application = :application AND sender = :sender AND ends_at_ms <= :now_ms
        ORDER BY ends_at_ms, address LIMIT :limit)
    RETURNING address, ends_at_ms, told, held_back, held_since_ms"""


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted together: the mail of one sender of one application."""

    application: str
    sender: str


def may_count(tx: Tx, counted: Collection[Counted]) -> bool:
    """Whether this transaction may count for all of these; until it ends, no other one may."""
    lock = st.sql(tx.dialect).try_lock
    names = sorted(f"{one.application} {one.sender}" for one in counted)
    return all(tx.execute(lock, {"name": name}) for name in names)


def tallies(tx: Tx, counted: Counted, addresses: Collection[str]) -> dict[str, Tally]:
    """Return what these people had so far, by address in small letters."""
    words = st.sql(tx.dialect).rows("word TEXT")
    rows = tx.execute(
        f"""SELECT address, ends_at_ms, told, held_back, held_since_ms FROM envoi_limit
        WHERE application = :application AND sender = :sender
            AND address IN (SELECT word FROM {words} AS r)""",  # noqa: S608 # the rows are ours
        {**_named(counted), "rows": records.packed_rows([(address,) for address in addresses])},
    )
    found = (_tally(row) for row in rows)
    return {tally.address: tally for tally in found}


def keep_tallies(tx: Tx, counted: Counted, counts: Sequence[Tally]) -> None:
    """Write down what these people had by now."""
    if not counts:
        return
    rows = [
        {
            **_named(counted),
            "address": tally.address,
            "ends_at_ms": tally.ends_at_ms,
            "told": tally.told,
            "held_back": tally.held_back,
            "held_since_ms": tally.held_since_ms,
        }
        for tally in counts
    ]
    tx.execute_many(_KEEP, rows)


def ended(tx: Tx, now_ms: int) -> tuple[Counted, ...]:
    """Return senders with windows that have ended, the earliest first."""
    rows = tx.execute(_DUE, {"now_ms": now_ms, "limit": BATCH_ROWS})
    return tuple(Counted(str(application), str(sender)) for application, sender in rows)


def take_ended(tx: Tx, counted: Counted, now_ms: int) -> tuple[Tally, ...]:
    """Forget windows that have ended; return them, so that they are told of in this transaction."""
    rows = tx.execute(_TAKE, {**_named(counted), "now_ms": now_ms, "limit": BATCH_ROWS})
    return tuple(_tally(row) for row in rows)


def _named(counted: Counted) -> Mapping[str, str]:
    return {"application": counted.application, "sender": counted.sender}


def _tally(row: Sequence[object]) -> Tally:
    address, ends_at_ms, told, held_back, held_since_ms = row
    return Tally(
        address=str(address),
        ends_at_ms=cast("int", ends_at_ms),
        told=cast("int", told),
        held_back=cast("int", held_back),
        held_since_ms=cast("int", held_since_ms),
    )
