"""This room keeps chores: what comes round by itself, and is one process's at a time.

A chore is a row with a due time, as everything is that time makes due. Whoever claims it has a
lease on it, extended by each of its steps; a process that dies in the middle leaves it to the
next one, which goes on where the last step ended.
"""

from dataclasses import dataclass, replace
from typing import cast

from envoi.errors import RefusedError
from envoi.outbox import statements as st
from envoi.seams import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A chore that is ours for now.

    Args:
        name: Which.
        claims: The fence: how often it was claimed.
        lease_ms: How long it stays ours without a further step.
        cursor: Where it stands.
    """

    name: str
    claims: int
    lease_ms: int
    cursor: str = ""


def claim(
    tx: Tx, name: str, now_ms: int, lease_ms: int, *, is_asked_for: bool = False
) -> Turn | None:
    """Lease a chore that is due; None when it is not, or is another process's at this moment.

    Args:
        tx: Open write transaction.
        name: Which.
        now_ms: The clock.
        lease_ms: For how long.
        is_asked_for: Whether a person wants it now, due or not.
    """
    tx.execute(
        "INSERT INTO envoi_chore (name) VALUES (:name) ON CONFLICT (name) DO NOTHING",
        {"name": name},
    )
    clock = st.sql(tx.dialect).clock
    rows = tx.execute(
        f"""UPDATE envoi_chore SET claims = claims + 1,
            lease_until_ms = {clock} + CAST(:lease_ms AS BIGINT)
        WHERE name = :name AND due_at_ms <= :due_ms AND lease_until_ms <= {clock}
        RETURNING claims, cursor""",  # noqa: S608 # the clock is ours
        {
            "name": name,
            "now_ms": now_ms,
            "due_ms": st.FAR_FUTURE_MS if is_asked_for else now_ms,
            "lease_ms": lease_ms,
        },
    )
    if not rows:
        return None
    claims, cursor = rows[0]
    return Turn(name=name, claims=cast("int", claims), lease_ms=lease_ms, cursor=str(cursor))


def go_on(tx: Tx, turn: Turn, now_ms: int, cursor: str) -> Turn:
    """Note how far a chore got and extend its lease, in the transaction of the step itself.

    Raises:
        RefusedError: The lease was lost; the transaction must roll back, another process goes on.
    """
    clock = st.sql(tx.dialect).clock
    rows = tx.execute(
        f"""UPDATE envoi_chore SET cursor = :cursor,
            lease_until_ms = {clock} + CAST(:lease_ms AS BIGINT)
        WHERE name = :name AND claims = :claims AND lease_until_ms > 0 RETURNING name""",  # noqa: S608 # same
        {
            "name": turn.name,
            "claims": turn.claims,
            "cursor": cursor,
            "now_ms": now_ms,
            "lease_ms": turn.lease_ms,
        },
    )
    if not rows:
        raise RefusedError(f"{turn.name}: the lease was lost; another process goes on with it")
    return replace(turn, cursor=cursor)


def end(tx: Tx, turn: Turn, due_at_ms: int | None = None) -> None:
    """Give a chore back: done until `due_at_ms`, or unfinished, for the next one to go on."""
    is_done = due_at_ms is not None
    tx.execute(
        f"""UPDATE envoi_chore SET lease_until_ms = 0
            {", due_at_ms = :due_at_ms" if is_done else ""}
        WHERE name = :name AND claims = :claims""",  # noqa: S608 # parameters only
        {"name": turn.name, "claims": turn.claims, "due_at_ms": due_at_ms},
    )
