"""kill -9, again and again: everything arrives, and a copy too many has its one excuse (I2)."""

import signal

import pytest

from envoi.core.delivery import State
from tests.processes.site import CONNECTIONS, wait_until


def finish(site, count):
    """Let a last worker deliver what is left."""
    process = site.work()
    site.wait_for_states(sent=count)
    assert process.stop() == 0


def test_killed_five_times_in_a_thousand_deliveries_everything_arrives(site):
    count, kills = 1_000, 5
    site.send(count)

    for number in range(kills):
        process = site.work()
        site.ledger.wait_for((number + 1) * 150, timeout_s=45)
        process.kill()
    finish(site, count)

    assert len(site.copies) == count
    assert site.duplicates <= kills * CONNECTIONS
    assert max(site.copies.values()) <= 2
    site.assert_copies_are_equal()
    assert site.stats.total == count
    assert site.stats.by_state[State.SENDING] == 0
    assert site.ledger.violations == []


@pytest.mark.parametrize(
    ("fault", "copies_each"),
    [
        # The relay has the mail and its answer never came: one copy more, the excused one.
        ("hang_kept", 2),
        # The relay never had all of it.
        ("hang_in_data", 1),
    ],
)
def test_killed_with_a_content_on_each_connection(site, fault, copies_each):
    site.relay.messages.play([fault] * CONNECTIONS)
    site.send(20)
    process = site.work()
    wait_until(lambda: len(set(open_contents(site))) == CONNECTIONS)
    begun = set(open_contents(site))

    process.kill()
    finish(site, 20)

    assert site.copies == {
        f"u{n}@x.test": copies_each if f"u{n}@x.test" in begun else 1 for n in range(20)
    }
    site.assert_copies_are_equal()


def open_contents(site):
    """To whom the contents go whose answer is awaited: begun, and the first on a connection."""
    with site.mailer.parts.outbox.reading() as tx:
        rows = tx.execute(
            "SELECT address FROM envoi_delivery WHERE state = 'sending' AND begun = 1", {}
        )
    return [str(address) for (address,) in rows]


def test_a_second_worker_takes_over_from_a_dead_one(site):
    """Nobody restarts the dead one: who is alive takes back what it held."""
    site.relay.messages.play(["hang_in_data"] * CONNECTIONS)
    site.send(40)
    dead = site.work()
    wait_until(lambda: len(open_contents(site)) == CONNECTIONS)
    alive = site.work()
    wait_until(lambda: len(site.live_workers) == 2)

    dead.kill()

    site.wait_for_states(sent=40)
    assert alive.stop() == 0
    assert site.duplicates == 0


def test_frozen_longer_than_its_lease_it_is_fenced(site):
    """SIGSTOP, another worker takes over, SIGCONT: what the zombie learns changes nothing."""
    site.relay.messages.play(["slow_ack"] * CONNECTIONS)
    site.send(60)
    frozen = site.work()
    wait_until(lambda: len(open_contents(site)) == CONNECTIONS)

    frozen.signal(signal.SIGSTOP)
    other = site.work()
    site.wait_for_states(sent=60)
    frozen.signal(signal.SIGCONT)
    wait_until(lambda: "lease lost" in frozen.log)

    assert (frozen.stop(), other.stop()) == (0, 0)
    assert site.states == {State.SENT: 60}
    assert site.duplicates <= CONNECTIONS
    site.assert_copies_are_equal()
