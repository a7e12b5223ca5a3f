"""This room writes `docs/reference/cli.md` from the tree of commands; a test holds it equal.

After a change of a command: `python -m envoi.cli.reference > docs/reference/cli.md`.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from envoi.cli.exits import MEANINGS
from envoi.cli.program import program

if TYPE_CHECKING:
    from typer._click import Context

# As wide as the page's code blocks; independent of anybody's terminal.
_WIDTH = 90
_HEAD = """\
# Command line

`envoi COMMAND --help` shows the same as this page, which is written from the commands themselves.
Results go to standard output, everything said beside them (hints, warnings, errors, the log) to standard error.
With `--json` the result is one JSON document; moments stand in it twice, as `NAME_ms` in milliseconds since 1970 UTC and as `NAME` in ISO 8601.
Without `--json`, on a terminal, tables are folded and coloured; `NO_COLOR` switches colours off.
Control characters in data are shown escaped, secrets are masked.
Options of `envoi` itself stand before the command: `envoi --config other.toml check`.

## Exit codes

| code | meaning |
| --- | --- |
{codes}

"""  # noqa: E501 # one sentence per line


def reference() -> str:
    """Return the reference of all commands as Markdown."""
    codes = "\n".join(f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items())
    pages = [f"## `{name}`\n\n```text\n{text}\n```\n" for name, text in helps()]
    return _HEAD.format(codes=codes) + "\n".join(pages)


def helps() -> Iterator[tuple[str, str]]:
    """Return every command, groups before their members, with what it says for `--help`."""
    root = typer.main.get_command(program())
    yield from _helps(root.make_context("envoi", [], **_SETTINGS))


_SETTINGS: Mapping[str, Any] = {"resilient_parsing": True, "terminal_width": _WIDTH}


def _helps(context: "Context") -> Iterator[tuple[str, str]]:
    command = context.command
    yield context.command_path, command.get_help(context)
    if isinstance(command, TyperGroup):
        for name, member in command.commands.items():
            yield from _helps(member.make_context(name, [], parent=context, **_SETTINGS))


if __name__ == "__main__":
    print(reference(), end="")
