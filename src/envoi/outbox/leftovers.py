"""This room removes what is left over beside the mail: old notes, errors, servers and rates."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from envoi.core.retention import Cut
from envoi.seams import Tx

Transaction: TypeAlias = Callable[[], AbstractContextManager[Tx]]

# Notes are numbered as they are made: the oldest have the lowest ids, and need no index on time.
_AUDIT = """
    DELETE FROM envoi_audit WHERE at_ms < :before_ms AND id IN (
        SELECT id FROM envoi_audit ORDER BY id LIMIT :limit)
    RETURNING id"""
# One whose window runs is still to be told of.
_INCIDENTS = """
    DELETE FROM envoi_incident WHERE (application, fingerprint) IN (
        SELECT application, fingerprint FROM envoi_incident
        WHERE last_at_ms < :before_ms AND standing <> 'muted' AND window_ends_at_ms = 0
        ORDER BY last_at_ms LIMIT :limit)
    RETURNING fingerprint"""
# A server that was renamed, or whose machine is gone, is never seen again; nor are its processes.
_SERVERS = "DELETE FROM envoi_server WHERE seen_at_ms < :before_ms RETURNING name"
_INSTANCES = "DELETE FROM envoi_instance WHERE seen_at_ms < :before_ms"
_RATES = """
    DELETE FROM envoi_rate WHERE spent_until_us < :before_ms * 1000
        AND line_until_ms < :before_ms
    RETURNING domain"""
# A rate is nothing any more when it was not used for a minute; an hour is safe for any clock.
RATES_KEPT_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What was removed.

    Args:
        notes: Notes of use.
        incidents: Errors that did not come again.
        servers: Servers that are gone.
    """

    notes: int = 0
    incidents: int = 0
    servers: int = 0

    def __add__(self, other: "Cleared") -> "Cleared":
        """Return both together."""
        return Cleared(
            notes=self.notes + other.notes,
            incidents=self.incidents + other.incidents,
            servers=self.servers + other.servers,
        )


def steps(transaction: Transaction, cut: Cut, now_ms: int, rows: int) -> Iterator[Cleared]:
    """Remove it step by step; each is one transaction.

    Args:
        transaction: Opens the transaction of a step.
        cut: What is old enough.
        now_ms: The clock.
        rows: How many rows a step takes.
    """
    for count in _each(transaction, _AUDIT, cut.audit_before_ms, rows):
        yield Cleared(notes=count)
    for count in _each(transaction, _INCIDENTS, cut.incidents_before_ms, rows):
        yield Cleared(incidents=count)
    with transaction() as tx:
        tx.execute(_RATES, {"before_ms": now_ms - RATES_KEPT_MS})
        gone = {"before_ms": cut.rows_before_ms}
        tx.execute(_INSTANCES, gone)
        found = tx.execute(_SERVERS, gone)
    yield Cleared(servers=len(found))


def _each(transaction: Transaction, statement: str, before_ms: int, rows: int) -> Iterator[int]:
    count = rows if before_ms else 0
    while count == rows:
        with transaction() as tx:
            count = len(tx.execute(statement, {"before_ms": before_ms, "limit": rows}))
        yield count
