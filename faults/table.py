"""This room prints what came of it: one line per fault and engine, and what is unexcused."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from faults.cell import Cell, Outcome
from faults.row import Row, Tally

# Wide enough for the longest title; a pipe has no width of its own.
_WIDTH = 150


@dataclass(slots=True, kw_only=True)
class Line:
    """All rounds of one row on one engine.

    Args:
        row: Which.
        engine: On what.
        tally: The sum.
        seconds: All rounds together.
        not_here: Why it was not run on this machine; empty: it was.
        reruns: Commands for the rounds with something unexcused.
        rounds: How many there were.
    """

    row: Row
    engine: str
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    not_here: str = ""
    reruns: list[str] = field(default_factory=list[str])
    rounds: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is to be answered for."""
        return self.tally.is_clean

    def take(self, cell: Cell, outcome: Outcome) -> None:
        """Add a round."""
        self.rounds += 1
        self.seconds += outcome.seconds
        self.not_here = outcome.not_here or self.not_here
        self.tally.add(outcome.tally)
        if not outcome.is_clean:
            self.reruns.append(cell.rerun)

    def figures(self) -> dict[str, object]:
        """Return the line as JSON has it; `is_clean` is null for what was not run here."""
        return {
            "fault": self.row.id,
            "title": self.row.title,
            "engine": self.engine,
            "rounds": self.rounds,
            **asdict(self.tally),
            "seconds": round(self.seconds, 1),
            "not_here": self.not_here,
            # What was not run has proved nothing.
            "is_clean": None if self.is_clean and self.not_here else self.is_clean,
        }


def lines_of(outcomes: Iterable[tuple[Row, Cell, Outcome]]) -> list[Line]:
    """Return one line per row and engine, in the order of the outcomes."""
    lines: dict[tuple[str, str], Line] = {}
    for row, cell, outcome in outcomes:
        line = lines.setdefault((row.id, cell.engine), Line(row=row, engine=cell.engine))
        line.take(cell, outcome)
    return list(lines.values())


def print_table(lines: list[Line], seconds: float) -> None:
    """Print the lines, their totals, and how to run again what is unexcused."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=_WIDTH, highlight=False)
    console.print(_table(lines))
    for line in lines:
        _tell(console, line)
    apart = sum(1 for line in lines if line.not_here)
    unexcused = sum(1 for line in lines if not line.is_clean)
    verdict = f"{unexcused} of them with something unexcused" if unexcused else "nothing unexcused"
    more = f", {apart} not run here" if apart else ""
    console.print(f"{len(lines)} rows in {seconds:.0f} s: {verdict}{more}")


def _table(lines: list[Line]) -> Table:
    table = Table(title="What became of the mail", title_justify="left", box=None, pad_edge=False)
    for name in ("FAULT", "WHAT", "ENGINE"):
        table.add_column(name, no_wrap=name != "WHAT")
    for name in ("MESSAGES", "LOST", "EXCUSED", "DUPLICATED", "WRONGLY FAILED", "FALSELY SENT",
                 "OTHER", "SECONDS"):  # fmt: skip
        table.add_column(name, justify="right")
    total = Tally()
    for line in lines:
        total.add(line.tally)
        words = "not run here" if line.not_here else _rounds(line)
        table.add_row(line.row.id, words, line.engine, *_figures(line.tally), f"{line.seconds:.1f}")
    seconds = sum(line.seconds for line in lines)
    table.add_row("total", "", "", *_figures(total), f"{seconds:.1f}", style="bold")
    return table


def _rounds(line: Line) -> str:
    return line.row.title if line.rounds == 1 else f"{line.row.title} (x{line.rounds})"


def _figures(tally: Tally) -> tuple[str, ...]:
    other = tally.stray + tally.changed_message_id + len(tally.broken)
    figures = (
        tally.messages, tally.lost, tally.duplicated_excused, tally.duplicated,
        tally.wrongly_failed, tally.falsely_sent, other,
    )  # fmt: skip
    return tuple(str(figure) for figure in figures)


def _tell(console: Console, line: Line) -> None:
    head = f"{line.row.id} {line.engine}"
    if line.not_here:
        console.print(f"{head}: not run here: {line.not_here}", markup=False)
    for note in dict.fromkeys(line.tally.notes):
        console.print(f"{head}: {note}", markup=False)
    if line.tally.stray:
        console.print(f"{head}: {line.tally.stray} copies for strangers")
    if line.tally.changed_message_id:
        console.print(f"{head}: {line.tally.changed_message_id} mails changed between attempts")
    for promise in line.tally.broken:
        console.print(f"{head}: expected {promise}", markup=False, style="bold red")
    for rerun in line.reruns:
        console.print(f"  again: {rerun}", markup=False)
