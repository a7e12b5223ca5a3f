"""How long things are kept, and how large a step of their removal is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.core.delivery import FINAL_STATES, State
from envoi.core.retention import (
    AIM_MS,
    DAY_MS,
    LEAST_ROWS,
    MOST_ROWS,
    RESTS,
    Cut,
    Retention,
    next_rows,
    rest_ms,
)

NOW = 1_800_000_000_000


def test_what_is_kept_for_ever_is_never_old_enough():
    cut = Retention(content_ms=0, rows_ms=0, audit_ms=0, incidents_ms=0).cut(NOW)

    assert cut == Cut()
    assert cut.closes_before_ms == 0


def test_the_defaults_are_a_month_and_three():
    cut = Retention().cut(NOW)

    assert cut.content_before_ms == NOW - 30 * DAY_MS
    assert cut.rows_before_ms == NOW - 90 * DAY_MS


@pytest.mark.parametrize(
    ("content_days", "rows_days", "expected_days"), [(30, 90, 30), (0, 90, 90), (30, 0, 30)]
)
def test_content_goes_with_its_rows_at_the_latest(content_days, rows_days, expected_days):
    retention = Retention(content_ms=content_days * DAY_MS, rows_ms=rows_days * DAY_MS)

    assert retention.cut(NOW).closes_before_ms == NOW - expected_days * DAY_MS


def test_a_cut_means_all_final_states_unless_it_names_some():
    assert Cut().is_any_state
    assert set(Cut().states) == FINAL_STATES
    assert not Cut(states=(State.SENT,)).is_any_state


@given(st.integers(LEAST_ROWS, MOST_ROWS), st.integers(0, 10_000))
def test_a_step_stays_within_its_bounds(rows, took_ms):
    after = next_rows(rows, took_ms)

    assert LEAST_ROWS <= after <= MOST_ROWS
    if took_ms > 2 * AIM_MS:
        assert after < rows or rows == LEAST_ROWS


@given(st.integers(0, 10_000))
def test_others_have_the_database_most_of_the_time(took_ms):
    assert rest_ms(took_ms) >= RESTS * took_ms
    assert rest_ms(took_ms) > 0
