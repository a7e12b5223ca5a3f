"""This room follows a broadcast and shows its report: a bar for a person, lines for a log."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import typer

from envoi.assembly import Parts
from envoi.cli.exits import ExitCode
from envoi.cli.moments import both, local
from envoi.cli.screen import Screen
from envoi.cli.typed import counted
from envoi.core.broadcast import Phase, Report
from envoi.outbox import broadcast_report, broadcasts
from envoi.outbox.broadcast_report import Missed
from envoi.outbox.broadcasts import Kept

# How often a broadcast is looked at; each look counts all its people.
LOOK_EVERY_S = 0.5
# A log gets a line this often at most.
LINE_EVERY_S = 5.0
# How many people a screen names; JSON names more.
MAX_NAMED, MAX_NAMED_IN_JSON = 20, 1_000

# The report's words, in the order in which they are shown.
LABELS = {
    "sent": "sent",
    "refused": "refused by the relay",
    "given_up": "given up",
    "waiting": "still waiting",
    "uncertain": "uncertain",
    "held": "held",
    "paused": "paused",
    "cancelled": "cancelled",
    "suppressed": "suppressed",
    "expired": "expired",
    "inactive": "inactive",
    "no_address": "without an address",
    "unusable": "with an unusable address",
    "folded": "duplicates folded",
    "passed_over": "passed over",
}


def looked(parts: Parts, event_id: int) -> tuple[Kept, Report]:
    """Return a broadcast and its report; raises `NotFoundError`."""
    with parts.outbox.reading() as tx:
        kept = broadcasts.find(tx, event_id)
        return kept, broadcast_report.report(tx, kept)


def follow(screen: Screen, parts: Parts, event_id: int, wait_s: float) -> Report:
    """Watch a broadcast until it is over or the time is; what it does never depends on that.

    Args:
        screen: Where a bar or lines are shown.
        parts: The outbox's parts.
        event_id: Which broadcast.
        wait_s: Above 0: at most so long; below 0: to the end.
    """
    until = time.monotonic() + wait_s if wait_s > 0 else math.inf
    reports = _reports(parts, event_id, until)
    report = next(reports)
    with screen.progress("people found", None) as told:
        while report.is_finding and (later := next(reports, None)):
            report = later
            told(report.audience)
    with screen.progress("mails", report.mails) as told:
        return _to_the_end(screen, report, reports, told)


@contextmanager
def watching(screen: Screen, event_id: int) -> Generator[None]:
    """Say at Ctrl-C that it ends the watching alone."""
    try:
        yield
    except KeyboardInterrupt:
        screen.note(f"the broadcast goes on; see it with `envoi broadcast watch {event_id}`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _to_the_end(
    screen: Screen, report: Report, reports: Iterator[Report], told: Callable[[int], None]
) -> Report:
    said_at = time.monotonic()
    for later in reports:
        report = later
        told(report.sent + report.failed)
        if not screen.shows_progress and time.monotonic() - said_at >= LINE_EVERY_S:
            screen.note(in_short(report))
            said_at = time.monotonic()
    return report


def _reports(parts: Parts, event_id: int, until: float) -> Iterator[Report]:
    while True:
        _, report = looked(parts, event_id)
        yield report
        left_s = until - time.monotonic()
        if report.is_over or left_s <= 0:
            return
        time.sleep(min(LOOK_EVERY_S, left_s))


def code_of(report: Report) -> ExitCode:
    """Return how a command that followed a broadcast ends: 0 only when nothing failed for good."""
    if not report.is_over:
        return ExitCode.STILL_GOING
    is_whole = not (report.failed or report.held or report.cancelled)
    return ExitCode.OK if is_whole else ExitCode.FAILED


def in_short(report: Report) -> str:
    """Return a report in one line.

    >>> in_short(Report(sent=7, refused=1, waiting=2))
    'sent 7 of 10, 1 failed, 2 waiting'
    """
    words = f"sent {report.sent} of {report.mails}, {report.failed} failed, {report.left} waiting"
    if report.held or report.paused:
        words += f", {report.held + report.paused} held"
    return words


def counts_of(report: Report) -> dict[str, int]:
    """Return a report's numbers by name."""
    return {name: getattr(report, name) for name in LABELS}


