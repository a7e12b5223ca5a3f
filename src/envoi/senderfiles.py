"""This room finds the files of mail senders that an operator activated by copying them.

A file counts when its name ends in `.xml` and it lies in `senders.d` beside the settings file.
Every `notify` looks at names, sizes and times alone, so a file that is put there, changed or
removed counts at once and everywhere, without a restart.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from envoi.core.beans import MAX_FILE_BYTES, SenderTables, read_beans
from envoi.core.problem import Problem

FOLDER = "senders.d"
SUFFIX = ".xml"
EXAMPLE = "mail-senders.example"

Stamp: TypeAlias = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class SenderFiles:
    """The files of one folder.

    Args:
        folder: Need not be there.
    """

    folder: Path

    def stamp(self) -> Stamp:
        """Return what tells whether anything has changed: name, size and time of each file."""
        try:
            with os.scandir(self.folder) as entries:
                found = [_stamp_of(one) for one in entries if one.name.endswith(SUFFIX)]
        except OSError:
            return ()
        return tuple(sorted(found))

    def read(self) -> SenderTables:
        """Return the senders of all files; of two that name one, the later name's wins."""
        found = [self._read(name) for name, _, _ in self.stamp()]
        tables = {name: table for one in found for name, table in one.tables.items()}
        return SenderTables(tables, tuple(problem for one in found for problem in one.problems))

    def _read(self, name: str) -> SenderTables:
        path = self.folder / name
        try:
            if path.exists() and not path.is_file():  # of a pipe nobody knows when it ends
                return SenderTables({}, (Problem(where=name, expected="a file", got="none"),))
            with path.open("rb") as file:
                # One octet more, so that a file that is too long is told from one that is not.
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as err:
            got = err.strerror or str(err)
            return SenderTables({}, (Problem(where=name, expected="a file", got=got),))
        return read_beans(content, name)


def _stamp_of(entry: os.DirEntry[str]) -> tuple[str, int, int]:
    try:
        stat = entry.stat()
    except OSError:  # a link to a file that is gone; the other files count all the same
        return entry.name, 0, 0
    return entry.name, stat.st_size, stat.st_mtime_ns
