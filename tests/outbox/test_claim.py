"""Steps 10 and 14: leases, the fence, what dead workers leave, and sealed words."""

import re
from dataclasses import replace

import pytest

from envoi.core.delivery import (
    Failed,
    GiveBack,
    Hold,
    Patience,
    Retry,
    Sent,
    State,
    Suppress,
    Uncertain,
)
from envoi.core.kind import MailClass
from envoi.outbox import find, open_outbox
from envoi.outbox import statements as st
from envoi.outbox.claim import HOLD_AFTER_LOSSES, SUSPECT_AFTER_LOSSES, Settlement
from tests.outbox.samples import (
    MINUTE,
    NOW,
    SEALED,
    a_delivery,
    claimed,
    count,
    listed,
    many,
    settled,
    states,
    stored,
)

SENT = Sent(because="250 2.0.0 ok")


def begun(outbox, claims):
    with outbox.transaction(is_synced=False) as tx:
        return outbox.begin(tx, claims)


def extended(outbox, claims, now_ms=NOW, lease_ms=MINUTE):
    with outbox.transaction(is_synced=False) as tx:
        return outbox.extend(tx, claims, now_ms, lease_ms)


def settle_all(outbox, verdict, now_ms=NOW, **how):
    claims = claimed(outbox, now_ms=now_ms, **how)
    return settled(outbox, [Settlement(claim=c, verdict=verdict) for c in claims], now_ms)


def sealed_words(outbox):
    return count(outbox, "envoi_sealed")


def outcomes(outbox):
    with outbox.reading() as tx:
        return [row[0] for row in tx.execute("SELECT outcome FROM envoi_attempt ORDER BY id", {})]


def test_a_claim_is_leased_to_its_worker_alone(outbox):
    stored(outbox, many(3))

    first = claimed(outbox, 2, worker="w1")
    second = claimed(outbox, 2, worker="w2")

    assert [claim.delivery.ordinal for claim in (*first, *second)] == [1, 2, 3]
    assert claimed(outbox, 2, worker="w3") == ()
    assert [(i.worker, i.delivery.state, i.delivery.claims) for i in listed(outbox)] == [
        ("w1", State.SENDING, 1), ("w1", State.SENDING, 1), ("w2", State.SENDING, 1),
    ]  # fmt: skip


def test_nothing_is_claimed_for_no_room(outbox):
    stored(outbox)

    assert claimed(outbox, 0) == ()


def test_security_mail_overtakes_everything(outbox):
    order = [MailClass.BROADCAST, MailClass.REPORT, MailClass.NOTICE, MailClass.SECURITY]
    for n, mail_class in enumerate(order):
        stored(outbox, [a_delivery(mail_class=mail_class, due_at_ms=NOW - 10 + n)])
    stored(outbox, [a_delivery(mail_class=MailClass.NOTICE, due_at_ms=NOW - 99)])

    claims = claimed(outbox)
    assert [(c.delivery.mail_class, c.delivery.due_at_ms) for c in claims] == [
        (MailClass.SECURITY, NOW - 7),
        (MailClass.NOTICE, NOW - 99),
        (MailClass.NOTICE, NOW - 8),
        (MailClass.REPORT, NOW - 9),
        (MailClass.BROADCAST, NOW - 10),
    ]


@pytest.mark.parametrize(
    "delivery",
    [
        a_delivery(due_at_ms=NOW + 1),
        a_delivery(transport="bulk"),
        a_delivery(state=State.HELD),
        a_delivery(expires_at_ms=NOW),
    ],
    ids=["not due", "another relay", "held", "expired"],
)
def test_what_may_not_go_is_not_claimed(outbox, delivery):
    stored(outbox, [delivery])

    assert claimed(outbox) == ()


