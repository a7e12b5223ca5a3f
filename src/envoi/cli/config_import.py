"""This room is `envoi config import`: another program's settings as an envoi.toml."""

from pathlib import Path
from typing import Annotated

import typer

from envoi.cli.call import Call, call_of
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
from envoi.settings.omero_export import exported
from envoi.settings.omero_taken import Taken, taken_over

_SUFFIX = ".ini"
_OWN_SUFFIX = ".toml"
_TAKEN = "a file whose name ends in .ini, an OMERO's config.xml or lines name=value"


def add_to(group: typer.Typer) -> None:
    """Add the command."""
    group.command("import", epilog=examples(
        "envoi config import my.ini",
        "envoi config import /srv/kallithea/my.ini --output /etc/envoi/envoi.toml",
        "envoi config import OMERO.server/etc/grid/config.xml",
        "envoi config import my.ini --force --json",
    ))(import_file)  # fmt: skip


def import_file(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A Kallithea's .ini, an OMERO's config.xml, or what `omero config get "
            "--show-password` printed.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="What is written.")
    ] = DEFAULT_FILE,
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write the envoi.toml that says what another program's settings say.

    Says of each key what became of it. The file holds the passwords and is readable for you
    alone; variables of the environment are left out. Nothing is written unless everything fits.
    For a Kallithea not needed to begin: `envoi --config my.ini ...` reads the ini itself. An
    OMERO's properties keep their names.
    """
    target = output.absolute()
    if target.suffix.lower() == _SUFFIX:
        raise InputError(f"--output {output}: expected another ending, .ini is read as an ini")
    if file.suffix.lower() == _OWN_SUFFIX:
        raise InputError(f"{file}: expected {_TAKEN}; this is a file of Envoi's own")
    if file.suffix.lower() == _SUFFIX:
        settings = load(file, {})
        _write(target, equivalent(settings, target), force=force)
        _tell_ini(call_of(ctx), settings, target, as_json=as_json)
    else:
        taken = taken_over(exported(file), file.name)
        _write(target, taken.text, force=force)
        _tell_properties(call_of(ctx), taken, target, as_json=as_json)


def _write(target: Path, text: str, *, force: bool) -> None:
    write = replace_private if force else write_private
    try:
        write(target, text)
    except RefusedError as err:
        if target.is_file() and not force:
            raise RefusedError(f"{err}: --force replaces it") from err
        raise


def _tell_ini(call: Call, settings: Settings, target: Path, *, as_json: bool) -> None:
    if as_json:
        call.screen.document(_form(settings, target))
    else:
        _show(call.screen, settings, target)


def _show(screen: Screen, settings: Settings, target: Path) -> None:
    screen.line(f"wrote {target}")
    notes = [note for note in settings.notes if note.became != NOT_ABOUT_MAIL]
    screen.table(("KEY", "BECAME"), [(note.key, note.became) for note in notes])
    _tell_others(screen, len(settings.notes) - len(notes))
    for warning in settings.warnings:
        screen.note(f"warning: {warning}")


def _tell_others(screen: Screen, count: int) -> None:
    if count:
        screen.note(f"{counted(count, 'other key is', 'other keys are')} not about mail")


def _form(settings: Settings, target: Path) -> dict[str, object]:
    return {
        "written": str(target),
        "keys": [
            {"key": note.key, "became": note.became, "setting": note.target or None}
            for note in settings.notes
        ],
        "warnings": [str(warning) for warning in settings.warnings],
    }


def _tell_properties(call: Call, taken: Taken, target: Path, *, as_json: bool) -> None:
    if as_json:
        keys = [{"key": key, "became": became} for key, became in taken.became]
        warnings = list(taken.warnings)
        call.screen.document({"written": str(target), "keys": keys, "warnings": warnings})
        return
    call.screen.line(f"wrote {target}")
    call.screen.table(("KEY", "BECAME"), taken.became)
    _tell_others(call.screen, taken.others)
    for warning in taken.warnings:
        call.screen.note(f"warning: {warning}")
