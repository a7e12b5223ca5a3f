"""The tree of errors is what its drawing says."""

import inspect
import re

import pytest

from envoi import errors
from envoi.core.problem import Problem

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if found.__module__ == errors.__name__
]


def drawn() -> dict[str, tuple[str, str]]:
    """Parent and second base of each class, as the docstring's tree shows them."""
    assert errors.__doc__
    above: list[str] = []
    tree: dict[str, tuple[str, str]] = {}
    for line in errors.__doc__.splitlines():
        match = re.match(r" {4}((?:[│ ] {3})*(?:[├└]── )?)(\w+Error)(?: \((\w+)\))?", line)
        if match is None:
            continue
        depth = len(match[1]) // 4
        above = [*above[:depth], match[2]]
        tree[match[2]] = (above[depth - 1] if depth else "Exception", match[3] or "")
    return tree


def test_the_drawing_is_the_classes():
    built = {
        found.__name__: (
            found.__bases__[0].__name__,
            found.__bases__[1].__name__ if len(found.__bases__) > 1 else "",
        )
        for found in CLASSES
    }

    assert drawn() == built


def test_the_tree_is_small():
    a_baker_s_dozen_and_the_root = 14

    assert len(CLASSES) <= a_baker_s_dozen_and_the_root


@pytest.mark.parametrize("found", CLASSES)
def test_everything_raised_on_purpose_is_an_envoi_error(found):
    assert issubclass(found, errors.EnvoiError)


def test_settings_tell_every_problem():
    problems = (
        Problem(where="smtp.port", expected="1..65535", got="70000"),
        Problem(where="smpt", expected="a section", got="smpt"),
    )

    told = errors.SettingsError(problems)

    assert told.problems == problems
    assert str(told).splitlines() == [str(problem) for problem in problems]
