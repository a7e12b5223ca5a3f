"""This room makes small disks that can be filled and emptied.

They are mounted in a name space of this process alone and go with it, however it ends.
"""

import ctypes
import errno
import os
from functools import cache
from pathlib import Path

from faults.row import NotHereError

# From <sched.h> and <sys/mount.h>.
_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_PRIVATE, _RECURSIVE = 1 << 18, 1 << 14
_BALLAST = "ballast"


class Disk:
    """A file system in memory of a given size.

    Args:
        folder: Where it is mounted; made if it is not there.
        size_bytes: How much it holds.

    Raises:
        NotHereError: This machine does not let us mount anything.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        """Mount it."""
        _stand_apart()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        _mount("tmpfs", folder, "tmpfs", 0, f"size={size_bytes},mode=0777")

    def fill(self) -> None:
        """Leave not a byte free."""
        with (self.folder / _BALLAST).open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                self._write_until_full(file.fileno(), b"\0" * size)

    def empty(self) -> None:
        """Free what `fill` took."""
        (self.folder / _BALLAST).unlink()

    @staticmethod
    def _write_until_full(file: int, block: bytes) -> None:
        try:
            while os.write(file, block) == len(block):
                pass
        except OSError as err:
            if err.errno != errno.ENOSPC:
                raise


@cache
def _stand_apart() -> None:
    """Take this process, and those it starts from now on, into a name space of its own."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNTS) != 0:
        if libc.unshare(_NEW_MOUNTS | _NEW_USER) != 0:
            raise _not_here("unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    # Nothing that is mounted from here on is to be seen outside.
    _mount("none", Path("/"), "", _PRIVATE | _RECURSIVE, "")


def _mount(what: str, where: Path, kind: str, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = (what.encode(), os.fsencode(where), kind.encode() or None)
    if libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None) != 0:
        raise _not_here("mount")


def _not_here(call: str) -> NotHereError:
    return NotHereError(f"{call} is not permitted: {os.strerror(ctypes.get_errno())}")
