"""This room kills a program at one of its system calls, with strace.

The program is the real one, untouched: the kernel ends it at the entry of the chosen call, so
everything before that call has happened and nothing after. Where tracing is not permitted, as in
some containers, `require` says so; `inside` does the same without a tracer, call by call of
Python's own.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from faults.process import PATIENCE_S, ROOT
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of a traced program.

    Args:
        code: Its exit code; None when it was killed.
        out: What it wrote to standard output before.
        err: What it wrote to standard error.
        counts: How often one of its threads came to each call, at most.
    """

    code: int | None
    out: str
    err: str
    counts: Counter[str]

    @property
    def was_killed(self) -> bool:
        """Whether it came to the point at which it was killed."""
        return self.code is None


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


def run(words: tuple[str, ...], folder: Path, effect: str = "", point: Point | None = None) -> Run:
    """Run a Python program, and let something happen when it comes to a point.

    Args:
        words: What Python is to run, e.g. `("-m", "envoi", "work", "--once")`.
        folder: Its working directory.
        effect: What happens, as strace says it: `signal=KILL`, `error=EIO`.
        point: When. None: never.
    """
    log = folder / "calls.log"
    trace = ("strace", "-f", "-qq", "-s", "0", "-o", str(log), "-e", f"trace={','.join(CALLS)}")
    inject = ("-e", f"inject={point.call}:{effect}:when={point.number}") if point else ()
    # Compiled modules are not what is to be written here.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        (*trace, *inject, sys.executable, *words),
        cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    # strace ends itself as its program ended.
    code = None if done.returncode == -signal.SIGKILL else done.returncode
    return Run(code=code, out=done.stdout, err=done.stderr, counts=_counts(log))


def _counts(log: Path) -> Counter[str]:
    # strace counts per thread, so the thread that comes there most often says how far to go.
    called = Counter(_CALLED.findall(log.read_text("utf-8", "replace")))
    counts: Counter[str] = Counter()
    for (_, call), number in called.items():
        counts[call] = max(counts[call], number)
    return counts
