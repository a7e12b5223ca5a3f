"""This room keeps what workers share: who is alive, and whether a relay is paused.

Both are a few rows. A worker that dies without signing off is forgotten when it was not seen for
a lease; a pause that nobody ends runs out. On PostgreSQL all of it is read by the database's
clock, because workers on several machines must agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from envoi.outbox import statements as st
from envoi.outbox.switches import Switch, clear_switch, set_switch, switch_list
from envoi.seams import Tx

# A worker that captures mail signs on under this transport name.
CAPTURE = "capture"
# The switch of a relay that an operator has paused, and its value.
_SWITCH = "relay."
PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A relay that cannot be used at the moment.

    Args:
        relay: Name of the transport.
        because: In plain words.
        advice: What an operator can do.
        down_since_ms: When it began.
        paused_until_ms: When it is tried again.
        needs_operator: Whether only a person can mend it, such as a wrong password.
    """

    relay: str
    because: str
    advice: str
    down_since_ms: int
    paused_until_ms: int
    needs_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A live worker, for lists.

    Args:
        name: Its unique name.
        host: Machine.
        pid: Process.
        transport: What it serves.
        seen_at_ms: Its last heartbeat.
    """

    name: str
    host: str
    pid: int
    transport: str
    seen_at_ms: int


def heartbeat(tx: Tx, worker: Presence, lease_ms: int, now_ms: int) -> None:
    """Sign on or on again; workers not seen for a lease are dead and removed."""
    clock = st.sql(tx.dialect).clock
    params = {"now_ms": now_ms, "lease_ms": lease_ms, "transport": worker.transport}
    tx.execute(
        f"DELETE FROM envoi_worker WHERE seen_at_ms < {clock} - CAST(:lease_ms AS BIGINT)",  # noqa: S608 # the clock is ours
        params,
    )
    tx.execute(
        f"""INSERT INTO envoi_worker (id, host, pid, started_at_ms, seen_at_ms, transport)
        VALUES (:id, :host, :pid, {clock}, {clock}, :transport)
        ON CONFLICT (id) DO UPDATE SET seen_at_ms = excluded.seen_at_ms""",  # noqa: S608 # same
        {**params, "id": worker.name, "host": worker.host, "pid": worker.pid},
    )


def sign_off(tx: Tx, worker: str) -> None:
    """Leave the live workers, so that the others take its connections at once."""
    tx.execute("DELETE FROM envoi_worker WHERE id = :id", {"id": worker})


def workers(tx: Tx) -> tuple[Presence, ...]:
    """Return the workers that have signed on, the longest serving first."""
    rows = tx.execute(
        "SELECT id, host, pid, transport, seen_at_ms FROM envoi_worker ORDER BY started_at_ms, id",
        {},
    )
    return tuple(
        Presence(
            name=str(name),
            host=str(host),
            pid=cast("int", pid),
            transport=str(transport),
            seen_at_ms=cast("int", seen_at_ms),
        )
        for name, host, pid, transport, seen_at_ms in rows
    )


def is_captured(tx: Tx, lease_ms: int, now_ms: int) -> bool:
    """Whether a live worker captures mail at this moment."""
    clock = st.sql(tx.dialect).clock
    rows = tx.execute(
        f"""SELECT 1 FROM envoi_worker WHERE transport = :transport
        AND seen_at_ms >= {clock} - CAST(:lease_ms AS BIGINT) LIMIT 1""",  # noqa: S608 # same
        {"transport": CAPTURE, "lease_ms": lease_ms, "now_ms": now_ms},
    )
    return bool(rows)


def relay_down(tx: Tx, pause: Pause) -> bool:
    """Note trouble of a relay; whether it is news, so that one worker tells of one outage."""
    rows = tx.execute(
        """INSERT INTO envoi_relay
            (name, paused_until_ms, because, advice, down_since_ms, attempts, needs_operator)
        VALUES (:name, :until, :because, :advice, :since, 1, :needs_operator)
        ON CONFLICT (name) DO UPDATE SET
            paused_until_ms = excluded.paused_until_ms, because = excluded.because,
            advice = excluded.advice, attempts = envoi_relay.attempts + 1,
            needs_operator = excluded.needs_operator
        RETURNING attempts""",
        {
            "name": pause.relay,
            "until": pause.paused_until_ms,
            "because": pause.because,
            "advice": pause.advice,
            "since": pause.down_since_ms,
            "needs_operator": int(pause.needs_operator),
        },
    )
    return rows[0][0] == 1


def relay_back(tx: Tx, relay: str) -> bool:
    """Note that a relay works; whether it was down until now."""
    rows = tx.execute("DELETE FROM envoi_relay WHERE name = :name RETURNING name", {"name": relay})
    return bool(rows)


def may_try(tx: Tx, relay: str, now_ms: int, interval_ms: int) -> bool:
    """Whether this worker tries a paused relay now; of all workers one per interval."""
    taken = tx.execute(
        """UPDATE envoi_relay SET paused_until_ms = :until
        WHERE name = :name AND paused_until_ms <= :now_ms RETURNING name""",
        {"name": relay, "until": now_ms + interval_ms, "now_ms": now_ms},
    )
    if taken:
        return True
    return not tx.execute("SELECT 1 FROM envoi_relay WHERE name = :name", {"name": relay})


def paused_by_hand(tx: Tx) -> dict[str, Switch]:
    """Return the relays that an operator has paused, with who did it and when."""
    named = {
        switch.name.removeprefix(_SWITCH): switch
        for switch in switch_list(tx)
        if switch.name.startswith(_SWITCH) and switch.value == PAUSED
    }
    return dict(sorted(named.items()))


def pause_by_hand(tx: Tx, relay: str, who: str, now_ms: int) -> None:
    """Let nothing more leave by a relay until `resume_by_hand`."""
    name = f"{_SWITCH}{relay}"
    set_switch(tx, Switch(name=name, value=PAUSED, changed_at_ms=now_ms, changed_by=who))


def resume_by_hand(tx: Tx, relay: str) -> bool:
    """Let mail leave by a relay again; whether it was paused by hand."""
    return clear_switch(tx, f"{_SWITCH}{relay}")


def relays_down(tx: Tx) -> Sequence[Pause]:
    """Return the relays that are in trouble."""
    rows = tx.execute(
        """SELECT name, because, advice, down_since_ms, paused_until_ms, needs_operator
        FROM envoi_relay ORDER BY name""",
        {},
    )
    return tuple(
        Pause(
            relay=str(name),
            because=str(because),
            advice=str(advice),
            down_since_ms=cast("int", since),
            paused_until_ms=cast("int", until),
            needs_operator=bool(needs_operator),
        )
        for name, because, advice, since, until, needs_operator in rows
    )
