"""This room reads rows of users from CSV, a JSON array or JSON Lines, as a stream.

Nothing here looks at what a row says; it only finds rows, their line numbers and their columns.
A row whose structure is broken is `Broken` and the next one goes on; where the reader cannot know
where the next row begins, it ends with `Stopped`. No file, however wrong, makes it hold more than
one row and a buffer.
"""

import csv
import io
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, TypeAlias, cast

from envoi.directory.typed import shown
from envoi.errors import InputError

# One user is a few hundred characters; a longer line or object is another sort of file.
MAX_ROW_CHARS = 1024 * 1024
_BUFFER_CHARS = 64 * 1024

# Names of columns and keys, as directories and spreadsheets call them.
_NAMES = {
    "login": ("login", "username", "user_name", "user", "uid"),
    "first_name": ("first_name", "firstname", "given_name", "givenname"),
    "last_name": ("last_name", "lastname", "surname", "family_name", "sn"),
    "addresses": (
        "addresses", "address", "email", "e_mail", "mail", "emails", "email_address",
        "email_addresses",
    ),
    "is_admin": ("is_admin", "admin"),
    "is_active": ("is_active", "active", "enabled"),
    "locale": ("locale", "language"),
    "time_zone": ("time_zone", "timezone", "tz"),
    "groups": ("groups", "group"),
}  # fmt: skip
# Several columns may speak of these; they are taken together, from left to right.
_LISTS = frozenset({"addresses", "groups"})


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row: its line number from 1, and its values by field; lists for addresses and groups."""

    line: int
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be read; the next ones can."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing from this line on was taken."""

    line: int
    why: str


Found: TypeAlias = RawRow | Broken | Stopped


class Columns:
    """Which names of columns and keys stand for which field; remembers those that stand for none.

    >>> Columns().read({"E-Mail": "a@b.test", "Shoe size": 7})
    {'addresses': ['a@b.test']}
    """

    def __init__(self) -> None:
        """Start with nothing ignored."""
        self._fields = {name: field for field, names in _NAMES.items() for name in names}
        self.ignored: dict[str, None] = {}

    def field_of(self, name: str) -> str:
        """Return the field that a name stands for; empty when none."""
        field = self._fields.get(re.sub(r"[\s-]+", "_", name.strip()).casefold(), "")
        if not field and name.strip() and len(self.ignored) < MAX_IGNORED:
            self.ignored.setdefault(shown(name))
        return field

    def read(self, row: Mapping[str, object]) -> dict[str, object]:
        """Return the values by field; what is null counts as left out.

        Raises:
            InputError: Two names stand for one field.
        """
        return self.gathered((self.field_of(name), value) for name, value in row.items())

    def gathered(self, pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
        """Return the values by field, lists joined.

        Raises:
            InputError: A field that is no list stands twice.
        """
        values: dict[str, object] = {}
        for field, value in pairs:
            if not field or value is None:
                continue
            if field in _LISTS:
                more = cast("list[object]", value) if isinstance(value, list) else [value]
                values[field] = [*cast("list[object]", values.get(field, [])), *more]
            elif field in values:
                raise InputError(f"{field}: two columns stand for it; leave one out")
            else:
                values[field] = value
        return values


# A wrong file could name a new key in each row.
MAX_IGNORED = 100


def read_rows(source: BinaryIO, columns: Columns) -> Iterator[Found]:
    """Return the rows of a file, whichever of the three forms it has.

    Args:
        source: Opened for bytes; UTF-8 with or without a mark, or UTF-16 with one. It is read from
            where it stands and stays open.
        columns: Knows the names; collects those it ignored.

    Raises:
        InputError: CSV without a header that has a login.
    """
    with _text_of(source) as (text, first):
        match first:
            case "[":
                yield from _Array(text, columns).rows()
            case "{":
                yield from _json_lines(text, columns)
            case _:
                yield from _csv_rows(text, columns)


@contextmanager
def _text_of(source: BinaryIO) -> Generator[tuple[io.TextIOWrapper, str]]:
    # The wrappers would close the caller's file when they are collected, so they are taken off.
    buffered = io.BufferedReader(cast("io.RawIOBase", source), _BUFFER_CHARS)
    head = buffered.peek(1)
    is_wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    # A byte that is not UTF-8 spoils its row only: it becomes a lone surrogate and is seen there.
    encoding, errors = ("utf-16", "replace") if is_wide else ("utf-8-sig", "surrogateescape")
    first = head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1].decode("ascii", "replace")
    text = io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline="")
    try:
        yield text, first
    finally:
        text.detach()
        buffered.detach()


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_ROW_CHARS + 1):
        if len(line) > MAX_ROW_CHARS:
            raise InputError(f"the line is longer than {MAX_ROW_CHARS} characters")
        yield line


