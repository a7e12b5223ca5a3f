"""This room is the part of `envoi config` that shows what is set, and what is in force."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from envoi.cli.call import call_of
from envoi.cli.config_edit import settings_file
from envoi.cli.typed import Json, examples
from envoi.errors import SettingsError
from envoi.settings import Key, Secret, Settings, key_of, set_keys, value_at
from envoi.settings.document import parsed
from envoi.settings.omero_values import as_text
from envoi.settings.omero_view import in_effect

Tables = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effect:
    """What is in force for a key."""

    key: str
    value: str
    origin: str


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("get", epilog=examples(
        "envoi config get smtp.host", "envoi config get omero.mail.from",
        "envoi config get --json", "envoi config get omero.mail.password --show-secret",
    ))(get)  # fmt: skip
    group.command("list", epilog=examples("envoi config list", "envoi config list --json"))(
        show_set
    )


def get(
    ctx: typer.Context,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Without it: all keys.", show_default=False)
    ] = "",
    show_secret: Annotated[
        bool, typer.Option("--show-secret", "--show-password", help="Do not mask secrets.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print what is in force: from the environment, the file or by default, expanded.

    Of one key the bare value; of all of them, and of OMERO's that are set, one KEY=VALUE a line.
    """
    call = call_of(ctx)
    settings_file(call)
    settings = call.settings()
    tables = _tables_of(settings.path)
    names = [key] if key else sorted(_names(settings, tables))
    found = [_effect(key_of(name, tables), settings, tables, is_open=show_secret) for name in names]
    if as_json:
        forms = [{"key": one.key, "value": one.value, "from": one.origin} for one in found]
        call.screen.document(forms[0] if key else forms)
    elif key:
        call.screen.line(found[0].value)
    else:
        for one in found:
            call.screen.line(f"{one.key}={one.value}")


def show_set(ctx: typer.Context, as_json: Json = False) -> None:
    """List the keys that the settings file sets, as they stand there; secrets masked."""
    call = call_of(ctx)
    path = settings_file(call)
    tables = _tables_of(path)
    rows = [(name, _as_set(name, tables)) for name in set_keys(tables)]
    if as_json:
        call.screen.document([{"key": name, "value": value} for name, value in rows])
    elif rows:
        call.screen.table(("KEY", "VALUE"), rows)
    else:
        call.screen.note(f"{path} sets nothing: `envoi config set KEY VALUE`")


def _tables_of(path: Path | None) -> Tables:
    nothing: Tables = {}
    return parsed(path) if path and path.exists() else nothing


def _names(settings: Settings, tables: Tables) -> Iterator[str]:
    yield from (entry.key for entry in settings.listing())
    yield from (name for name in set_keys(tables) if name.startswith("omero."))


def _effect(key: Key, settings: Settings, tables: Tables, *, is_open: bool) -> _Effect:
    if key.seed is not None:
        value, origin = in_effect(key.seed, settings, tables)
        text = as_text(value) if is_open else key.shown(value)
        return _Effect(key=key.name, value=text, origin=origin)
    label = key.name.replace("application.main.", "application.")
    for entry in settings.listing():
        if entry.key == label:
            text = _opened(key, settings) if is_open and key.is_secret else entry.shown
            return _Effect(key=key.name, value=text, origin=entry.origin)
    return _Effect(key=key.name, value="", origin="default")


def _opened(key: Key, settings: Settings) -> str:
    owner, _, name = key.name.rpartition(".")
    section = settings.relay(key.path[1]) if key.path[0] == "relays" else getattr(settings, owner)
    value: object = getattr(section, name)
    return value.reveal() if isinstance(value, Secret) else str(value)


def _as_set(name: str, tables: Tables) -> str:
    try:
        key = key_of(name, tables)
    except SettingsError:
        # An unknown key may be a misspelt one that holds a password.
        return "(unknown: not shown)"
    return key.shown(value_at(tables, key.path, ""))
