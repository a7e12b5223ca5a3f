"""This room is the outbox as its neighbours hold it: one method per step of the walk.

Methods that take a `tx` are part of somebody's transaction; the others open their own. What each
guarantees stands in the module it comes from. Lists, statistics and reasons are read with
`find` and `explain`, switches with `switches`, inside `reading()`.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from envoi.core.delivery import Delivery, Move, Patience
from envoi.core.event import Event
from envoi.core.kind import Plain
from envoi.core.message import Composed
from envoi.core.routing import Skipped
from envoi.errors import SchemaError
from envoi.journal import Journal
from envoi.outbox import claim as claiming
from envoi.outbox import find, halt, operate, put, relay, route, switches
from envoi.outbox.bell import Bell
from envoi.outbox.claim import Claim, ClaimOrder, Settlement
from envoi.outbox.direct import DirectTx
from envoi.outbox.engine import Database
from envoi.outbox.filters import Query
from envoi.outbox.join import Joiner
from envoi.outbox.put import StoredEvent
from envoi.outbox.route import EventClaim
from envoi.outbox.together import Together
from envoi.outbox.tx import DATABASE_ID, CallerTx
from envoi.seams import Tx

__all__ = [
    "Claim",
    "ClaimOrder",
    "EventClaim",
    "Outbox",
    "Settlement",
    "StoredEvent",
    "open_outbox",
]

_Result = TypeVar("_Result")

# An event that cannot be routed now is tried again after this.
PUT_OFF_MS = 60_000


class Outbox:
    """The durable store.

    Args:
        database: Where it is.
        journal: Told of what an operator should know.
        patience: How doubt about a dead worker's deliveries is judged.
    """

    def __init__(
        self, database: Database, journal: Journal | None = None, patience: Patience | None = None
    ) -> None:
        """Take the database; nothing is opened yet."""
        self.database = database
        self.bell = Bell(database)
        self._together = Together(self.transaction)
        self._joiner = Joiner(database.schema, journal or Journal(), database.busy_timeout_ms)
        self._patience = patience or Patience()
        self._identity = ""

    def transaction(self, *, is_synced: bool = True) -> AbstractContextManager[DirectTx]:
        """Open a write transaction of our own.

        Args:
            is_synced: Whether its commit must survive a power cut; the worker's marks need not.
        """
        return self.database.write(is_synced=is_synced)

    def store_together(self, work: Callable[[Tx], _Result]) -> _Result:
        """Do some work in a transaction of our own, shared with other threads' where that pays.

        Args:
            work: Undone if it raises; may run in another thread.

        Raises:
            OutboxUnavailableError: The transaction failed; nothing of it is stored.
        """
        if self.database.has_one_writer:
            return self._together.store(work)
        with self.transaction() as tx:
            return work(tx)

    def reading(self) -> AbstractContextManager[DirectTx]:
        """Open a read transaction of our own."""
        return self.database.read()

    def upgrade(self) -> None:
        """Make the tables, or bring them up to date."""
        self.database.upgrade()

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self.bell.close()
        self.database.close()

    def join(self, tx: object) -> CallerTx:
        """Adapt a caller's transaction: SQLAlchemy's or Django's.

        Raises:
            InputError: Nothing that has a transaction, or something that must be awaited.
        """
        return self._joiner.join(tx)

    def database_id(self) -> str:
        """Return the identity of this outbox, which its tables carry.

        Raises:
            SchemaError: It has no tables yet.
        """
        if not self._identity:
            with self.reading() as tx:
                rows = tx.execute(DATABASE_ID, {})
            if not rows:
                raise SchemaError("the outbox has no identity: run `envoi db upgrade`")
            self._identity = str(rows[0][0])
        return self._identity

    def ring(self) -> None:
        """Tell the workers, here and elsewhere, that something was committed."""
        self.bell.ring()

    # Step 8: keep it.

    def put_event(
        self,
        tx: Tx,
        event: Event,
        now_ms: int,
        *,
        to_route: Mapping[str, Plain] | None = None,
        uid: str = "",
    ) -> StoredEvent:
        """Store an event once per key; with `to_route`, its real facts, for routing later."""
        return put.put_event(tx, event, now_ms, to_route=to_route, uid=uid)

    def put(
        self,
        tx: Tx,
        composed: Composed,
        deliveries: Sequence[Delivery],
        *,
        is_routing: bool = False,
    ) -> int:
        """Store a message with its deliveries; return its row id."""
        return put.put(tx, composed, deliveries, is_routing=is_routing)

    def put_decisions(self, tx: Tx, event_id: int, skipped: Sequence[Skipped]) -> None:
        """Store who was considered and not told."""
        put.put_decisions(tx, event_id, skipped)

    def told(self, tx: Tx, event_id: int, addresses: Sequence[str]) -> dict[str, str]:
        """Return which of these addresses the event mails already, with their names."""
        return put.told(tx, event_id, addresses)

    # Steps 3 to 8 for an event that was stored alone.

    def claim_event(self, now_ms: int, lease_ms: int) -> EventClaim | None:
        """Lease the next event to be routed; None when there is none."""
        with self.transaction(is_synced=False) as tx:
            return route.claim_event(tx, now_ms, lease_ms)

    def keep_cursor(self, tx: Tx, claim: EventClaim, cursor: str, now_ms: int) -> None:
        """Note how far routing got; raises `RefusedError` when the lease was lost."""
        route.keep_cursor(tx, claim, cursor, now_ms)

    def finish_routing(self, claim: EventClaim, now_ms: int, after: str = "") -> str | None:
        """Make its deliveries due; raises `RefusedError` when the lease was lost."""
        with self.transaction() as tx:
            return route.finish_routing(tx, claim, now_ms, after)

    def finish_in_steps(self, claim: EventClaim, clock: Callable[[], int]) -> Iterator[None]:
        """Make its deliveries due, a transaction per step, so that others write in between."""
        after = self.finish_routing(claim, clock())
        while after is not None:
            yield
            after = self.finish_routing(claim, clock(), after)

    def put_off_routing(self, claim: EventClaim, now_ms: int, because: str) -> bool:
        """Give an event back that cannot be routed now; whether the lease was still ours."""
        with self.transaction() as tx:
            return route.postpone_event(tx, claim, now_ms + PUT_OFF_MS, because)

    # Steps 10 and 14: take some, write it down.

    def claim(self, tx: Tx, order: ClaimOrder, now_ms: int) -> tuple[Claim, ...]:
        """Lease what is due, and take back first what dead workers left."""
        return claiming.claim(tx, order, now_ms, self._patience)

    def messages(self, tx: Tx, ids: Sequence[int]) -> dict[int, Composed]:
        """Return messages with files and sealed words."""
        return claiming.messages(tx, ids)

    def begin(self, tx: Tx, claims: Sequence[Claim]) -> tuple[int, ...]:
        """Mark that contents may leave; return the ids that must not, their lease being lost."""
        return claiming.begin(tx, claims)

    def extend(
        self, tx: Tx, claims: Sequence[Claim], now_ms: int, lease_ms: int
    ) -> tuple[int, ...]:
        """Extend leases; return the ids whose lease was lost."""
        return claiming.extend(tx, claims, now_ms, lease_ms)

    def settle(self, tx: Tx, settlements: Sequence[Settlement], now_ms: int) -> tuple[int, ...]:
        """Write verdicts down; return the ids whose lease was lost, which nothing changed."""
        return claiming.settle(tx, settlements, now_ms)

    def expire_due(self, now_ms: int) -> int:
        """Expire what is worthless now, held mail too; return how many."""
        count, found = 0, operate.BATCH_ROWS
        while found == operate.BATCH_ROWS:
            with self.transaction() as tx:
                found = claiming.expire_due(tx, now_ms, operate.BATCH_ROWS)
            count += found
        return count

    # What workers share.

    def heartbeat(self, worker: str, transport: str, now_ms: int, lease_ms: int) -> tuple[str, ...]:
        """Sign on or on again; return the live workers of the transport in a fixed order.

        They are read behind the commit: of two that join in one moment at least one sees the
        other.
        """
        presence = relay.Presence(
            name=worker,
            host=socket.gethostname(),
            pid=os.getpid(),
            transport=transport,
            seen_at_ms=now_ms,
        )
        with self.transaction(is_synced=False) as tx:
            relay.heartbeat(tx, presence, lease_ms, now_ms)
        with self.reading() as tx:
            return tuple(each.name for each in relay.workers(tx) if each.transport == transport)

    def sign_off(self, worker: str) -> None:
        """Leave the live workers."""
        with self.transaction(is_synced=False) as tx:
            relay.sign_off(tx, worker)

    def is_captured(self, tx: Tx, now_ms: int, lease_ms: int = 60_000) -> bool:
        """Whether a live worker captures mail at this moment."""
        return relay.is_captured(tx, lease_ms, now_ms)

    def relay_down(self, pause: relay.Pause) -> bool:
        """Note trouble of a relay; whether it is news."""
        with self.transaction(is_synced=False) as tx:
            return relay.relay_down(tx, pause)

    def relay_back(self, name: str) -> bool:
        """Note that a relay works; whether it was down until now."""
        with self.transaction(is_synced=False) as tx:
            return relay.relay_back(tx, name)

    def may_try(self, name: str, now_ms: int, interval_ms: int) -> bool:
        """Whether this worker tries a paused relay now; one does per interval."""
        with self.transaction(is_synced=False) as tx:
            return relay.may_try(tx, name, now_ms, interval_ms)

    def waiting(
        self, transport: str, now_ms: int, *, after_id: int = 0, limit: int = 200
    ) -> tuple[find.Waiting, ...]:
        """Return deliveries that are due and wait for a relay."""
        with self.reading() as tx:
            return find.waiting(tx, transport, now_ms, after_id=after_id, limit=limit)

    # Switches and the operator's hand.

    def switches_version(self, tx: Tx) -> int:
        """Return the number that goes up with every change of a switch."""
        return switches.switches_version(tx)

    def switches(self, tx: Tx) -> dict[str, str]:
        """Return every switch by name."""
        return switches.switches(tx)

    def operate(self, move: Move, query: Query, now_ms: int) -> tuple[operate.Answer, ...]:
        """Retry, cancel, hold or release deliveries; every named one is answered."""
        answers: list[operate.Answer] = []
        found = operate.BATCH_ROWS
        while found == operate.BATCH_ROWS:
            after_id = answers[-1].id if answers else 0
            with self.transaction() as tx:
                batch = operate.operate(tx, move, query, now_ms, after_id=after_id)
            found = len(batch)
            answers += batch
        return (*answers, *operate.missing(query, answers))

    def hold_all(self, now_ms: int) -> halt.HeldAll:
        """Hold everything that could leave; for a restored backup, before a worker starts."""
        return halt.hold_all(self.transaction, now_ms)

    def held_events(self, tx: Tx, move: Move, query: Query) -> tuple[int, ...]:
        """Return the ids of held events that a move is meant for."""
        return halt.held_events(tx, move, query)

    def decide_events(self, move: Move, query: Query, now_ms: int) -> int:
        """Release or cancel events that are held; return how many."""
        with self.transaction() as tx:
            return halt.decide_events(tx, move, query, now_ms)


def open_outbox(
    url: str,
    *,
    schema: str = "",
    busy_timeout_ms: int = 2_000,
    must_exist: bool = False,
    journal: Journal | None = None,
    patience: Patience | None = None,
) -> Outbox:
    """Return the outbox at an address; connections are made when they are needed.

    Args:
        url: `sqlite:///path` or `postgresql://user@host/database`.
        schema: PostgreSQL schema of the tables; empty: the connection's own.
        busy_timeout_ms: How long a write on SQLite waits for another process's.
        must_exist: Refuse to make the SQLite file.
        journal: Told of what an operator should know.
        patience: How doubt about a dead worker's deliveries is judged.
    """
    database = Database(url, schema=schema, busy_timeout_ms=busy_timeout_ms, must_exist=must_exist)
    return Outbox(database, journal, patience)
