"""This room sets up sessions on PostgreSQL: how long they wait, and what they see.

A connection of ours usually is a session of ours, and is set up once. Behind a pooler that lends
a session for one transaction (PgBouncer's mode `transaction`) it is not: what we set would stay
with a session that serves others next, and a statement prepared in one is unknown in another. A
pooler shows itself, because the server's number for the session is not what the connection was
told. Then nothing is prepared, and every transaction sets up itself.
"""

from collections.abc import MutableMapping
from typing import Any, cast

# Under this name a connection's record keeps what begins each of its transactions.
OPENING = "envoi_opening"
# A connection over which nothing goes is asked for a sign of life after this.
KEEPALIVE_IDLE_S = 10
# A transaction of ours pauses for a directory's answer at most; after this nobody is behind it.
ABANDONED_S = 60


def set_up(raw: object, record: MutableMapping[Any, Any], busy_timeout_ms: int) -> None:
    """Set up a new connection.

    Args:
        raw: The driver's connection.
        record: What is kept about it while it lives.
        busy_timeout_ms: How long it waits for a lock.
    """
    connection = cast("Any", raw)
    cursor = connection.cursor()
    if _is_lent(connection, cursor):
        record[OPENING] = _words("SET LOCAL", _patience(busy_timeout_ms))
        record[OPENING] += "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
        # Only psycopg 3 prepares by itself what it has run a few times.
        connection.prepare_threshold = None
    else:
        cursor.execute(_words("SET", {**_isolation(), **_patience(busy_timeout_ms), **_signs()}))
    cursor.close()
    connection.commit()


def _is_lent(connection: Any, cursor: Any) -> bool:  # noqa: ANN401 # of whichever driver
    """Whether the session is somebody else's, who lends it for a transaction."""
    told = getattr(getattr(connection, "info", None), "backend_pid", None)
    cursor.execute("SELECT pg_backend_pid()")
    return told is not None and cursor.fetchone()[0] != told


def _isolation() -> dict[str, str]:
    # Our statements step over locked rows and count on seeing what others committed; with a
    # stricter default of the database's owner most of them would be ended.
    return {"default_transaction_isolation": "'read committed'"}


def _patience(busy_timeout_ms: int) -> dict[str, str]:
    return {
        # Without it a lock that somebody forgot would hold up the application for ever.
        "lock_timeout": str(busy_timeout_ms),
        # The server's side: a host that lost its network in the middle of a transaction would
        # keep the rows locked that it was about to claim, for the two hours of TCP.
        "idle_in_transaction_session_timeout": f"'{ABANDONED_S}s'",
    }


def _signs() -> dict[str, str]:
    return {
        "tcp_user_timeout": f"'{ABANDONED_S}s'",
        "tcp_keepalives_idle": str(KEEPALIVE_IDLE_S),
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }


def _words(verb: str, settings: dict[str, str]) -> str:
    return "".join(f"{verb} {name} = {value}; " for name, value in settings.items())