@pytest.mark.parametrize(
    ("verdict", "state", "due_at_ms", "refusals", "attempts"),
    [
        (SENT, State.SENT, NOW, 0, 1),
        (Retry(because="451", due_at_ms=NOW + 9, is_refusal=True), State.QUEUED, NOW + 9, 1, 1),
        (Retry(because="gone", due_at_ms=NOW + 9, is_refusal=False), State.QUEUED, NOW + 9, 0, 1),
        (Failed(because="550 no"), State.FAILED, NOW, 0, 1),
        (Uncertain(because="cut", due_at_ms=NOW + 9), State.UNCERTAIN, NOW + 9, 0, 1),
        (Hold(because="SMTPUTF8"), State.HELD, NOW, 0, 1),
        (Suppress(because="guard"), State.SUPPRESSED, NOW, 0, 1),
        (GiveBack(because="stopped"), State.QUEUED, NOW, 0, 0),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "because") else str(value),
)
def test_a_verdict_is_written_down(outbox, verdict, state, due_at_ms, refusals, attempts):
    stored(outbox)

    lost = settle_all(outbox, verdict)

    [item] = listed(outbox)
    assert lost == ()
    assert (item.delivery.state, item.delivery.due_at_ms) == (state, due_at_ms)
    assert (item.delivery.refusals, item.delivery.claims) == (refusals, 1)
    assert (item.last_reply, item.attempts, item.worker) == (verdict.because, attempts, "")


def test_an_attempt_keeps_the_relays_own_words_and_times(outbox):
    stored(outbox)
    [claim] = claimed(outbox)

    settlement = Settlement(claim=claim, verdict=SENT, started_at_ms=NOW - 5, ended_at_ms=NOW - 2)
    settled(outbox, [settlement])

    with outbox.reading() as tx:
        [attempt] = find.show(tx, claim.id).attempts
    assert (attempt.started_at_ms, attempt.ended_at_ms) == (NOW - 5, NOW - 2)
    assert (attempt.outcome, attempt.reply, attempt.claims) == ("sent", "250 2.0.0 ok", 1)


def test_settling_nothing_is_nothing(outbox):
    assert settled(outbox, []) == ()
    assert begun(outbox, []) == ()


def test_settle_after_lost_lease_changes_nothing(outbox):
    stored(outbox)
    [zombie] = claimed(outbox, worker="frozen", lease_ms=-1)
    [mine] = claimed(outbox, worker="lively")

    lost = settled(outbox, [Settlement(claim=zombie, verdict=Failed(because="late"))])

    [item] = listed(outbox)
    assert lost == (zombie.id,)
    assert (item.delivery.state, item.worker, item.attempts) == (State.SENDING, "lively", 1)
    assert mine.delivery.claims == zombie.delivery.claims + 1
    assert settled(outbox, [Settlement(claim=mine, verdict=SENT)]) == ()
    assert settled(outbox, [Settlement(claim=mine, verdict=SENT)]) == (mine.id,)


def test_a_lost_claim_is_neither_begun_nor_extended(outbox):
    stored(outbox, many(2))
    first, second = claimed(outbox, worker="frozen", lease_ms=-1)
    claimed(outbox, 1, worker="lively")

    assert begun(outbox, [first, second]) == (first.id, second.id)
    assert extended(outbox, [first, second]) == (first.id, second.id)


def test_an_extended_lease_is_not_taken_back(outbox):
    stored(outbox)
    claims = claimed(outbox, lease_ms=-1)

    assert extended(outbox, claims) == ()
    assert claimed(outbox, worker="w2") == ()


def test_a_relays_own_mail_comes_before_that_of_the_relay_it_stands_in_for(outbox):
    stored(outbox, [a_delivery("away@example.org", transport="away")])
    stored(outbox, [a_delivery("own@example.org", transport="backup")])
    urgent = a_delivery("urgent@example.org", transport="away", mail_class=MailClass.SECURITY)
    stored(outbox, [urgent])

    claims = claimed(outbox, transport="backup", wards=("away",))

    addresses = [claim.delivery.address.local for claim in claims]
    assert addresses == ["urgent", "own", "away"]
    assert {claim.relay for claim in claims} == {"backup"}


def test_a_relays_mail_is_left_alone_by_the_others(outbox):
    stored(outbox, [a_delivery(transport="away")])

    assert claimed(outbox, transport="backup", wards=("third",)) == ()


def test_each_attempt_says_which_relay_it_went_by(outbox):
    """Also where its worker died: a copy may lie at that relay."""
    stored(outbox)
    [dead] = claimed(outbox, lease_ms=-1, transport="backup", wards=("default",))
    begun(outbox, [dead])
    [again] = claimed(outbox)
    settled(outbox, [Settlement(claim=again, verdict=SENT)])

    with outbox.reading() as tx:
        shown = find.show(tx, again.id)

    assert [attempt.relay for attempt in shown.attempts] == ["backup", "default"]
    assert shown.listed.relay == "default"


