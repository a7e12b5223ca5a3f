"""This room is `python -m bench`, which `make bench` runs."""

import argparse
import contextlib
import json
import sys
from collections.abc import Generator, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from bench import machine, table
from bench.postgres import Server, open_server
from bench.rounds import Result, run_group
from bench.rows import Group, groups

ROUNDS, QUICK_ROUNDS = 5, 3
_ABOUT = """\
Measure Envoi beside what people install today, in one run on this machine.

Every row is run once per round, all rows of a group in turn; what is printed are medians, and
ratios between rows of the same rounds. Mails are counted at a sink on this machine; nothing
leaves it. What is not installed is named with what installs it. The exit code is 0 whatever the
figures are: they are facts, not a test; 1 when a row failed.

It takes about half an hour; with --quick about four minutes, with figures that are rough.
"""


def main(args: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = _parser().parse_args(args)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    wanted = _wanted(groups(), options.only, is_quick=options.quick)
    if options.list:
        _list(wanted)
        return 0
    facts = machine.facts()
    for name, fact in facts.items():
        print(f"{name + ':':<14}{fact}")
    measured: list[tuple[Group, tuple[Result, ...]]] = []
    with _server_for(wanted) as server:
        for group in wanted:
            results = run_group(group, rounds, server, _progress)
            measured.append((group, results))
            print("\n".join(table.lines_of(group, results)), flush=True)
    if options.json:
        forms = [table.form_of(group, results) for group, results in measured]
        document = {"machine": facts, "rounds": rounds, "groups": forms}
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return int(any(_is_failed(one) for _, results in measured for one in results))


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
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds of fewer mails, nothing large"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's figures too")
    parser.add_argument("--list", action="store_true", help="list groups and rows, run nothing")
    return parser


def _wanted(known: Sequence[Group], patterns: list[str] | None, *, is_quick: bool) -> list[Group]:
    wanted: list[Group] = []
    for group in known:
        rows = group.rows
        if patterns and not _fits(group.name, patterns):
            rows = tuple(row for row in rows if _fits(row.name, patterns))
            references = tuple(row for row in group.rows if row.name == group.reference)
            rows = (*(row for row in references if row not in rows), *rows) if rows else ()
        if is_quick:
            rows = tuple(row.quickly() for row in rows)
        if rows:
            wanted.append(replace(group, rows=rows))
    return wanted


def _fits(name: str, patterns: list[str]) -> bool:
    return any(fnmatch(name.lower(), pattern.lower() + "*") for pattern in patterns)


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


def _is_failed(result: Result) -> bool:
    return result.because.startswith("failed")


if __name__ == "__main__":
    sys.exit(main())
