"""This room looks at an exception while it is still there, and leaves plain values.

Rules of the file: it raises nothing, it keeps no reference to what it saw, and it runs no code of
the objects that it meets: their `__repr__` may raise, sleep, take a lock or be as long as a
database. Only what an exception says about itself is asked for, within a time.
"""

import linecache
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from threading import Thread
from types import FrameType, TracebackType
from typing import cast

from envoi.core.incident import MAX_MESSAGE_CHARS, Frame, Link, Raised
from envoi.core.kind import MASK
from envoi.core.portrait import MAX_BITS, attributes, portrait
from envoi.core.scrub import MAX_KNOWN_CHARS, Scrubber, is_known_by_value, is_long, is_secret_name
from envoi.marks import is_marked

# A recursion of a thousand calls says nothing that these do not say.
MAX_FRAMES = 60
MAX_CHAIN = 10
MAX_MEMBERS = 10
MAX_LINE_CHARS = 400
MAX_VALUE_CHARS = 500
# Texts are cut to this before secrets are looked for, and to their own length behind that: half a
# secret at the edge would not be known as one.
WIDER = 4
MAX_VARIABLES = 30
# How many names of one call are looked at, in the search for secrets too.
MAX_LOOKED_AT = 200
MAX_KNOWN = 500
# How deep values are looked into for secrets, and how many values of one error.
LOOKED_INTO = 2
MAX_SEARCHED = 4_000
# Lines of the source on each side of one of our own.
AROUND = 2
# Messages that take longer do more than say something; the request waits for all of them together.
MESSAGES_S = 0.01
# Names that say nothing in a subject.
PLAIN_MODULES = frozenset({"builtins", "__main__"})
# How the interpreter itself reads an exception and its class; asked by a dot, others could answer.
_MRO, _DICT = type.__dict__["__mro__"], type.__dict__["__dict__"]
_ARGS = BaseException.__dict__["args"]
_OWN_WORDS = (BaseException.__str__, KeyError.__str__)
# What the interpreter writes by itself, and what it writes with all that it holds.
_WRITTEN = (str, bytes, int)
_HOLDING = (list, tuple, dict, set, frozenset, bytearray)
TOO_SLOW = "(its message took too long)"
NO_MESSAGE = "(its message cannot be read)"


