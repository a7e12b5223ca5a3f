"""This room writes the `envoi.toml` that says what another program's settings file says."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import tomlkit

from envoi.core.people import Address, Mailbox
from envoi.settings.imported import NOT_ABOUT_MAIL
from envoi.settings.kallithea_values import quoted
from envoi.settings.layers import MAIN, label
from envoi.settings.listing import cells_of, groups_of
from envoi.settings.secret import Secret
from envoi.settings.sections import Note, Settings

_WIDTH = 98


def equivalent(settings: Settings, target: Path) -> str:
    """Return a settings file that means the same, with what became of each key.

    Args:
        settings: As they were read from the other file alone, without the environment.
        target: Where the text will stand; relative paths would start there, so what lay beside
            the other file is written with its whole path.
    """
    source = settings.path.name if settings.path else "another file"
    head = [
        f"# Settings of Envoi, made from {source} by `envoi config import`.",
        "# Every key is also a variable, ENVOI_SECTION__KEY, which wins over this file.",
        "# All keys: docs/reference/settings.md. What is in force, and from where: envoi check",
        "",
    ]
    values = _values(settings, target)
    body = [line for group, table in values.items() for line in _table(settings, group, table)]
    return (
        "\n".join([*head, *body, *_untaken(settings, source), *_unread(settings)]).rstrip() + "\n"
    )


def _values(settings: Settings, target: Path) -> dict[str, dict[str, object]]:
    is_set = {entry.key for entry in settings.entries if entry.origin != "default"}
    if target.parent != settings.folder:
        is_set |= {"outbox.url", "outbox.spool"}
    values: dict[str, dict[str, object]] = {group: {} for group, _ in groups_of(settings)}
    for group, name, _, value in cells_of(settings):
        if label(group, name) in is_set:
            values[group][name] = value
    return values | {f"senders.{name}": {} for name in settings.senders}


def _table(settings: Settings, group: str, table: Mapping[str, object]) -> Iterator[str]:
    if group.startswith("senders."):
        table = settings.senders[group.partition(".")[2]]
    if not table:
        return
    yield f"[{'application' if group == MAIN else _dotted(group)}]"
    for name, value in table.items():
        for note in _notes_on(settings, label(group, name)):
            yield from _comment(f"{note.key}: {note.became}")
        yield f"{name} = {_literal(value)}"
    yield ""


def _dotted(group: str) -> str:
    section, _, name = group.partition(".")
    return f"{section}.{tomlkit.key(name).as_string()}" if name else section


def _notes_on(settings: Settings, target: str) -> Iterator[Note]:
    return (note for note in settings.notes if note.target == target)


def _untaken(settings: Settings, source: str) -> Iterator[str]:
    written = {entry.key for entry in settings.entries if entry.origin != "default"}
    notes = [note for note in settings.notes if note.target not in written]
    notes = [note for note in notes if note.became != NOT_ABOUT_MAIL]
    if notes:
        yield f"# In {source}, and not taken over:"
        for note in notes:
            yield from _comment(f"{note.key}: {note.became}")
        yield ""


def _unread(settings: Settings) -> Iterator[str]:
    others = [note.key for note in settings.notes if note.became == NOT_ABOUT_MAIL]
    if others:
        yield from _comment(f"Not about mail, and not read: {', '.join(others)}")


def _comment(text: str) -> list[str]:
    # The keys are somebody else's: a control character in one would end the file's syntax.
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return textwrap.wrap(
        plain,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_on_hyphens=False,
    )


def _literal(value: object) -> str:
    match value:
        case Mailbox(address, name):
            plain: object = f"{quoted(name)} <{address}>" if name else str(address)
        case Secret():
            plain = value.reveal()
        case Address() | Path():
            plain = str(value)
        case tuple() | list():
            items = cast("list[object]", value)
            return f"[{', '.join(_literal(item) for item in items)}]"
        case _:
            plain = value
    return tomlkit.item(plain).as_string()
