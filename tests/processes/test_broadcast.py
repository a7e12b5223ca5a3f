"""A broadcast whose command and whose service are killed with -9: everybody gets it, once."""

import random
import time

import pytest

from envoi import Event
from envoi.broadcasting import Broadcasting
from envoi.core.broadcast import Broadcast, Phase, Report
from envoi.core.routing import Selector
from envoi.outbox import broadcast_report, broadcasts
from envoi.outbox.broadcasts import Order
from tests.processes.site import CONNECTIONS, ON_ONE_ENGINE, PATIENCE_S, wait_until

ME = "tests"
# Two steps of a search; the relay answers at once, because the search is what is killed.
MANY = 1_100
# Every tenth answer is slow, so that a kill meets contents on their way.
SLOW_EVERY = 10


def addresses(count: int) -> list[str]:
    is_slow = count < MANY
    return [
        f"{'slowack-' if is_slow and n % SLOW_EVERY == 0 else ''}u{n}@x.test" for n in range(count)
    ]


def add_people(site, count: int) -> None:
    lines = ["login,email", *(f"u{n},{address}" for n, address in enumerate(addresses(count)))]
    path = site.folder / "users.csv"
    path.write_text("\n".join(lines))
    assert site.start("-m", "envoi", "user", "import", str(path)).popen.wait(PATIENCE_S) == 0


def store(site) -> int:
    """Store a broadcast to everybody, its people found; its id."""
    typed = Broadcast(subject="Sunday", body="Hi\n", recipients=(Selector.parse("everyone"),))
    us = Broadcasting(site.mailer.parts)
    claim = us.store(typed, ME)
    for _ in us.route(claim):
        pass
    return claim.event_id


def reports(site) -> list[Report]:
    with site.mailer.parts.outbox.reading() as tx:
        return [broadcast_report.report(tx, kept) for kept in broadcasts.listed(tx)]


def report_of(site, event_id) -> Report:
    with site.mailer.parts.outbox.reading() as tx:
        return broadcast_report.report(tx, broadcasts.find(tx, event_id))


def wait_for_end(site) -> None:
    # Each look counts everybody, which a busy worker would feel a hundred times a second.
    deadline = time.monotonic() + PATIENCE_S
    while not all(report.phase is Phase.DONE for report in reports(site)):
        assert time.monotonic() < deadline, f"it is not over: {reports(site)}"
        time.sleep(0.2)


def finish(site) -> None:
    """Let a last service send what is left."""
    process = site.work()
    wait_until(lambda: process.pid in site.live_workers)
    wait_for_end(site)
    assert process.stop() == 0


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_the_command_has_stored_all_of_it_or_nothing(site, seed):
    add_people(site, MANY)
    command = site.start("-m", "envoi", "admin", "email", "--everyone", "--wait", "-1", "S", "x")
    dice = random.Random(seed)
    # From before the first row to behind the last: the search takes about a second.
    if seed:
        wait_until(lambda: reports(site))
    time.sleep(dice.uniform(0, 0.8))

    command.kill()
    stored = len(reports(site))
    finish(site)

    assert stored in ({0, 1} if seed == 0 else {1})
    assert site.copies == (dict.fromkeys(addresses(MANY), 1) if stored else {})
    assert [report.sent for report in reports(site)] == [MANY] * stored


def test_a_service_killed_again_and_again_reaches_everybody(site):
    count, kills = 500, 4
    add_people(site, count)
    event_id = store(site)
    dice = random.Random(7)

    for number in range(kills):
        process = site.work()
        site.ledger.wait_for(number * 100 + dice.randrange(1, 100), timeout_s=PATIENCE_S)
        process.kill()
    finish(site)

    assert set(site.copies) == set(addresses(count))
    assert site.duplicates <= kills * CONNECTIONS
    assert max(site.copies.values()) <= 2
    site.assert_copies_are_equal()
    report = report_of(site, event_id)
    assert (report.sent, report.audience) == (count, count)


@ON_ONE_ENGINE
def test_a_service_killed_while_it_finds_the_people_misses_and_repeats_nobody(site):
    add_people(site, MANY)
    us = Broadcasting(site.mailer.parts)
    typed = Broadcast(subject="S", body="x", recipients=(Selector.parse("everyone"),))
    # As if the command had died right behind its first commit.
    us.give_back(us.store(typed, ME))
    process = site.work()
    wait_until(lambda: reports(site)[0].mails)
    process.kill()

    finish(site)

    assert site.copies == dict.fromkeys(addresses(MANY), 1)


def test_a_pause_stops_a_running_service_and_a_resume_misses_nobody(site):
    count = 400
    add_people(site, count)
    event_id = store(site)
    us = Broadcasting(site.mailer.parts)
    process = site.work()
    site.ledger.wait_for(40, timeout_s=PATIENCE_S)

    us.order(event_id, Order.PAUSED, ME)
    us.sweep(event_id)
    # What a connection had still goes; then nothing more is claimed, also after a restart.
    wait_until(lambda: not report_of(site, event_id).waiting)
    paused = report_of(site, event_id)
    process.kill()
    process = site.work()
    wait_until(lambda: process.pid in site.live_workers)
    still = report_of(site, event_id)
    us.order(event_id, Order.GOING, ME)
    us.sweep(event_id)
    wait_for_end(site)

    assert paused.phase is Phase.PAUSED
    assert paused.sent + paused.paused == count
    assert still == paused
    assert site.copies == dict.fromkeys(addresses(count), 1)
    assert process.stop() == 0


def test_a_cancellation_takes_back_exactly_what_was_not_sent(site):
    count = 400
    add_people(site, count)
    event_id = store(site)
    us = Broadcasting(site.mailer.parts)
    process = site.work()
    site.ledger.wait_for(40, timeout_s=PATIENCE_S)

    us.order(event_id, Order.CANCELLED, ME)
    us.sweep(event_id)
    wait_until(lambda: report_of(site, event_id).is_over)

    assert process.stop() == 0
    report = report_of(site, event_id)
    assert report.sent == len(site.copies)
    assert report.sent + report.cancelled == count
    assert report.cancelled > 0


def test_what_is_urgent_overtakes_a_broadcast(site):
    count = 400
    add_people(site, count)
    store(site)
    process = site.work()
    site.ledger.wait_for(20, timeout_s=PATIENCE_S)

    event = Event(
        kind="password_reset", people={"user": ("u7",)}, facts={"reset_url": "/reset?t=1"}
    )
    site.mailer.notify(event, strict=True)
    wait_until(lambda: resets(site))
    arrived = len(site.ledger.kept)
    wait_for_end(site)

    # Of 400 mails many were queued long before it, and went out after it.
    assert arrived < count
    assert len(site.ledger.kept) == count + 1
    assert process.stop() == 0


def resets(site) -> list[object]:
    return [kept for kept in site.ledger.kept if b"Type: password_reset" in kept.content]
