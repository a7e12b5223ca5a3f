"""This room reads single values in the forms in which OMERO's properties hold them.

Everything is a text there; lists and tables in it are JSON. In `envoi.toml` they may be TOML's own.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, cast

from envoi.settings import readers
from envoi.settings.readers import MisfitError, Reader, checked_text

PLAIN_FACTORY = "javax.net.SocketFactory"
TLS_FACTORY = "javax.net.ssl.SSLSocketFactory"
BROKEN_LINKS = "BrokenLinkEmailsMiddleware"
_IGNORABLE = "IGNORABLE_404_URLS"
Pairs: TypeAlias = tuple[tuple[str, str], ...]
# What Java allows goes on for ever at 0; these are the bounds of our own keys.
SHORTEST_MS = 100
LONGEST_CONNECT_MS = 600_000
LONGEST_READ_MS = 3_600_000
MAX_ITEMS = 10_000
NOTHING: tuple[object, ...] = ()


def json_text(text: str) -> object:
    """Return what the JSON says; the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def json_lists(item: Callable[[object], object], expected: str) -> Reader:
    """Return a reader of lists, as TOML has them or as JSON in a text."""

    def read(value: object, _folder: Path) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise MisfitError("it is no JSON list")
        items = cast("list[object]", value)
        if len(items) > MAX_ITEMS:
            raise MisfitError(f"more than {MAX_ITEMS} items")
        return tuple(item(one) for one in items)

    return Reader(expected, read, json_text)


def admin(value: object) -> tuple[str, str]:
    """Return name and address of one of `omero.web.admins`."""
    match value:
        case [str(name), str(address)]:
            return checked_text(name), str(readers.address(checked_text(address)))
        case str():
            raise MisfitError('each administrator is a list of two: ["Ann Lee", "ann@example.org"]')
        case _:
            raise MisfitError('an item is not ["Full Name", "address"]')


def middleware(value: object) -> str:
    """Return the class of one entry of `omero.web.middleware`."""
    match value:
        case {"index": int() | float(), "class": str(name)}:
            return checked_text(name)
        case _:
            raise MisfitError('an item is not {"index": NUMBER, "class": NAME}')


def additional(value: object) -> tuple[str, object]:
    """Return name and value of one entry of `omero.web.django_additional_settings`."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    if len(items) != len(("NAME", "VALUE")) or not isinstance(items[0], str):
        raise MisfitError('an item is not ["NAME", VALUE]')
    if items[0] == _IGNORABLE:
        return _IGNORABLE, _patterns(items[1])
    return checked_text(items[0]), items[1]


def _patterns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise MisfitError(f"{_IGNORABLE} is no list")
    return tuple(readers.pattern(checked_text(one)) for one in cast("list[object]", value))


def factory(text: str) -> str:
    """Return the class of sockets if it is one of Java's own two."""
    if text not in {PLAIN_FACTORY, TLS_FACTORY}:
        raise MisfitError("a class of your own cannot run here; see smtp.tls, smtp.ca_file")
    return text


def bean(text: str) -> str:
    """Return the name of a mail sender implementation."""
    return text if text == "defaultMailSender" else readers.transport_name(text)


def milliseconds(longest: int) -> Reader:
    """Return a reader of time limits in milliseconds."""
    inner = readers.integers(SHORTEST_MS, longest)
    return Reader(f"{inner.expected} milliseconds", inner.read, inner.from_text)


def as_text(value: object) -> str:
    """Return a value as OMERO's own command prints it: texts bare, everything else as JSON.

    >>> as_text("a"), as_text(True), as_text((("Ann", "ann@example.org"),))
    ('a', 'true', '[["Ann", "ann@example.org"]]')
    """
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def ignored_paths(settings: Mapping[str, object]) -> tuple[str, ...]:
    """Return Django's `IGNORABLE_404_URLS` of the additional settings, as `additional` read it."""
    return cast("tuple[str, ...]", settings.get(_IGNORABLE, ()))
