"""When a sender speaks: every comparison against every sort of fact."""

import pytest

from envoi.core.condition import Condition, Operator, holds
from envoi.core.event import Event

EVENT = Event(
    kind="note",
    actor="ann",
    subject="docs/pull/7",
    application="main",
    facts={
        "text": "closed",
        "empty": "",
        "count": 3,
        "zero": 0,
        "ratio": 2.5,
        "yes": True,
        "no": False,
        "nothing": None,
        "tags": ["a", "b"],
        "numbers": [1, 2],
    },
)
NAN = float("nan")


@pytest.mark.parametrize(
    ("fact", "operator", "value", "expected"),
    [
        ("text", Operator.IN, ["open", "closed"], True),
        ("text", Operator.IN, ["open"], False),
        ("text", Operator.IN, [], False),
        ("text", Operator.IN, "closed", False),
        ("count", Operator.IN, [3], True),
        ("count", Operator.IN, [3.0], True),
        ("count", Operator.IN, ["3"], False),
        ("yes", Operator.IN, [True], True),
        ("yes", Operator.IN, [1], False),
        ("zero", Operator.IN, [False], False),
        ("nothing", Operator.IN, [None], True),
        ("missing", Operator.IN, ["x"], False),
        ("actor", Operator.IN, ["ann"], True),
        ("subject", Operator.IN, ["docs/pull/7"], True),
        ("application", Operator.IN, ["other"], False),
        ("text", Operator.NOT_IN, ["open"], True),
        ("text", Operator.NOT_IN, ["closed"], False),
        ("text", Operator.NOT_IN, "closed", False),
        ("missing", Operator.NOT_IN, ["x"], True),
        ("count", Operator.AT_LEAST, 3, True),
        ("count", Operator.AT_LEAST, 3.5, False),
        ("ratio", Operator.AT_LEAST, 2, True),
        ("text", Operator.AT_LEAST, 3, False),
        ("count", Operator.AT_LEAST, "3", False),
        ("yes", Operator.AT_LEAST, 1, False),
        ("count", Operator.AT_LEAST, True, False),
        ("missing", Operator.AT_LEAST, 0, False),
        ("count", Operator.AT_LEAST, NAN, False),
        ("count", Operator.AT_MOST, 3, True),
        ("count", Operator.AT_MOST, 2, False),
        ("nothing", Operator.AT_MOST, 2, False),
        ("count", Operator.AT_MOST, [3], False),
        ("text", Operator.CONTAINS, "lose", True),
        ("text", Operator.CONTAINS, "x", False),
        ("text", Operator.CONTAINS, 1, False),
        ("tags", Operator.CONTAINS, "a", True),
        ("tags", Operator.CONTAINS, "c", False),
        ("numbers", Operator.CONTAINS, True, False),
        ("count", Operator.CONTAINS, 3, False),
        ("missing", Operator.CONTAINS, "x", False),
        ("text", Operator.PRESENT, True, True),
        ("text", Operator.PRESENT, False, False),
        ("empty", Operator.PRESENT, True, False),
        ("empty", Operator.PRESENT, False, True),
        ("nothing", Operator.PRESENT, False, True),
        ("missing", Operator.PRESENT, True, False),
        ("no", Operator.PRESENT, True, False),
        ("tags", Operator.PRESENT, True, True),
    ],
)
def test_a_condition_holds_or_not(fact, operator, value, expected):
    assert holds(Condition(fact=fact, operator=operator, value=value), EVENT) is expected
