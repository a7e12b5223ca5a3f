"""Any object is shown, and none of its code runs."""

import dataclasses
import datetime as dt
import enum
from collections import OrderedDict
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

from envoi.core.kind import MASK
from envoi.core.portrait import MAX_CHARS, portrait


def refuse(*_, **__):
    raise AssertionError("its code ran")


class Meta(type):
    """A class of classes that answers everything by itself."""

    __getattribute__ = refuse


class Hostile:
    """An object that must not be asked anything."""

    __repr__ = __str__ = __format__ = __len__ = __iter__ = __getattr__ = __hash__ = refuse
    __getattribute__ = refuse
    __class__ = property(refuse)
    total = property(refuse)

    def __init__(self):
        object.__setattr__(self, "title", "Weekly")


class HostileDict(dict):
    __iter__ = items = keys = __len__ = __getitem__ = __repr__ = refuse


class HostileList(list):
    __iter__ = __len__ = __getitem__ = __repr__ = refuse


class HostileText(str):
    __slots__ = ()
    __getitem__ = __len__ = __str__ = __repr__ = refuse


class HostileNumber(int):
    __repr__ = __str__ = bit_length = refuse


class Slotted:
    __slots__ = ("_hidden", "missing", "password", "title")

    def __init__(self):
        self.title, self.password, self._hidden = "Weekly", "hunter2", 1


@dataclasses.dataclass
class User:
    name: str
    password: str
    _state: int = 1


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    left: int
    right: int


HERE = "tests.core.test_portrait"


CASES = [
    (Hostile(), f"<{HERE}.Hostile title='Weekly'>"),
    (HostileDict(a=1), "{'a': 1}"),
    (HostileList([1, 2]), "[1, 2]"),
    (HostileText("abc"), "'abc'"),
    (Meta("Built", (), {"__module__": "wiki"}), "<class wiki.Built>"),
    (Slotted(), f"<{HERE}.Slotted password={MASK}, title='Weekly'>"),
    (User("ann", "hunter2"), f"<{HERE}.User name='ann', password={MASK}>"),
    (Colour.RED, f"<{HERE}.Colour>"),
    (Pair(1, 2), "(1, 2)"),
    (OrderedDict(a=1), "{'a': 1}"),
    ({"password": None, "token": "x"}, f"{{'password': None, 'token': {MASK}}}"),
    ({1: {2}, "b": b"x\xff"}, "{1: {2}, 'b': b'x\\xff'}"),
    (KeyError("page", 7), "<KeyError ('page', 7)>"),
    ([[[[1]]]], "[[[[...]]]]"),
    ((1.5, None, True, Decimal("1.50")), "(1.5, None, True, Decimal('1.50'))"),
    (dt.date(2026, 3, 1), "datetime.date(2026, 3, 1)"),
    (PurePosixPath("/srv"), "PurePosixPath('/srv')"),
    (Path("/srv"), "PosixPath('/srv')"),
    (int, "<class int>"),
    (object(), "<object>"),
    (range(3), "range(0, 3)"),
    (10**5000, "<int of 16610 bits>"),
    (range(10**5000), "<range>"),
]


# The names come from what is shown: to name the values themselves, pytest would run their code.
@pytest.mark.parametrize(("value", "shown"), CASES, ids=[shown for _, shown in CASES])
def test_an_object_is_shown(value, shown):
    assert portrait(value) == shown


def test_a_number_with_code_of_its_own_is_named_alone():
    assert portrait(HostileNumber(7)) == f"<{HERE}.HostileNumber>"


@pytest.mark.parametrize(
    "value",
    [
        "x" * 100_000_000,
        b"x" * 100_000_000,
        list(range(1_000_000)),
        dict.fromkeys(range(1_000_000), "x" * 1_000),
        [["x" * 1_000] * 100] * 100,
    ],
    ids=["text", "bytes", "list", "table", "nested"],
)
def test_what_is_huge_is_cut(value):
    assert len(portrait(value)) <= MAX_CHARS


def test_what_contains_itself_has_an_end():
    value: list[object] = []
    value.append(value)

    assert portrait(value) == "[[[[...]]]]"


def test_what_is_left_out_of_a_row_or_a_table_is_shown_to_be_left_out():
    assert portrait(list(range(21))).endswith("18, 19, ...]")
    assert portrait(dict.fromkeys(range(21), 0)).endswith("19: 0, ...}")
    assert portrait(set(range(20))).endswith("18, 19}")
