"""The outbox cannot be written in the middle: verdicts are kept and written late (S1, S7, S8)."""

import sqlite3
import time
from contextlib import closing

import pytest

from envoi.core.delivery import State
from tests.processes.site import CONNECTIONS, Site, wait_until


def run(site, statement):
    with site.mailer.parts.outbox.transaction() as tx:
        return tx.execute(statement, {})


@pytest.fixture
def sqlite_site(sqlite_url, tmp_path, faulty_relay):
    outbox = {"url": sqlite_url, "busy_timeout_s": 0.1}
    site = Site(tmp_path, sqlite_url, faulty_relay, {"outbox": outbox})
    yield site
    site.close()


def test_a_locked_file_delays_verdicts_and_repeats_nothing(sqlite_site):
    site = sqlite_site
    site.relay.messages.play(["slow_ack"] * 60)
    site.send(200)
    process = site.work()
    site.ledger.wait_for(20)
    path = site.url.removeprefix("sqlite:///")

    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        wait_until(lambda: "locked" in process.log)
        # What was begun is finished; nothing more leaves while nothing can be written down.
        wait_until(lambda: is_quiet(site))
        arrived = len(site.ledger.kept)
        # The lock outlasts a lease: nobody could extend it, nobody could take it either.
        hold_until = time.monotonic() + 2.5
        wait_until(lambda: time.monotonic() > hold_until)
        assert len(site.ledger.kept) == arrived
        other.execute("ROLLBACK")
    site.wait_for_states(sent=200)

    assert process.stop() == 0
    assert site.duplicates == 0
    assert process.log.count("ERROR") >= 1
    assert "goes on" in process.log


def is_quiet(site):
    """Whether the relay got nothing for longer than its slow answers take."""
    before = len(site.ledger.kept)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        if len(site.ledger.kept) != before:
            return False
        time.sleep(0.02)
    return True


def test_a_stop_while_the_file_is_locked_still_records_what_was_sent(sqlite_site):
    site = sqlite_site
    site.relay.messages.play(["slow_ack"] * 60)
    site.send(40)
    process = site.work()
    site.ledger.wait_for(CONNECTIONS)
    path = site.url.removeprefix("sqlite:///")

    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        process.popen.terminate()
        wait_until(lambda: "locked" in process.log)
        wait_until(lambda: is_quiet(site))
        other.execute("ROLLBACK")

    assert process.popen.wait(20) == 0
    assert site.states == {
        State.SENT: len(site.ledger.kept),
        State.QUEUED: 40 - len(site.ledger.kept),
    }


@pytest.fixture
def postgresql_site(postgresql_url, tmp_path, faulty_relay):
    site = Site(tmp_path, postgresql_url, faulty_relay, {})
    yield site
    site.close()


@pytest.mark.postgresql
def test_cut_connections_to_the_database_lose_and_repeat_nothing(postgresql_site, postgres_server):
    site = postgresql_site
    site.send(400)
    process = site.work()
    for arrived in (50, 150, 250):
        site.ledger.wait_for(arrived)
        cut_others(site, postgres_server)
    site.wait_for_states(sent=400)

    assert process.stop() == 0
    assert site.duplicates == 0
    assert site.ledger.violations == []


def cut_others(site, server):
    """Cut every connection of the outbox's database."""
    name = site.mailer.parts.outbox.database.url.database
    server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


@pytest.mark.postgresql
def test_new_mail_wakes_a_worker_whose_listening_connection_was_cut(
    postgresql_site, postgres_server
):
    site = postgresql_site
    process = site.work()
    site.send(1)
    site.wait_for_states(sent=1)
    cut_others(site, postgres_server)

    site.send(1, prefix="later-")
    site.wait_for_states(sent=2)

    assert process.stop() == 0
    assert site.duplicates == 0


@pytest.mark.postgresql
def test_a_database_that_is_closed_for_a_while_is_waited_for(postgresql_site, postgres_server):
    """What a restart of the server looks like: everything cut, and nobody let in."""
    site = postgresql_site
    site.relay.messages.play(["slow_ack"] * 60)
    site.send(200)
    process = site.work()
    site.ledger.wait_for(20)
    name = site.mailer.parts.outbox.database.url.database

    site.mailer.parts.outbox.close()
    postgres_server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    cut_others(site, postgres_server)
    wait_until(lambda: "ERROR" in process.log)
    wait_until(lambda: is_quiet(site))
    postgres_server.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    site.wait_for_states(sent=200)

    assert process.stop() == 0
    assert site.duplicates == 0
    assert "goes on" in process.log
