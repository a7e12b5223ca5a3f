"""One statement, rendered for every driver."""

import re
from pathlib import Path

import pytest

import envoi.outbox
from envoi.outbox import statements
from envoi.outbox.render import rendered

STATEMENT = "SELECT id FROM envoi_event WHERE a = :a AND b LIKE '%x' AND c = :a"


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("qmark", "SELECT id FROM envoi_event WHERE a = ? AND b LIKE '%x' AND c = ?"),
        ("pyformat", "SELECT id FROM envoi_event WHERE a = %(a)s AND b LIKE '%%x' AND c = %(a)s"),
        ("format", "SELECT id FROM envoi_event WHERE a = %s AND b LIKE '%%x' AND c = %s"),
        ("named", STATEMENT),
        ("numeric", "SELECT id FROM envoi_event WHERE a = :1 AND b LIKE '%x' AND c = :2"),
        ("numeric_dollar", "SELECT id FROM envoi_event WHERE a = $1 AND b LIKE '%x' AND c = $2"),
    ],
)
def test_a_statement_in_each_style(style, text):
    statement = rendered(STATEMENT, style)

    assert statement.text == text
    named = {"a": 5} if style in {"pyformat", "named"} else (5, 5)
    assert statement.arguments({"a": 5, "unused": 1}) == named
    assert statement.many([{"a": 5}]) == [named]


def test_an_unknown_style_is_refused():
    with pytest.raises(ValueError, match="no DB-API"):
        rendered(STATEMENT, "fancy")


def test_tables_stand_in_their_schema_and_columns_behind_them():
    text = "UPDATE envoi_event SET a = envoi_event.a FROM mail.envoi_message"

    assert rendered(text, "qmark", "mail").text == (
        "UPDATE mail.envoi_event SET a = mail.envoi_event.a FROM mail.envoi_message"
    )


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_every_hot_statement_keeps_the_rules(dialect):
    sql = statements.sql(dialect)
    names = [n for n in vars(type(sql)) if not n.startswith("_") and n not in {"picked", "rows"}]
    texts = [getattr(sql, name) for name in names if isinstance(getattr(sql, name), str)]
    plain = [text for name, text in vars(statements).items() if name.isupper()]

    assert len(texts) > 15
    for text in (*texts, *(text for text in plain if isinstance(text, str))):
        assert "::" not in text
        assert "?" not in text
        assert not re.search(r"(FROM|INTO|JOIN|UPDATE) +(?!envoi_|json|clock|SKIP)\w", text)


def test_the_engines_are_told_apart_in_one_place():
    """A dialect is named where a connection is opened or joined, and where statements differ."""
    folder = Path(envoi.outbox.__file__).parent
    switches = {
        path.name
        for path in folder.glob("*.py")
        if re.search(r"== \"(sqlite|postgresql)\"", path.read_text("utf-8"))
    }

    opening = {"engine.py", "location.py", "bell.py", "join_sqlalchemy.py", "join_django.py"}
    assert switches - opening == {"statements.py"}
