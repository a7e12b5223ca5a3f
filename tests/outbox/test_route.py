"""Events that were stored alone: leased, routed in chunks, finished in batches, any step twice."""

import pytest

from envoi.core.message import Composed
from envoi.errors import RefusedError
from envoi.outbox import explain, route
from envoi.outbox.store import PUT_OFF_MS
from tests.outbox.samples import (
    MINUTE,
    NOW,
    a_message,
    an_event,
    claimed,
    count,
    listed,
    many,
    stored,
)

REAL = {"title": "reset", "link": "https://x.test/s3cret"}
MASKED = {"title": "reset", "link": "********"}


def stored_alone(outbox, real=REAL, masked=MASKED, now_ms=NOW):
    with outbox.transaction() as tx:
        event = an_event(facts=masked)
        return outbox.put_event(tx, event, now_ms, to_route=real).id


def put_chunk(outbox, claim, deliveries, cursor):
    with outbox.transaction() as tx:
        message = a_message(claim.event_id)
        outbox.put(tx, Composed(message=message), deliveries, is_routing=True)
        outbox.keep_cursor(tx, claim, cursor, NOW)


def test_an_event_to_be_routed_comes_with_its_real_facts(outbox):
    event_id = stored_alone(outbox)

    claim = outbox.claim_event(NOW, MINUTE)

    assert (claim.event_id, claim.cursor, claim.claims) == (event_id, "", 1)
    assert (claim.event, claim.stored_at_ms) == (an_event(facts=REAL), NOW)
    with outbox.reading() as tx:
        assert explain.explain_event(tx, str(event_id)).event.facts == MASKED


def test_an_event_without_secrets_keeps_no_second_copy(outbox):
    stored_alone(outbox, MASKED, MASKED)

    assert outbox.claim_event(NOW, MINUTE).event.facts == MASKED
    assert count(outbox, "envoi_sealed") == 0


def test_events_are_leased_one_by_one_oldest_first(outbox):
    second, first = stored_alone(outbox), stored_alone(outbox, now_ms=NOW - 1)
    stored(outbox)

    claims = [outbox.claim_event(NOW, MINUTE) for _ in range(3)]
    assert [claim and claim.event_id for claim in claims] == [first, second, None]


def test_nothing_is_due_before_the_audience_is_complete(outbox):
    stored_alone(outbox)
    claim = outbox.claim_event(NOW, MINUTE)

    put_chunk(outbox, claim, many(3), "user:3")
    before = claimed(outbox)
    outbox.finish_routing(claim, NOW)

    assert before == ()
    assert len(claimed(outbox)) == 3
    assert count(outbox, "envoi_sealed") == 0
    with outbox.reading() as tx:
        assert explain.explain_event(tx, str(claim.event_id)).is_routed


def test_routing_goes_on_behind_the_last_chunk_of_a_dead_worker(outbox):
    stored_alone(outbox)
    dead = outbox.claim_event(NOW, -1)
    # The chunk's own commit extends the lease it was claimed with, which has run out again.
    put_chunk(outbox, dead, many(3), "user:3")

    heir = outbox.claim_event(NOW, MINUTE)

    assert (heir.cursor, heir.claims, heir.event.facts) == ("user:3", 2, REAL)


def test_a_worker_that_lost_its_lease_routes_nothing(outbox):
    stored_alone(outbox)
    zombie = outbox.claim_event(NOW, -1)
    heir = outbox.claim_event(NOW, MINUTE)

    with pytest.raises(RefusedError, match="lease was lost"):
        put_chunk(outbox, zombie, many(3), "user:3")
    with pytest.raises(RefusedError, match="lease was lost"):
        outbox.finish_routing(zombie, NOW)

    assert listed(outbox) == []
    outbox.finish_routing(heir, NOW)


def test_an_audience_without_anybody_is_finished_too(outbox):
    stored_alone(outbox)

    outbox.finish_routing(outbox.claim_event(NOW, MINUTE), NOW)

    assert outbox.claim_event(NOW + 10 * MINUTE, MINUTE) is None


@pytest.mark.parametrize("people", [2, 3, 7], ids=["one batch", "a whole batch", "several"])
def test_finishing_goes_in_batches_and_may_crash_between_any_two(outbox, monkeypatch, people):
    monkeypatch.setattr(route, "BATCH_ROWS", 3)
    stored_alone(outbox)
    dead = outbox.claim_event(NOW, -1)
    put_chunk(outbox, dead, many(people), "")
    steps = outbox.finish_in_steps(dead, lambda: NOW)
    first = next(steps, "finished")
    if first == "finished":
        assert len(claimed(outbox)) == people
        return

    # The worker dies here: what is due is sent, and its heir makes the rest due.
    assert len(claimed(outbox)) == 3
    for _ in outbox.finish_in_steps(outbox.claim_event(NOW, MINUTE), lambda: NOW):
        pass
    assert len(claimed(outbox)) == people - 3


def test_an_event_that_cannot_be_routed_now_waits_with_its_reason(outbox):
    event_id = stored_alone(outbox)
    claim = outbox.claim_event(NOW, MINUTE)

    assert outbox.put_off_routing(claim, NOW, "kind gone")
    assert outbox.claim_event(NOW + PUT_OFF_MS - 1, MINUTE) is None
    with outbox.reading() as tx:
        assert explain.explain_event(tx, str(event_id)).problem == "kind gone"
    assert outbox.claim_event(NOW + PUT_OFF_MS, MINUTE).claims == 2
    assert not outbox.put_off_routing(claim, NOW, "late")
