"""This room counts what is in the outbox, by indexes alone: a million rows are not read for it."""

# ruff: noqa: S608 # every part of this text is ours; values are parameters

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import cast

from envoi.core.delivery import State
from envoi.core.kind import MailClass
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.outbox.paging import ASIDE, ELSEWHERE, SENDING, WAITING
from envoi.seams import Tx

# One statement, so that all counts are of one moment. Nearly everything was sent by the default
# relay: that is what is left over. Groups come in the order of their index; no row is sorted.
_COUNTS = f"""
    SELECT 'waiting' AS what, transport, '' AS state, COUNT(*),
        SUM(CASE WHEN state = 'uncertain' THEN 1 ELSE 0 END)
    FROM envoi_delivery WHERE {WAITING} GROUP BY transport
    UNION ALL SELECT 'state', transport, state, COUNT(*), 0
    FROM envoi_delivery WHERE {SENDING} GROUP BY transport, state
    UNION ALL SELECT 'state', transport, state, COUNT(*), 0
    FROM envoi_delivery WHERE {ASIDE} GROUP BY transport, state
    UNION ALL SELECT 'transport', transport, '', COUNT(*), 0
    FROM envoi_delivery WHERE {ELSEWHERE} GROUP BY transport
    UNION ALL SELECT 'deliveries', '', '', COUNT(*), 0 FROM envoi_delivery
    UNION ALL SELECT 'events', '', '', COUNT(*), 0 FROM envoi_event
    UNION ALL SELECT 'to_route', '', '', COUNT(*), 0
    FROM envoi_event WHERE state = 'to_route'"""
# The first entry of each class of each relay, in the index that claims go by.
_OLDEST = f"""
    SELECT MIN((SELECT MIN(due_at_ms) FROM envoi_delivery
        WHERE {WAITING} AND transport = r.name AND class = r.rank)) FROM """


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """How much of what; the counts add up to all deliveries there are.

    Args:
        counts: Deliveries by transport and state.
        oldest_due_ms: Due time of the queued delivery that waits longest; 0 when none is due.
        events: Events in the outbox.
        events_to_route: Events whose recipients are still to be found.
    """

    counts: Mapping[tuple[str, State], int]
    oldest_due_ms: int
    events: int
    events_to_route: int

    @property
    def by_state(self) -> dict[State, int]:
        """Deliveries by state, every state named."""
        return {
            state: sum(count for (_, found), count in self.counts.items() if found is state)
            for state in State
        }

    @property
    def total(self) -> int:
        """All deliveries."""
        return sum(self.counts.values())


def stats(tx: Tx, now_ms: int) -> Stats:
    """Count."""
    counts: dict[tuple[str, State], int] = {}
    totals: Counter[str] = Counter()
    single: Counter[str] = Counter()
    for row in tx.execute(_COUNTS, {}):
        what, transport, state = (str(value) for value in row[:3])
        # PostgreSQL sums up to a decimal.
        count, uncertain = (int(str(value)) for value in row[3:])
        match what:
            case "waiting":
                counts[transport, State.QUEUED] = count - uncertain
                counts[transport, State.UNCERTAIN] = uncertain
            case "state":
                counts[transport, State(state)] = count
            case "transport":
                totals[transport] = count
            case _:
                single[what] = count
    totals["default"] = single["deliveries"] - totals.total()
    counts |= _sent(counts, totals)
    return Stats(
        counts={key: count for key, count in counts.items() if count},
        oldest_due_ms=_oldest_due_ms(tx, now_ms, sorted({name for name, _ in counts})),
        events=single["events"],
        events_to_route=single["to_route"],
    )


def _oldest_due_ms(tx: Tx, now_ms: int, transports: Sequence[str]) -> int:
    pairs = records.packed_rows(list(product(transports, range(len(MailClass)))))
    source = st.sql(tx.dialect).rows("name TEXT", "rank BIGINT")
    [[oldest_ms]] = tx.execute(f"{_OLDEST} {source} AS r", {"rows": pairs})
    due_ms = cast("int", oldest_ms or 0)
    return due_ms if due_ms <= now_ms else 0


def _sent(
    counts: Mapping[tuple[str, State], int], totals: Mapping[str, int]
) -> dict[tuple[str, State], int]:
    others: Counter[str] = Counter()
    for (transport, _), count in counts.items():
        others[transport] += count
    sent = {name: total - others[name] for name, total in totals.items()}
    return {(name, State.SENT): count for name, count in sent.items()}
