"""This room writes files that may hold secrets: for their owner alone, whole or not at all."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from envoi.errors import RefusedError


def write_private(path: Path, text: str) -> None:
    """Create a file that only its owner can read; an existing one is never touched.

    The text is written aside and linked to its name when it is on the disk, so that nobody sees
    half a file, and of two that create the same one only the first succeeds.

    Raises:
        RefusedError: There is a file of this name, or the folder cannot be written.
    """
    try:
        _write_aside(path, text, _name)
    except FileExistsError as err:
        raise RefusedError(f"{path} is there already; it is not overwritten") from err


def replace_private(path: Path, text: str) -> None:
    """Put a file that only its owner can read in the place of whatever file is there.

    Until the whole text is on the disk the old file stays as it is.

    Raises:
        RefusedError: The folder cannot be written, or the name is a folder's.
    """
    _write_aside(path, text, Path.replace)


def replace_edited(path: Path, text: str, *, is_private: bool) -> None:
    """Put an edited text in the place of the file that is there, or make the file.

    Owner, group and mode stay as they were; a new file is its owner's alone.

    Args:
        path: No symbolic link.
        text: The whole text.
        is_private: Whether nobody but owner and group may read it, whatever the mode was.

    Raises:
        RefusedError: The folder cannot be written, or the file belongs to somebody else and
            could not be given back.
    """
    try:
        before = path.stat()
    except FileNotFoundError:
        _write_aside(path, text, Path.replace)
        return
    except OSError as err:
        raise RefusedError(f"{path} cannot be read: {err.strerror}") from err

    def finish(aside: Path, path: Path) -> None:
        now = aside.stat()
        if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
            os.chown(aside, before.st_uid, before.st_gid)
        mode = stat.S_IMODE(before.st_mode)
        aside.chmod(mode & ~stat.S_IRWXO if is_private else mode)
        aside.replace(path)

    _write_aside(path, text, finish)


def _write_aside(path: Path, text: str, finish: Callable[[Path, Path], object]) -> None:
    try:
        descriptor, aside = tempfile.mkstemp(prefix=".envoi-", dir=path.parent)  # mode 0600
    except OSError as err:
        raise RefusedError(f"{path} cannot be written: {err.strerror}") from err
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        finish(Path(aside), path)
    except FileExistsError:
        raise
    except OSError as err:
        raise RefusedError(f"{path} cannot be written: {err.strerror}") from err
    finally:
        Path(aside).unlink(missing_ok=True)


def _name(aside: Path, path: Path) -> None:
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems know no links. Taking the name first keeps the promise not to
        # overwrite; replacing it by the whole file keeps the one of never half a file.
        path.touch(mode=0o600, exist_ok=False)
        aside.replace(path)
