"""This room says how strace ends a program at one of its system calls, or spoils the call.

The program is not changed: the kernel ends it at the entry of the chosen call, so everything
before that call has happened and nothing after. Where tracing is not permitted, as in some
containers, `require` says so; `nursery` has a second way that needs no tracer.
"""

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from faults.row import NotHereError

# What leaves a trace outside of the process: on a disk, at a server. A question mark: not every
# machine has the call.
CALLS = (
    "write", "writev", "pwrite64", "?pwritev", "fsync", "fdatasync", "ftruncate", "sendto",
    "sendmsg", "connect", "?unlink", "unlinkat", "?rename", "renameat", "?link", "linkat",
)  # fmt: skip
_CALLED = re.compile(r"(?m)^(\d+) +(\w+)\(")


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in a program: before it calls `call` for the `number`th time, from 1."""

    call: str
    number: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.call} number {self.number}"


def require() -> None:
    """Check that programs can be traced here.

    Raises:
        NotHereError: No strace, or the system forbids it.
    """
    because = _obstacle()
    if because:
        raise NotHereError(because)


@cache
def _obstacle() -> str:
    strace = shutil.which("strace")
    if not strace:
        return "there is no strace (apt-get install strace)"
    tried = subprocess.run(
        (strace, "-qq", "-o", "/dev/null", "true"), capture_output=True, text=True, check=False
    )
    return f"ptrace is not permitted: {tried.stderr.strip()}" if tried.returncode else ""


def command(log: Path, effect: str = "", point: Point | None = None) -> tuple[str, ...]:
    """Return the command that traces a process, but for its number.

    Args:
        log: Where the calls are written.
        effect: What happens at the point, as strace says it: `signal=KILL`, `error=EIO`.
        point: When. None: never.
    """
    trace = ("strace", "-f", "-qq", "-s", "0", "-o", str(log), "-e", f"trace={','.join(CALLS)}")
    inject = ("-e", f"inject={point.call}:{effect}:when={point.number}") if point else ()
    return (*trace, *inject, "-p")


def was_struck(log: Path) -> bool:
    """Whether a call was spoilt, or the program ended in it."""
    text = log.read_text("utf-8", "replace")
    return "(INJECTED)" in text or "+++ killed by SIGKILL +++" in text


def counts(log: Path) -> Counter[str]:
    """Return how often one of a program's threads came to each call, at most.

    strace counts per thread, so the one that comes there most often says how far to go.
    """
    called = Counter(_CALLED.findall(log.read_text("utf-8", "replace")))
    most: Counter[str] = Counter()
    for (_, call), number in called.items():
        most[call] = max(most[call], number)
    return most
