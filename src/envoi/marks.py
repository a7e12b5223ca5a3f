"""This room keeps the marks of functions whose variables no error report may show.

A mark is kept beside the function's code and does not wrap it: the function is as it was, costs
what it did, and may be a coroutine, a generator or a method.
"""

import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import TypeVar, cast, overload
from weakref import WeakKeyDictionary

from envoi.errors import InputError

_T = TypeVar("_T")
# Nothing named: every variable.
_ALL: frozenset[str] = frozenset()
_MARKED: "WeakKeyDictionary[CodeType, frozenset[str]]" = WeakKeyDictionary()


@overload
def sensitive(function: Callable[..., _T], /) -> Callable[..., _T]: ...
@overload
def sensitive(*names: str) -> Callable[[Callable[..., _T]], Callable[..., _T]]: ...
def sensitive(*marked: object) -> object:
    """Mark variables of a function that no error report may show, whatever they are called.

    ``@sensitive`` hides all of them, ``@sensitive("pin", "card")`` those: the values are masked
    among the local variables, and wherever else they stand in a report. Written next to the
    function itself, below other decorators.

    Raises:
        InputError: The function has no variable of that name.
    """
    if len(marked) == 1 and not isinstance(marked[0], str):
        return _mark(marked[0], _ALL)
    names = frozenset(cast("tuple[str, ...]", marked))

    def mark(function: object) -> object:
        return _mark(function, names)

    return mark


def is_marked(code: CodeType, name: str) -> bool:
    """Whether a variable of the function with this code is never shown."""
    names = _MARKED.get(code)
    return names is not None and (not names or name in names)


def _mark(function: object, names: frozenset[str]) -> object:
    plain = inspect.unwrap(cast("Callable[..., object]", getattr(function, "__func__", function)))
    code = getattr(plain, "__code__", None)
    if not isinstance(code, CodeType):
        raise InputError(f"@sensitive: expected a function, got {type(function).__name__}")
    codes = tuple(_within(code))
    known = {name for one in codes for name in (*one.co_varnames, *one.co_cellvars)}
    unknown = sorted(names - known)
    if unknown:
        raise InputError(
            f"@sensitive: expected names of variables of {plain.__qualname__}, "
            f"got {', '.join(map(repr, unknown))}"
        )
    for one in codes:
        _MARKED[one] = names
    return function


def _within(code: CodeType) -> Iterator[CodeType]:
    # What is written inside it, a comprehension or a function, sees the same variables.
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _within(constant)
