"""This room edits a settings file as a careful person would: one key at a time.

Comments, order, owner and mode stay; a symbolic link stays one. The new text is read again before
it takes the old one's place: unless it says exactly what it should, nothing is changed. Two who
edit at once do so one after the other.
"""

import copy
import fcntl
import os
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from tomllib import TOMLDecodeError, loads
from typing import cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from envoi.errors import RefusedError
from envoi.settings.document import parsed
from envoi.settings.keys import holds_secret
from envoi.settings.write import replace_edited

_BOM = "\ufeff"
_BY_HAND = "nothing was changed: edit it by hand"
Tables = MutableMapping[str, object]


class Draft:
    """A settings file while it is edited.

    Args:
        path: The file itself, links followed; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            SettingsError: It cannot be read, or is not TOML.
        """
        self.path = path
        self.is_new = not path.exists()
        # What it says, for lookers; below, what it shall say. Reading it first finds what is wrong
        # with the file.
        self.tables: Mapping[str, object] = {} if self.is_new else parsed(path)
        self._text = "" if self.is_new else path.read_bytes().decode("utf-8-sig")
        self._wanted = cast("Tables", copy.deepcopy(dict(self.tables)))
        self._document: Tables | None = None

    def set(self, path: tuple[str, ...], value: object) -> None:
        """Set a key, given as the names of the tables it stands in and its own."""
        _put(self._wanted, path, value)
        with _surprises_of(self.path):
            _put(self._opened(), path, value)

    def remove(self, path: tuple[str, ...]) -> bool:
        """Take a key out; return whether it was there."""
        if not _has(self._wanted, path):
            return False
        _drop(self._wanted, path)
        with _surprises_of(self.path):
            _drop(self._opened(), path)
        return True

    def save(self) -> None:
        """Write the file, unless nothing is different.

        Raises:
            RefusedError: It cannot be written, or would not say what it should.
        """
        if self._document is None:
            return
        with _surprises_of(self.path):
            text = tomlkit.dumps(self._document)
            is_right = loads(text) == self._wanted
        if not is_right:
            raise RefusedError(f"{self.path}: its tables are too intricate; {_BY_HAND}")
        # TOML's own line ends are either; one file has one sort.
        if "\r\n" in self._text:
            text = text.replace("\r\n", "\n").replace("\n", "\r\n")
        replace_edited(self.path, text, is_private=holds_secret(self._wanted))

    def _opened(self) -> Tables:
        if self._document is None:
            self._document = cast("Tables", tomlkit.parse(self._text.removeprefix(_BOM)))
        return self._document


@contextmanager
def editing(path: Path) -> Generator[Draft]:
    """Open a settings file to be edited; whoever else wants to waits.

    Args:
        path: The file; need not be there. Call `Draft.save` at the end.

    Raises:
        SettingsError: It cannot be read, or is not TOML.
        RefusedError: Its folder is not there, or nobody may look into it.
    """
    try:
        target = path.resolve()
        # The folder is locked, not the file: the file is another one after each edit.
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    except (OSError, RuntimeError) as err:
        because = err.strerror if isinstance(err, OSError) else "its links lead in a circle"
        raise RefusedError(f"{path} cannot be edited: {because}") from err
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield Draft(target)
    finally:
        os.close(folder)


@contextmanager
def _surprises_of(path: Path) -> Generator[None]:
    # What an intricate file does to the editing library is told in one sentence.
    try:
        yield
    except (TOMLKitError, TOMLDecodeError, ValueError, TypeError, LookupError, RecursionError,
            AttributeError) as err:  # fmt: skip
        raise RefusedError(f"{path}: {type(err).__name__}; {_BY_HAND}") from err


def _put(tables: Tables, path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        if name not in tables:
            tables[name] = {} if type(tables) is dict else tomlkit.table()
        tables = cast("Tables", tables[name])
    tables[path[-1]] = value


def _has(tables: Mapping[str, object], path: tuple[str, ...]) -> bool:
    for name in path[:-1]:
        inner = tables.get(name)
        if not isinstance(inner, Mapping):
            return False
        tables = cast("Mapping[str, object]", inner)
    return path[-1] in tables


def _drop(tables: Tables, path: tuple[str, ...]) -> None:
    for name in path[:-1]:
        tables = cast("Tables", tables[name])
    del tables[path[-1]]
