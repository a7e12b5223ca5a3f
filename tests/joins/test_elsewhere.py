"""The outbox in another database than the caller's: stored right after his commit."""

import logging
import shutil
import sqlite3
from contextlib import closing, suppress

import pytest

from envoi import NotStoredError, Stored
from envoi.journal import Fact
from tests.joins.hosts import HostError
from tests.joins.test_join import SECRET, events, listed, reset, told
from tests.walk.people import add_users


@pytest.fixture
def mailer(host, make_mailer, sqlite_template, tmp_path):
    """A mailer whose outbox is a file of its own."""
    path = tmp_path / "elsewhere.db"
    shutil.copyfile(sqlite_template, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        # All outboxes of the suite are copies of one and would be taken for the same.
        copy.execute("UPDATE envoi_meta SET value = 'another' WHERE name = 'database_id'")
    mailer = make_mailer(f"sqlite:///{path}", outbox={"busy_timeout_s": 0.1})
    add_users(mailer)
    return mailer


def hide_outbox(tmp_path):
    """Make the outbox unreachable, as a database server that is down."""
    (tmp_path / "elsewhere.db").rename(tmp_path / "hidden.db")
    (tmp_path / "elsewhere.db").mkdir()


def show_outbox(tmp_path):
    (tmp_path / "elsewhere.db").rmdir()
    (tmp_path / "hidden.db").rename(tmp_path / "elsewhere.db")


def work_once(mailer):
    worker = mailer.make_worker()
    worker.wake()  # without a relay it would wait for its next chores
    worker.run_until_idle()
    worker.drain()


def test_it_is_stored_right_after_the_commit(host, mailer, caplog):
    receipts = []

    def work(tx):
        host.write(tx, 1)
        receipts.append(mailer.notify(reset(mailer), tx))
        assert (events(mailer), told(caplog)) == (0, [])

    host.transact(work)

    assert [receipt.stored for receipt in receipts] == [Stored.AFTER_COMMIT]
    assert len(listed(mailer)) == 1
    assert len(told(caplog)) == 1


def test_it_is_forgotten_on_a_rollback(host, mailer, caplog):
    caplog.set_level(logging.INFO)

    host.transact(lambda tx: mailer.notify(reset(mailer), tx), commits=False)
    host.transact(lambda tx: host.write(tx, 2))

    assert (events(mailer), told(caplog)) == (0, [])
    assert "stored" not in caplog.text


def test_unreachable_after_the_commit_it_is_spooled_and_taken_in_once(
    host, mailer, caplog, tmp_path
):
    mailer.parts.outbox.database_id()  # known before it goes away
    mailer.parts.outbox.close()
    hide_outbox(tmp_path)

    def work(tx):
        host.write(tx, 1)
        mailer.notify(reset(mailer), tx)

    host.transact(work)

    assert mailer.parts.journal.counts()[Fact.EVENT_SPOOLED] == 1
    assert SECRET not in caplog.text
    show_outbox(tmp_path)
    for _ in range(2):
        work_once(mailer)
    assert [str(row.delivery.address) for row in listed(mailer)] == ["bob@example.test"]
    assert list(mailer.parts.spool.folder.iterdir()) == []


def test_an_outbox_that_was_never_reached_is_spooled_as_well(host, mailer, tmp_path):
    mailer.parts.outbox.close()
    hide_outbox(tmp_path)

    def work(tx):
        host.write(tx, 1)
        assert mailer.notify(reset(mailer), tx).is_kept

    host.transact(work)

    show_outbox(tmp_path)
    work_once(mailer)
    assert len(listed(mailer)) == 1


@pytest.mark.parametrize(
    "host", ["django-atomic sqlite", "django-atomic postgresql"], indirect=True
)
class TestDjangosAutocommit:
    def test_it_is_stored_at_once(self, host, mailer):
        receipt = mailer.notify(reset(mailer), host.alias)

        assert receipt.stored is Stored.STORED
        assert len(listed(mailer)) == 1

    def test_strict_raises_when_it_cannot(self, host, mailer, tmp_path):
        mailer.parts.outbox.close()
        hide_outbox(tmp_path)

        with pytest.raises(NotStoredError):
            mailer.notify(reset(mailer), host.alias, strict=True)

        assert not mailer.parts.spool.folder.exists()
        show_outbox(tmp_path)


@pytest.mark.parametrize("host", ["django-atomic sqlite"], indirect=True)
def test_a_rolled_back_inner_block_is_forgotten_and_the_outer_one_stored(host, mailer):
    from django.db import transaction

    with transaction.atomic(using=host.alias):
        mailer.notify(reset(mailer), host.alias)
        with suppress(HostError), transaction.atomic(using=host.alias):
            mailer.notify(reset(mailer), host.alias)
            raise HostError

    assert len(listed(mailer)) == 1
