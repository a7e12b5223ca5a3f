"""This room empties and deletes events: the statements of a removal, each for a few at a time.

The tables cascade by themselves, but one event after the other and table by table; here what
belongs to many events goes in one statement per table, the leaves first.
"""

# ruff: noqa: S608 # every part of these texts stands in this file or in statements

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from envoi.core.delivery import State
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.seams import Row, Tx

# An event with more deliveries, or more people passed over, is gone through on its own.
FEW = 50

_EMPTY_MESSAGES = """
    UPDATE envoi_message SET subject = '', text = '', html = '', headers = '[]', blocks = '{{}}',
        reply_to = '', to_json = '[]', cc_json = '[]', sealed = {unsealed},
        removed_at_ms = :now_ms
    WHERE event_id IN ({ids}) AND removed_at_ms = 0"""
_EMPTY_EVENTS = """
    UPDATE envoi_event SET facts = '{{}}', is_late = 0, removed_at_ms = :now_ms,
        ended_at_ms = r.row_ended
    FROM {rows} AS r WHERE envoi_event.id = r.row_id"""
# The leaves first. What has no index on its event is found by its message or delivery.
_OF_MESSAGES = "message_id IN (SELECT id FROM envoi_message WHERE event_id IN ({ids}))"
_OF_DELIVERIES = "delivery_id IN (SELECT id FROM envoi_delivery WHERE event_id IN ({ids}))"
_CONTENT = (
    ("envoi_attachment", _OF_MESSAGES),
    ("envoi_sealed", _OF_MESSAGES),
    ("envoi_sealed", "event_id IN ({ids})"),
)
_REST = (
    *_CONTENT,
    ("envoi_attempt", _OF_DELIVERIES),
    ("envoi_delivery", "event_id IN ({ids})"),
    ("envoi_decision", "event_id IN ({ids})"),
    ("envoi_broadcast", "event_id IN ({ids})"),
    ("envoi_message", "event_id IN ({ids})"),
    ("envoi_event", "id IN ({ids})"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was removed, or would be.

    Args:
        contents: Events whose words, files and facts went.
        events: Events that went as a whole.
        deliveries: Deliveries that went with them.
    """

    contents: int = 0
    events: int = 0
    deliveries: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        """Return both together."""
        return Removed(
            contents=self.contents + other.contents,
            events=self.events + other.events,
            deliveries=self.deliveries + other.deliveries,
        )

    @property
    def is_nothing(self) -> bool:
        """Whether nothing went."""
        return self == Removed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the deliveries of an event, or some of them, stand.

    Args:
        deliveries: How many they are.
        others: How many are in none of the states that are asked for.
        settled_at_ms: When the last one was written; 0 for none.
    """

    deliveries: int = 0
    others: int = 0
    settled_at_ms: int = 0


def lock(tx: Tx, ids: Sequence[int]) -> None:
    """Let nobody put a delivery of these events back into the queue until the transaction ends.

    Who does so shares the lock of its message (`operate`): what he has written is committed by
    then, and what he wants to write waits and finds the content gone. One row, however many
    deliveries there are; the weak form, because whoever adds a delivery holds the message's key.
    """
    sql = st.sql(tx.dialect)
    # On SQLite whoever writes is alone anyway.
    if sql.lock:
        tx.execute(
            f"""SELECT id FROM envoi_message WHERE event_id IN ({sql.ids()})
            ORDER BY id FOR NO KEY UPDATE""",
            {"rows": records.packed_ids(ids)},
        )


def standings(tx: Tx, ids: Sequence[int], states: Sequence[State]) -> dict[int, Standing]:
    """Return how the deliveries of each of these events stand; one without any is left out."""
    wanted = ", ".join(f"'{state.value}'" for state in states)
    rows = tx.execute(
        f"""SELECT event_id, COUNT(*), SUM(CASE WHEN state IN ({wanted}) THEN 0 ELSE 1 END),
            MAX(settled_at_ms)
        FROM envoi_delivery WHERE event_id IN ({st.sql(tx.dialect).ids()}) GROUP BY event_id""",
        {"rows": records.packed_ids(ids)},
    )
    return {cast("int", row[0]): _standing(row[1:]) for row in rows}


def next_standing(
    tx: Tx, event_id: int, after: str, states: Sequence[State], limit: int
) -> tuple[Standing, str]:
    """Return how the next deliveries of a large event stand, and behind which address to go on.

    The address is empty where there are no more.
    """
    wanted = {state.value for state in states}
    rows = tx.execute(
        """SELECT address, state, settled_at_ms FROM envoi_delivery
        WHERE event_id = :event_id AND address > :after ORDER BY address LIMIT :limit""",
        {"event_id": event_id, "after": after, "limit": limit},
    )
    standing = Standing(
        deliveries=len(rows),
        others=sum(str(row[1]) not in wanted for row in rows),
        settled_at_ms=max((cast("int", row[2]) for row in rows), default=0),
    )
    return standing, str(rows[-1][0]) if len(rows) == limit else ""


def unswept(tx: Tx, ids: Sequence[int]) -> set[int]:
    """Return those of these events that are broadcasts with an order that is not carried out."""
    rows = tx.execute(
        f"""SELECT event_id FROM envoi_broadcast
        WHERE is_swept = 0 AND event_id IN ({st.sql(tx.dialect).ids()})""",
        {"rows": records.packed_ids(ids)},
    )
    return {cast("int", row[0]) for row in rows}


def close(tx: Tx, ended: Sequence[tuple[int, int]], now_ms: int) -> None:
    """Empty events and their messages; none of their deliveries can be retried any more.

    Args:
        tx: Open write transaction.
        ended: Row id of each event, and when its last delivery ended.
        now_ms: The clock.
    """
    if not ended:
        return
    ids = records.packed_ids([event_id for event_id, _ in ended])
    sql = st.sql(tx.dialect)
    for table, condition in _CONTENT:
        tx.execute(f"DELETE FROM {table} WHERE {condition.format(ids=sql.ids())}", {"rows": ids})
    # As with deleted secrets: what is left must not be sent, by whatever way it is asked for.
    emptied = _EMPTY_MESSAGES.format(unsealed=records.UNSEALED, ids=sql.ids())
    tx.execute(emptied, {"rows": ids, "now_ms": now_ms})
    rows = sql.rows("row_id BIGINT", "row_ended BIGINT")
    params = {"rows": records.packed_rows(ended), "now_ms": now_ms}
    tx.execute(_EMPTY_EVENTS.format(rows=rows), params)


def mark_late(tx: Tx, ids: Sequence[int]) -> None:
    """Have events that have not ended looked at again in every round."""
    if ids:
        tx.execute(
            f"""UPDATE envoi_event SET is_late = 1
            WHERE is_late = 0 AND id IN ({st.sql(tx.dialect).ids()})""",
            {"rows": records.packed_ids(ids)},
        )


def delete(tx: Tx, ids: Sequence[int]) -> None:
    """Delete small events with all that belongs to them."""
    rows = {"rows": records.packed_ids(ids)}
    for table, condition in _REST if ids else ():
        of_these = condition.format(ids=st.sql(tx.dialect).ids())
        tx.execute(f"DELETE FROM {table} WHERE {of_these}", rows)


def delete_some(tx: Tx, event_id: int, limit: int) -> tuple[int, int]:
    """Delete some deliveries of a large event, or some of those passed over, and not itself.

    Returns:
        How many deliveries, and how many rows at all; no rows: none are left.
    """
    params = {"event_id": event_id, "limit": limit}
    some = tx.execute(
        "SELECT id FROM envoi_delivery WHERE event_id = :event_id ORDER BY address LIMIT :limit",
        params,
    )
    if some:
        rows = {"rows": records.packed_ids([cast("int", row[0]) for row in some])}
        for table, column in (("envoi_attempt", "delivery_id"), ("envoi_delivery", "id")):
            ids = st.sql(tx.dialect).ids()
            tx.execute(f"DELETE FROM {table} WHERE {column} IN ({ids})", rows)
        return len(some), len(some)
    passed_over = tx.execute(
        """DELETE FROM envoi_decision WHERE id IN (
            SELECT id FROM envoi_decision WHERE event_id = :event_id LIMIT :limit)
        RETURNING id""",
        params,
    )
    return 0, len(passed_over)


def _standing(row: Row) -> Standing:
    deliveries, others, settled_at_ms = (int(str(value)) for value in row)
    return Standing(deliveries=deliveries, others=others, settled_at_ms=settled_at_ms)
