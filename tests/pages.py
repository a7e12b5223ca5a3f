"""The parts of the docs that are made from code; `python -m tests.pages` writes them anew."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import FunctionType

import envoi
from envoi.core.delivery import TRANSITIONS, State

ROOT = Path(__file__).parent.parent
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
PYTHON = ROOT / "docs" / "reference" / "python.md"

FENCE = re.compile(r"(<!-- states -->\n).*?(<!-- end of states -->)", re.DOTALL)
ARGUMENT = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)

HEAD = """\
# Python

Every name of `import envoi`; what is not here may change without notice.
Written from the docstrings by `python -m tests.pages`, and proven by a test.

"""


def state_picture() -> str:
    """Return the picture of a delivery's states, one arrow per pair of states."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (before, move), after in TRANSITIONS.items():
        arrows.setdefault((before, after), []).append(move.value)
    lines = [
        f"    {before} --> {after}: {', '.join(moves)}" for (before, after), moves in arrows.items()
    ]
    starts = ["    [*] --> queued: notify, send", "    [*] --> held: no relay is configured"]
    return "\n".join(["```mermaid", "stateDiagram-v2", *starts, *lines, "```", ""])


def architecture_page() -> str:
    """Return ARCHITECTURE.md with the picture drawn anew."""
    return FENCE.sub(
        lambda found: f"{found[1]}\n{state_picture()}\n{found[2]}", ARCHITECTURE.read_text("utf-8")
    )


def python_page() -> str:
    """Return the reference of the names that applications use."""
    names = sorted(envoi.__all__, key=lambda name: (_place(getattr(envoi, name)), name))
    return HEAD + "\n".join(_section(name, getattr(envoi, name)) for name in names)


def _place(thing: object) -> int:
    # What one begins with first, errors last.
    if thing is envoi.Mailer:
        return 0
    return 2 if isinstance(thing, type) and issubclass(thing, Exception) else 1


def _section(name: str, thing: type | FunctionType) -> str:
    if isinstance(thing, FunctionType):
        return f"## `{name}`\n\n`{name}{inspect.signature(thing)}`\n\n{_said(thing)}\n"
    parents = [parent.__name__ for parent in thing.__bases__ if issubclass(parent, Exception)]
    words = [f"## `{name}`", "", _said(thing)]
    if parents:
        words += [f"Inherits {' and '.join(f'`{parent}`' for parent in parents)}."]
    points = [*_members(thing), *_fields(thing), *_methods(thing)]
    return "\n".join([*words, *([""] if points else []), *points, ""])


def _said(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def _members(thing: type) -> Iterable[str]:
    if issubclass(thing, Enum):
        source = inspect.getsource(thing)
        for member in thing:
            found = re.search(rf"\b{member.name} = .+? +# (.+)", source)
            yield f"- `{thing.__name__}.{member.name}`{': ' + found[1] if found else ''}"


def _fields(thing: type) -> Iterable[str]:
    if not is_dataclass(thing):
        return
    said = dict(ARGUMENT.findall(_indented(inspect.getdoc(thing) or "")))
    for field in fields(thing):
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        words = " ".join(said.get(field.name, "").split())
        yield f"- `{field.name}`{', optional' if has_default else ''}: {words}".rstrip(": ")


def _methods(thing: type) -> Iterable[str]:
    for name, member in vars(thing).items():
        if name.startswith("_") or issubclass(thing, Enum | Exception):
            continue
        if isinstance(member, property):
            yield f"- `.{name}`: {_said(member)}"
        elif callable(member) or isinstance(member, classmethod):
            parameters = inspect.signature(getattr(thing, name)).parameters.values()
            shown = ", ".join(_parameter(p) for p in parameters if p.name != "self")
            star = "*, " if any(p.kind is p.KEYWORD_ONLY for p in parameters) else ""
            shown = shown.replace("strict=", f"{star}strict=") if star else shown
            yield f"- `.{name}({shown})`: {_said(getattr(thing, name))}"


def _parameter(parameter: inspect.Parameter) -> str:
    star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
    return f"{star}{parameter.name}{default}"


def _indented(text: str) -> str:
    return text.partition("Args:\n")[2].partition("\n\n")[0]


def main() -> None:
    """Write the pages."""
    ARCHITECTURE.write_text(architecture_page(), "utf-8")
    PYTHON.write_text(python_page(), "utf-8")


if __name__ == "__main__":
    main()
