"""Two relays: one dies in the middle, the other one carries on, and gives back what was lent."""

from collections import Counter
from functools import partial
from itertools import repeat

import pytest

from envoi.core.delivery import State
from envoi.outbox import find
from envoi.outbox.filters import Page, Query
from envoi.outbox.relay import pause_by_hand, relays_down, resume_by_hand
from envoi.testing.relay import FaultyRelay
from tests.processes.site import CONNECTIONS, ON_ONE_ENGINE, Site, message_id, wait_until

MAILS = 700


@pytest.fixture
def backup():
    with FaultyRelay() as relay:
        yield relay


@pytest.fixture
def two(make_site, backup) -> Site:
    """A site whose relay has another one to stand in for it."""
    other = {"host": "127.0.0.1", "port": backup.port, "mail_from": "bounces@backup.test"}
    return make_site(
        smtp={"failover": ["backup"]},
        relays={"backup": {**other, "connections": CONNECTIONS}},
    )


def went_by(site):
    """How many attempts ended how at which relay."""
    with site.mailer.parts.outbox.reading() as tx:
        rows = tx.execute(
            "SELECT relay, outcome, COUNT(*) FROM envoi_attempt GROUP BY relay, outcome", {}
        )
    return {(relay, outcome): count for relay, outcome, count in rows}


def first_shown(site):
    with site.mailer.parts.outbox.reading() as tx:
        [newest, *_] = find.deliveries(tx, Query(), Page(limit=1))
        return find.show(tx, newest.delivery.id)


def have_stood_down(processes, times):
    """Whether the second relay has left the mail to the first again, so often in each process."""
    return all(process.log.count("leaves the mail of default") >= times for process in processes)


def is_paused(site):
    with site.mailer.parts.outbox.reading() as tx:
        return bool(relays_down(tx))


def test_a_relay_that_dies_in_the_middle_of_many_mails_costs_none(two, backup):
    """It dies twice; what it had and could not say so is the only excuse for a second copy."""
    processes = [two.work(), two.work()]
    wait_until(lambda: len(two.live_workers) == 2)
    for death in (1, 2):
        had = len(two.ledger.kept)
        two.send(MAILS, prefix=f"d{death}-")
        two.ledger.wait_for(had + 200, timeout_s=60)
        two.relay.stop()
        two.wait_for_states(sent=death * MAILS)
        two.relay.start()
        wait_until(lambda: not is_paused(two))
        wait_until(partial(have_stood_down, processes, death))

    assert [process.stop() for process in processes] == [0, 0]
    kept = [*two.ledger.kept, *backup.kept]
    copies = Counter(one.recipient for one in kept)
    assert len(copies) == 2 * MAILS
    # Two deaths, and on each connection at most one content whose answer had not come.
    assert sum(copies.values()) - 2 * MAILS <= 2 * CONNECTIONS
    assert len({(one.recipient, message_id(one.content)) for one in kept}) == 2 * MAILS
    assert {one.mail_from for one in backup.kept} == {"bounces@backup.test"}
    assert went_by(two)[("default", "sent")] >= 2 * 200 - 2 * CONNECTIONS
    assert went_by(two)[("backup", "sent")] >= 2


def test_mail_goes_back_to_its_own_relay_when_that_is_well(two, backup):
    two.relay.stop()
    process = two.work()
    two.send(20)
    two.wait_for_states(sent=20)
    assert len(backup.kept) == 20
    two.relay.start()
    wait_until(lambda: not is_paused(two))
    wait_until(lambda: "leaves the mail of default to default" in process.log)

    two.send(20, prefix="later-")
    two.wait_for_states(sent=40)

    assert process.stop() == 0
    assert len(backup.kept) == 20
    assert len(two.ledger.kept) == 20
    assert process.log.count("cannot be used") == 1
    assert process.log.count(" sent: by backup: 250 ") == 20


def test_what_the_one_that_stands_in_refuses_is_sent_by_its_own_relay(two, backup):
    """A `550` of a relay that was not meant ends nothing (I4)."""
    backup.messages.play(repeat("rcpt_550", 50))
    two.relay.stop()
    process = two.work()
    two.send(1)
    wait_until(lambda: ("backup", "retry") in went_by(two))
    assert two.states == {State.QUEUED: 1}
    [attempt] = first_shown(two).attempts
    assert "backup, which stood in, refused it: 550" in attempt.reply

    two.relay.start()
    two.wait_for_states(sent=1)

    assert process.stop() == 0
    assert [kept.recipient for kept in two.ledger.kept] == ["u0@x.test"]
    assert backup.kept == []
    assert first_shown(two).attempts[-1].relay == "default"


def test_where_all_are_away_mail_waits_for_the_first_that_is_back(two, backup):
    two.relay.stop()
    backup.stop()
    process = two.work()
    two.send(10)
    wait_until(lambda: process.log.count("cannot be used") == 2)
    two.wait_for_states(queued=10)

    backup.start()
    two.wait_for_states(sent=10)

    assert process.stop() == 0
    assert len(backup.kept) == 10


@ON_ONE_ENGINE
def test_one_run_delivers_by_the_one_that_stands_in(two, backup):
    """`work --once`: whoever had nothing to do looks again when its neighbour fails."""
    two.relay.stop()
    two.send(30)

    two.work_here()

    assert two.states == {State.SENT: 30}
    assert len(backup.kept) == 30


@ON_ONE_ENGINE
def test_a_relay_paused_by_hand_carries_nothing_until_it_is_resumed(two, backup):
    outbox = two.mailer.parts.outbox
    with outbox.transaction() as tx:
        pause_by_hand(tx, "default", "ann", 1)
    process = two.work()
    two.send(10)
    two.wait_for_states(sent=10)
    assert len(backup.kept) == 10
    assert two.ledger.connections == 0

    with outbox.transaction() as tx:
        assert resume_by_hand(tx, "default")
    wait_until(lambda: "leaves the mail of default to default" in process.log)
    two.send(10, prefix="later-")
    two.wait_for_states(sent=20)

    assert process.stop() == 0
    assert len(two.ledger.kept) == 10
    assert "cannot be used" not in process.log


@ON_ONE_ENGINE
def test_a_relay_without_another_one_waits_while_it_is_paused(make_site):
    site = make_site()
    with site.mailer.parts.outbox.transaction() as tx:
        pause_by_hand(tx, "default", "ann", 1)
    process = site.work()
    wait_until(lambda: site.live_workers)
    site.send(5)
    site.work_here()
    assert site.states == {State.QUEUED: 5}

    with site.mailer.parts.outbox.transaction() as tx:
        resume_by_hand(tx, "default")
    site.wait_for_states(sent=5)

    assert process.stop() == 0
    assert site.duplicates == 0


@ON_ONE_ENGINE
def test_a_slow_relay_holds_up_no_other(make_site, backup):
    """Each relay has a worker of its own (I6)."""
    site = make_site(
        application={"relay": "slow"},
        relays={"slow": {"host": "127.0.0.1", "port": backup.port, "connections": 1}},
    )
    backup.connections.play(repeat("hang_greet", 10))
    site.send(3)
    with site.mailer.parts.outbox.transaction() as tx:
        tx.execute("UPDATE envoi_delivery SET transport = 'default' WHERE ordinal > 1", {})
    process = site.work()

    site.wait_for_states(sent=2, sending=1)

    process.kill()
    assert {kept.recipient for kept in site.ledger.kept} == {"u1@x.test", "u2@x.test"}
