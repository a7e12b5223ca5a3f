"""This room is the part of `envoi config` that changes a settings file, one key at a time.

It answers as OMERO's command of the same words does, and refuses what that one stored in silence.
"""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, cast

import typer

from envoi.cli.call import Call, call_of
from envoi.cli.init import DEFAULT_FILE
from envoi.cli.inputs import read_text
from envoi.cli.screen import Screen
from envoi.cli.typed import examples
from envoi.errors import InputError, RefusedError, SettingsError
from envoi.settings import Draft, Key, checked, editing, fits, key_of, load, value_at
from envoi.settings.omero import SWITCH
from envoi.settings.omero_values import json_text

KeyName = Annotated[
    str, typer.Argument(metavar="KEY", help="Such as smtp.host or omero.mail.host.")
]
Item = Annotated[str, typer.Argument(metavar="ITEM", help="A text, or JSON.")]
Report = Annotated[bool, typer.Option("--report", help="Say what was changed; secrets masked.")]
# Where OMERO's command wrote an equals sign into the key's name.
_EQUALS = '"=" in key name. Did you mean "... set {} {}"?'


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("set", epilog=examples(
        "envoi config set smtp.host smtp.university.example",
        "envoi config set omero.mail.host smtp.university.example",
        "envoi config set omero.mail.password -f password.txt",
        "envoi config set -- smtp.password -begins-with-a-dash",
    ))(set_key)  # fmt: skip
    group.command("unset", epilog=examples("envoi config unset omero.mail.host"))(unset)
    group.command("append", epilog=examples(
        "envoi config append application.admins ann@example.org",
        'envoi config append omero.web.admins \'["Ann Lee", "ann@example.org"]\'',
    ))(append)  # fmt: skip
    group.command("remove", epilog=examples(
        "envoi config remove application.admins ann@example.org",
    ))(remove)  # fmt: skip


def settings_file(call: Call) -> Path:
    """Return the file that is edited; raises `InputError` for one that is another program's."""
    path = call.config or DEFAULT_FILE
    if path.suffix.lower() == ".ini":
        name = shlex.quote(str(path))
        raise InputError(
            f"--config {name}: expected a settings file of Envoi's own; "
            f"`envoi config import {name}` makes one of it first"
        )
    return path


def set_key(
    ctx: typer.Context,
    key: KeyName,
    value: Annotated[
        str | None,
        typer.Argument(metavar="VALUE", help="Without it the key is removed.", show_default=False),
    ] = None,
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="Read the value here; - is stdin.")
    ] = "",
    report: Report = False,
) -> None:
    """Set a key of the settings file, or take it out.

    The value is checked; what depends on several keys is told beside, and by `envoi check`.
    Makes the file, for you alone, when there is none. The shell keeps what you type: a password
    is better read from a file, or from standard input with -f -.
    """
    if "=" in key:
        name, _, text = key.partition("=")
        raise InputError(_EQUALS.format(name, "VALUE" if text else "..."))
    if file and value is not None:
        raise InputError("VALUE: expected a value or --file, got both")
    if file:
        _set(ctx, key, read_text(file, "--file").rstrip(), is_reporting=report)
    elif value is None:
        unset(ctx, key, report=report)
    else:
        _set(ctx, key, value, is_reporting=report)


def unset(ctx: typer.Context, key: KeyName, report: Report = False) -> None:
    """Take a key out of the settings file: its default is in force again."""
    call = call_of(ctx)
    with editing(settings_file(call)) as draft:
        try:
            path = key_of(key, draft.tables).path
        except SettingsError:
            # What somebody misspelt by hand must be possible to take out again.
            path = tuple(key.split("."))
            if not draft.remove(path):
                raise
        else:
            if not draft.remove(path):
                call.screen.note(f"{key} was not set in {draft.path}: nothing was changed")
                return
        _save(draft, call.screen)
    if report:
        call.screen.line(f"Changed: Removed {key}")


def _set(ctx: typer.Context, name: str, text: str, *, is_reporting: bool) -> None:
    def change(draft: Draft, known: Key) -> str:
        draft.set(known.path, checked(known, text, draft.tables, draft.path.parent))
        return f"Set {known.name}:{known.shown(text)}"

    _edit(ctx, name, change, is_reporting=is_reporting)


def append(ctx: typer.Context, key: KeyName, item: Item, report: Report = False) -> None:
    """Put one more item at the end of a list."""

    def change(draft: Draft, known: Key) -> str:
        items = [*_items(draft, known), _item(known, item)]
        fits(known, items, draft.tables, draft.path.parent)
        draft.set(known.path, items)
        return f"Appended {known.name}:{item}"

    _edit(ctx, key, change, is_reporting=report)


def remove(ctx: typer.Context, key: KeyName, item: Item, report: Report = False) -> None:
    """Take one item out of a list."""

    def change(draft: Draft, known: Key) -> str:
        items, gone = _items(draft, known), _item(known, item)
        if gone not in items:
            raise RefusedError(f"{known.name}: {item!r} is not in the list; nothing was changed")
        items.remove(gone)
        draft.set(known.path, items)
        return f"Removed {known.name}:{item}"

    _edit(ctx, key, change, is_reporting=report)


def _edit(
    ctx: typer.Context, name: str, change: Callable[[Draft, Key], str], *, is_reporting: bool
) -> None:
    call = call_of(ctx)
    with editing(settings_file(call)) as draft:
        known = key_of(name, draft.tables)
        done = change(draft, known)
        _save(draft, call.screen)
    if is_reporting:
        call.screen.line(f"Changed: {done}")
    _tell_misfits(call, name)


def _save(draft: Draft, screen: Screen) -> None:
    mode = 0 if draft.is_new else draft.path.stat().st_mode
    draft.save()
    if draft.is_new:
        screen.note(f"made {draft.path}, readable for you alone")
    elif draft.path.stat().st_mode != mode:
        screen.note(f"{draft.path} holds a secret: others can no longer read it")


def _tell_misfits(call: Call, name: str) -> None:
    """Say beside what is not right yet: the next command may mend it, so it is no error."""
    try:
        warnings = load(settings_file(call), os.environ).warnings
    except SettingsError as err:
        for problem in err.problems:
            call.screen.note(f"note: not right yet: {problem}")
        return
    if name.startswith("omero.mail."):
        for warning in warnings:
            if warning.where == SWITCH:
                call.screen.note(f"note: no mail is sent yet: {warning.hint}")


def _items(draft: Draft, known: Key) -> list[object]:
    if not known.is_list:
        raise InputError(f"{known.name}: expected a key that holds a list, got another")
    value = value_at(draft.tables, known.path, known.default)
    if isinstance(value, str):
        value = json_text(value) if value else ()
    if not isinstance(value, list | tuple):
        raise InputError(f"{known.name}: expected a list in {draft.path}, got something else")
    return list(cast("list[object]", value))


def _item(known: Key, text: str) -> object:
    return json_text(text) if known.seed is not None else text
