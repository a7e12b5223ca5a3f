"""When a server is told to be up or down: every turn that its processes can take."""

import pytest

from envoi.core.standing import STALE_MS, Down, Standing, Up, decided, joined, left

NOW = 1_000_000
UP = Standing(is_up=True, seen_at_ms=NOW - 10)
LEAVING = Standing(is_up=True, left_at_ms=NOW - 10, due_at_ms=NOW + 10, seen_at_ms=NOW - 10)
OVERDUE = Standing(is_up=True, left_at_ms=NOW - 10, due_at_ms=NOW, seen_at_ms=NOW - 10)


@pytest.mark.parametrize(
    ("before", "has_others", "told"),
    [
        pytest.param(Standing(), False, (Up(at_ms=NOW),), id="the-first"),
        pytest.param(UP, True, (), id="another"),
        pytest.param(LEAVING, False, (), id="in-the-place-of-one-that-left"),
        pytest.param(OVERDUE, False, (Down(at_ms=NOW - 10), Up(at_ms=NOW)), id="too-late-for-it"),
        pytest.param(UP, False, (Up(at_ms=NOW, lost_at_ms=NOW - 10),), id="after-a-crash"),
    ],
)
def test_a_process_joins(before, has_others, told):
    after, turns = joined(before, NOW, has_others=has_others)

    assert turns == told
    assert after == Standing(is_up=True, seen_at_ms=NOW)


@pytest.mark.parametrize(
    ("before", "grace_ms", "has_others", "told", "due_at_ms"),
    [
        pytest.param(UP, 0, False, (Down(at_ms=NOW),), 0, id="the-last"),
        pytest.param(UP, 50, False, (), NOW + 50, id="the-last-of-those-that-are-replaced"),
        pytest.param(UP, 0, True, (), NOW + STALE_MS, id="one-of-several"),
        pytest.param(Standing(), 0, False, (), 0, id="of-a-server-that-is-down"),
    ],
)
def test_a_process_leaves(before, grace_ms, has_others, told, due_at_ms):
    after, turns = left(before, NOW, grace_ms, has_others=has_others)

    assert turns == told
    assert (after.is_up, after.due_at_ms) == (bool(due_at_ms), due_at_ms)


@pytest.mark.parametrize(
    ("before", "has_others", "told", "is_up"),
    [
        pytest.param(OVERDUE, False, (Down(at_ms=NOW - 10),), False, id="nobody-came"),
        pytest.param(OVERDUE, True, (), True, id="others-live"),
        pytest.param(LEAVING, False, (), True, id="too-early"),
        pytest.param(UP, False, (), True, id="nobody-left"),
    ],
)
def test_it_is_decided_whether_a_server_is_down(before, has_others, told, is_up):
    after, turns = decided(before, NOW, has_others=has_others)

    assert turns == told
    assert after.is_up is is_up
    assert is_up is False or has_others is False or after.left_at_ms == 0
