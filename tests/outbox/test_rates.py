"""Claims held to rates: over all workers, by domain, and with security mail first."""

from dataclasses import replace
from itertools import pairwise

import pytest

from envoi.core.delivery import Patience, Retry, Sent, State
from envoi.core.kind import MailClass
from envoi.core.rate import LONGEST_TURN_MS, Rate, Rates
from envoi.outbox import rates
from envoi.outbox.claim import ClaimOrder, Settlement
from tests.outbox.samples import MINUTE, NOW, a_delivery, count, listed, settled, stored

THIRTY = Rates(domains={"gmail.test": Rate(30)})
RELAY = Rates(relay=Rate(600))


def moment(outbox):
    """The moment by the clock that rates go by: the server's own on PostgreSQL."""
    if outbox.database.dialect == "sqlite":
        return NOW
    with outbox.reading() as tx:
        sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
        return int(tx.execute(sql, {})[0][0])


@pytest.fixture
def now(outbox):
    return moment(outbox)


def taken(outbox, limits, now_ms, limit=100, *, worker="w1", transport="default", **how):
    order = ClaimOrder(worker=worker, limit=limit, lease_ms=MINUTE, transport=transport, **how)
    with outbox.transaction(is_synced=False) as tx:
        return rates.claim(tx, order, limits, now_ms, Patience())


def addresses(found):
    return [str(claim.delivery.address) for claim in found.claims]


def to(domain, number, start=1, **changes):
    return [
        a_delivery(f"user{n:03d}@{domain}", ordinal=n, **changes)
        for n in range(start, start + number)
    ]


def due_now(outbox, deliveries, now_ms, **message):
    return stored(
        outbox, [replace(d, due_at_ms=now_ms, created_at_ms=now_ms) for d in deliveries], **message
    )


def put_off(outbox):
    return [item for item in listed(outbox) if item.last_reply.startswith("waits for its turn")]


def passed(outbox, relay="default", by_ms=MINUTE):
    """As if so much time had passed for the buckets."""
    with outbox.transaction() as tx:
        tx.execute(
            """UPDATE envoi_rate SET spent_until_us = spent_until_us - :us,
                line_until_ms = line_until_ms - :ms WHERE relay = :relay""",
            {"us": by_ms * 1000, "ms": by_ms, "relay": relay},
        )


def test_without_rates_nothing_is_counted(outbox, now):
    due_now(outbox, to("gmail.test", 5), now)

    found = taken(outbox, Rates(), now, 3)

    assert (len(found.claims), found.again_at_ms) == (3, 0)
    assert taken(outbox, Rates(), now, 3).again_at_ms is None
    assert count(outbox, "envoi_rate") == 0


def test_a_relay_gets_a_second_s_worth_at_once_and_then_one_by_one(outbox, now):
    due_now(outbox, to("example.test", 30), now)

    first = taken(outbox, RELAY, now)
    assert len(first.claims) == 10

    again = taken(outbox, RELAY, now)
    assert len(again.claims) <= 1
    assert now < again.again_at_ms <= now + Rate(600).gap_us // 1000 + 1


def test_all_workers_of_a_relay_share_its_rate(outbox, now):
    due_now(outbox, to("example.test", 30), now)

    assert len(taken(outbox, RELAY, now, worker="w1").claims) == 10
    assert len(taken(outbox, RELAY, now, worker="w2").claims) <= 1


def test_each_relay_has_a_rate_of_its_own(outbox, now):
    due_now(outbox, to("example.test", 20), now)
    due_now(outbox, to("example.test", 20, transport="bulk"), now)

    assert len(taken(outbox, RELAY, now).claims) == 10
    assert len(taken(outbox, RELAY, now, transport="bulk").claims) == 10


def test_who_stands_in_for_a_relay_spends_his_own_rate(outbox, now):
    due_now(outbox, to("example.test", 20), now)

    taken(outbox, RELAY, now, transport="bulk", wards=("default",))

    with outbox.reading() as tx:
        assert rates.spent(tx, "default") == {}
        assert rates.spent(tx, "bulk")[rates.WHOLE][0] > now * 1000


def test_what_was_not_claimed_is_not_spent(outbox, now):
    due_now(outbox, to("example.test", 3), now)

    assert len(taken(outbox, RELAY, now).claims) == 3
    due_now(outbox, to("example.test", 20), now)
    assert len(taken(outbox, RELAY, now).claims) in {7, 8}


def test_a_domain_over_its_rate_waits_and_others_do_not(outbox, now):
    due_now(outbox, to("gmail.test", 5), now)
    due_now(outbox, to("example.test", 5), now)

    found = taken(outbox, THIRTY, now)

    assert addresses(found) == [
        "user001@gmail.test", *(f"user{n:03d}@example.test" for n in range(1, 6))
    ]  # fmt: skip
    assert [str(item.delivery.address) for item in put_off(outbox)] == [
        f"user{n:03d}@gmail.test" for n in range(2, 6)
    ]


def test_a_large_backlog_of_one_domain_starves_no_other(outbox, now):
    due_now(outbox, to("gmail.test", 200), now)
    due_now(outbox, to("example.test", 3), now)

    found: list[str] = []
    turns = 0
    while len(found) < 4 and turns < 4:
        one = taken(outbox, THIRTY, now, 4 - len(found))
        found += addresses(one)
        turns += 1

    assert found == ["user001@gmail.test", *(f"user{n:03d}@example.test" for n in range(1, 4))]


