"""This room prints: tables and colours for a person, plain lines for a program, JSON for both.

Everything printed may hold what somebody typed into an application. So control characters never
reach a terminal as such (RELIABILITY F11): here they are escaped, in one place, whatever prints.
Results go to standard output, everything said beside them to standard error.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from envoi.cli.exits import ExitCode
from envoi.journal import MAX_VALUE_CHARS, escaped

# JSON escapes what stands below U+0020 itself; these act on a terminal too.
_ACTIVE = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_GAP = "  "
_NAME_WIDTH = 14

# Colours only help to find a line; the word beside them says the same.
_STYLES = {
    "sent": "green",
    "ok": "green",
    "on": "green",
    "failed": "red",
    "wrong": "red",
    "uncertain": "yellow",
    "held": "yellow",
    "suppressed": "yellow",
    "expired": "yellow",
    "cancelled": "yellow",
    "warning": "yellow",
    "off": "dim",
}


class Screen:
    """Standard output and standard error of one call."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        """Print to the process's own streams, or to these."""
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the results directly."""
        return self._out.isatty()

    def line(self, text: str = "") -> None:
        """Print one line of a result."""
        self._write(safe(text))

    def state(self, word: str, text: str) -> None:
        """Print a line that begins with a state; coloured on a terminal."""
        if self.is_terminal:
            self._console().print(Text.assemble((word, _STYLES.get(word, "")), " ", safe(text)))
        else:
            self.line(f"{word} {text}")

    def block(self, text: str) -> None:
        """Print text of several lines as it stands, its line ends and tabs kept."""
        for line in text.removesuffix("\n").split("\n"):
            self._write("\t".join(safe(part) for part in line.split("\t")))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows below their columns: folded to a terminal's width, else one line per row."""
        cells = [[safe(str(cell)) for cell in row] for row in rows]
        if self.is_terminal:
            self._console().print(_rich_table(columns, cells))
            return
        for line in _plain_table([list(columns), *cells]):
            self._write(line)

    def pairs(self, lines: Mapping[str, object]) -> None:
        """Print one `name: value` per line, the values below each other."""
        for name, value in lines.items():
            self.line(f"{name + ':':<{_NAME_WIDTH}} {value}")

    def document(self, value: object) -> None:
        """Print one JSON document."""
        text = json.dumps(value, ensure_ascii=False, indent=2)
        self._write(_ACTIVE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))

    def note(self, text: str) -> None:
        """Say something beside the result: a hint, a next step."""
        for line in text.split("\n"):
            print(safe(line), file=self._err, flush=True)

    def flush(self) -> None:
        """Hand everything printed to the system."""
        with self._pipe():
            self._out.flush()

    def give_up(self, err: OSError) -> NoReturn:
        """End the call because nobody can take its result; says why, but for a closed pipe."""
        # What is still buffered goes nowhere, or the interpreter complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
        if isinstance(err, BrokenPipeError):
            raise SystemExit(ExitCode.PIPE_CLOSED) from None  # `envoi outbox list | head`
        self.note(f"error: the result cannot be written: {err.strerror}")
        raise SystemExit(ExitCode.FAILED) from err

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer a question."""
        return sys.stdin.isatty() and self._err.isatty()

    def confirm(self, question: str) -> bool:
        """Ask a person; anything but yes is no."""
        print(f"{safe(question)} [y/N] ", end="", file=self._err, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    @property
    def shows_progress(self) -> bool:
        """Whether `progress` is seen by somebody."""
        return self._err.isatty()

    @contextmanager
    def progress(self, words: str, total: int | None) -> Generator[Callable[[int], None]]:
        """Show a bar on standard error while something long runs; nothing without a terminal.

        Args:
            words: What is counted.
            total: How many; None when nobody knows beforehand.

        Yields:
            What to tell how many are done.
        """
        if not self.shows_progress:
            yield lambda _done: None
            return
        from rich.progress import (  # noqa: PLC0415 # only a person waits for it
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=Console(file=self._err), transient=True) as bar:
            task = bar.add_task(safe(words), total=total)
            yield lambda done: bar.update(task, completed=done)

    def _console(self) -> Console:
        return Console(file=self._out, highlight=False, emoji=False, markup=False)

    def _write(self, line: str) -> None:
        with self._pipe():
            self._out.write(f"{line}\n")

    @contextmanager
    def _pipe(self) -> Generator[None]:
        try:
            yield
        except OSError as err:
            self.give_up(err)


def is_text(word: str) -> bool:
    r"""Whether a word that was typed is UTF-8; Python keeps other bytes as surrogates.

    >>> is_text("Zoë"), is_text("\udcff")
    (True, False)
    """
    return not _SURROGATES.search(word)


def safe(text: str) -> str:
    r"""Return the text on one line with control characters escaped, however long it is.

    >>> safe("bob\x1b[2J")
    'bob\\x1b[2J'
    """
    if len(text) <= MAX_VALUE_CHARS:
        return escaped(text)
    starts = range(0, len(text), MAX_VALUE_CHARS)
    return "".join(escaped(text[start : start + MAX_VALUE_CHARS]) for start in starts)


def _rich_table(columns: Sequence[str], cells: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return table


def _plain_table(rows: list[list[str]]) -> Iterable[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        yield _GAP.join(padded).rstrip()
