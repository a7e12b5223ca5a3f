"""A worker holds mail to its rates, and removes what is old, beside what it delivers."""

import pytest

from envoi.assembly import Parts
from envoi.core.delivery import State
from envoi.core.people import Address, Mailbox
from envoi.core.ready import ReadyMail
from envoi.core.retention import DAY_MS, Retention
from envoi.errors import OutboxUnavailableError, RefusedError
from envoi.journal import Fact
from envoi.outbox import chore
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.retention import ASK_MS, CHORE, LEASE_MS, ROUND_MS, Pruner, begun, prune, retention_of

ADDRESSES = ("ann@one.test", "bob@one.test", "eve@two.test")


def mailed(mailer, addresses=ADDRESSES):
    for address in addresses:
        local, _, domain = address.partition("@")
        to = (Mailbox(Address(local, domain)),)
        mailer.send(ReadyMail(to=to, subject=f"For {address}", text="Hello"), strict=True)


@pytest.fixture
def deliver(faulty_relay):
    """Return `deliver(mailer)`: have a worker send what may leave now; to whom it did."""

    def done(mailer):
        before = len(faulty_relay.kept)
        worker = mailer.make_worker()
        worker.run_until_idle()
        worker.drain()
        return sorted(kept.recipient for kept in faulty_relay.kept[before:])

    return done


@pytest.fixture
def relay(faulty_relay):
    """Where it listens, as settings."""
    return {"host": "127.0.0.1", "port": faulty_relay.port}


def listed(mailer):
    with mailer.parts.outbox.reading() as tx:
        return list(reversed(deliveries(tx, Query())))


def time_goes_on(mailer, by_ms):
    """For the buckets and for what waits, as if so much time had passed."""
    with mailer.parts.outbox.transaction() as tx:
        tx.execute(
            "UPDATE envoi_rate SET spent_until_us = spent_until_us - :us", {"us": by_ms * 1000}
        )
        tx.execute("UPDATE envoi_delivery SET due_at_ms = due_at_ms - :ms", {"ms": by_ms})


def test_a_relay_gets_no_more_than_its_rate(make_mailer, relay, deliver):
    mailer = make_mailer(smtp={**relay, "per_minute": 2})
    mailed(mailer)

    assert deliver(mailer) == ["ann@one.test"]
    assert deliver(mailer) == []
    time_goes_on(mailer, 30_000)
    assert deliver(mailer) == ["bob@one.test"]


def test_a_domain_gets_no_more_than_its_rate_and_others_do_not_wait(make_mailer, relay, deliver):
    mailer = make_mailer(smtp={**relay, "domains_per_minute": ["one.test=2"]})
    mailed(mailer)

    assert deliver(mailer) == ["ann@one.test", "eve@two.test"]
    [waiting] = [item for item in listed(mailer) if item.delivery.state is State.QUEUED]
    assert waiting.last_reply == "waits for its turn: one.test gets 2 mails a minute at most"
    assert waiting.attempts == 0

    time_goes_on(mailer, 30_000)
    assert deliver(mailer) == ["bob@one.test"]
    assert listed(mailer)[1].delivery.refusals == 0


def test_a_relay_of_its_own_name_has_a_rate_of_its_own(make_mailer, relay):
    mailer = make_mailer(
        smtp={**relay, "per_minute": 1},
        relays={"bulk": relay},
    )

    assert mailer.parts.settings.relay("bulk").rates.relay is None
    assert mailer.parts.settings.relay("default").rates.relay.per_minute == 1


# Removing what is old.


@pytest.fixture
def kept(make_mailer, relay, deliver):
    """A mailer with a mail that was sent 40 days ago."""
    mailer = make_mailer(smtp=relay)
    mailed(mailer, ADDRESSES[:1])
    deliver(mailer)
    with mailer.parts.outbox.transaction() as tx:
        at_ms = mailer.parts.clock() - 40 * DAY_MS
        tx.execute("UPDATE envoi_event SET stored_at_ms = :at_ms", {"at_ms": at_ms})
        tx.execute("UPDATE envoi_delivery SET settled_at_ms = :at_ms", {"at_ms": at_ms})
        tx.execute("UPDATE envoi_chore SET due_at_ms = 0, lease_until_ms = 0", {})
    return mailer


def noted(parts: Parts):
    facts = []
    parts.journal.subscribe(lambda fact, fields: facts.append((fact, fields)))
    return facts


