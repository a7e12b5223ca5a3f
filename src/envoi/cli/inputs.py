"""This room reads what is handed to a command: files, standard input, JSON, JSON Lines."""

import json
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, NoReturn

from envoi.errors import InputError

STDIN = "-"
# No mail is larger than 25 MB; base64 adds a third. A program that never ends must not fill the
# memory.
MAX_INPUT_BYTES = 40 * 1024 * 1024
MAX_LINE_BYTES = MAX_INPUT_BYTES


@contextmanager
def opened(place: str, where: str) -> Generator[BinaryIO]:
    """Open a file, or standard input for `-`.

    Args:
        place: Path or `-`.
        where: The option that named it.

    Raises:
        InputError: It cannot be opened.
    """
    try:
        source = nullcontext(sys.stdin.buffer) if place == STDIN else Path(place).open("rb")  # noqa: SIM115 # closed below
    # ValueError: a NUL in the name.
    except (OSError, ValueError) as err:
        because = err.strerror if isinstance(err, OSError) else str(err)
        raise InputError(f"{where}: cannot read {place!r}: {because}") from err
    with source as file:
        yield file


def read_bytes(place: str, where: str) -> bytes:
    """Return what stands in a file or on standard input; raises `InputError`, also for too much."""
    with opened(place, where) as file:
        try:
            content = file.read(MAX_INPUT_BYTES + 1)
        except OSError as err:
            raise InputError(f"{where}: cannot read {place!r}: {err.strerror}") from err
    if len(content) > MAX_INPUT_BYTES:
        raise InputError(f"{where}: expected at most {MAX_INPUT_BYTES} bytes, got more")
    return content


def read_text(place: str, where: str) -> str:
    """Return a file's or standard input's text; raises `InputError` when it is not UTF-8."""
    return _decoded(read_bytes(place, where), f"{where}: {place}")


def read_json(place: str, where: str) -> object:
    """Return the one JSON value of a file or standard input; raises `InputError`."""
    return _parsed(read_text(place, where), f"{where}: {place}")


def json_lines(place: str, where: str) -> Iterator[tuple[int, object]]:
    """Read JSON Lines one by one, blank lines left out.

    Yields:
        Line number from 1 and the line's value, or the `InputError` that says why it has none.
    """
    with opened(place, where) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                yield number, InputError(f"expected a line of at most {MAX_LINE_BYTES} bytes")
                return  # where the next line begins, nobody wants to search for
            if line.strip():
                yield number, _value_of(line)


def _value_of(line: bytes) -> object:
    try:
        return _parsed(_decoded(line, "line"), "line")
    except InputError as err:
        return err


def _decoded(content: bytes, what: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise InputError(f"{what}: expected UTF-8, got byte {content[err.start]:#04x}") from err


def _parsed(text: str, what: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as err:
        raise InputError(f"{what}: expected JSON, got one nested too deeply") from err
    except json.JSONDecodeError as err:
        got = _mistake(err) if text.strip() else "nothing"
        raise InputError(f"{what}: expected JSON, got {got}") from err
    except ValueError as err:
        got = str(err)
        raise InputError(f"{what}: expected JSON, got {got}") from err


# What Python's reader says, in words for somebody who does not know its grammar.
_MISTAKES = {
    "Expecting value": "no value",
    "Expecting property name enclosed in double quotes": "no name in double quotes",
    "Expecting ':' delimiter": "no colon behind a name",
    "Expecting ',' delimiter": "no comma before the next part, or an end that is missing",
    "Extra data": "more behind the end of the value",
    "Unterminated string starting at": "a text whose closing quote is missing",
    "Invalid control character at": "a control character that is not escaped",
    "Invalid \\escape": "a backslash before a letter that it does not escape",
}


def _mistake(err: json.JSONDecodeError) -> str:
    words = _MISTAKES.get(err.msg.removesuffix(": "), f"a mistake ({err.msg})")
    # Of JSON Lines the caller counts the lines.
    line = f"line {err.lineno}, " if "\n" in err.doc.strip() else ""
    return f"{words} at {line}column {err.colno}"


def _refuse_constant(name: str) -> NoReturn:
    # Python's reader takes NaN and Infinity; JSON and PostgreSQL do not.
    raise ValueError(f"{name}, which is no JSON")
