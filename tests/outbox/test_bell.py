"""Wake-ups: in this process, from another one, after a broken connection, and never an error."""

import os
import threading
import time

import psycopg
import pytest

from envoi.outbox import bell as bells
from envoi.outbox import open_outbox
from tests.outbox.samples import stored

SOON_S = 10


@pytest.fixture
def news():
    return threading.Event()


@pytest.fixture
def listener(outbox, news):
    listener = outbox.bell.listen(news.set)
    assert listener.is_connected.wait(SOON_S)
    news.clear()
    yield listener
    listener.close()


@pytest.fixture
def elsewhere(outbox_url):
    """The same outbox as another process holds it."""
    outbox = open_outbox(outbox_url)
    yield outbox
    outbox.close()


def test_a_ring_reaches_this_process_at_once(outbox, listener, news):
    outbox.ring()

    assert news.is_set()


def test_a_commit_elsewhere_is_heard(listener, news, elsewhere):
    # A listener on PostgreSQL calls once when it has connected; what follows is the ring.
    stored(elsewhere)
    elsewhere.ring()

    assert news.wait(SOON_S)


def test_a_second_ring_is_heard_as_well(listener, news, elsewhere):
    for _ in range(2):
        news.clear()
        stored(elsewhere)
        elsewhere.ring()
        assert news.wait(SOON_S)


def test_a_closed_listener_hears_nothing_and_may_be_closed_again(outbox, listener, news):
    listener.close()
    listener.close()

    outbox.ring()

    assert not news.is_set()


def test_many_rings_become_few_notifications(postgresql_url, news):
    outbox = open_outbox(postgresql_url)
    calls = []
    listener = outbox.bell.listen(lambda: calls.append(1))
    assert listener.is_connected.wait(SOON_S)
    ringing = open_outbox(postgresql_url)
    for _ in range(500):
        ringing.ring()
    ringing.close()
    listener.close()
    outbox.close()

    assert len(calls) < 500


def test_a_broken_connection_is_made_anew(postgresql_url, postgres_server, news):
    outbox = open_outbox(postgresql_url)
    listener = outbox.bell.listen(news.set)
    assert listener.is_connected.wait(SOON_S)
    news.clear()

    postgres_server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )

    # It calls when it hears again: what was committed in between would otherwise wait.
    assert news.wait(SOON_S)
    listener.close()
    outbox.close()


def test_a_sqlite_file_that_goes_away_is_waited_for(tmp_path, sqlite_url, news, monkeypatch):
    monkeypatch.setattr(bells, "FIRST_RECONNECT_S", 0.01)
    path = tmp_path / "later.db"
    outbox = open_outbox(f"sqlite:///{path}")
    listener = outbox.bell.listen(news.set)
    assert not listener.is_connected.is_set()
    assert not path.exists()

    outbox.upgrade()

    assert listener.is_connected.wait(SOON_S)
    listener.close()
    outbox.close()


def test_a_ring_into_a_database_that_is_away_harms_nobody(news):
    outbox = open_outbox("postgresql://nobody@127.0.0.1:1/nowhere")

    outbox.ring()
    outbox.ring()

    outbox.close()
    outbox.close()


def test_the_thread_that_notifies_ends_when_nobody_rings(postgresql_url, monkeypatch):
    monkeypatch.setattr(bells, "RINGER_IDLE_S", 0.01)
    outbox = open_outbox(postgresql_url)
    outbox.ring()
    first = outbox.bell._ringer
    assert first is not None
    first._thread.join(SOON_S)

    outbox.ring()

    assert not first._thread.is_alive()
    assert outbox.bell._ringer is not first
    outbox.close()


def test_a_driver_that_cannot_listen_leaves_it_to_the_workers_own_looking(postgresql_url, news):
    outbox = open_outbox(postgresql_url.replace("postgresql:", "postgresql+psycopg2:"))
    listener = outbox.bell.listen(news.set)
    listener._thread.join(SOON_S)

    assert not listener._thread.is_alive()
    listener.close()
    outbox.close()


def test_a_schema_has_a_bell_of_its_own(postgres_server):
    with postgres_server.database(template="template0") as name:
        outbox = open_outbox(postgres_server.url(name), schema="mail")
        heard = outbox.bell.listen(lambda: None)
        assert heard.is_connected.wait(SOON_S)
        with psycopg.connect(
            postgres_server.url(name).replace("postgresql+psycopg", "postgresql")
        ) as raw:
            listening = raw.execute(
                "SELECT query FROM pg_stat_activity WHERE query LIKE 'LISTEN%mail%'"
            )
            assert listening.fetchall() == [('LISTEN "envoi_mail"',)]
        heard.close()
        outbox.close()


def test_after_a_fork_the_bell_is_new(outbox, listener, news):
    child = os.fork()
    if child == 0:
        outbox.ring()
        os._exit(len(outbox.bell._listeners))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert len(outbox.bell._listeners) == 1


def test_another_process_id_means_a_new_bell(sqlite_url):
    """What a child sees after a fork, in a process whose lines can be counted."""
    outbox = open_outbox(sqlite_url)
    listener = outbox.bell.listen(lambda: None)
    outbox.bell._pid = -1

    outbox.ring()

    assert outbox.bell._listeners == []
    assert outbox.bell._pid == os.getpid()
    listener.close()
    outbox.close()


def test_closing_is_quick(outbox, listener):
    started = time.monotonic()

    listener.close()

    assert time.monotonic() - started < 2
