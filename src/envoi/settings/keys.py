"""This room says what a key that somebody typed is: where it stands, and what it may hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from envoi.core.kind import MASK
from envoi.core.problem import Problem
from envoi.errors import SettingsError
from envoi.settings import omero, places, readers
from envoi.settings.families import KEYS_OF, knows, name_problem, row_in, rows_in
from envoi.settings.layers import unknown
from envoi.settings.omero_expand import Expansion
from envoi.settings.omero_keys import BY_NAME, Seed
from envoi.settings.omero_values import as_text, json_text
from envoi.settings.readers import MisfitError, Reader
from envoi.settings.secret import has_credentials, masked_url, shown, without_credentials
from envoi.settings.table import SECTIONS, Row

MAIN = "main"
_SECRET_FILE = readers.paths(places.existing_file, "a file that is there")
_ANYTHING = Reader("a text, a number, true or false, or JSON", lambda value, _: value, json_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a settings file.

    Args:
        name: As its author writes it.
        path: The tables it stands in, from the outermost, and its own name.
        reader: How a value is read, and what fits.
        default: What is in force without it, as the table of settings has it.
        row: Its row; None for OMERO's properties and for senders.
        seed: What is known about a property of OMERO; None for all others.
        is_secret: Whether it is masked.
    """

    name: str
    path: tuple[str, ...]
    reader: Reader
    default: object = None
    row: Row | None = None
    seed: Seed | None = None
    is_secret: bool = False

    def shown(self, value: object) -> str:
        """Return a value of this key as messages show it."""
        if not self.is_secret or not value:
            return without_credentials(as_text(value))
        return masked_url(value) if self.is_url and isinstance(value, str) else MASK

    @property
    def is_url(self) -> bool:
        """Whether only a part of it is secret."""
        return self.is_secret and self.row is not None and isinstance(self.row.default, str)

    @property
    def is_list(self) -> bool:
        """Whether it holds a list."""
        return isinstance(self.default, tuple)


def key_of(name: str, tables: Mapping[str, object]) -> Key:
    """Return the key of this name.

    Args:
        name: Dotted, e.g. `smtp.host`, `application.shop.from` or `omero.mail.host`.
        tables: The settings file: a key that is there stays where it is.

    Raises:
        SettingsError: Nothing is called so; says what is called nearly so.
    """
    section, _, rest = name.partition(".")
    if omero.is_omero(name):
        return _property(name, tables)
    owner, _, last = rest.rpartition(".")
    if section == "senders" and owner and last:
        reader = readers.booleans() if last == "enabled" else _ANYTHING
        return Key(name=name, path=("senders", owner, last), reader=reader)
    if section in KEYS_OF and (problem := name_problem(name, section, owner or _first(section))):
        raise SettingsError((problem,))
    is_section = section in {*SECTIONS, *KEYS_OF}
    if not is_section or not knows(section, last) or (owner and section not in KEYS_OF):
        raise SettingsError((unknown(name, last, section if is_section else ""),))
    return _own(name, (section, *_owner(section, owner, tables), last))


def _first(section: str) -> str:
    return MAIN if section == "application" else ""


def _owner(section: str, owner: str, tables: Mapping[str, object]) -> tuple[str, ...]:
    if section != "application" or owner not in {"", MAIN}:
        return (owner,) if owner else ()
    # Plain keys belong to `main`; a file that has [application.main] keeps them there.
    inner = tables.get("application")
    return (MAIN,) if isinstance(inner, Mapping) and MAIN in inner else ()


def _own(name: str, path: tuple[str, ...]) -> Key:
    row = row_in(path[0], path[-1])
    if row is None:
        return Key(name=name, path=path, reader=_SECRET_FILE, default="")
    return Key(
        name=name,
        path=path,
        reader=row.reader,
        default=row.default,
        row=row,
        is_secret=row.is_secret,
    )


