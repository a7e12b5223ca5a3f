"""This room is the command line: which rows, two at a time, and the table at the end."""

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from envoi.outbox import open_outbox
from faults.cell import Cell, Outcome, own_server_folder, run_cell
from faults.row import BOTH, Engine, Row
from faults.rows import ROWS, picked
from faults.table import Line, lines_of, print_table
from tests.postgres import PostgresServer, open_server

# A whole run ends within this on two processors with nothing else to do.
WHOLE_RUN_S = 1200.0
JOBS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for on the command line.

    Args:
        rows: Which rows.
        engines: On which engines.
        is_quick: The quick form.
        seed: The first round's seed; the others follow it.
        has_seed: Whether it was named: then there is one round only.
        messages: How many per row; 0: as each likes.
        limit_s: How long the whole run may take.
        json_file: Where the figures go as JSON; None: nowhere.
    """

    rows: tuple[Row, ...]
    engines: tuple[Engine, ...]
    is_quick: bool
    seed: int
    has_seed: bool
    messages: int
    limit_s: float
    json_file: Path | None


def main(words: Sequence[str] | None = None) -> int:
    """Run what is asked for and print the table.

    Returns:
        0: nothing unexcused; 1: something, named below the table; 2: a word was not understood.
    """
    try:
        order = read_order(words)
    except LookupError as err:
        print(err, file=sys.stderr)
        return 2
    if order is None:
        print(listing(), end="")
        return 0
    began_s = time.monotonic()
    lines = run(order)
    print_table(lines, time.monotonic() - began_s)
    if order.json_file is not None:
        figures = [line.figures() for line in lines]
        order.json_file.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0 if all(line.is_clean for line in lines) else 1


def listing() -> str:
    """Return the rows as a table in Markdown."""
    return "".join(f"| {row.id} | {row.title}{_alone(row)} |\n" for row in ROWS)


def _alone(row: Row) -> str:
    return "" if len(row.engines) > 1 else f" ({', '.join(row.engines)})"


def read_order(words: Sequence[str] | None) -> Order | None:
    """Read the command line; None: only the list of rows is wanted.

    Raises:
        LookupError: No row is called so, or none of them means anything on that engine.
    """
    parser = argparse.ArgumentParser("python -m faults", description=sys.modules["faults"].__doc__)
    parser.add_argument("--quick", action="store_true", help="the most telling rows, smaller")
    parser.add_argument("--only", default="", metavar="R9,P*", help="these rows")
    parser.add_argument("--engine", choices=(*BOTH, "both"), default="both")
    parser.add_argument("--seed", type=int, metavar="N", help="one round with these chances")
    parser.add_argument("--messages", type=_count, default=0, metavar="N", help="so many per row")
    parser.add_argument(
        "--limit", type=float, default=WHOLE_RUN_S, metavar="S", help="end after so many seconds"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--list", action="store_true", help="say which rows there are, and end")
    given = parser.parse_args(words)
    if given.list:
        return None
    engines = BOTH if given.engine == "both" else (given.engine,)
    return Order(
        rows=_wanted(given.only, engines, is_quick=given.quick),
        engines=engines,
        is_quick=given.quick,
        seed=given.seed or 1,
        has_seed=given.seed is not None,
        messages=given.messages,
        limit_s=given.limit,
        json_file=given.json,
    )


def _wanted(only: str, engines: Sequence[Engine], *, is_quick: bool) -> tuple[Row, ...]:
    rows = tuple(row for row in ROWS if row.is_quick or not is_quick)
    if only:
        rows = picked(tuple(pattern.strip() for pattern in only.split(",")))
    # A run of nothing would find nothing unexcused.
    if not any(engine in row.engines for row in rows for engine in engines):
        raise LookupError(f"--engine {engines[0]}: {only} is not for this engine, see --list")
    return rows


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def run(order: Order) -> list[Line]:
    """Run every row on every engine, two at a time; the longest begin first."""
    runner = Runner(order)
    with ExitStack() as stack:
        runner.prepare(stack)
        tasks = runner.tasks()
        longest_first = sorted(tasks, key=lambda task: -task.row.limit_s)
        pool = stack.enter_context(ThreadPoolExecutor(JOBS))
        # The list raises here what a thread met that no row foresaw.
        list(pool.map(runner.run, longest_first))
    return lines_of([(task.row, task.cell, task.outcome) for task in tasks])


@dataclass(slots=True, kw_only=True)
class Task:
    """A cell with its row, and later its outcome."""

    row: Row
    cell: Cell
    outcome: Outcome


class Runner:
    """Gives every cell its ground and runs it.

    Args:
        order: What was asked for.
    """

    def __init__(self, order: Order) -> None:
        """Prepare nothing yet."""
        self._order = order
        self._folder = Path(tempfile.mkdtemp(prefix="envoi-faults-"))
        self._template = self._folder / "template.db"
        self._server: PostgresServer | None = None
        self._end_s = time.monotonic() + order.limit_s
        self._lock = threading.Lock()

    def prepare(self, stack: ExitStack) -> None:
        """Make what all cells begin with; the stack undoes it."""
        outbox = open_outbox(f"sqlite:///{self._template}")
        outbox.upgrade()
        outbox.close()
        stack.callback(self._tidy)
        if "postgresql" in self._order.engines:
            self._server = open_server()
            stack.callback(self._server.stop)

    def tasks(self) -> list[Task]:
        """Return everything there is to do, in the order of the table."""
        return [
            Task(row=row, cell=self._cell(row, engine, seed), outcome=Outcome())
            for row in self._order.rows
            for engine in self._order.engines
            if engine in row.engines
            for seed in self._seeds(row)
        ]

    def run(self, task: Task) -> None:
        """Run one and note its outcome."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 1:
            task.outcome.tally.broken.append(f"an end within {self._order.limit_s:g} s: not run")
            return
        Path(task.cell.folder).mkdir()
        task.outcome = self._run(task.cell, min(task.row.limit_s, left_s))
        if task.outcome.is_clean:
            shutil.rmtree(task.cell.folder, ignore_errors=True)
        else:
            task.outcome.tally.notes.append(f"what it left lies in {task.cell.folder}")
        self._tell(task)

    def _run(self, cell: Cell, limit_s: float) -> Outcome:
        if cell.engine == "sqlite":
            shutil.copyfile(self._template, Path(cell.folder) / "envoi.db")
            return run_cell(cell, limit_s)
        if cell.server:
            return run_cell(cell, limit_s)
        assert self._server is not None
        with self._server.database() as name:
            return run_cell(replace(cell, url=self._server.url(name)), limit_s)

    def _cell(self, row: Row, engine: Engine, seed: int) -> Cell:
        folder = self._folder / f"{row.id}-{engine}-{seed}"
        is_apart = row.has_own_server and engine == "postgresql"
        return Cell(
            row_id=row.id,
            engine=engine,
            seed=seed,
            is_quick=self._order.is_quick,
            messages=self._order.messages,
            folder=str(folder),
            url=f"sqlite:///{folder / 'envoi.db'}" if engine == "sqlite" else "",
            server=str(own_server_folder()) if is_apart else "",
        )

    def _seeds(self, row: Row) -> range:
        first = self._order.seed
        is_one = self._order.is_quick or self._order.has_seed
        return range(first, first + (1 if is_one else row.seeds))

    def _tell(self, task: Task) -> None:
        words = "ok" if task.outcome.is_clean else "UNEXCUSED"
        words = "not run here" if task.outcome.not_here else words
        with self._lock:
            print(
                f"{task.row.id} {task.cell.engine} seed {task.cell.seed}: {words}, "
                f"{task.outcome.seconds:.1f} s",
                file=sys.stderr, flush=True,
            )  # fmt: skip

    def _tidy(self) -> None:
        self._template.unlink(missing_ok=True)
        for rest in self._folder.glob("template.db*"):
            rest.unlink()
        if not any(self._folder.iterdir()):
            self._folder.rmdir()