class Witness:
    """Looks at one exception.

    Args:
        error: As it was caught.
        known: Values that must not be seen in what it leaves, beside those that it finds itself.
        variables_of: Of how many of the innermost calls the local variables are shown.
        is_hidden: Whether a variable of a call is a secret, whatever it is called.
    """

    def __init__(
        self,
        error: BaseException,
        known: Iterable[str] = (),
        *,
        variables_of: int = 0,
        is_hidden: Callable[[FrameType, str], bool] | None = None,
    ) -> None:
        """Collect the secrets that stand in variables: they may stand in messages as well."""
        self._error = error
        self._variables_of = variables_of
        self._is_hidden = is_hidden
        self._asked_until_s = time.monotonic() + MESSAGES_S
        self.scrubber = Scrubber((*known, *islice(self._known(), MAX_KNOWN)))

    def look(self) -> Raised:
        """Return the exception with everything that it was raised after."""
        return self._seen(self._error, {id(self._error)}, MAX_CHAIN)

    def _seen(self, error: BaseException, known: set[int], depth: int) -> Raised:
        before, link = _before(error)
        members = [one for one in _members(error) if id(one) not in known] if depth else []
        is_told = before is not None and id(before) not in known and depth > 0
        known.update(map(id, (*members, before)))
        return Raised(
            type=type_name(type(error)),
            message=self.scrubber.text(self._message(error))[:MAX_MESSAGE_CHARS],
            frames=self._frames(error.__traceback__),
            before=self._seen(before, known, depth - 1) if before and is_told else None,
            link=link,
            members=tuple(self._seen(one, known, depth - 1) for one in members[:MAX_MEMBERS]),
            left_out=max(len(members) - MAX_MEMBERS, 0),
        )

    def _message(self, error: BaseException) -> str:
        large = _large_words(error)
        if large is not None:
            return self._shown(large)
        return message_of(error, self._asked_until_s - time.monotonic())

    def _frames(self, traceback: TracebackType | None) -> tuple[Frame, ...]:
        calls = list(_calls(traceback))
        told = self._told_of(calls)
        frames = [
            self._frame(call.tb_frame, call.tb_lineno or 0, has_variables=call in told)
            for call in calls
        ]
        return tuple(frames)

    def _told_of(self, calls: list[TracebackType]) -> list[TracebackType]:
        """Return the calls whose variables are shown: the application's, nearest to the error."""
        own = [call for call in calls if is_own(call.tb_frame.f_code.co_filename)]
        return (own or calls)[-self._variables_of :] if self._variables_of else []

    def _frame(self, frame: FrameType, line: int, *, has_variables: bool) -> Frame:
        path = frame.f_code.co_filename
        module = frame.f_globals.get("__name__")
        is_ours = is_own(path)
        source = _source(frame, path, line, AROUND if is_ours else 0)
        return Frame(
            module=module if isinstance(module, str) else "",
            function=frame.f_code.co_qualname,
            file=shown_path(path),
            line=line,
            source=tuple(
                (number, self.scrubber.source(text)[:MAX_LINE_CHARS]) for number, text in source
            ),
            variables=tuple(self._variables(frame)) if has_variables else (),
            is_ours=is_ours,
        )

    def _variables(self, frame: FrameType) -> Iterator[tuple[str, str]]:
        # What Python itself keeps in a module says nothing of the error.
        own = (one for one in _locals(frame) if not (one[0][:2] == one[0][-2:] == "__"))
        for name, value in islice(own, MAX_VARIABLES):
            is_secret = is_secret_name(name) or self._is_marked(frame, name)
            yield name, MASK if is_secret else self._shown(value)

    def _known(self) -> Iterator[str]:
        waiting = deque(self._named_values())
        # Those of the calls first, then what they hold: of a large object nothing but a part.
        for _ in range(MAX_SEARCHED):
            if not waiting:
                return
            name, value, depth, is_hidden = waiting.popleft()
            text = _text_of(value, is_hidden=is_hidden)
            if text is None:
                parts = _parts(name, value) if depth else ()
                waiting += [(key, item, depth - 1, is_hidden) for key, item in parts]
            elif is_known_by_value(name, text) or (is_hidden and is_long(text)):
                yield text

    def _named_values(self) -> Iterator[tuple[str, object, int, bool]]:
        for one in _chain(self._error):
            for call in _calls(one.__traceback__):
                for name, value in islice(_locals(call.tb_frame), MAX_LOOKED_AT):
                    yield name, value, LOOKED_INTO, self._is_marked(call.tb_frame, name)

    def _is_marked(self, frame: FrameType, name: str) -> bool:
        if is_marked(frame.f_code, name):
            return True
        try:
            return self._is_hidden is not None and self._is_hidden(frame, name)
        except Exception:  # noqa: BLE001 # somebody else's mark: what it means is not known now
            return True

    def _shown(self, value: object) -> str:
        text = self.scrubber.text(portrait(value))
        return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}..."


