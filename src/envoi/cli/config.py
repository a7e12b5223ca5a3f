"""This room is `envoi config`: settings files, as somebody who sets up a site handles them."""

from pathlib import Path
from typing import Annotated

import typer

from envoi.cli.call import call_of
from envoi.cli.init import DEFAULT_FILE
from envoi.cli.screen import Screen
from envoi.cli.typed import Json, counted, examples
from envoi.errors import InputError, RefusedError
from envoi.settings import (
    NOT_ABOUT_MAIL,
    Settings,
    equivalent,
    load,
    replace_private,
    write_private,
)


def add_to(app: typer.Typer) -> None:
    """Add `config`."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Settings files.",
        epilog=examples("envoi config import my.ini"),
    )
    group.command("import", epilog=examples(
        "envoi config import my.ini",
        "envoi config import /srv/kallithea/my.ini --output /etc/envoi/envoi.toml",
        "envoi config import my.ini --force --json",
    ))(import_ini)  # fmt: skip
    app.add_typer(group, name="config")


def import_ini(
    ctx: typer.Context,
    ini: Annotated[Path, typer.Argument(metavar="INI", help="A Kallithea's settings file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="What is written.")
    ] = DEFAULT_FILE,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write the envoi.toml that says what a Kallithea's ini says.

    Says of each key what became of it. The file holds the passwords and is readable for you
    alone; variables of the environment are left out. Nothing is written unless everything fits.
    Not needed to begin: `envoi --config my.ini ...` reads the ini itself.
    """
    if ini.suffix.lower() != ".ini":
        raise InputError(f"{ini}: expected a file whose name ends in .ini")
    target = output.absolute()
    if target.suffix.lower() == ".ini":
        raise InputError(f"--output {output}: expected another ending, .ini is read as an ini")
    settings = load(ini, {})
    write = replace_private if force else write_private
    try:
        write(target, equivalent(settings, target))
    except RefusedError as err:
        if target.is_file() and not force:
            raise RefusedError(f"{err}: --force replaces it") from err
        raise
    screen = call_of(ctx).screen
    if as_json:
        screen.document(_form(settings, target))
    else:
        _show(screen, settings, target)


def _show(screen: Screen, settings: Settings, target: Path) -> None:
    screen.line(f"wrote {target}")
    notes = [note for note in settings.notes if note.became != NOT_ABOUT_MAIL]
    screen.table(("KEY", "BECAME"), [(note.key, note.became) for note in notes])
    if others := len(settings.notes) - len(notes):
        screen.note(f"{counted(others, 'other key is', 'other keys are')} not about mail")
    for warning in settings.warnings:
        screen.note(f"warning: {warning}")


def _form(settings: Settings, target: Path) -> dict[str, object]:
    return {
        "written": str(target),
        "keys": [
            {"key": note.key, "became": note.became, "setting": note.target or None}
            for note in settings.notes
        ],
        "warnings": [str(warning) for warning in settings.warnings],
    }