def _csv_rows(text: io.TextIOWrapper, columns: Columns) -> Iterator[Found]:
    lines = _lines(text)
    skipped, first = 0, ""
    for skipped, first in enumerate(lines):  # noqa: B007 # both are needed behind the loop
        if first.strip() and not _SEPARATOR_LINE.fullmatch(first.strip()):
            break
    parser = csv.reader(chain([first], lines), delimiter=_delimiter(first), strict=True)
    fields = _header(parser, columns)
    while True:
        line = skipped + parser.line_num + 1
        try:
            cells = next(parser)
        except StopIteration:
            return
        except InputError as err:
            yield Stopped(line, str(err))
            return
        except csv.Error as err:
            yield Broken(line, _csv_problem(str(err), line, skipped + parser.line_num))
            continue
        if any(cell.strip() for cell in cells):
            yield _csv_row(line, cells, fields, columns)


# Excel writes `sep=;` above the header and reads it itself.
_SEPARATOR_LINE = re.compile(r"sep=.", re.IGNORECASE)


def _delimiter(header: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t", key=bare.count)


def _header(parser: "Iterator[list[str]]", columns: Columns) -> Sequence[str]:
    try:
        names = next(parser, list[str]())
    except csv.Error as err:
        raise InputError(f"line 1: expected the names of the columns, found {err}") from err
    fields = [columns.field_of(name) for name in names]
    columns.gathered((field, "") for field in fields)
    if "login" not in fields:
        raise InputError(
            "line 1: expected the names of the columns, login among them, "
            f"found {shown(', '.join(names)) or 'nothing'}; known are {', '.join(_NAMES)}"
        )
    return fields


def _csv_problem(words: str, first: int, last: int) -> str:
    lines = f"; the lines up to {last} were read as one row and left out" if last > first else ""
    return f"the quotes do not fit: {words}{lines}"


def _csv_row(line: int, cells: list[str], fields: Sequence[str], columns: Columns) -> Found:
    if len(cells) != len(fields):
        return Broken(line, f"expected {len(fields)} cells as the header has, got {len(cells)}")
    if not _is_utf8("".join(cells)):
        return Broken(line, _NOT_UTF8)
    return RawRow(line, columns.gathered(zip(fields, cells, strict=True)))


_NOT_UTF8 = "expected UTF-8, found other bytes; save the file as UTF-8"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_lines(text: io.TextIOWrapper, columns: Columns) -> Iterator[Found]:
    lines = enumerate(_lines(text), start=1)
    line = 0
    while True:
        try:
            line, row = next(lines, (line, ""))
        except InputError as err:
            yield Stopped(line + 1, str(err))
            return
        if not row:
            return
        if row.strip():
            yield _json_line(line, row, columns)


def _json_line(line: int, row: str, columns: Columns) -> Found:
    if not _is_utf8(row):
        return Broken(line, _NOT_UTF8)
    try:
        return _json_row(line, json.loads(row), columns)
    except (ValueError, RecursionError) as err:
        return Broken(line, f"expected one JSON object on the line: {shown(err)}")


def _json_row(line: int, value: object, columns: Columns) -> Found:
    if not isinstance(value, dict):
        return Broken(line, f"expected an object with a login, got {type(value).__name__}")
    try:
        return RawRow(line, columns.read(cast("dict[str, object]", value)))
    except InputError as err:
        return Broken(line, str(err))


class _Array:
    """Reads a JSON array value by value, with at most one value and a buffer in memory."""

    def __init__(self, text: io.TextIOWrapper, columns: Columns) -> None:
        self._text = text
        self._columns = columns
        self._decoder = json.JSONDecoder()
        self._buffer = ""
        self._line = 1
        self._is_at_end = False

    def rows(self) -> Iterator[Found]:
        try:
            self._take("[")
            while self._next_letter() != "]":
                line, value = self._line, self._value()
                yield _json_row(line, value, self._columns)
                if self._next_letter() != "]":
                    self._take(",")
            self._take("]")
            if self._next_letter():
                yield Stopped(self._line, "expected nothing behind the array")
        except (ValueError, RecursionError) as err:
            # Inside broken JSON nobody can tell where the next object begins.
            yield Stopped(self._line, f"expected a JSON array of objects: {shown(err)}")

    def _value(self) -> object:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer)
            except json.JSONDecodeError:
                if self._is_at_end or len(self._buffer) > MAX_ROW_CHARS:
                    raise
            else:
                # At the buffer's edge `12` may be the first half of `123`.
                if end < len(self._buffer) or self._is_at_end:
                    self._skip(end)
                    return cast("object", value)
            self._fill()

    def _take(self, letter: str) -> None:
        if self._next_letter() != letter:
            raise ValueError(f"expected {letter} but found {self._buffer[:20] or 'the end'}")
        self._skip(1)

    def _next_letter(self) -> str:
        while True:
            stripped = self._buffer.lstrip(" \t\r\n")
            self._skip(len(self._buffer) - len(stripped))
            if self._buffer or self._is_at_end:
                return self._buffer[:1]
            self._fill()

    def _skip(self, count: int) -> None:
        self._line += self._buffer.count("\n", 0, count)
        self._buffer = self._buffer[count:]

    def _fill(self) -> None:
        more = self._text.read(_BUFFER_CHARS)
        if not _is_utf8(more):
            raise ValueError(_NOT_UTF8)
        self._is_at_end = not more
        self._buffer += more