def _property(name: str, tables: Mapping[str, object]) -> Key:
    seed = BY_NAME.get(name)
    if seed is None:
        raise SettingsError((omero.unknown_property(name),))
    return Key(
        name=name,
        path=omero.path_of(tables, name),
        reader=seed.reader,
        default=seed.default,
        seed=seed,
        is_secret=seed.is_secret,
    )


def checked(key: Key, text: str, tables: Mapping[str, object], folder: Path) -> object:
    """Return the value for the settings file that a text means.

    Args:
        key: What it is for.
        text: As typed; an empty one means "not set" and always fits.
        tables: The settings file, for what `${...}` refers to.
        folder: Where relative paths start.

    Raises:
        SettingsError: It does not fit.
    """
    plain = key.reader.from_text(text) if text else text
    fits(key, plain if key.seed is None else text, tables, folder)
    # A reference is looked for in texts only, so a list that holds one stays a text.
    has_reference = key.seed is not None and "${" in text
    return plain if _is_toml(plain) and not has_reference else text


def fits(key: Key, value: object, tables: Mapping[str, object], folder: Path) -> None:
    """Raise SettingsError unless the key may hold the value."""
    if value == "":
        return
    try:
        if key.seed is None:
            key.reader.read(value, folder)
        else:
            given = {**omero.properties_of(tables)[0], key.name: value}
            omero.read_property(key.seed, Expansion(given).value(key.name))
    except MisfitError as err:
        problem = Problem(
            where=key.name,
            expected=key.reader.expected,
            got=MASK if key.is_secret else shown(value),
            hint=err.hint,
        )
        raise SettingsError((problem,)) from err


def _is_toml(value: object) -> bool:
    # JSON knows null and numbers of any length; what TOML cannot hold stays the text it was.
    match value:
        case None:
            return False
        case bool() | str() | float():
            return True
        case int():
            return abs(value) < 2**63
        case list():
            return all(_is_toml(one) for one in cast("list[object]", value))
        case dict():
            return all(_is_toml(one) for one in cast("dict[str, object]", value).values())
        case _:
            return False


def value_at(tables: Mapping[str, object], path: tuple[str, ...], otherwise: object) -> object:
    """Return what a settings file holds at a place; `otherwise` where it holds nothing."""
    for name in path[:-1]:
        inner = tables.get(name)
        if not isinstance(inner, Mapping):
            return otherwise
        tables = cast("Mapping[str, object]", inner)
    return tables.get(path[-1], otherwise)


def holds_secret(tables: Mapping[str, object]) -> bool:
    """Whether a settings file holds a password, be it in a URL."""
    found = omero.properties_of(tables)[0]
    if any(found.get(name) for name, seed in BY_NAME.items() if seed.is_secret):
        return True
    relays = tables.get("relays")
    groups = [(section, tables.get(section)) for section in SECTIONS]
    if isinstance(relays, Mapping):
        groups += [("relays", one) for one in cast("Mapping[str, object]", relays).values()]
    return any(
        _tells(row, table)
        for group, table in groups
        for row in rows_in(group).values()
        if row.is_secret
    )


def _tells(row: Row, table: object) -> bool:
    value = cast("Mapping[str, object]", table).get(row.name) if isinstance(table, Mapping) else ""
    # A URL is a secret only where it holds a password.
    is_url = isinstance(row.default, str)
    return isinstance(value, str) and bool(value) and (not is_url or has_credentials(value))


def set_keys(tables: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names of all keys that a settings file sets, in its order."""
    names: list[str] = []
    for section, table in tables.items():
        if not omero.is_omero(section):
            names += _names_in(section, table, 2 if section in {*KEYS_OF, "senders"} else 1)
    return (*names, *omero.properties_of(tables)[0])


def _names_in(where: str, value: object, depth: int) -> list[str]:
    if not isinstance(value, Mapping) or not depth:
        return [where]
    table = cast("Mapping[str, object]", value)
    return [
        name for key, one in table.items() for name in _names_in(f"{where}.{key}", one, depth - 1)
    ]