def test_one_claim_puts_off_so_many_and_asks_to_be_repeated_at_once(outbox, now):
    many = rates.MOST_PUT_OFF + 50
    due_now(outbox, to("gmail.test", many), now)

    assert taken(outbox, THIRTY, now, 10).again_at_ms == 0
    assert rates.MOST_PUT_OFF <= len(put_off(outbox)) < rates.MOST_PUT_OFF + 10

    assert taken(outbox, THIRTY, now, 10).again_at_ms is None
    assert len(put_off(outbox)) == many - 1


def test_what_is_put_off_is_as_if_it_had_not_been_claimed(outbox, now):
    due_now(outbox, to("gmail.test", 2), now)

    taken(outbox, THIRTY, now)

    [item] = put_off(outbox)
    assert item.delivery.state is State.QUEUED
    assert (item.attempts, item.delivery.refusals, item.worker) == (0, 0, "")
    assert item.last_reply == "waits for its turn: gmail.test gets 30 mails a minute at most"
    assert now < item.delivery.due_at_ms <= now + 4_100
    assert taken(outbox, THIRTY, now).claims == ()


def test_turns_of_mail_to_many_are_one_behind_the_other(outbox, now):
    due_now(outbox, to("gmail.test", 5, mail_class=MailClass.BROADCAST), now)

    taken(outbox, THIRTY, now)

    turns = [item.delivery.due_at_ms - now for item in put_off(outbox)]
    gaps = [after - before for before, after in pairwise(turns)]
    assert gaps == [2_000] * 3

    due_now(outbox, to("gmail.test", 1, start=9, mail_class=MailClass.BROADCAST), now)
    taken(outbox, THIRTY, now)
    assert put_off(outbox)[-1].delivery.due_at_ms - now in range(turns[-1], turns[-1] + 2_200)


def test_other_mail_does_not_stand_behind_mail_to_many(outbox, now):
    due_now(outbox, to("gmail.test", 50, mail_class=MailClass.BROADCAST), now)
    taken(outbox, THIRTY, now)
    due_now(outbox, to("gmail.test", 1, start=90), now)

    taken(outbox, THIRTY, now)

    assert put_off(outbox)[-1].delivery.due_at_ms - now <= 2_100


def test_security_mail_has_the_first_token(outbox, now):
    due_now(outbox, to("gmail.test", 3, mail_class=MailClass.BROADCAST), now)
    due_now(outbox, to("gmail.test", 1, start=9, mail_class=MailClass.SECURITY), now)

    assert addresses(taken(outbox, THIRTY, now)) == ["user009@gmail.test"]


def test_the_next_token_lets_the_next_one_go(outbox, now):
    due_now(outbox, to("gmail.test", 2), now)
    taken(outbox, THIRTY, now)
    passed(outbox, by_ms=2_000)

    later = put_off(outbox)[0].delivery.due_at_ms
    assert addresses(taken(outbox, THIRTY, later)) == ["user002@gmail.test"]


def test_patience_counts_from_the_turn_until_something_was_tried(outbox, now):
    due_now(outbox, to("gmail.test", 2), now)
    [claimed] = taken(outbox, THIRTY, now).claims
    waiting = put_off(outbox)[0].delivery
    assert waiting.created_at_ms == waiting.due_at_ms

    retry = Retry(because="451 later", due_at_ms=now, is_refusal=True)
    settled(outbox, [Settlement(claim=claimed, verdict=retry)], now)
    taken(outbox, THIRTY, now)
    [tried] = [item for item in put_off(outbox) if item.attempts]
    assert (tried.delivery.created_at_ms, tried.delivery.refusals) == (now, 1)


def test_no_turn_is_farther_away_than_the_longest(outbox, now):
    slow = Rates(domain=Rate(1))
    due_now(outbox, to("gmail.test", 60, mail_class=MailClass.BROADCAST), now)

    while taken(outbox, slow, now).again_at_ms == 0:
        pass

    turns = [item.delivery.due_at_ms - now for item in put_off(outbox)]
    assert len(turns) == 59
    assert min(turns) > 0
    assert max(turns) <= LONGEST_TURN_MS + 60_000


def test_a_minute_sees_no_more_than_the_rate_from_two_workers(outbox, now):
    """They ask every half second; what really passes meanwhile counts too."""
    due_now(outbox, to("gmail.test", 40), now)
    sent, simulated_ms = 0, 0
    for _ in range(30):
        for worker in ("w1", "w2"):
            found = taken(outbox, THIRTY, now, 5, worker=worker).claims
            settled(outbox, [Settlement(claim=c, verdict=Sent(because="250")) for c in found], now)
            sent += len(found)
        passed(outbox, by_ms=500)
        simulated_ms += 500
        with outbox.transaction() as tx:
            tx.execute("UPDATE envoi_delivery SET due_at_ms = 0 WHERE state = 'queued'", {})
    elapsed_ms = simulated_ms + moment(outbox) - now

    assert 30 * 500 // 2_000 <= sent <= elapsed_ms // 2_000 + 1
