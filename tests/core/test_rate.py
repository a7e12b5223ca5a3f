"""Rates: never more in any minute, nearly as much when asked for, and turns for what waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.rate import LONGEST_TURN_MS, MINUTE_US, Bucket, Line, Rate, Rates

NOW_US = 1_800_000_000_000_000

rates = st.integers(1, 100_000).map(Rate)
# When somebody asks, and for how many: gaps of up to a few seconds.
asks = st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(1, 50)), max_size=60)


def served(rate, asked):
    """Moments at which a mail left."""
    bucket, now_us, left = Bucket(rate), NOW_US, []
    for wait_us, count in asked:
        now_us += wait_us
        taken = min(count, bucket.left(now_us))
        bucket = bucket.take(taken, now_us)
        left += [now_us] * taken
    return left


@given(st.integers(1, 120).map(Rate), asks)
def test_no_minute_sees_more_than_the_rate(rate, asked):
    left = served(rate, asked)

    for start, first_us in enumerate(left):
        assert sum(us < first_us + MINUTE_US for us in left[start:]) <= rate.per_minute


@given(rates)
def test_who_asks_all_the_time_gets_all_but_a_burst(rate):
    expected = rate.per_minute - rate.burst

    # As many gaps as fit into a minute, and what was there at its beginning.
    fitting = MINUTE_US // rate.gap_us + rate.burst

    assert expected <= fitting <= rate.per_minute + 1


@given(st.integers(1, 600).map(Rate))
def test_the_next_token_is_there_when_it_is_said_to_be(rate):
    bucket = Bucket(rate).take(rate.burst, NOW_US)
    next_us = bucket.next_us(NOW_US)

    assert bucket.left(NOW_US) == 0
    assert bucket.left(next_us - 1) == 0
    assert bucket.left(next_us) == 1


@pytest.mark.parametrize("back_us", [1, 1_000_000, 86_400_000_000])
def test_a_clock_that_is_set_back_locks_nothing_up(back_us):
    rate = Rate(30)
    bucket = Bucket(rate).take(1, NOW_US)

    assert bucket.next_us(NOW_US - back_us) <= NOW_US - back_us + rate.gap_us


def test_a_bucket_is_full_again_after_its_burst():
    bucket = Bucket(Rate(600)).take(10, NOW_US)

    assert not bucket.is_full(NOW_US + 10 * Rate(600).gap_us - 1)
    assert bucket.is_full(NOW_US + 10 * Rate(600).gap_us)


def test_turns_follow_one_another_at_the_rate():
    line = Line(Bucket(Rate(30)).take(1, NOW_US))
    first = line.turns(3, NOW_US)

    assert [turn - NOW_US // 1000 for turn in first] == [2_000, 4_000, 6_000]
    behind = Line(line.bucket, first[-1]).turns(2, NOW_US)
    assert [turn - NOW_US // 1000 for turn in behind] == [8_000, 10_000]


def test_a_promise_that_nobody_uses_keeps_nobody_waiting():
    line = Line(Bucket(Rate(30)), until_ms=NOW_US // 1000 + 100_000)

    assert line.turns(1, NOW_US) == (NOW_US // 1000,)


@given(st.integers(1, 600).map(Rate), st.integers(1, 3_000), st.integers(0, 10**13))
def test_no_turn_is_in_the_past_or_beyond_the_longest(rate, count, until_ms):
    line = Line(Bucket(rate).take(rate.burst, NOW_US), until_ms)
    turns = line.turns(count, NOW_US)

    now_ms = NOW_US // 1000
    assert len(turns) == count
    assert now_ms < min(turns)
    assert max(turns) <= max(now_ms + LONGEST_TURN_MS, -(-line.bucket.next_us(NOW_US) // 1000))


@pytest.mark.parametrize(
    ("domain", "per_minute"),
    [("gmail.com", 30), ("GMAIL.com", 30), ("example.org", 60), ("free.test", None)],
)
def test_a_named_domain_has_a_rate_of_its_own(domain, per_minute):
    named = {"gmail.com": Rate(30), "free.test": None}
    rate = Rates(domain=Rate(60), domains=named).of_domain(domain)

    assert (rate.per_minute if rate else None) == per_minute


@pytest.mark.parametrize(
    ("rates", "is_limited"),
    [
        (Rates(), False),
        (Rates(domains={"free.test": None}), False),
        (Rates(relay=Rate(1)), True),
        (Rates(domain=Rate(1)), True),
        (Rates(domains={"gmail.com": Rate(1)}), True),
    ],
)
def test_only_what_is_set_is_counted(rates, is_limited):
    assert rates.is_limited is is_limited
