"""The relay is away, or refuses us: mail waits, one ERROR tells of it, and it goes by itself."""

import socket
from functools import partial

import pytest

from envoi.assembly import Parts, now_ms
from envoi.core.delivery import State
from envoi.journal import Journal
from envoi.mailer import Mailer
from envoi.outbox.relay import relays_down
from envoi.settings import load
from envoi.testing import RelayTraits
from envoi.testing.relay import FaultyRelay
from tests.processes.site import ON_ONE_ENGINE, Site, wait_until


def downs(process):
    """The ERROR lines about a relay."""
    return [line for line in process.log.splitlines() if "cannot be used" in line]


def waits(process):
    return [line for line in process.log.splitlines() if "waits for the relay" in line]


def has_told(process, count):
    return len(waits(process)) == count


def known_trouble(site):
    with site.mailer.parts.outbox.reading() as tx:
        return relays_down(tx)


def test_what_is_handed_over_waits_and_arrives_once_when_the_relay_is_back(site):
    site.relay.stop()
    process = site.work()
    site.send(30)
    wait_until(lambda: len(waits(process)) == 30)
    assert site.states == {State.QUEUED: 30}
    assert len(known_trouble(site)) == 1

    site.relay.start()
    site.wait_for_states(sent=30)

    assert process.stop() == 0
    assert set(site.copies.values()) == {1}
    assert len(site.copies) == 30
    [error] = downs(process)
    assert "ERROR" in error
    assert len(waits(process)) == 30
    assert all("relay: Hi: Hello" in line for line in waits(process))
    assert process.log.count("works again") == 1
    assert known_trouble(site) == ()


@ON_ONE_ENGINE
def test_a_second_outage_is_told_of_again(site):
    process = site.work()
    for outage in (1, 2):
        site.relay.stop()
        site.send(3, prefix=f"o{outage}-")
        wait_until(partial(has_told, process, 3 * outage))
        site.relay.start()
        site.wait_for_states(sent=3 * outage)

    assert process.stop() == 0
    assert len(downs(process)) == 2
    assert site.duplicates == 0


@ON_ONE_ENGINE
def test_handing_over_makes_no_connection(site):
    """Nothing listens but our own ear: whoever knocks is heard."""
    site.relay.stop()
    with socket.create_server(("127.0.0.1", site.relay.port)) as ear:
        site.send(3)
        ear.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ear.accept()

    assert site.states == {State.QUEUED: 3}


@ON_ONE_ENGINE
def test_trouble_that_a_dead_worker_noted_ends_with_the_first_mail(site):
    """Killed during the outage; by the restart the relay is back."""
    site.relay.stop()
    site.send(3)
    process = site.work()
    wait_until(lambda: known_trouble(site))
    process.kill()
    site.relay.start()

    other = site.work()
    site.wait_for_states(sent=3)

    assert other.stop() == 0
    assert known_trouble(site) == ()


@ON_ONE_ENGINE
def test_two_workers_try_a_relay_that_is_away_no_more_often_than_one(make_site, faulty_relay):
    """L2: no hammering; the pause is shared."""
    faulty_relay.connections.play([], then="greet_421")
    site = make_site(delivery={"relay_retry_longest_s": 1})
    site.send(10)
    workers = [site.work(), site.work()]
    wait_until(lambda: len(site.live_workers) == 2)
    before = site.ledger.connections
    began_ms = now_ms()
    wait_until(lambda: site.ledger.connections >= before + 4)
    took_ms = now_ms() - began_ms

    assert took_ms >= 2_000
    faulty_relay.connections.play([])
    site.wait_for_states(sent=10)
    assert [worker.stop() for worker in workers] == [0, 0]
    assert site.duplicates == 0


@pytest.fixture
def strict_relay():
    with FaultyRelay(RelayTraits(username="wiki", password="right")) as relay:
        yield relay


@ON_ONE_ENGINE
def test_a_refused_password_is_tried_once_per_interval_and_fails_nothing(
    outbox_url, tmp_path, strict_relay, caplog
):
    """The clock is moved by hand: an interval is a minute."""
    smtp = {"username": "wiki", "password": "wrong", "connections": 3}
    site = Site(tmp_path, outbox_url, strict_relay, {"smtp": smtp})
    ahead_ms = 0
    settings = load(site.config, {})
    mailer = Mailer(Parts(settings, Journal(), lambda: now_ms() + ahead_ms))
    site.send(20)
    worker = mailer.make_worker()
    worker.run_until_idle()
    assert strict_relay.ledger.sign_ins == 1

    for interval in (1, 2):
        for step_ms in (59_000, 2_000):
            assert strict_relay.ledger.sign_ins == interval
            ahead_ms += step_ms
            worker.turn()
        while turned(worker, strict_relay) == interval:
            pass

    assert strict_relay.ledger.sign_ins == 3
    assert site.states == {State.QUEUED: 20}
    # One ERROR for the outage, however often it is tried.
    assert [r.levelname for r in caplog.records if "cannot be used" in r.getMessage()] == ["ERROR"]
    assert "wrong" not in caplog.text

    strict_relay.traits = RelayTraits(username="wiki", password="wrong")
    ahead_ms += 61_000
    wait_until(lambda: turned(worker, strict_relay) and site.states == {State.SENT: 20})
    worker.drain()
    mailer.close()
    site.close()


def turned(worker, relay):
    worker.turn()
    return relay.ledger.sign_ins


def test_a_refused_password_is_tried_by_one_process_and_heeded_by_the_others(
    outbox_url, tmp_path, strict_relay
):
    """Sixteen processes that start with a wrong password must not lock the account."""
    smtp = {"username": "wiki", "password": "wrong"}
    site = Site(tmp_path, outbox_url, strict_relay, {"smtp": smtp})
    site.send(5)
    first = site.work()
    wait_until(lambda: known_trouble(site))

    later = [site.work() for _ in range(3)]
    wait_until(lambda: all(downs(process) for process in later))
    site.send(1, prefix="more-")
    wait_until(lambda: len(site.live_workers) == 4)

    assert strict_relay.ledger.sign_ins == 1
    assert [len(downs(process)) for process in (first, *later)] == [1] * 4
    assert [process.stop() for process in (first, *later)] == [0] * 4
    assert site.states == {State.QUEUED: 6}
    site.close()
