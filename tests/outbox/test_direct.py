"""Transactions of our own: they survive what happened to a pool, and lose nothing silently."""

from contextlib import nullcontext, suppress

import pytest

from envoi.core.event import Event
from envoi.errors import OutboxError, OutboxUnavailableError

NOW = 1_800_000_000_000
COUNT = "SELECT COUNT(*) FROM envoi_event"


def put(outbox, tx, key):
    outbox.put_event(tx, Event(kind="note", key=key), NOW)


def kept(outbox):
    with outbox.reading() as tx:
        return int(str(tx.execute(COUNT, {})[0][0]))


def test_what_was_told_to_wait_for_the_commit_is_called_once_it_is_visible(outbox):
    seen = []
    with outbox.transaction() as tx:
        put(outbox, tx, "a")
        tx.after_commit(lambda: seen.append(kept(outbox)))

        assert seen == []
    assert seen == [1]


def test_a_rollback_forgets_who_waits_for_the_commit(outbox):
    seen = []
    with suppress(ZeroDivisionError), outbox.transaction() as tx:
        tx.after_commit(lambda: seen.append("never"))
        raise ZeroDivisionError

    assert seen == []


def test_a_savepoint_that_is_undone_forgets_only_its_own(outbox):
    seen = []
    with outbox.transaction() as tx:
        tx.after_commit(lambda: seen.append("outside"))
        with suppress(ZeroDivisionError), tx.savepoint():
            put(outbox, tx, "a")
            tx.after_commit(lambda: seen.append("inside"))
            raise ZeroDivisionError
        put(outbox, tx, "b")

    assert seen == ["outside"]
    assert kept(outbox) == 1


def test_savepoints_stand_in_one_another(outbox):
    with outbox.transaction() as tx, tx.savepoint():
        put(outbox, tx, "a")
        with suppress(ZeroDivisionError), tx.savepoint():
            put(outbox, tx, "b")
            raise ZeroDivisionError

    assert kept(outbox) == 1


def undone(tx):
    """Undo the whole transaction within a savepoint, as SQLite itself does on a full disk."""
    with suppress(ZeroDivisionError), tx.savepoint():
        tx.execute("ROLLBACK", {})
        raise ZeroDivisionError


def store_around_an_undoing(outbox, *, goes_on):
    with outbox.transaction() as tx:
        put(outbox, tx, "a")
        undone(tx)
        with tx.savepoint() if goes_on else nullcontext():
            pass


@pytest.mark.parametrize("goes_on", [True, False])
def test_nothing_is_stored_of_a_transaction_that_was_undone_within(outbox, goes_on):
    with pytest.raises(OutboxUnavailableError):
        store_around_an_undoing(outbox, goes_on=goes_on)

    assert kept(outbox) == 0


@pytest.mark.postgresql
def test_connections_that_died_in_the_pool_are_replaced_unseen(postgres_server, postgresql_url):
    from envoi.outbox import open_outbox

    outbox = open_outbox(postgresql_url)
    # Two of them lie in the pool; a third is open in the middle of a transaction.
    with outbox.reading() as first, outbox.reading() as second:
        first.execute(COUNT, {})
        second.execute(COUNT, {})
    with suppress(OutboxError), outbox.transaction() as tx:
        put(outbox, tx, "lost")
        cut(postgres_server, postgresql_url)
        put(outbox, tx, "lost too")
    with outbox.transaction() as tx:
        put(outbox, tx, "a")
    with outbox.transaction() as tx:
        put(outbox, tx, "b")

    assert kept(outbox) == 2
    outbox.close()


def cut(server, url):
    """End every connection to a test's database."""
    database = url.partition("@/")[2].partition("?")[0]
    server.run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    )
