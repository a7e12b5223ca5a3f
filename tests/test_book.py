"""What a worker does while nothing can be written down."""

import logging

import pytest

from envoi.book import FIRST_REWRITE_MS, LONGEST_REWRITE_MS, Setback
from envoi.breakdown import Breakdown
from envoi.errors import OutboxUnavailableError
from envoi.journal import Journal

LOCKED = OutboxUnavailableError("locked")


@pytest.mark.parametrize(
    ("lease_ms", "longest_ms"),
    [(60_000, LONGEST_REWRITE_MS), (8_000, 2_000), (2_000, 500), (10, FIRST_REWRITE_MS)],
)
def test_what_cannot_be_written_is_tried_again_well_within_the_lease(lease_ms, longest_ms):
    """Else another worker sends again what the relay took."""
    setback = Setback(Breakdown(Journal()), "w1", lease_ms)
    now_ms, waits = 0, []
    for _ in range(10):
        setback.begin(LOCKED, now_ms)
        waits.append(setback.again_at_ms - now_ms)
        now_ms = setback.again_at_ms

    assert waits[0] == FIRST_REWRITE_MS
    assert waits == sorted(waits)
    assert waits[-1] == longest_ms
    assert setback.lasts_ms(now_ms) == sum(waits)


def test_a_setback_ends_with_the_first_record():
    setback = Setback(Breakdown(Journal()), "w1", 60_000)
    setback.begin(LOCKED, 1_000)
    setback.begin(LOCKED, 2_000)

    setback.end()
    setback.begin(LOCKED, 9_000)

    assert setback.lasts_ms(9_500) == 500
    assert setback.again_at_ms == 9_000 + FIRST_REWRITE_MS


def test_one_breakdown_is_told_of_once_whoever_sees_it(caplog):
    caplog.set_level(logging.INFO, "envoi")
    breakdown = Breakdown(Journal())
    breakdown.end("w1")
    for worker in ("w1", "w2", "w1"):
        breakdown.begin(worker, LOCKED)
    breakdown.end("w2")
    breakdown.end("w1")
    breakdown.begin("w1", LOCKED)

    said = [record.getMessage() for record in caplog.records]
    assert said == ["worker w1: locked", "worker w2 goes on", "worker w1: locked"]