def pruned(parts: Parts, now_ms=0, **how):
    """Let a worker's part in it take every step that is due, without the rests."""
    pruner = Pruner(parts, "w1")
    for _ in range(20):
        pruner.next_due_ms = 0
        pruner.look(now_ms or parts.clock())
    return pruner


def due_at_ms(parts: Parts):
    with parts.outbox.reading() as tx:
        return tx.execute("SELECT due_at_ms FROM envoi_chore WHERE name = 'prune'", {})[0][0]


def test_a_worker_removes_what_is_old(kept, deliver):
    facts = noted(kept.parts)
    mailed(kept, ADDRESSES[1:])

    assert len(deliver(kept)) == 2

    [old, *others] = listed(kept)
    assert old.removed_at_ms > 0
    assert old.subject == ""
    assert {item.removed_at_ms for item in others} == {0}
    told = [fields for fact, fields in facts if fact is Fact.OUTBOX_PRUNED]
    assert told == [{"contents": 1, "events": 0, "deliveries": 0}]


def test_a_round_comes_once_an_hour(kept):
    now_ms = kept.parts.clock()
    pruned(kept.parts)

    assert now_ms + ROUND_MS <= due_at_ms(kept.parts) <= kept.parts.clock() + ROUND_MS


def test_who_has_nothing_to_do_asks_again_later(kept):
    pruned(kept.parts)
    pruner = Pruner(kept.parts, "w2")
    now_ms = kept.parts.clock()

    pruner.look(now_ms)

    assert pruner.next_due_ms == now_ms + ASK_MS


def test_between_two_steps_others_have_the_database(kept):
    pruner = Pruner(kept.parts, "w1")
    before_ms = kept.parts.clock()

    pruner.look(before_ms)

    assert before_ms < pruner.next_due_ms < before_ms + ASK_MS


@pytest.mark.parametrize("is_trial", [True, False])
def test_only_who_writes_rests_between_two_steps(kept, is_trial):
    cut = retention_of(kept.parts.settings.retention).cut(kept.parts.clock())
    rests: list[float] = []

    prune(kept.parts, cut, is_whole=True, is_trial=is_trial, rest=rests.append)

    assert bool(rests) is not is_trial


def test_a_round_of_another_process_is_left_to_it(kept):
    with kept.parts.outbox.transaction() as tx:
        chore.claim(tx, CHORE, kept.parts.clock(), LEASE_MS)

    pruned(kept.parts)

    assert listed(kept)[0].removed_at_ms == 0


def test_a_worker_that_stops_leaves_the_rest_to_the_next_one(kept):
    first = Pruner(kept.parts, "w1")
    first.look(kept.parts.clock())
    first.sign_off()

    pruned(kept.parts)

    assert listed(kept)[0].removed_at_ms > 0


def lose_round(mailer):
    with mailer.parts.outbox.transaction() as tx:
        tx.execute("UPDATE envoi_chore SET claims = claims + 1", {})


def test_a_step_of_a_lost_round_removes_nothing(kept):
    cut = Retention().cut(kept.parts.clock())
    first = begun(kept.parts, cut)
    assert first is not None
    lose_round(kept)

    with pytest.raises(RefusedError, match="another process"):
        first.step()
    assert listed(kept)[0].removed_at_ms == 0


def test_who_lost_his_round_leaves_it_alone(kept):
    facts = noted(kept.parts)
    first = Pruner(kept.parts, "w1")
    first.look(kept.parts.clock())
    lose_round(kept)

    for _ in range(20):
        first.next_due_ms = 0
        first.look(kept.parts.clock())
    first.sign_off()

    assert due_at_ms(kept.parts) == 0
    assert [fact for fact, _ in facts] == [Fact.OUTBOX_PRUNED]


def test_what_cannot_be_removed_now_is_told_and_removed_later(kept, monkeypatch):
    facts = noted(kept.parts)

    def unavailable(**_how):
        raise OutboxUnavailableError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(kept.parts.outbox, "transaction", unavailable)
        pruned(kept.parts)
    assert facts[0] == (Fact.WORKER_BROKEN, {"worker": "w1", "because": facts[0][1]["because"]})

    pruned(kept.parts)
    assert listed(kept)[0].removed_at_ms > 0


def test_what_is_emptied_is_never_sent(kept, deliver):
    """However it got back into the queue, an empty mail must not leave."""
    pruned(kept.parts)
    with kept.parts.outbox.transaction() as tx:
        tx.execute("UPDATE envoi_delivery SET state = 'queued'", {})

    assert deliver(kept) == []
    assert listed(kept)[0].delivery.state is State.FAILED
