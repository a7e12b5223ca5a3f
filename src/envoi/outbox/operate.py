"""This room is the operator's hand: retry, cancel, hold and release, by row or by condition.

Every verb is one move of `core.delivery.TRANSITIONS`, and every row is answered: changed, or
refused with the reason. A delivery that a worker holds is never touched; its turn ends first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from envoi.core.delivery import TRANSITIONS, Move, State, states_for
from envoi.outbox import records
from envoi.outbox import statements as st
from envoi.outbox.claim import drop_sealed
from envoi.outbox.filters import Query, condition
from envoi.outbox.tombstone import why_empty
from envoi.seams import Row, Tx

OPERATOR_MOVES = (Move.RETRY, Move.CANCEL, Move.HOLD, Move.RELEASE)
# One transaction of a long list: a cancelled broadcast stops within one batch.
BATCH_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one row.

    Args:
        id: Row id.
        before: The state it was in; None when there is no such row.
        after: The state it is in now.
        refused_because: Why nothing changed; empty when it did.
    """

    id: int
    before: State | None
    after: State | None
    refused_because: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether the move was made."""
        return not self.refused_because


def operate(
    tx: Tx, move: Move, query: Query, now_ms: int, *, after_id: int = 0
) -> tuple[Answer, ...]:
    """Make a move on at most 1,000 of the deliveries that are meant, in the order of their ids.

    Args:
        tx: Open write transaction.
        move: One of `OPERATOR_MOVES`.
        query: Which deliveries. Named ids are all answered; a condition finds only rows that the
            move is allowed for.
        now_ms: The clock.
        after_id: Only rows behind this one; how a long list goes on.
    """
    rows = _locked(tx, move, query, after_id)
    contents = _contents(tx, move, [cast("int", row[3]) for row in rows])
    answers = [_answer(row, contents[cast("int", row[3])], move, now_ms) for row in rows]
    changed = [answer.id for answer in answers if answer.is_changed]
    if changed:
        _write(tx, move, changed, now_ms)
    if move is Move.CANCEL:
        drop_sealed(tx, {cast("int", row[3]) for row in rows if row[0] in set(changed)})
    return tuple(answers)


def missing(query: Query, answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """Return an answer for every named id that has no row."""
    answered = {answer.id for answer in answers}
    return tuple(
        Answer(id=row_id, before=None, after=None, refused_because="there is no such delivery")
        for row_id in query.ids
        if row_id not in answered
    )


def _locked(tx: Tx, move: Move, query: Query, after_id: int) -> Sequence[Row]:
    where, params = condition(tx.dialect, query)
    if not query.ids:
        allowed = ", ".join(f"'{state.value}'" for state in states_for(move))
        where += f" AND d.state IN ({allowed})"
    lock = "FOR UPDATE OF d" if st.sql(tx.dialect).lock else ""
    return tx.execute(
        f"""SELECT d.id, d.state, d.expires_at_ms, d.message_id
        FROM envoi_delivery d JOIN envoi_message m ON m.id = d.message_id
        WHERE {where} AND d.id > :after_id ORDER BY d.id LIMIT :limit {lock}""",  # noqa: S608 # parameters only
        {**params, "after_id": after_id, "limit": BATCH_ROWS},
    )


def _contents(tx: Tx, move: Move, message_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return of each message what became of its secrets and when its content was removed.

    Whoever empties a message locks it, and then looks at its deliveries. What is to be sent again
    shares that lock: so he waits for our commit, or we for his, and the later one sees what the
    other has written. In the statement that locks the deliveries it would be seen as it was before.
    """
    sql = st.sql(tx.dialect)
    # Shared by all moves, two cancellations would each wait for the other to delete the secrets.
    share = sql.share if _after(move) is State.QUEUED else ""
    rows = tx.execute(
        f"""SELECT id, sealed, removed_at_ms FROM envoi_message
        WHERE id IN ({sql.ids()}) ORDER BY id {share}""",  # noqa: S608 # parameters only
        {"rows": records.packed_ids(sorted({*message_ids}))},
    )
    return {cast("int", row[0]): (cast("int", row[1]), cast("int", row[2])) for row in rows}


def _answer(row: Row, content: tuple[int, int], move: Move, now_ms: int) -> Answer:
    sealed, removed_at_ms = content
    row_id, before, expires_at_ms = cast("int", row[0]), State(str(row[1])), cast("int", row[2])
    after = TRANSITIONS.get((before, move))
    refusal = ""
    if after is None:
        allowed = ", ".join(states_for(move))
        refusal = f"it is {before}; {move} is possible from {allowed}"
    elif after is State.QUEUED and 0 < expires_at_ms <= now_ms:
        refusal = "its deadline has passed; it would be worthless"
    elif after is State.QUEUED and removed_at_ms:
        refusal = f"{why_empty(removed_at_ms)}; let the application send anew"
    elif after is State.QUEUED and sealed == records.UNSEALED:
        refusal = (
            "its secret values were deleted when it was finished; let the application send anew"
        )
    return Answer(
        id=row_id, before=before, after=before if refusal else after, refused_because=refusal
    )


def _write(tx: Tx, move: Move, ids: Sequence[int], now_ms: int) -> None:
    after = _after(move)
    # By hand means from the start: due now, and back-off and patience begin anew. Mail that was
    # held for a week would otherwise be given up at its first temporary refusal.
    from_start = ", due_at_ms = :now_ms, created_at_ms = :now_ms, refusals = 0"
    anew = from_start if after is State.QUEUED else ""
    tx.execute(
        f"""UPDATE envoi_delivery SET state = :state, settled_at_ms = :now_ms{anew}
        WHERE id IN ({st.sql(tx.dialect).ids()})""",  # noqa: S608 # same
        {"state": after.value, "now_ms": now_ms, "rows": records.packed_ids(ids)},
    )


def _after(move: Move) -> State:
    return TRANSITIONS[states_for(move)[0], move]
