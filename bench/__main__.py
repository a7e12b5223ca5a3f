"""This room is `python -m bench`, which `make bench` runs."""

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from bench import against, alone, machine, plot, table, targets
from bench.postgres import Server, open_server
from bench.rounds import Result, open_group, run_group
from bench.rows import Group

ROUNDS, QUICK_ROUNDS = 5, 3
# As a shell says of a program that Ctrl-C ended.
INTERRUPTED = 130
_ABOUT = """\
Measure Envoi beside what people install today, in one run on this machine.

Every row is run once per round, all rows of a group in turn; what is printed are medians, and
ratios between rows of the same rounds. Mails are counted at a sink on this machine; nothing
leaves it. What is not installed is named with what installs it. The exit code is 0 whatever the
figures are: they are facts, not a test; 1 when a row failed, 130 when it was interrupted;
then it tells what it has.

It takes about half an hour on an idle machine with two cores; with --quick about four minutes,
with figures that are rough. A single run that takes longer than its limit (two minutes; what fills
a million rows, fifteen) is given up and told as failed.
"""


def main(args: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = _parser()
    options = parser.parse_args(args)
    known = (*against.groups(), *alone.groups())
    for pattern in options.only or ():
        # A run without what was asked for would look as if there were nothing to say of it.
        if not _wanted(known, [pattern], is_quick=options.quick):
            parser.error(f"--only: expected the name of a group or a row (--list), got {pattern!r}")
    wanted = _wanted(known, options.only, is_quick=options.quick)
    if options.list:
        _list(wanted)
        return 0
    facts = machine.facts()
    for name, fact in facts.items():
        print(f"{name + ':':<14}{fact}", flush=True)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    # Ended by anybody, what runs is ended too, and what was measured is told.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    measured: list[tuple[Group, tuple[Result, ...]]] = []
    code = 0
    try:
        _measure(wanted, rounds, measured)
    except KeyboardInterrupt:
        code = INTERRUPTED
        _progress("interrupted; this is what was measured until now")
    found = {
        (group.name, one.row.name): one
        for group, results in measured
        for one in results
        if one.runs
    }
    print("\n".join(targets.lines(found)))
    if options.json:
        _write(options.json, facts, measured, found)
    if options.plot:
        _draw(options.plot, measured)
    failed = [one for _, results in measured for one in results if one.is_failed]
    return code or int(bool(failed))


def _measure(
    wanted: Sequence[Group], rounds: int, measured: list[tuple[Group, tuple[Result, ...]]]
) -> None:
    with _server_for(wanted) as server:
        for group in wanted:
            results = open_group(group, server)
            measured.append((group, results))
            try:
                run_group(group, results, rounds, _progress)
            finally:
                print("\n".join(table.lines_of(group, results)), flush=True)


def _write(
    path: Path,
    facts: Mapping[str, str],
    measured: Sequence[tuple[Group, Sequence[Result]]],
    found: targets.Results,
) -> None:
    document = {
        "machine": facts,
        "groups": [table.form_of(group, results) for group, results in measured],
        "targets": targets.form(found),
    }
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _draw(folder: Path, measured: Sequence[tuple[Group, Sequence[Result]]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for group, results in measured:
        if not any(one.runs for one in results):
            continue
        if group.name == "growth":
            (folder / "growth.svg").write_text(plot.growth(results), "utf-8")
        elif group.name in {"small", "large"}:
            drawn = plot.bars(group.title, results)
            (folder / f"rates-{group.name}.svg").write_text(drawn, "utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="groups or rows whose name begins so, any case; * and ? as in file names; repeat it "
        "(--only small, --only 'envoi*broadcast'); the reference of a group stays with its rows",
    )
    parser.add_argument("--rounds", type=_rounds, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds of fewer mails, nothing large"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's figures too")
    parser.add_argument(
        "--plot", type=Path, metavar="FOLDER", help="draw rates-*.svg and growth.svg there"
    )
    parser.add_argument("--list", action="store_true", help="list groups and rows, run nothing")
    return parser


def _rounds(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _wanted(known: Sequence[Group], patterns: list[str] | None, *, is_quick: bool) -> list[Group]:
    wanted: list[Group] = []
    # `session` alone, and not `session10` too.
    named = {group.name for group in known} & set(patterns or ())
    patterns = [pattern + "*" for pattern in patterns or () if pattern not in named]
    for group in known:
        is_any = not named and not patterns
        if is_quick and not group.is_quick and is_any:
            continue
        rows = group.rows
        if not (is_any or group.name in named or _fits(group.name, patterns)):
            rows = tuple(row for row in rows if _fits(row.name, patterns))
            references = tuple(row for row in group.rows if row.name == group.reference)
            rows = (*(row for row in references if row not in rows), *rows) if rows else ()
        if is_quick:
            rows = tuple(row.quickly() for row in rows)
        if rows:
            wanted.append(replace(group, rows=rows))
    return wanted


def _fits(name: str, patterns: list[str]) -> bool:
    return any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def _list(wanted: Sequence[Group]) -> None:
    for group in wanted:
        print(f"{group.name}: {group.title}")
        for row in group.rows:
            print(f"    {row.name}")


@contextlib.contextmanager
def _server_for(wanted: Sequence[Group]) -> Generator[Server | None]:
    if not any(row.is_on_postgresql for group in wanted for row in group.rows):
        yield None
        return
    try:
        opened = open_server()
    except ImportError:
        yield None
        return
    with opened as server:
        yield server


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
