"""This room sets right what was written by a clock that was ahead of the true time.

A clock that goes back, because it was wrong before, leaves moments in the rows that lie in the
future: mail stored a second ago would be due in a day, and a dead worker's lease would hold as
long. What was due at its writer's own moment is due now; what was to wait longer waits no more.
"""

# ruff: noqa: S608 # the clock is ours and the columns stand in this file; values are parameters

from envoi.outbox import statements as st
from envoi.seams import Tx

# One transaction of a long list, as with every verb by hand.
BATCH_ROWS = 1_000
# Nobody's pause of a relay, and no chore's rest, is longer than this.
_LONGEST_REST_MS = 3_600_000


def set_right(tx: Tx, now_ms: int, *, lease_ms: int, slack_ms: int) -> int:
    """Make due what only waits because a clock was ahead; return how many rows, at most a batch.

    Args:
        tx: Open write transaction of our own.
        now_ms: The clock as it is now.
        lease_ms: How long a lease lasts; nobody can have one for twice as long.
        slack_ms: By how much the hosts' clocks may differ. What was written later than that was
            written by a clock that was wrong.
    """
    params = {"now_ms": now_ms, "ahead_ms": now_ms + slack_ms, "lease_ms": lease_ms}
    params |= {"rest_ms": now_ms + slack_ms + _LONGEST_REST_MS, "limit": BATCH_ROWS}
    params |= {"far_future_ms": st.FAR_FUTURE_MS, "slack_ms": slack_ms}
    return sum(len(tx.execute(statement, params)) for statement in _statements(tx.dialect))


def _statements(dialect: str) -> tuple[str, ...]:
    sql = st.sql(dialect)
    end = f"{sql.clock} + CAST(:lease_ms AS BIGINT)"
    too_long = f"lease_until_ms > {end} + CAST(:lease_ms AS BIGINT)"
    waiting = sql.picked("""
        SELECT id FROM envoi_delivery
        WHERE state IN ('queued', 'uncertain') AND due_at_ms > :now_ms
            AND due_at_ms < :far_future_ms
            AND (created_at_ms > :ahead_ms OR settled_at_ms > :ahead_ms) LIMIT :limit""")
    leased = sql.picked(f"""
        SELECT id FROM envoi_delivery WHERE state = 'sending' AND {too_long} LIMIT :limit""")
    return (
        f"UPDATE envoi_delivery SET due_at_ms = :now_ms WHERE {waiting} RETURNING id",
        f"UPDATE envoi_delivery SET lease_until_ms = {end} WHERE {leased} RETURNING id",
        """UPDATE envoi_event SET due_at_ms = :now_ms
        WHERE state = 'to_route' AND due_at_ms > :now_ms AND due_at_ms < :far_future_ms
            AND stored_at_ms > :ahead_ms RETURNING id""",
        f"""UPDATE envoi_event SET lease_until_ms = {end}
        WHERE state = 'to_route' AND {too_long} RETURNING id""",
        """UPDATE envoi_relay SET paused_until_ms = :now_ms
        WHERE paused_until_ms > :rest_ms RETURNING name""",
        """UPDATE envoi_chore SET due_at_ms = :now_ms WHERE due_at_ms > :rest_ms RETURNING name""",
        f"""DELETE FROM envoi_worker
        WHERE seen_at_ms > {sql.clock} + CAST(:slack_ms AS BIGINT) RETURNING id""",
    )