def show_report(screen: Screen, parts: Parts, kept: Kept, report: Report) -> None:
    """Print what became of everybody, in which words the relay refused, and whom it concerns."""
    numbers = [(LABELS[name], count) for name, count in counts_of(report).items() if count]
    screen.table(("WHAT BECAME OF IT", "PEOPLE"), [*numbers, ("audience", report.audience)])
    with parts.outbox.reading() as tx:
        replies = broadcast_report.replies(tx, kept)
        failed = broadcast_report.failed(tx, kept, MAX_NAMED)
        skipped = broadcast_report.skipped(tx, kept, MAX_NAMED)
    if replies:
        screen.line()
        screen.table(("FAILED", "LAST WORDS"), [(count, reply) for reply, count in replies])
    for missed, total in ((failed, report.failed), (skipped, report.skipped)):
        _show_missed(screen, missed, total)


def _show_missed(screen: Screen, missed: tuple[Missed, ...], total: int) -> None:
    if not missed:
        return
    screen.line()
    screen.table(("WHO GETS NOTHING", "BECAUSE"), [(one.name, one.because) for one in missed])
    if total > len(missed):
        screen.note(f"... and {total - len(missed)} more; --json names more of them")


def report_form(parts: Parts, kept: Kept, report: Report) -> dict[str, object]:
    """Return a broadcast with its report as JSON shows it."""
    with parts.outbox.reading() as tx:
        replies = broadcast_report.replies(tx, kept)
        failed = broadcast_report.failed(tx, kept, MAX_NAMED_IN_JSON)
        skipped = broadcast_report.skipped(tx, kept, MAX_NAMED_IN_JSON)
    return {
        **form_of(kept, report),
        "replies": [{"reply": reply, "count": count} for reply, count in replies],
        "failed_list": [{"address": one.name, "because": one.because} for one in failed],
        "skipped_list": [{"name": one.name, "because": one.because} for one in skipped],
    }


def form_of(kept: Kept, report: Report) -> dict[str, object]:
    """Return a broadcast as a list shows it in JSON."""
    return {
        "id": kept.event_id,
        "subject": kept.subject,
        "application": kept.application,
        "state": report.phase.value,
        "author": kept.author or None,
        "stored_by": kept.stored_by,
        **both("stored_at", kept.stored_at_ms),
        "changed_by": kept.changed_by or None,
        **both("changed_at", kept.changed_at_ms),
        "problem": kept.problem or None,
        "audience": report.audience,
        "mails": report.mails,
        "skipped": report.skipped,
        "failed": report.failed,
        **counts_of(report),
    }


def show_head(screen: Screen, kept: Kept, report: Report) -> None:
    """Print what a broadcast is and where it is."""
    who = f"{kept.author} ({kept.stored_by})" if kept.author else kept.stored_by
    lines: dict[str, object] = {
        "broadcast": kept.event_id,
        "subject": kept.subject,
        "state": report.phase.value,
        "stored": f"{local(kept.stored_at_ms)} by {who}",
    }
    if kept.changed_by:
        lines["changed"] = f"{local(kept.changed_at_ms)} by {kept.changed_by}"
    if kept.problem:
        lines["problem"] = kept.problem
    screen.pairs(lines)


def what_next(report: Report, event_id: int) -> str:
    """Return what helps where nothing happens by itself; empty where nothing must."""
    match report.phase:
        case Phase.HELD:
            return f"held: once smtp.host is set, `envoi broadcast resume {event_id}` sends it"
        case Phase.PAUSED:
            return f"paused: `envoi broadcast resume {event_id}` goes on"
        case _:
            return ""


def passed_over(report: Report) -> str:
    """Return how many get nothing and why, in words; empty where everybody gets a mail."""
    reasons = ("inactive", "no_address", "unusable", "folded", "passed_over")
    words = {**LABELS, "folded": "sharing an address"}
    parts = [f"{getattr(report, name)} {words[name]}" for name in reasons if getattr(report, name)]
    people = counted(report.skipped, "person", "people")
    return f"{people} passed over ({', '.join(parts)})" if parts else ""
