"""This room keeps events beside an outbox that cannot be reached: one file each, taken in once.

A file is written under a hidden name, synced, and renamed, so a reader sees all of it or nothing.
It holds the event's facts in clear, reset links included, because they are needed to write the
mail: folder and files are readable for their owner alone. Two workers may read the same file at
the same moment; the uid in its name makes the second storing find the first.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from envoi.core.kind import Plain
from envoi.errors import OutboxUnavailableError

_SUFFIX = ".json"
DEFAULT_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """One event out of the spool.

    Args:
        uid: 32 hexadecimal digits; hand them in as the event's uid, so that it is stored once.
        form: What `keep` was given.
        path: Its file.
        tries: How often storing it has failed, in whatever process.
    """

    uid: str
    form: Mapping[str, Plain]
    path: Path
    tries: int = 0

    def done(self) -> None:
        """Remove the file: the event is stored."""
        self.path.unlink(missing_ok=True)

    def failed(self) -> None:
        """Count a try in the file's name, where a restart does not forget it."""
        written = self.path.stem.partition("-")[0]
        with contextlib.suppress(OSError):  # another worker was quicker
            self.path.rename(self.path.with_name(f"{written}-{self.tries + 1}-{self.uid}{_SUFFIX}"))

    def reject(self, because: str) -> None:
        """Put the file aside as `.broken`, with the reason beside it; it blocks no other."""
        _put_aside(self.path, because)


class Spool:
    """A bounded folder of events.

    Args:
        folder: Made when first needed, for its owner alone.
        max_bytes: What all files together may hold; then events are refused. Default 64 MB.
    """

    def __init__(self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Touch nothing yet."""
        self.folder = Path(folder)
        self.max_bytes = max_bytes

    def keep(self, form: Mapping[str, Plain]) -> Path:
        """Write an event down so that it survives a power cut; return its file.

        Raises:
            OutboxUnavailableError: The spool is full, or its folder cannot be written.
        """
        content = json.dumps(form, ensure_ascii=False).encode("utf-8", "surrogatepass")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._require_room(len(content))
            return self._written(content)
        except OSError as err:
            raise OutboxUnavailableError(
                f"the spool {self.folder} cannot be written: {err.strerror or err}"
            ) from err

    def take(self) -> Iterator[Spooled]:
        """Hand out what lies in the spool, oldest first; call `done` or `reject` on each."""
        for path in self._files():
            try:
                form = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
            except FileNotFoundError:
                continue  # another worker was quicker
            except (OSError, ValueError) as err:
                _put_aside(path, str(err))
                continue
            if not isinstance(form, dict):
                _put_aside(path, "expected a JSON object")
                continue
            _written, _, rest = path.stem.partition("-")
            tries, _, uid = rest.rpartition("-")
            counted = int(tries) if tries.isdecimal() else 0
            yield Spooled(uid=uid, form=cast("dict[str, Plain]", form), path=path, tries=counted)

    def _files(self) -> list[Path]:
        # A name starts with the file's time in nanoseconds, so the names sort by age.
        try:
            return sorted(path for path in self.folder.iterdir() if path.suffix == _SUFFIX)
        except FileNotFoundError:
            return []

    def _require_room(self, size: int) -> None:
        held = sum(_size(path) for path in self._files())
        if held + size > self.max_bytes:
            raise OutboxUnavailableError(
                f"the spool {self.folder} is full ({held} of {self.max_bytes} bytes): "
                "bring the outbox back, or raise outbox.spool_max_mb"
            )

    def _written(self, content: bytes) -> Path:
        uid = uuid.uuid4().hex
        hidden = self.folder / f".{uid}"
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                written_ns = os.fstat(file.fileno()).st_mtime_ns
            path = self.folder / f"{written_ns:020d}-{uid}{_SUFFIX}"
            hidden.rename(path)
        except OSError:
            hidden.unlink(missing_ok=True)
            raise
        _sync_folder(self.folder)
        return path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # a worker took it in just now


def _sync_folder(folder: Path) -> None:
    # Without this a power cut may forget the name of a file whose content is safe.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_aside(path: Path, because: str) -> None:
    with contextlib.suppress(OSError):
        broken = path.with_suffix(".broken")
        path.rename(broken)
        broken.with_suffix(".because").write_text(because + "\n", "utf-8")
