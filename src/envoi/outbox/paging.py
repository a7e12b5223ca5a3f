"""This room finds which deliveries a page of a list shows, among millions, newest first.

No index serves every question, and each one more costs every delivery that is stored. So a page
is looked for in two ways:

* Among the newest rows, one by one. What people ask for is there, mostly: recent mail, or mail of
  which there is much.
* What is still missing, by whatever index knows the few rows that fit. Where there are many, they
  are found soon by going on one by one.
"""

# ruff: noqa: S608 # every part of these texts stands in this file; values are parameters

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from envoi.core.delivery import State
from envoi.outbox.filters import Query, condition
from envoi.seams import Tx

# So many of the newest rows are looked at one by one: some 20 ms.
WINDOW_ROWS = 20_000
# Up to so many rows are collected by an index, and sorted: some 100 ms at the most.
FEW_ROWS = 100_000

# As the partial indexes are defined: only what repeats their words is found by them.
WAITING = "state IN ('queued', 'uncertain')"
ASIDE = "state IN ('held', 'failed', 'suppressed', 'cancelled', 'expired')"
SENDING = "state = 'sending'"
ELSEWHERE = "transport <> 'default'"
_WAITING_STATES = frozenset({State.QUEUED, State.UNCERTAIN})
# Asked of one row after the other: a join would be free to begin with all messages.
_OF_MESSAGE = "(SELECT m.{} FROM envoi_message m WHERE m.id = d.message_id)"
_DELIVERIES = "SELECT id FROM envoi_delivery WHERE"
# Every kind there is, by one step in the index for each.
_KINDS = """
    WITH RECURSIVE known(kind) AS (
        SELECT MIN(kind) FROM envoi_message
        UNION ALL
        SELECT (SELECT MIN(m.kind) FROM envoi_message m WHERE m.kind > known.kind)
        FROM known WHERE known.kind IS NOT NULL)
    SELECT kind FROM known WHERE kind IS NOT NULL"""


def page_ids(tx: Tx, query: Query, before_id: int, limit: int) -> tuple[int, ...]:
    """Return the ids of the newest deliveries that are meant.

    Args:
        tx: Open transaction.
        query: Which are meant.
        before_id: Only older rows than this one; 0: from the newest.
        limit: At most so many.
    """
    where, params = condition(tx.dialect, query, _OF_MESSAGE)
    finder = _Finder(tx, query, where, params)
    if query.ids:
        return finder.walk(0, before_id or _top(tx), limit)
    top = before_id or _top(tx)
    floor = max(0, top - WINDOW_ROWS)
    found = finder.walk(floor, top, limit)
    if len(found) == limit or not floor:
        return found
    return found + finder.behind(floor, limit - len(found))


def among(dialect: str, column: str, select: str) -> str:
    """Return the condition that a column is one of what a statement finds.

    An array is computed once, and looked up by index: PostgreSQL is not free to go through all
    rows instead because it takes the few for many.
    """
    return f"{column} = ANY(ARRAY({select}))" if dialect != "sqlite" else f"{column} IN ({select})"


@dataclass(frozen=True, slots=True)
class Source:
    """Where all deliveries that are meant are among others.

    Args:
        rows: A statement for their ids, by an index.
        of: One for the messages or events that they belong to, where those are found first: they
            must be few, too.
    """

    rows: str
    of: str = ""


def sources(dialect: str, query: Query) -> Iterator[Source]:
    """Return where to look for what is meant, each by an index of its own."""
    if query.event_id:
        yield Source(f"{_DELIVERIES} event_id = :event_id")
    if query.address:
        yield Source(f"{_DELIVERIES} lower(address) IN (:address, :address_low)")
    if query.states and State.SENT not in query.states:
        yield Source(" UNION ALL ".join(_of_states(query.states)))
    if query.transport not in {"", "default"}:
        yield Source(f"{_DELIVERIES} {ELSEWHERE} AND transport = :transport")
    if query.kind:
        of_kind = "SELECT id FROM envoi_message WHERE kind = :kind"
        yield Source(f"{_DELIVERIES} {among(dialect, 'message_id', of_kind)}", of_kind)
    if query.application:
        of_it = "SELECT id FROM envoi_event WHERE application = :application"
        yield Source(f"{_DELIVERIES} {among(dialect, 'event_id', of_it)}", of_it)
    if query.since_ms:
        of_kinds = among(dialect, "kind", _KINDS)
        since = f"SELECT id FROM envoi_message WHERE {of_kinds} AND date_ms >= :since_ms"
        yield Source(f"{_DELIVERIES} {among(dialect, 'message_id', since)}", since)


def _top(tx: Tx) -> int:
    [[highest]] = tx.execute("SELECT MAX(id) FROM envoi_delivery", {})
    return cast("int", highest or 0) + 1


class _Finder:
    def __init__(self, tx: Tx, query: Query, where: str, params: Mapping[str, object]) -> None:
        self._tx = tx
        self._query = query
        self._where = where
        self._params = params

    def walk(self, floor: int, top: int, limit: int) -> tuple[int, ...]:
        """Return what is meant from `floor` up to below `top`, row by row."""
        # Left to itself SQLite takes the index of a condition that half of the rows fulfil.
        by_row = "" if self._query.ids or self._tx.dialect != "sqlite" else "NOT INDEXED"
        rows = self._tx.execute(
            f"""SELECT d.id FROM envoi_delivery d {by_row}
            WHERE {self._where} AND d.id >= :floor AND d.id < :top
            ORDER BY d.id DESC LIMIT :limit""",
            {**self._params, "floor": floor, "top": top, "limit": limit},
        )
        return tuple(cast("int", row[0]) for row in rows)

    def behind(self, top: int, limit: int) -> tuple[int, ...]:
        """Return what is meant below `top`: by an index that knows few rows, else row by row."""
        for source in sources(self._tx.dialect, self._query):
            if source.of and self._count(source.of) >= FEW_ROWS:
                continue
            count = self._count(source.rows)
            if not count:
                return ()
            if count < FEW_ROWS or self._query.event_id:
                return self._among(source.rows, top, limit)
        return self.walk(0, top, limit)

    def _count(self, select: str) -> int:
        counted = f"SELECT COUNT(*) FROM ({select} LIMIT :few) AS few"
        [[count]] = self._tx.execute(counted, {**self._params, "few": FEW_ROWS})
        return cast("int", count)

    def _among(self, source: str, top: int, limit: int) -> tuple[int, ...]:
        rows = self._tx.execute(
            f"""SELECT d.id FROM envoi_delivery d
            WHERE {among(self._tx.dialect, "d.id", source)} AND {self._where} AND d.id < :top
            ORDER BY d.id DESC LIMIT :limit""",
            {**self._params, "top": top, "limit": limit},
        )
        return tuple(cast("int", row[0]) for row in rows)


def _of_states(states: tuple[State, ...]) -> Iterator[str]:
    waiting = [state for state in states if state in _WAITING_STATES]
    aside = [state for state in states if state not in {*_WAITING_STATES, State.SENDING}]
    for words, named in ((WAITING, waiting), (ASIDE, aside)):
        if named:
            names = ", ".join(f"'{state.value}'" for state in named)
            yield f"{_DELIVERIES} {words} AND state IN ({names})"
    if State.SENDING in states:
        yield f"{_DELIVERIES} {SENDING}"
