"""This room keeps which servers are up, and the processes that they are made of.

Whoever changes a server's row has locked it, so that of two processes that start at once only
one is the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from envoi.core.standing import Standing
from envoi.outbox import statements as st
from envoi.seams import Tx


@dataclass(frozen=True, slots=True)
class ServerName:
    """A server: its application and its name there."""

    application: str
    name: str

    @property
    def columns(self) -> Mapping[str, str]:
        """The parameters that find its rows."""
        return {"application": self.application, "server": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A process of a server.

    Args:
        id: Unique.
        host: Machine.
        pid: Process.
        seen_at_ms: When it last said that it lives.
    """

    id: str
    host: str
    pid: int
    seen_at_ms: int


def standing(tx: Tx, server: ServerName) -> Standing:
    """Return what is known of a server; until the transaction ends nobody else changes it."""
    tx.execute(
        """INSERT INTO envoi_server (application, name) VALUES (:application, :server)
        ON CONFLICT (application, name) DO NOTHING""",
        server.columns,
    )
    rows = tx.execute(
        f"""SELECT is_up, left_at_ms, due_at_ms, seen_at_ms FROM envoi_server
        WHERE application = :application AND name = :server {st.sql(tx.dialect).lock}""",  # noqa: S608 # the lock is ours
        server.columns,
    )
    is_up, left_at_ms, due_at_ms, seen_at_ms = rows[0]
    return Standing(
        is_up=bool(is_up),
        left_at_ms=cast("int", left_at_ms),
        due_at_ms=cast("int", due_at_ms),
        seen_at_ms=cast("int", seen_at_ms),
    )


def keep_standing(tx: Tx, server: ServerName, known: Standing) -> None:
    """Write down what is known of a server."""
    tx.execute(
        """UPDATE envoi_server SET is_up = :is_up, left_at_ms = :left_at_ms,
            due_at_ms = :due_at_ms, seen_at_ms = :seen_at_ms
        WHERE application = :application AND name = :server""",
        {
            **server.columns,
            "is_up": int(known.is_up),
            "left_at_ms": known.left_at_ms,
            "due_at_ms": known.due_at_ms,
            "seen_at_ms": known.seen_at_ms,
        },
    )


def due_servers(tx: Tx, now_ms: int) -> tuple[ServerName, ...]:
    """Return the servers of which is to be decided now whether they are down."""
    rows = tx.execute(
        """SELECT application, name FROM envoi_server
        WHERE left_at_ms > 0 AND due_at_ms <= :now_ms ORDER BY due_at_ms""",
        {"now_ms": now_ms},
    )
    return tuple(ServerName(str(application), str(name)) for application, name in rows)


def instances(tx: Tx, server: ServerName) -> tuple[Instance, ...]:
    """Return the processes of a server that have not left."""
    rows = tx.execute(
        """SELECT id, host, pid, seen_at_ms FROM envoi_instance
        WHERE application = :application AND server = :server ORDER BY id""",
        server.columns,
    )
    return tuple(
        Instance(
            id=str(row_id),
            host=str(host),
            pid=cast("int", pid),
            seen_at_ms=cast("int", seen_at_ms),
        )
        for row_id, host, pid, seen_at_ms in rows
    )


def beat(tx: Tx, server: ServerName, instance: Instance) -> None:
    """Say that a process lives, and its server with it."""
    tx.execute(
        """INSERT INTO envoi_instance (id, application, server, host, pid, seen_at_ms)
        VALUES (:id, :application, :server, :host, :pid, :seen_at_ms)
        ON CONFLICT (id) DO UPDATE SET seen_at_ms = excluded.seen_at_ms""",
        {
            **server.columns,
            "id": instance.id,
            "host": instance.host,
            "pid": instance.pid,
            "seen_at_ms": instance.seen_at_ms,
        },
    )
    tx.execute(
        """UPDATE envoi_server SET seen_at_ms = :seen_at_ms
        WHERE application = :application AND name = :server""",
        {**server.columns, "seen_at_ms": instance.seen_at_ms},
    )


def remove(tx: Tx, instance_id: str) -> None:
    """Forget a process that left, or died."""
    tx.execute("DELETE FROM envoi_instance WHERE id = :id", {"id": instance_id})
