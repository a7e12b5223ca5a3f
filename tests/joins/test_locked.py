"""An outbox that is locked, full or gone: `notify` gives up within its bound and never raises."""

import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg
import pytest

from envoi import NotStoredError, Stored
from tests.joins.hosts import HOSTS, make_host
from tests.joins.test_elsewhere import work_once
from tests.joins.test_join import SECRET, app_rows, listed, reset
from tests.walk.people import add_users

BUSY_S = 0.3
# The bound, and what a busy machine may add to it.
BOUND_S = BUSY_S + 5


@pytest.fixture
def mailer(make_mailer, outbox_url):
    mailer = make_mailer(outbox_url, outbox={"busy_timeout_s": BUSY_S})
    add_users(mailer)
    return mailer


@contextmanager
def locked(url):
    """Another connection keeps everybody from writing."""
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")
        return
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE envoi_event, envoi_meta IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@contextmanager
def within_bound(url):
    """Fail, and let the blocked one go, when it takes longer than it may."""
    began = time.monotonic()
    stop = threading.Timer(20, cut, [url])
    stop.start()
    try:
        yield
    finally:
        stop.cancel()
        stop.join()
    assert time.monotonic() - began < BOUND_S


def cut(url):
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def test_without_a_transaction_it_is_spooled_and_taken_in_once(mailer, outbox_url, caplog):
    with locked(outbox_url), within_bound(outbox_url):
        receipt = mailer.notify(reset(mailer))

    assert receipt.stored is Stored.SPOOLED
    assert receipt.is_kept
    assert "spooled to" in caplog.text
    assert SECRET not in caplog.text
    for _ in range(2):
        work_once(mailer)
    assert len(listed(mailer)) == 1
    assert list(mailer.parts.spool.folder.iterdir()) == []


def test_without_a_spool_it_says_not_stored(make_mailer, outbox_url, caplog):
    outbox = {"busy_timeout_s": BUSY_S, "spool_max_mb": 0}
    mailer = make_mailer(outbox_url, outbox=outbox)
    add_users(mailer)

    with locked(outbox_url), within_bound(outbox_url):
        receipt = mailer.notify(reset(mailer))

    assert receipt.stored is Stored.NOT_STORED
    assert "full" in receipt.because
    assert "********" in caplog.text
    assert SECRET not in caplog.text


def test_strict_raises_and_spools_nothing(mailer, outbox_url):
    with (
        locked(outbox_url),
        within_bound(outbox_url),
        pytest.raises(NotStoredError, match="password_reset: the outbox cannot be used"),
    ):
        mailer.notify(reset(mailer), strict=True)

    assert listed(mailer) == ()
    assert not mailer.parts.spool.folder.exists()


def test_a_worker_waits_for_the_lock_with_what_lies_in_the_spool(mailer, outbox_url):
    """Nothing is lost when a worker meets the same lock while it takes the spool in."""
    with locked(outbox_url), within_bound(outbox_url):
        mailer.notify(reset(mailer))
    with locked(outbox_url):
        worker = mailer.make_worker()
        worker.wake()
        worker.turn()

    worker.drain()
    work_once(mailer)
    assert len(listed(mailer)) == 1


@pytest.fixture(
    params=[name for name in HOSTS if "psycopg" in name or "asyncpg" in name or "postgr" in name]
)
def postgres_host(request, postgresql_url):
    host = make_host(request.param, postgresql_url)
    yield host
    host.close()


@pytest.fixture
def hosts_mailer(make_mailer, postgres_host):
    mailer = make_mailer(postgres_host.url, outbox={"busy_timeout_s": BUSY_S})
    add_users(mailer)
    return mailer


def lock_timeout(mailer, tx):
    return mailer.outbox.join(tx).execute("SHOW lock_timeout", {})[0][0]


@pytest.mark.postgresql
def test_a_callers_transaction_waits_no_longer_for_a_lock(postgres_host, hosts_mailer):
    """Another transaction stores the same key and does not end."""
    event = replace(reset(hosts_mailer), key="once")
    receipts, waits = [], []

    def work(tx):
        postgres_host.write(tx, 1)
        receipts.append(hosts_mailer.notify(event, tx))
        waits.append(lock_timeout(hosts_mailer, tx))

    with hosts_mailer.outbox.transaction() as other:
        hosts_mailer.outbox.put_event(other, event, 0)
        with within_bound(postgres_host.url):
            postgres_host.transact(work)

    assert [receipt.stored for receipt in receipts] == [Stored.NOT_STORED]
    assert "lock timeout" in receipts[0].because
    assert waits == ["0"]
    assert app_rows(hosts_mailer) == [1]


@pytest.mark.postgresql
@pytest.mark.parametrize("own", ["0", "50ms", "5s"])
def test_what_a_caller_set_for_locks_holds_again_afterwards(postgres_host, hosts_mailer, own):
    waits = []

    def work(tx):
        joined = hosts_mailer.outbox.join(tx)
        joined.execute(f"SET LOCAL lock_timeout = '{own}'", {})
        with joined.savepoint():
            waits.append(lock_timeout(hosts_mailer, tx))
        waits.append(lock_timeout(hosts_mailer, tx))
        assert hosts_mailer.notify(reset(hosts_mailer), tx).stored is Stored.STORED
        waits.append(lock_timeout(hosts_mailer, tx))

    postgres_host.transact(work)

    inside = own if own == "50ms" else "300ms"
    assert waits == [inside, own, own]