def test_what_a_dead_worker_had_not_begun_is_simply_queued(outbox):
    stored(outbox)
    claimed(outbox, worker="dead", lease_ms=-1)

    [claim] = claimed(outbox, worker="w2")

    [item] = listed(outbox)
    assert (claim.delivery.claims, item.worker) == (2, "w2")


def test_what_a_dead_worker_had_begun_is_uncertain_and_goes_again_after_its_lease(outbox):
    """The lease was its wait: a crash delays mail by one lease, not by two waits."""
    wait_ms = Patience().uncertain_wait_ms
    stored(outbox)
    [dead] = claimed(outbox, worker="dead", lease_ms=-1)
    begun(outbox, [dead])

    [again] = claimed(outbox, worker="w2", lease_ms=wait_ms)

    [item] = listed(outbox)
    assert "worker dead died after the content may have left" in item.last_reply
    assert (again.delivery.message_id, again.delivery.claims) == (dead.delivery.message_id, 2)
    assert outcomes(outbox) == ["uncertain"]


def test_a_doubt_waits_for_what_the_lease_was_too_short_for(outbox):
    stored(outbox)
    begun(outbox, claimed(outbox, worker="dead", lease_ms=-1))

    assert claimed(outbox, worker="w2", lease_ms=20_000) == ()

    [item] = listed(outbox)
    assert item.delivery.state is State.UNCERTAIN
    assert item.delivery.due_at_ms == NOW + Patience().uncertain_wait_ms - 20_000
    assert len(claimed(outbox, now_ms=item.delivery.due_at_ms)) == 1


def test_a_broadcast_in_doubt_is_held_where_the_settings_say_so(outbox_url):
    broadcast = MailClass.BROADCAST
    outbox = open_outbox(outbox_url, patience=Patience(hold_uncertain=frozenset({broadcast})))
    stored(outbox, [a_delivery("b@x.test", mail_class=broadcast), a_delivery("n@x.test")])
    begun(outbox, claimed(outbox, worker="dead", lease_ms=-1))

    again = claimed(outbox, worker="w2", lease_ms=Patience().uncertain_wait_ms)

    assert [str(claim.delivery.address) for claim in again] == ["n@x.test"]
    [held] = listed(outbox, states=(State.HELD,))
    assert held.last_reply.startswith("perhaps sent, for you to decide: worker dead died")
    outbox.close()


def test_security_mail_in_doubt_goes_again_at_once_and_then_waits(outbox):
    stored(outbox, [a_delivery(mail_class=MailClass.SECURITY)])
    begun(outbox, claimed(outbox, worker="dead", lease_ms=-1))

    [again] = claimed(outbox, worker="dead too", lease_ms=-1)
    begun(outbox, [again])

    assert again.delivery.claims == 2
    assert claimed(outbox, worker="w3") == ()


def test_what_stays_in_doubt_for_days_waits_for_an_operator(outbox_url):
    outbox = open_outbox(outbox_url, patience=Patience(give_up_after_ms=1_000))
    stored(outbox)
    begun(outbox, claimed(outbox, worker="dead", lease_ms=-1, now_ms=NOW + 1_000))

    claimed(outbox, now_ms=NOW + 1_000)

    assert states(outbox) == [State.HELD]
    outbox.close()


def test_a_delivery_that_kills_its_workers_goes_alone_and_then_waits(outbox):
    stored(outbox, many(3))
    sizes = [
        len(claimed(outbox, worker="doomed", lease_ms=-1)) for _ in range(SUSPECT_AFTER_LOSSES + 1)
    ]
    # From the third loss on, what was lost together is due one by one.
    assert sizes == [3, 3, 3, 1]

    poison = listed(outbox, states=(State.SENDING,))[0].delivery.id
    for _ in range(HOLD_AFTER_LOSSES):
        claimed(outbox, 1, worker="doomed", lease_ms=-1)
        [item] = listed(outbox, ids=(poison,))
        if item.delivery.state is State.HELD:
            break
    assert f"{HOLD_AFTER_LOSSES} times" in item.last_reply
    assert sorted(states(outbox)) == [State.HELD, State.QUEUED, State.QUEUED]


