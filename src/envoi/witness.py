"""This room looks at an exception while it is still there, and leaves plain values.

Rules of the file: it raises nothing, it keeps no reference to what it saw, and it runs no code of
the objects that it meets: their `__repr__` may raise, sleep, take a lock or be as long as a
database. Only what an exception says about itself is asked for, within a time.
"""

import linecache
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from threading import Thread
from types import FrameType, TracebackType
from typing import cast

from envoi.core.incident import MAX_MESSAGE_CHARS, Frame, Link, Raised

# A recursion of a thousand calls says nothing that these do not say.
MAX_FRAMES = 60
MAX_CHAIN = 10
MAX_MEMBERS = 10
MAX_LINE_CHARS = 400
# Lines of the source on each side of one of our own.
AROUND = 2
# A message that takes longer does more than say something; the request waits for it.
MESSAGE_S = 0.02
# Names that say nothing in a subject.
PLAIN_MODULES = frozenset({"builtins", "__main__"})
TOO_SLOW = "(its message took too long)"
NO_MESSAGE = "(its message cannot be read)"


def look_at(error: BaseException) -> Raised:
    """Return an exception with everything that it was raised after."""
    return _seen(error, set(), MAX_CHAIN)


def _seen(error: BaseException, known: set[int], depth: int) -> Raised:
    known.add(id(error))
    members = _members(error) if depth > 0 else ()
    before, link = _before(error)
    is_new = before is not None and id(before) not in known and depth > 0
    return Raised(
        type=type_name(type(error)),
        message=message_of(error),
        frames=_frames(error.__traceback__),
        before=_seen(before, known, depth - 1) if before is not None and is_new else None,
        link=link,
        members=tuple(_seen(one, known, depth - 1) for one in members[:MAX_MEMBERS]),
        left_out=max(len(members) - MAX_MEMBERS, 0),
    )


def _members(error: BaseException) -> tuple[BaseException, ...]:
    if not isinstance(error, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", error).exceptions


def _before(error: BaseException) -> tuple[BaseException | None, Link]:
    if error.__cause__ is not None:
        return error.__cause__, Link.CAUSE
    return (None if error.__suppress_context__ else error.__context__), Link.CONTEXT


def type_name(kind: type) -> str:
    """Return the name of a class as a traceback shows it."""
    # Whoever makes a class may write anything into its module's name.
    module = str(kind.__module__)
    return kind.__qualname__ if module in PLAIN_MODULES else f"{module}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """Return what an exception says about itself, within a time and a length."""
    said: list[str] = []
    # Nobody can end a thread: one that hangs is left behind, and the report goes on.
    thread = Thread(target=_ask, args=(error, said), name="envoi-message", daemon=True)
    try:
        thread.start()
        thread.join(MESSAGE_S)
    except RuntimeError:  # the interpreter is ending, or no thread is to be had
        return NO_MESSAGE
    return said[0] if said else TOO_SLOW


def _ask(error: BaseException, said: list[str]) -> None:
    try:
        said.append(str(error)[:MAX_MESSAGE_CHARS])
    except BaseException:  # noqa: BLE001 # somebody else's code may raise anything
        said.append(NO_MESSAGE)


def _frames(traceback: TracebackType | None) -> tuple[Frame, ...]:
    found: list[Frame] = []
    while traceback is not None:
        found.append(_frame(traceback.tb_frame, traceback.tb_lineno or 0))
        traceback = traceback.tb_next
    if len(found) <= MAX_FRAMES:
        return tuple(found)
    # Where it began and where it ended; between them one recursion is like another.
    return (*found[: MAX_FRAMES // 3], *found[-2 * MAX_FRAMES // 3 :])


def _frame(frame: FrameType, line: int) -> Frame:
    path = frame.f_code.co_filename
    module = frame.f_globals.get("__name__")
    is_ours = is_own(path)
    return Frame(
        module=module if isinstance(module, str) else "",
        function=frame.f_code.co_qualname,
        file=shown_path(path),
        line=line,
        source=_source(frame, path, line, AROUND if is_ours else 0),
        is_ours=is_ours,
    )


def _source(frame: FrameType, path: str, line: int, around: int) -> tuple[tuple[int, str], ...]:
    try:
        linecache.checkcache(path)
        lines = linecache.getlines(path, frame.f_globals)
    except Exception:  # noqa: BLE001 # a loader of somebody else's may raise anything
        return ()
    numbers = range(max(line - around, 1), min(line + around, len(lines)) + 1)
    return tuple((number, lines[number - 1].rstrip()[:MAX_LINE_CHARS]) for number in numbers)


@lru_cache(maxsize=4096)
def is_own(path: str) -> bool:
    """Whether a file is the application's own, neither Python's nor a library's."""
    if not path or path.startswith("<"):
        return False
    parts = Path(path).parts
    if "site-packages" in parts or "dist-packages" in parts:
        return False
    return not path.startswith((_standard_library(), str(Path(__file__).parent)))


@lru_cache(maxsize=4096)
def shown_path(path: str) -> str:
    """Return a path as it is read: from where its package is imported."""
    roots = [f"{root}/" for root in sys.path if root and path.startswith(f"{root}/")]
    return path[len(max(roots, key=len)) :] if roots else path


@lru_cache(maxsize=1)
def _standard_library() -> str:
    return sysconfig.get_paths()["stdlib"]
