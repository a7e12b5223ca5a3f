"""This room shows any object without running a line of its code.

A `__repr__` may raise, ask a database, sleep or return a hundred megabytes, and a proxy runs code
when it is asked for its class. So only the interpreter's own types are read, by their own methods;
of everything else the class is named and the plain attributes are shown (RELIABILITY F7).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from types import GetSetDescriptorType, MappingProxyType, MemberDescriptorType
from typing import TypeVar, cast
from uuid import UUID

from envoi.core.kind import MASK
from envoi.core.scrub import is_secret_name

# More than anybody shows: whoever cuts it looks for secrets before, as half of one is not known.
MAX_CHARS = 2_000
MAX_DEPTH = 3
MAX_ITEMS = 20
# A number of more digits takes the interpreter seconds to write.
MAX_BITS = 512

_T = TypeVar("_T")
# How the interpreter itself reads a class; asked by a dot, a metaclass could answer.
_MRO, _DICT = type.__dict__["__mro__"], type.__dict__["__dict__"]
_MODULE, _QUALNAME = type.__dict__["__module__"], type.__dict__["__qualname__"]
_ARGS = BaseException.__dict__["args"]
_TOLD = frozenset({
    date, datetime, time, timedelta, Decimal, UUID, float, complex, bool, type(None), range,
})  # fmt: skip
# Paths are told too; the core does not import what touches files, so they are known by their home.
_PATHS = frozenset({"pathlib", "pathlib._local"})
_TEXTS: Mapping[type, Callable[[object, slice], object]] = MappingProxyType({
    kind: cast("Callable[[object, slice], object]", kind.__getitem__)
    for kind in (str, bytes, bytearray)
})  # fmt: skip
_ROWS: Mapping[type, tuple[str, str]] = MappingProxyType(
    {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), frozenset: ("{", "}")}
)


def portrait(value: object) -> str:
    """Return an object as one bounded text; secrets by name are masked, others are not looked for.

    >>> portrait({"user": "ann", "password": "hunter2", "rows": [1, 2.5, None]})
    "{'user': 'ann', 'password': ********, 'rows': [1, 2.5, None]}"
    """
    try:
        text = "".join(_bounded(_pieces(value, MAX_DEPTH), MAX_CHARS))
    except Exception:  # noqa: BLE001 # what another thread changes meanwhile; digits without end
        text = f"<{_name(type(value))}>"
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 3]}..."


def _bounded(pieces: Iterator[str], room: int) -> Iterator[str]:
    for piece in pieces:
        yield piece
        room -= len(piece)
        if room < 0:
            return


def _pieces(value: object, depth: int) -> Iterator[str]:
    # Not `isinstance`, which asks a proxy for its class and so runs its code.
    kind = type(value)
    kinds = cast("tuple[type, ...]", _MRO.__get__(kind))
    known = next((one for one in kinds if one in _TEXTS or one in _ROWS), object)
    if known in _TEXTS:
        yield repr(_TEXTS[known](value, slice(0, MAX_CHARS)))
    elif known in _ROWS:
        yield from _row(known, value, depth)
    elif dict in kinds:
        yield from _table(cast("dict[object, object]", value), depth)
    elif kind is int:
        yield _integer(cast("int", value))
    elif kind in _TOLD or _module(kind) in _PATHS:
        yield repr(value)
    elif type in kinds:
        yield f"<class {_name(cast('type', value))}>"
    else:
        yield from _object(value, kinds, depth)


def _integer(value: int) -> str:
    bits = value.bit_length()
    return repr(value) if bits <= MAX_BITS else f"<int of {bits} bits>"


def _table(table: dict[object, object], depth: int) -> Iterator[str]:
    if depth == 0:
        yield "{...}"
        return
    yield "{"
    # The dictionary's own way: a subclass may have made another.
    items = cast("Iterable[tuple[object, object]]", dict[object, object].items(table))
    for number, (name, value) in enumerate(_few(items)):
        yield ", " if number else ""
        yield from _pieces(name, 0)
        yield ": "
        yield from _named(name, value, depth)
    yield _more(dict[object, object].__len__(table))
    yield "}"


def _row(kind: type, value: object, depth: int) -> Iterator[str]:
    begin, end = _ROWS[kind]
    if depth == 0:
        yield f"{begin}...{end}"
        return
    yield begin
    iterate = cast("Callable[[object], Iterable[object]]", kind.__dict__["__iter__"])
    for number, item in enumerate(_few(iterate(value))):
        yield ", " if number else ""
        yield from _pieces(item, depth - 1)
    yield _more(cast("Callable[[object], int]", kind.__dict__["__len__"])(value))
    yield end


def _more(count: int) -> str:
    return ", ..." if count > MAX_ITEMS else ""


def _object(value: object, kinds: tuple[type, ...], depth: int) -> Iterator[str]:
    yield f"<{_name(kinds[0])}"
    if BaseException in kinds:
        yield " "
        yield from _pieces(_ARGS.__get__(value), depth)
    for number, (name, attribute) in enumerate(_few(attributes(value) if depth else ())):
        yield f"{',' if number else ''} {name}="
        yield from _named(name, attribute, depth)
    yield ">"


def _named(name: object, value: object, depth: int) -> Iterator[str]:
    if type(name) is str and is_secret_name(name) and value is not None:
        yield MASK
    else:
        yield from _pieces(value, depth - 1)


def _few(items: Iterable[_T]) -> list[_T]:
    return list(islice(items, MAX_ITEMS))


def attributes(value: object, *, is_private_told: bool = False) -> Iterator[tuple[str, object]]:
    """Yield what an object holds in its own dictionary and slots, and no property's answer.

    Args:
        value: Any object.
        is_private_told: Whether names that begin with `_` are told, too.
    """
    for name, place in _places(value):
        if name == "__dict__" and type(place) is GetSetDescriptorType:
            own = cast("dict[object, object]", place.__get__(value))
            for key in _few(own):
                if type(key) is str and (is_private_told or not key.startswith("_")):
                    yield key, own[key]
        elif type(place) is MemberDescriptorType and (is_private_told or not name.startswith("_")):
            with suppress(AttributeError):  # a slot that was never filled
                yield name, place.__get__(value)


def _places(value: object) -> Iterator[tuple[str, object]]:
    for kind in cast("tuple[type, ...]", _MRO.__get__(type(value))):
        for name, place in _DICT.__get__(kind).items():
            if type(name) is str:
                yield name, place


def _name(kind: type) -> str:
    module, name = _module(kind), str(_QUALNAME.__get__(kind))
    return f"{module}.{name}" if module not in {"", "builtins"} else name


def _module(kind: type) -> str:
    # A class may hold anything under this name.
    module = _MODULE.__get__(kind)
    return module if type(module) is str else ""
