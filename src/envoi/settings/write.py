"""This room writes files that may hold secrets: for their owner alone, whole or not at all."""

import os
import tempfile
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
        descriptor, aside = tempfile.mkstemp(prefix=".envoi-", dir=path.parent)  # mode 0600
    except OSError as err:
        raise RefusedError(f"{path} cannot be written: {err.strerror}") from err
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _name(Path(aside), path)
    except FileExistsError as err:
        raise RefusedError(f"{path} is there already; it is not overwritten") from err
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