def _calls(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the calls of a traceback; of a long one where it began and where it ended."""
    calls: list[TracebackType] = []
    while traceback is not None:
        calls.append(traceback)
        traceback = traceback.tb_next
    if len(calls) > MAX_FRAMES:
        # Between them one turn of a recursion is like another.
        calls = [*calls[: MAX_FRAMES // 3], *calls[-2 * MAX_FRAMES // 3 :]]
    yield from calls


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and everything that belongs to it, each once."""
    found: dict[int, BaseException] = {}
    waiting = [error]
    while waiting and len(found) < MAX_CHAIN * MAX_MEMBERS:
        one = waiting.pop(0)
        if id(one) not in found:
            found[id(one)] = one
            before, _ = _before(one)
            waiting += [*_members(one), *([before] if before is not None else [])]
    yield from found.values()


def _text_of(value: object, *, is_hidden: bool) -> str | None:
    """Return what may be a secret as a text; None for what holds others, or nothing."""
    if type(value) is str:
        return value
    if type(value) is bytes:
        # A letter has at most four bytes: a longer value is no secret, and reading it takes long.
        return value.decode("utf-8", "replace") if len(value) <= 4 * MAX_KNOWN_CHARS else ""
    if is_hidden and type(value) is int and value.bit_length() <= MAX_BITS:
        return str(value)
    return None


def _parts(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield what a value holds under the names that say what it is."""
    if type(value) is dict:
        table = list(islice(cast("dict[object, object]", value).items(), MAX_LOOKED_AT))
        yield from ((key, item) for key, item in table if type(key) is str)
    elif type(value) is list or type(value) is tuple:
        row = list(islice(cast("list[object]", value), MAX_LOOKED_AT))
        yield from ((name, item) for item in row)
    else:
        yield from islice(attributes(value, is_private_told=True), MAX_LOOKED_AT)


def _locals(frame: FrameType) -> Iterator[tuple[str, object]]:
    names = frame.f_locals
    # The body of a class may run in a table of its metaclass, which would be asked.
    if type(names) is dict:
        yield from list(islice(names.items(), MAX_LOOKED_AT))


def _members(error: BaseException) -> tuple[BaseException, ...]:
    # Not `isinstance`, which asks for the class and so may run its code.
    if not issubclass(type(error), BaseExceptionGroup):
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


def message_of(error: BaseException, wait_s: float = MESSAGES_S) -> str:
    """Return what an exception says about itself, within a time and a length."""
    said: list[str] = []
    if _is_plain(error):
        _ask(error, said)
        return said[0]
    # Nobody can end a thread: one that hangs is left behind, and the report goes on.
    thread = Thread(target=_ask, args=(error, said), name="envoi-message", daemon=True)
    try:
        thread.start()
        thread.join(max(wait_s, 0))
    except RuntimeError:  # the interpreter is ending, or no thread is to be had
        return NO_MESSAGE
    return said[0] if said else TOO_SLOW


def _is_plain(error: BaseException) -> bool:
    """Whether its message runs no code but the interpreter's own, so that no thread is needed."""
    says = _says(error)
    # By identity: comparing and hashing may be the work of somebody's metaclass.
    return any(says is one for one in _OWN_WORDS) and all(map(_is_short, _arguments(error)))


def _says(error: BaseException) -> object:
    tables = (_DICT.__get__(kind) for kind in _MRO.__get__(type(error)))
    return next(table["__str__"] for table in tables if "__str__" in table)


def _arguments(error: BaseException) -> tuple[object, ...]:
    return cast("tuple[object, ...]", _ARGS.__get__(error))


def _large_words(error: BaseException) -> object:
    """Return what an exception says by data that may take seconds to write; else None.

    No time limit helps there: the interpreter lets no other thread run while it writes them.
    """
    says, arguments = _says(error), _arguments(error)
    if not any(says is one for one in _OWN_WORDS) or not any(map(_is_large, arguments)):
        return None
    said = arguments[0] if len(arguments) == 1 else arguments
    # A text by itself is not written but taken, however long it is.
    return None if type(said) is str and says is _OWN_WORDS[0] else said


def _is_large(argument: object) -> bool:
    kind = type(argument)
    if any(kind is one for one in _WRITTEN):
        return not _is_short(argument)
    return any(kind is one for one in _HOLDING)


def _is_short(argument: object) -> bool:
    kind = type(argument)
    if kind is str or kind is bytes:
        return len(cast("str | bytes", argument)) <= WIDER * MAX_MESSAGE_CHARS
    return kind is int and cast("int", argument).bit_length() <= MAX_BITS


def _ask(error: BaseException, said: list[str]) -> None:
    try:
        said.append(str(error)[: WIDER * MAX_MESSAGE_CHARS])
    except BaseException:  # noqa: BLE001 # somebody else's code may raise anything
        said.append(NO_MESSAGE)


def _source(frame: FrameType, path: str, line: int, around: int) -> tuple[tuple[int, str], ...]:
    try:
        linecache.checkcache(path)
        lines = linecache.getlines(path, frame.f_globals)
    except Exception:  # noqa: BLE001 # a loader of somebody else's may raise anything
        return ()
    numbers = range(max(line - around, 1), min(line + around, len(lines)) + 1)
    return tuple(
        (number, lines[number - 1].rstrip()[: WIDER * MAX_LINE_CHARS]) for number in numbers
    )


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
