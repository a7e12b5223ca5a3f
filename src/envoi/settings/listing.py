"""This room lists the settings in force: key, value with secrets masked, origin."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from envoi.core.people import Address, Mailbox
from envoi.settings.families import DEFAULT, TRANSPORT, rows_in
from envoi.settings.layers import label
from envoi.settings.secret import Secret, masked_url, shown
from envoi.settings.sections import Entry, Settings
from envoi.settings.table import SECTIONS, Row


def entries_of(settings: Settings, origins: Mapping[str, str]) -> tuple[Entry, ...]:
    """Return one entry per key and application, in the table's order, then the senders' keys.

    Args:
        settings: What is in force.
        origins: Where each key was set, by its label; what is missing has its default.
    """
    return tuple(_rows(settings, origins)) + tuple(_senders(settings, origins))


def _rows(settings: Settings, origins: Mapping[str, str]) -> Iterator[Entry]:
    for group, name, row, value in cells_of(settings):
        key = label(group, name)
        text = masked_url(value) if row.is_secret and isinstance(value, str) else told(value)
        yield Entry(key=key, shown=text, origin=origins.get(key, "default"))


def cells_of(settings: Settings) -> Iterator[tuple[str, str, Row, object]]:
    """Yield each key in force by its group, name, row and value, in the table's order."""
    for group, section in groups_of(settings):
        for name, row in rows_in(group).items():
            yield group, name, row, getattr(section, row.field or name)
        if group == TRANSPORT:
            for name, value in settings.transports.items():
                yield group, name, rows_in(group)[DEFAULT], value


def groups_of(settings: Settings) -> Iterator[tuple[str, object]]:
    """Yield the groups of keys with the values that they have."""
    for name, application in settings.applications.items():
        yield f"application.{name}", application
    for section in SECTIONS:
        if section != "application":
            yield section, getattr(settings, section)
        if section == "smtp":
            yield from ((f"relays.{name}", relay) for name, relay in settings.relays.items())


def _senders(settings: Settings, origins: Mapping[str, str]) -> Iterator[Entry]:
    for sender, table in settings.senders.items():
        for name, value in table.items():
            key = f"senders.{sender}.{name}"
            yield Entry(key=key, shown=told(value), origin=origins.get(key, "default"))


def told(value: object) -> str:
    """Return a checked value as a person would write it.

    >>> told((Address("ann", "example.org"), True, None, 30.0))
    'ann@example.org, true, , 30'
    """
    match value:
        case None:
            return ""
        case Mailbox(address, name):
            return f"{name} <{address}>" if name else str(address)
        case Address() | Path() | Secret() | str():
            return str(value)
        case tuple() | list():
            return ", ".join(told(item) for item in cast("list[object]", value))
        case Mapping():
            table = cast("Mapping[str, object]", value)
            return ", ".join(f"{key} = {told(item)}" for key, item in table.items())
        case float():
            return f"{value:g}"
        case _:
            return shown(value)
