"""How a thing that does not fit is told."""

from envoi.core.problem import Problem


def test_a_problem_is_one_line_with_what_to_do():
    problem = Problem(where="smtp.port", expected="1..65535", got="70000")

    assert str(problem) == "smtp.port: expected 1..65535, got 70000"


def test_a_hint_stands_behind():
    problem = Problem(where="smpt", expected="a section", got="smpt", hint="did you mean smtp?")

    assert str(problem) == "smpt: expected a section, got smpt (did you mean smtp?)"
