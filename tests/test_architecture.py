"""What import-linter cannot see: the core imports the standard library only, and not its world.

The layers themselves are contracts in `pyproject.toml` and are run by `make contracts`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "envoi"

# Time, chance and the world come into the core as arguments.
WORLD = {
    "asyncio",
    "concurrent",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
    "uuid.uuid4",
}
# Calls that read a clock, roll dice or touch a file although their module is allowed.
IMPURE_CALLS = {"open", "print", "input", "now", "utcnow", "today", "localtime", "formatdate"}
IMPURE_CALLS |= {"make_msgid", "uuid1", "uuid4", "environ", "getenv"}

# A library is named in its own rooms only, so that exchanging it stays one room's business.
ROOMS_OF = {
    "smtplib": {"transport"},
    "sqlalchemy": {"outbox", "directory", "integrations"},
    "alembic": {"outbox"},
    "ldap3": {"directory"},
    "django": {"integrations"},
    "flask": {"integrations"},
    "aiosmtpd": {"integrations", "testing"},
    "envoi.testing": {"testing"},  # it is for our users' tests, never for a room
}


def modules_under(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(source: str) -> Iterator[str]:
    """Every name a module imports, as dotted as it is written; `.` starts a relative one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from (f"{origin}.{alias.name}".replace("..", ".") for alias in node.names)


def is_named(dotted: str, names: set[str]) -> bool:
    return any(dotted == name or dotted.startswith(f"{name}.") for name in names)


def impure_imports(source: str) -> list[str]:
    return [name for name in imports_of(source) if not is_pure(name)]


def is_pure(dotted: str) -> bool:
    if dotted.startswith(".") or is_named(dotted, {"envoi.core"}):
        return True
    return dotted.split(".", maxsplit=1)[0] in sys.stdlib_module_names and not is_named(
        dotted, WORLD
    )


def impure_calls(source: str) -> list[str]:
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = [f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in called]
    return sorted(IMPURE_CALLS & set(names))


@pytest.mark.parametrize("path", modules_under(PACKAGE / "core"), ids=name_of)
def test_core_imports_only_the_pure_standard_library(path):
    assert impure_imports(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", modules_under(PACKAGE / "core"), ids=name_of)
def test_core_reads_no_clock_and_opens_nothing(path):
    assert impure_calls(path.read_text("utf-8")) == []


@pytest.mark.parametrize("library", ROOMS_OF)
def test_a_library_is_named_in_its_rooms_only(library):
    strangers = [
        name_of(path)
        for path in modules_under(PACKAGE)
        if room_of(path) not in ROOMS_OF[library]
        and any(is_named(name, {library}) for name in imports_of(path.read_text("utf-8")))
    ]

    assert strangers == []


@pytest.mark.parametrize(
    ("source", "impure"),
    [
        ("import time", ["time"]),
        ("import os.path", ["os.path"]),
        ("from os import path", ["os.path"]),
        ("def f():\n    from random import random", ["random.random"]),
        ("import sqlalchemy", ["sqlalchemy"]),
        ("from envoi.outbox import claim", ["envoi.outbox.claim"]),
        ("from uuid import uuid4", ["uuid.uuid4"]),
        ("from dataclasses import dataclass\nfrom email.policy import SMTP", []),
        ("from envoi.core.message import Message\nfrom .event import Event", []),
    ],
)
def test_the_check_itself_sees_impure_imports(source, impure):
    assert impure_imports(source) == impure


def test_the_check_itself_sees_impure_calls():
    assert impure_calls("datetime.now()\nopen('x')\nsorted([])") == ["now", "open"]