def test_expired_mail_leaves_every_waiting_state(outbox):
    waiting = [
        a_delivery("a@x.test", expires_at_ms=NOW),
        a_delivery("b@x.test", expires_at_ms=NOW, state=State.HELD),
        a_delivery("c@x.test", expires_at_ms=NOW, state=State.UNCERTAIN),
        a_delivery("d@x.test", expires_at_ms=NOW, state=State.SENT),
        a_delivery("e@x.test", expires_at_ms=NOW + 1),
        a_delivery("f@x.test"),
    ]
    stored(outbox, waiting, sealed=SEALED)

    assert outbox.expire_due(NOW) == 3
    assert states(outbox) == [State.EXPIRED] * 3 + [State.SENT, State.QUEUED, State.QUEUED]
    assert outbox.expire_due(NOW) == 0
    assert sealed_words(outbox) == 1


def test_any_number_expires(outbox):
    stored(outbox, many(1_001, expires_at_ms=NOW), sealed=SEALED)

    assert outbox.expire_due(NOW) == 1_001
    assert sealed_words(outbox) == 0


def test_sealed_words_go_with_the_last_final_delivery(outbox):
    stored(outbox, many(4), sealed=SEALED)
    first, second, third, fourth = claimed(outbox)

    settled(outbox, [Settlement(claim=first, verdict=SENT)])
    settled(outbox, [Settlement(claim=second, verdict=Hold(because="SMTPUTF8"))])
    doubt = Uncertain(because="cut", due_at_ms=NOW)
    settled(outbox, [Settlement(claim=third, verdict=doubt)])
    settled(outbox, [Settlement(claim=fourth, verdict=Failed(because="550"))])
    message_id = first.delivery.message_id
    with outbox.reading() as tx:
        assert outbox.messages(tx, [message_id])[message_id].sealed == SEALED

    settle_all(outbox, SENT)
    with outbox.transaction() as tx:
        tx.execute("UPDATE envoi_delivery SET state = 'queued' WHERE state = 'held'", {})
    settle_all(outbox, SENT)

    assert sealed_words(outbox) == 0
    with outbox.reading() as tx:
        left = outbox.messages(tx, [message_id])[message_id]
    assert left.message.is_sealed
    assert left.sealed is None


def test_a_message_without_secrets_is_never_marked(outbox):
    stored(outbox)

    settle_all(outbox, SENT)

    with outbox.reading() as tx:
        assert tx.execute("SELECT sealed FROM envoi_message", {})[0][0] == 0


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("claim", "envoi_delivery_waiting"),
        ("lost", "envoi_delivery_(leased|settled)"),
        ("expire", "envoi_delivery_expiring"),
        ("settle", "PRIMARY KEY|envoi_delivery_(pkey|leased)"),
        ("begin", "PRIMARY KEY|envoi_delivery_(pkey|leased)"),
    ],
)
def test_a_turn_reads_indexes_and_not_the_table(outbox, statement, index):
    """At a million rows as at ten (L3)."""
    stored(outbox, many(50))
    params = {"worker": "w", "lease_ms": 1, "now_ms": NOW, "transport": "default", "class": 1}
    params |= {"limit": 5, "rows": '[[1,1,"sent",0,0,"250"]]', "relay": "default"}
    is_sqlite = outbox.database.dialect == "sqlite"

    with outbox.transaction() as tx:
        if not is_sqlite:
            tx.execute("SET LOCAL enable_seqscan = off", {})
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        plan = tx.execute(f"{explain} {getattr(st.sql(tx.dialect), statement)}", params)

    words = " ".join(str(tuple(row)) for row in plan)
    assert re.search(index, words), words
    assert "SCAN envoi_delivery'" not in words
    assert "Seq Scan on envoi_delivery" not in words


def test_leases_on_postgresql_are_the_databases_time(postgresql_url):
    """Two machines whose clocks stand a day apart do not take from one another (K1, K2)."""
    outbox = open_outbox(postgresql_url)
    stored(outbox)
    claimed(outbox, worker="here")

    assert claimed(outbox, worker="there", now_ms=NOW + 86_400_000) == ()
    assert replace(listed(outbox)[0].delivery).state is State.SENDING
    outbox.close()
