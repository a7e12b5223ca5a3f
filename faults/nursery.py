"""This room runs `envoi` commands in forked children, and ends one at a chosen moment.

A program of its own, with everything loaded and one thread, so that a child costs a tenth of a
program's start. There are two ways to choose the moment, and nothing in Envoi is replaced or
knows of either:

* a tracer (see `tracing`) is attached to the child before it begins, and the kernel ends it at
  a system call;
* or, where that is not permitted, the child watches its own calls that leave a trace outside of
  it, on sockets, in the database, on the disk, and kills itself right before one.

An order is a JSON object on a line of standard input: `folder`, `words`, `point` (of the watch;
0: count only) and `tracer` (its command but for the process id; empty: none). The answer: `code`
(null: killed), `out`, `at` (the call before which it killed itself), `calls` (how many there were;
0 when it was killed or traced).
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_TICK_S = 0.002
# Functions written in C, by type and name; what `sqlite3`, `socket` and `os` do for Envoi.
_C_CALLS = frozenset(
    {
        "socket.connect", "socket.connect_ex", "socket.send", "socket.sendall", "socket.sendmsg",
        "Cursor.execute", "Cursor.executemany", "Connection.execute", "Connection.commit",
        "Connection.rollback", "Connection.close", "fsync", "fdatasync", "rename", "replace",
        "unlink", "write",
    }
)  # fmt: skip
# Functions of psycopg, which speaks to its server in C below them.
_PSYCOPG_CALLS = frozenset({"Cursor.execute", "Connection.commit", "Connection.rollback"})


class Watch:
    """Counts the calls that matter, and kills this process at one of them.

    Args:
        point: Before which, counted from 1; 0 for none.
        note: Where the name of the call is written before the end.
    """

    def __init__(self, point: int, note: Path) -> None:
        """Count from nothing."""
        self.calls = 0
        self._point = point
        self._note = note
        self._is_psycopg: dict[CodeType, bool] = {}

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """Be told by the interpreter of a call or a return."""
        if event == "c_call":
            name = getattr(arg, "__qualname__", "")
            if name in _C_CALLS:
                self._count(name)
        elif event == "call" and self._matters(frame.f_code):
            self._count(f"psycopg.{frame.f_code.co_qualname}")

    def _matters(self, code: CodeType) -> bool:
        if code not in self._is_psycopg:
            is_psycopg = f"{os.sep}psycopg{os.sep}" in code.co_filename
            self._is_psycopg[code] = is_psycopg and code.co_qualname in _PSYCOPG_CALLS
        return self._is_psycopg[code]

    def _count(self, name: str) -> None:
        self.calls += 1
        if self.calls == self._point:
            self._point = 0  # what follows is not watched
            self._note.write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)


def obey(order: dict[str, Any]) -> dict[str, Any]:
    """Run one command in a child and say what became of it."""
    folder = Path(order["folder"])
    out, note = folder / "child.out", folder / "child.note"
    note.write_text("")
    gate, opening = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(opening)
        os.read(gate, 1)
        _be_child(order, out, note)
    os.close(gate)
    tracer = _attach(order["tracer"], pid) if order["tracer"] else None
    os.close(opening)
    _, status = os.waitpid(pid, 0)
    if tracer is not None:
        tracer.wait()
    return _told(status, out.read_text("utf-8", "replace"), note.read_text())


def _attach(command: list[str], pid: int) -> "subprocess.Popen[bytes]":
    """Start a tracer and wait until it has the child, which waits at its gate."""
    tracer = subprocess.Popen((*command, str(pid)), stdin=subprocess.DEVNULL)
    status = Path(f"/proc/{pid}/status")
    while "\nTracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None:
            raise RuntimeError(f"the tracer ended with {tracer.returncode}")
        time.sleep(_TICK_S)
    return tracer


def _told(status: int, out: str, noted: str) -> dict[str, Any]:
    if os.WIFSIGNALED(status):
        return {"code": None, "out": out, "at": noted, "calls": 0}
    found: dict[str, Any] = json.loads(noted)
    _learn(found["modules"])
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "out": out, "at": "", "calls": found["calls"]}


def _be_child(order: dict[str, Any], out: Path, note: Path) -> None:
    from envoi.cli.program import main  # noqa: PLC0415 # loaded before the fork, see `_learn`

    code = 70
    with contextlib.suppress(BaseException):
        os.chdir(order["folder"])
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        watch = Watch(order["point"], note)
        if not order["tracer"]:
            threading.setprofile(watch)
            sys.setprofile(watch)
        code = main(order["words"])
        sys.setprofile(None)
        sys.stdout.flush()
        sys.stderr.flush()
        note.write_text(json.dumps({"calls": watch.calls, "modules": sorted(sys.modules)}))
    os._exit(code)


def _learn(modules: list[str]) -> None:
    # What a command loads when it needs it is loaded here, so that the next child has it.
    for module in modules:
        if module not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)


def serve() -> None:
    """Obey until the input ends."""
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
