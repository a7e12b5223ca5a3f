"""This room runs `envoi` commands in forked children, and ends one at a chosen call.

A program of its own, with everything imported and one thread, so that a child costs a few
milliseconds and not a second. A child watches the calls that leave a trace outside of it: on
sockets, in the database, on the disk. Right before the chosen one the child kills itself with
SIGKILL; nothing in Envoi is replaced or knows of it. Needs no tracer, so it runs where `tracing`
may not.

An order is a JSON object on a line of standard input: `folder`, `words`, `point` (0: count only).
The answer: `code` (null: killed), `out`, `at` (the call where it was killed), `calls` (how many
there were; 0 when it was killed).
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

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
    pid = os.fork()
    if not pid:
        _be_child(order, out, note)
    _, status = os.waitpid(pid, 0)
    is_killed = os.WIFSIGNALED(status)
    said = out.read_text("utf-8", "replace")
    if is_killed:
        return {"code": None, "out": said, "at": note.read_text(), "calls": 0}
    noted = json.loads(note.read_text())
    _learn(noted["modules"])
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "out": said, "at": "", "calls": noted["calls"]}


def _be_child(order: dict[str, Any], out: Path, note: Path) -> None:
    from envoi.cli.program import main  # noqa: PLC0415 # loaded before the fork, see `_learn`

    code = 70
    with contextlib.suppress(BaseException):
        os.chdir(order["folder"])
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(file, stream)
        watch = Watch(order["point"], note)
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
