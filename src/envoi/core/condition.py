"""This room says when a sender speaks: comparisons on an event's facts, all of which must hold."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard, assert_never

from envoi.core.event import Event
from envoi.core.kind import Plain


class Operator(StrEnum):
    """Comparisons that a sender's condition may use."""

    IN = "in"
    NOT_IN = "not_in"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    CONTAINS = "contains"
    PRESENT = "present"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison on one fact; all conditions of a sender must hold.

    Args:
        fact: Name of the fact, or `actor`, `subject`, `application`.
        operator: How to compare.
        value: What to compare with: a list for `in` and `not_in`, a boolean for `present`.
    """

    fact: str
    operator: Operator
    value: Plain


def holds(condition: Condition, event: Event) -> bool:
    """Whether one condition is true of the event; comparing unlike types is false, not an error.

    >>> at_least_two = Condition(fact="attempts", operator=Operator.AT_LEAST, value=2)
    >>> holds(at_least_two, Event(kind="failed_login", facts={"attempts": 3}))
    True
    """
    actual, value = _value_of(condition.fact, event), condition.value
    match condition.operator:
        case Operator.PRESENT:
            return bool(actual) is bool(value)
        case Operator.IN:
            return isinstance(value, list) and _is_among(actual, value)
        case Operator.NOT_IN:
            return isinstance(value, list) and not _is_among(actual, value)
        case Operator.CONTAINS:
            return _contains(actual, value)
        case Operator.AT_LEAST:
            return _is_number(actual) and _is_number(value) and actual >= value
        case Operator.AT_MOST:
            return _is_number(actual) and _is_number(value) and actual <= value
        case _:  # pragma: no cover - mypy proves that there is no other
            assert_never(condition.operator)


def _value_of(fact: str, event: Event) -> Plain:
    match fact:
        case "actor":
            return event.actor
        case "subject":
            return event.subject
        case "application":
            return event.application
        case _:
            return event.facts.get(fact)


def _contains(actual: Plain, value: Plain) -> bool:
    if isinstance(actual, list):
        return _is_among(value, actual)
    return isinstance(actual, str) and isinstance(value, str) and value in actual


def _is_among(value: Plain, several: list[Plain]) -> bool:
    # For Python `1 == True`; for whoever writes a condition, a count is not a statement.
    return any(isinstance(value, bool) is isinstance(one, bool) and value == one for one in several)


def _is_number(value: Plain) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
