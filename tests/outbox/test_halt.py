"""Everything held at once, before a restored backup is served (RELIABILITY S11)."""

from envoi.core.delivery import Move, Sent, State
from envoi.outbox import halt
from envoi.outbox.claim import Settlement
from envoi.outbox.filters import Query
from tests.outbox.samples import (
    MINUTE,
    NOW,
    a_delivery,
    an_event,
    claimed,
    count,
    listed,
    many,
    settled,
    states,
    stored,
)

ALL = Query(states=(State.QUEUED, State.UNCERTAIN, State.HELD))


def to_route(outbox, **event):
    with outbox.transaction() as tx:
        return outbox.put_event(tx, an_event(**event), NOW, to_route={"token": "s3cret"}).id


def test_nothing_is_left_to_be_sent(outbox):
    stored(outbox, [a_delivery(state=state) for state in (State.UNCERTAIN,)])
    stored(outbox, many(3))
    claimed(outbox, 2)
    to_route(outbox)

    held = outbox.hold_all(NOW)

    assert held == halt.HeldAll(deliveries=4, in_doubt=0, events=1)
    assert set(states(outbox)) == {State.HELD}
    assert claimed(outbox, now_ms=NOW + MINUTE) == ()
    assert outbox.claim_event(NOW + MINUTE, MINUTE) is None


def test_what_is_over_stays_as_it_is(outbox):
    over = (State.SENT, State.FAILED, State.CANCELLED, State.EXPIRED, State.SUPPRESSED)
    for state in over:
        stored(outbox, [a_delivery(state=state)])

    assert outbox.hold_all(NOW).deliveries == 0
    assert tuple(states(outbox)) == over


def test_what_a_worker_had_says_whether_it_may_have_been_sent(outbox):
    stored(outbox, many(2))
    first, _second = claims = claimed(outbox, worker="w7")
    with outbox.transaction() as tx:
        outbox.begin(tx, [first])

    held = outbox.hold_all(NOW)

    assert (held.deliveries, held.in_doubt) == (2, 1)
    assert [item.last_reply for item in listed(outbox)] == [
        "held by hand: worker w7 had it and may have sent it",
        "held by hand: worker w7 had it and had not begun it",
    ]
    # A worker that was forgotten changes nothing any more.
    late = [Settlement(claim=claim, verdict=Sent(because="250")) for claim in claims]
    assert settled(outbox, late) == tuple(claim.id for claim in claims)


def test_a_worker_that_routes_meanwhile_loses_its_lease(outbox):
    to_route(outbox)
    claim = outbox.claim_event(NOW, MINUTE)

    outbox.hold_all(NOW)

    assert not outbox.put_off_routing(claim, NOW, "trouble")
    assert outbox.hold_all(NOW).events == 0


def test_a_long_list_is_held_in_batches(outbox, monkeypatch):
    monkeypatch.setattr(halt, "BATCH_ROWS", 3)
    stored(outbox, many(10))
    claimed(outbox, 4)

    assert outbox.hold_all(NOW).deliveries == 10
    assert set(states(outbox)) == {State.HELD}


def test_a_held_event_is_routed_once_it_is_released(outbox):
    event_id = to_route(outbox)
    outbox.hold_all(NOW)

    assert outbox.decide_events(Move.RELEASE, Query(states=(State.HELD,)), NOW) == 1

    claim = outbox.claim_event(NOW, MINUTE)
    assert (claim.event_id, claim.event.facts) == (event_id, {"token": "s3cret"})


def test_a_held_event_that_is_cancelled_is_over_and_its_secrets_are_gone(outbox):
    to_route(outbox)
    outbox.hold_all(NOW)

    assert outbox.decide_events(Move.CANCEL, ALL, NOW) == 1

    assert count(outbox, "envoi_sealed") == 0
    assert outbox.claim_event(NOW, MINUTE) is None
    assert outbox.decide_events(Move.RELEASE, Query(), NOW) == 0


def test_an_event_that_is_not_held_is_nobodys_to_decide(outbox):
    to_route(outbox)

    assert outbox.decide_events(Move.CANCEL, ALL, NOW) == 0
    assert outbox.claim_event(NOW, MINUTE) is not None


def test_a_condition_means_the_events_that_it_fits(outbox):
    meant = to_route(outbox, kind="alarm", application="wiki")
    to_route(outbox)
    outbox.hold_all(NOW)

    def found(**query):
        with outbox.reading() as tx:
            return outbox.held_events(tx, Move.RELEASE, Query(**query))

    assert found(kind="alarm") == found(application="wiki") == found(event_id=meant) == (meant,)
    assert len(found(since_ms=NOW)) == 2
    for none in (
        {"since_ms": NOW + 1},
        {"ids": (meant,)},
        {"address": "ann@example.org"},
        {"transport": "default"},
        {"states": (State.QUEUED,)},
    ):
        assert found(**none) == ()
    with outbox.reading() as tx:
        assert outbox.held_events(tx, Move.RETRY, Query()) == ()
