"""The limits of STYLE.md that a program can measure."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "envoi"
MAX_MODULE_LINES = 400
MAX_BODY_LINES = 40

BANNED = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
BANNED_ROOMS = BANNED | {"models", "types"}
BANNED_VERBS = BANNED | {"data", "info", "process", "handle"}

STATEMENT = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|"
    r"(CREATE|ALTER|DROP)\s+(TABLE|INDEX|SCHEMA)|SAVEPOINT\s+\w+|PRAGMA\s+\w+)\b",
    re.DOTALL,
)

MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parent.parts]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def every_module(*, outside: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    """One case per module, but for the rooms that may."""
    paths = [path for path in MODULES if room_of(path) not in outside]
    ids = [path.relative_to(PACKAGE).as_posix() for path in paths]
    return pytest.mark.parametrize("path", paths, ids=ids)


def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text("utf-8"))))


def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in nodes_of(path) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """A function without its signature and docstring, in physical lines."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def text_of(node: ast.AST) -> str:
    """The words of a string; of an f-string, with a stand-in for each value."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def statements_in(source: str) -> list[str]:
    nodes = list(ast.walk(ast.parse(source)))
    # A string that stands alone is a docstring: it speaks to readers, not to a database.
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    texts = [text_of(node) for node in nodes if id(node) not in alone | parts]
    return [text for text in texts if STATEMENT.search(text)]


def modules_imported_by(path: Path) -> set[str]:
    nodes = nodes_of(path)
    whole = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    return whole | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}


@every_module()
def test_a_module_fits_in_400_lines(path):
    assert path.read_text("utf-8").count("\n") <= MAX_MODULE_LINES


@every_module()
def test_a_function_body_fits_in_40_lines(path):
    long = {f.name: body_lines(f) for f in functions_of(path) if body_lines(f) > MAX_BODY_LINES}

    assert long == {}


@every_module()
def test_no_module_has_a_banned_name(path):
    hosts_own_names = {"models"} if room_of(path) == "integrations" else set()
    names = path.relative_to(PACKAGE).with_suffix("").parts
    words = {word for name in names for word in (name, *name.split("_"))}

    assert words & (BANNED_ROOMS - hosts_own_names) == set()


@every_module()
def test_no_class_is_a_manager_helper_or_base(path):
    classes = [node.name for node in nodes_of(path) if isinstance(node, ast.ClassDef)]
    banned = [c for c in classes if re.split(r"(?<=[a-z])(?=[A-Z])", c)[-1].lower() in BANNED]

    assert banned == []


# A host's framework demands names such as `handle`.
@every_module(outside=("integrations",))
def test_no_function_has_an_empty_verb(path):
    names = [function.name.strip("_") for function in functions_of(path)]

    assert [n for n in names if n in BANNED_VERBS or n.startswith("do_")] == []


@every_module(outside=("journal", "integrations", "cli"))
def test_only_the_journal_logs(path):
    modules = {module.split(".", maxsplit=1)[0] for module in modules_imported_by(path)}

    assert "logging" not in modules


@every_module(outside=("outbox", "directory"))
def test_statements_stand_in_the_outbox_and_the_directory(path):
    assert statements_in(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("q = 'SELECT id FROM envoi_message'", 1),
        ("q = 'DELETE FROM envoi_message'", 1),
        ("q = f'UPDATE {table} SET x = 1'", 1),
        ("def f():\n    'SELECT id FROM x'", 0),  # a docstring
        ("q = 'Select a sender from the list'", 0),
    ],
)
def test_the_check_itself_sees_statements(source, count):
    assert len(statements_in(source)) == count
