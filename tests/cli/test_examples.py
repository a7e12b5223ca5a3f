"""Every call of `envoi` that help and documentation show is one that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from envoi.cli.program import program
from envoi.cli.reference import helps

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^ *```[a-z]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def calls_in(text: str) -> list[str]:
    """The calls in lines such as `df -h | envoi send --to ops@example.org > log  # why`."""
    lines = [line.strip().removeprefix("$ ") for line in text.splitlines()]
    # Three spaces part a call from what is said about it.
    lines = [re.split(r" {3,}", line)[0] for line in lines]
    parts = [part.strip() for line in lines for part in re.split(r" [|&]+ |;", line)]
    calls = [re.sub(r"^(\S*/bin/)", "", part) for part in parts]
    return [call for call in calls if re.match(r"envoi [a-z-]", call)]


def examples() -> list[str]:
    found = [call for _, text in helps() for call in calls_in(text.partition("Example")[2])]
    for page in PAGES:
        if page.name != "cli.md" and page.is_file():
            found += [
                call
                for block in FENCED.findall(page.read_text("utf-8"))
                for call in calls_in(block)
            ]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("call", examples())
def test_an_example_is_a_call_that_is_taken(call):
    words = shlex.split(re.split(r" >+ ", call)[0], comments=True)[1:]
    context = typer.main.get_command(program()).make_context("envoi", words)

    while isinstance(context.command, TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
