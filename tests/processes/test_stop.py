"""SIGTERM: what is under way is finished, the rest is queued again, the exit code is 0 (P4)."""

import signal
from dataclasses import replace

import pytest

from envoi.core.delivery import State
from tests.processes.site import CONNECTIONS, LEASE_S, ON_ONE_ENGINE, wait_until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_loses_and_repeats_nothing(site, number):
    site.relay.messages.play([], then="slow_ack")
    site.send(60)
    process = site.work()
    site.ledger.wait_for(10)

    process.signal(number)

    assert process.popen.wait(20) == 0
    states = site.states
    assert states.keys() == {State.SENT, State.QUEUED}
    assert states[State.SENT] == len(site.ledger.kept)
    assert site.live_workers == {}
    site.relay.messages.play([])
    site.work_here()
    assert site.states == {State.SENT: 60}
    assert site.duplicates == 0


def test_a_relay_that_never_answers_is_waited_for_no_longer_than_the_drain_time(make_site):
    site = make_site(delivery={"drain_s": 0.5})
    site.relay.messages.play(["hang_kept"] * CONNECTIONS)
    site.send(20)
    process = site.work()
    site.ledger.wait_for(CONNECTIONS)

    assert process.stop(20) == 0

    assert site.states == {State.UNCERTAIN: CONNECTIONS, State.QUEUED: 20 - CONNECTIONS}
    assert "before the relay answered" in process.log
    site.work_here()
    assert site.states == {State.SENT: 20}
    assert site.duplicates == CONNECTIONS
    site.assert_copies_are_equal()


@ON_ONE_ENGINE
def test_a_second_signal_ends_at_once_and_leaves_no_more_than_doubt(make_site):
    site = make_site(delivery={"drain_s": 60})
    site.relay.messages.play(["hang_kept"] * CONNECTIONS)
    site.send(20)
    process = site.work()
    site.ledger.wait_for(CONNECTIONS)
    process.signal(signal.SIGTERM)
    wait_until(lambda: "stops" in process.log)

    process.signal(signal.SIGTERM)

    assert process.popen.wait(10) == -signal.SIGTERM
    other = site.work()
    site.wait_for_states(sent=20)
    assert other.stop() == 0
    assert site.duplicates == CONNECTIONS


def test_a_long_drain_keeps_its_claims_from_the_others(make_site):
    """A worker that waits for a slow relay longer than its lease is alive all the same."""
    site = make_site(delivery={"drain_s": 30})
    site.relay.traits = replace(site.relay.traits, slow_s=2 * LEASE_S + 0.5)
    site.relay.messages.play(["slow_ack"] * CONNECTIONS)
    site.send(20)
    draining = site.work()
    site.ledger.wait_for(CONNECTIONS)
    draining.signal(signal.SIGTERM)
    other = site.work()

    site.wait_for_states(sent=20)

    assert (draining.popen.wait(20), other.stop()) == (0, 0)
    assert site.duplicates == 0


@ON_ONE_ENGINE
def test_a_stop_while_nothing_is_there_is_quick(site):
    process = site.work()
    wait_until(lambda: process.pid in site.live_workers)

    assert process.stop(10) == 0
    assert site.live_workers == {}
