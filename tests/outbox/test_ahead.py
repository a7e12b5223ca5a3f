"""What a clock that was ahead left in the rows: found, made due, and nothing else touched."""

import pytest

from envoi.core.delivery import Retry
from envoi.outbox import ahead
from envoi.outbox import statements as st
from envoi.outbox.claim import Settlement
from envoi.outbox.relay import Pause
from tests.outbox.samples import (
    MINUTE,
    NOW,
    a_delivery,
    an_event,
    claimed,
    listed,
    many,
    settled,
    stored,
)

DAY = 86_400_000
HOUR = 3_600_000


def set_right(outbox, now_ms=NOW, slack_ms=30 * MINUTE):
    with outbox.transaction() as tx:
        return ahead.set_right(tx, now_ms, lease_ms=MINUTE, slack_ms=slack_ms)


def due(outbox):
    return [one.delivery.due_at_ms for one in listed(outbox)]


def run(outbox, statement, **params):
    with outbox.transaction() as tx:
        return tx.execute(statement, params)


def test_mail_stored_in_the_future_is_due_now(outbox):
    stored(outbox, [a_delivery(due_at_ms=NOW + DAY, created_at_ms=NOW + DAY)])

    assert set_right(outbox) == 1
    assert due(outbox) == [NOW]
    assert len(claimed(outbox)) == 1


def test_mail_refused_in_the_future_is_due_now(outbox):
    stored(outbox)
    later = Retry(because="450 busy", due_at_ms=NOW + DAY + HOUR, is_refusal=True)
    [claim] = claimed(outbox)
    settled(outbox, [Settlement(claim=claim, verdict=later)], NOW + DAY)

    assert set_right(outbox) == 1
    assert due(outbox) == [NOW]


@pytest.mark.parametrize(
    ("due_at_ms", "created_at_ms"),
    [
        (NOW + HOUR, NOW),  # refused by a relay, or meant for later
        (NOW + 365 * DAY, NOW),
        (NOW + 10 * MINUTE, NOW + 10 * MINUTE),  # stored by a host whose clock is a little ahead
        (st.FAR_FUTURE_MS, NOW + DAY),  # its audience is not complete
    ],
)
def test_mail_that_waits_rightly_goes_on_waiting(outbox, due_at_ms, created_at_ms):
    stored(outbox, [a_delivery(due_at_ms=due_at_ms, created_at_ms=created_at_ms)])

    assert set_right(outbox) == 0
    assert due(outbox) == [due_at_ms]


def test_a_long_list_is_set_right_in_batches(outbox):
    stored(outbox, many(ahead.BATCH_ROWS + 1, due_at_ms=NOW + DAY, created_at_ms=NOW + DAY))

    assert [set_right(outbox) for _ in range(3)] == [ahead.BATCH_ROWS, 1, 0]


def test_a_lease_that_nobody_can_have_ends_as_every_lease(outbox):
    stored(outbox)
    claimed(outbox, lease_ms=DAY)

    assert set_right(outbox) == 1
    [(until_ms,)] = run(outbox, f"SELECT lease_until_ms - {clock(outbox)} FROM envoi_delivery")
    assert 0 < until_ms <= MINUTE


def clock(outbox):
    """The clock that leases go by; here the caller's is `NOW`."""
    with outbox.reading() as tx:
        return st.sql(tx.dialect).clock.replace(":now_ms", str(NOW))


def test_a_lease_of_a_living_worker_stays(outbox):
    stored(outbox)
    claimed(outbox)

    assert set_right(outbox) == 0


def test_an_event_stored_in_the_future_is_routed_now(outbox):
    with outbox.transaction() as tx:
        event_id = outbox.put_event(tx, an_event(), NOW + DAY).id
    run(
        outbox,
        "UPDATE envoi_event SET state = 'to_route', due_at_ms = :due WHERE id = :id",
        due=NOW + DAY,
        id=event_id,
    )

    assert set_right(outbox) == 1
    assert outbox.claim_event(NOW, MINUTE).event_id == event_id


def test_a_pause_of_a_relay_ends_and_dead_workers_are_forgotten(outbox):
    outbox.relay_down(
        Pause(
            relay="default",
            because="refused",
            advice="",
            down_since_ms=NOW + DAY,
            paused_until_ms=NOW + DAY + MINUTE,
        )
    )
    outbox.heartbeat("dead", "default", NOW + DAY, MINUTE)
    if outbox.database.dialect == "postgresql":
        # There it is the server's clock that was wrong.
        run(outbox, "UPDATE envoi_worker SET seen_at_ms = seen_at_ms + :day", day=DAY)

    assert set_right(outbox) == 2
    assert outbox.may_try("default", NOW, MINUTE)
    assert run(outbox, "SELECT id FROM envoi_worker") == []
