"""Threads that hand in at the same time share a transaction, and nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from envoi.core.event import Event
from envoi.errors import OutboxUnavailableError, SchemaError
from envoi.outbox import Outbox
from envoi.outbox.together import MOST_AT_ONCE, Together

NOW = 1_800_000_000_000
PATIENCE_S = 30


@dataclass
class Desk:
    """An outbox whose transactions are counted, and whose first one can be kept open."""

    outbox: Outbox
    opened: int = 0
    error: Exception | None = None
    is_kept: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def transaction(self):
        self.opened += 1
        with self.outbox.transaction() as tx:
            yield tx
            if self.error is not None:
                raise self.error

    def keep(self, tx):
        """Work that ends when it is told to."""
        self.is_kept.set()
        assert self.may_end.wait(PATIENCE_S)
        return "kept"

    def put(self, key):
        return lambda tx: self.outbox.put_event(tx, Event(kind="note", key=key), NOW).id

    def keys(self):
        with self.outbox.reading() as tx:
            return {row[0] for row in tx.execute("SELECT key FROM envoi_event", {})}


@pytest.fixture
def desk(outbox):
    return Desk(outbox)


@pytest.fixture
def together(desk):
    return Together(desk.transaction)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2 * MOST_AT_ONCE) as pool:
        yield pool


def behind_another(desk, together, pool, works):
    """Hand these in while somebody leads; return the leader's outcome and theirs."""
    leader = pool.submit(together.store, desk.keep)
    assert desk.is_kept.wait(PATIENCE_S)
    others = [pool.submit(together.store, work) for work in works]
    while len(together._waiting) < len(works):
        pass
    desk.may_end.set()
    return [leader, *others]


def test_who_is_alone_stores_at_once(desk, together):
    assert together.store(desk.put("a")) > 0
    assert desk.keys() == {"a"}
    assert desk.opened == 1


def test_those_who_come_meanwhile_share_one_transaction(desk, together, pool):
    works = [desk.put(f"k{number}") for number in range(20)]

    leader, *others = behind_another(desk, together, pool, works)

    assert leader.result(PATIENCE_S) == "kept"
    assert len({other.result(PATIENCE_S) for other in others}) == 20
    assert desk.keys() == {f"k{number}" for number in range(20)}
    assert desk.opened == 2


def test_no_transaction_takes_more_than_is_fair_to_other_processes(desk, together, pool):
    works = [desk.put(f"k{number}") for number in range(MOST_AT_ONCE + 1)]

    futures = behind_another(desk, together, pool, works)

    for future in futures:
        future.result(PATIENCE_S)
    assert len(desk.keys()) == MOST_AT_ONCE + 1
    assert desk.opened == 3


def test_an_error_undoes_and_reaches_nobody_elses_work(desk, together, pool):
    def fail(tx):
        desk.put("undone")(tx)
        raise ZeroDivisionError

    works = [desk.put("a"), fail, desk.put("b")]

    _, first, second, third = behind_another(desk, together, pool, works)

    assert first.result(PATIENCE_S) != third.result(PATIENCE_S)
    with pytest.raises(ZeroDivisionError):
        second.result(PATIENCE_S)
    assert desk.keys() == {"a", "b"}


@pytest.mark.parametrize("error", [OutboxUnavailableError("disk full"), SchemaError("old")])
def test_everybody_hears_why_the_transaction_failed(desk, together, pool, error):
    desk.error = error

    futures = behind_another(desk, together, pool, [desk.put("a"), desk.put("b")])

    raised = [future.exception(PATIENCE_S) for future in futures]
    assert [type(one) for one in raised] == [type(error)] * 3
    assert [str(one) for one in raised] == [str(error)] * 3
    assert desk.keys() == set()


def test_after_an_error_the_next_is_stored(desk, together, pool):
    desk.error = OutboxUnavailableError("disk full")
    for future in behind_another(desk, together, pool, [desk.put("a")]):
        assert future.exception(PATIENCE_S) is not None
    desk.error = None

    together.store(desk.put("b"))

    assert desk.keys() == {"b"}


def test_who_is_stopped_while_he_leads_leaves_nobody_waiting(desk, together, pool):
    def interrupt(tx):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together.store(interrupt)

    assert pool.submit(together.store, desk.put("a")).result(PATIENCE_S) > 0


def test_work_that_hands_in_something_itself_does_not_wait_for_its_own_end(desk, together):
    def nested(tx):
        try:
            return together.store(lambda _: "inside")
        except OutboxUnavailableError:  # SQLite has one writer, and we are it
            return "refused"

    assert together.store(nested) in {"inside", "refused"}


def test_many_threads_at_once_all_find_theirs_stored(desk, together, pool):
    ids = list(pool.map(together.store, [desk.put(f"k{number}") for number in range(400)]))

    assert len(set(ids)) == 400
    assert len(desk.keys()) == 400
    assert desk.opened <= 400
