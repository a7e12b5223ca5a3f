"""This room is `envoi user import`: users from a CSV or JSON file of another system."""

from typing import Annotated

import typer

from envoi.assembly import Parts, now_ms
from envoi.cli.call import call_of, known_application
from envoi.cli.exits import ExitCode
from envoi.cli.inputs import opened
from envoi.cli.rosters import require_own
from envoi.cli.screen import Screen
from envoi.cli.typed import Application, Json, examples
from envoi.directory.importing import ImportReport, import_users, rehearse_import

# What a person reads of a wrong file; `--json` holds up to 10,000.
MAX_SHOWN = 20


def add_to(group: typer.Typer) -> None:
    """Add `import`."""
    group.command("import", epilog=examples(
        "envoi user import people.csv --dry-run",
        "ldap-export | envoi user import - --json",
    ))(take_in)  # fmt: skip


def take_in(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="CSV with a header, a JSON array or JSON Lines; - is standard input.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be; store nothing.")
    ] = False,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """Add and change users from a CSV or JSON file.

    Users are matched by login, so the same file may be taken in again.

    Columns: login, first_name, last_name, email, admin, active, locale, time_zone, groups.
    A row that does not fit is told with its line and left out; the others are stored.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        require_own(mailer.parts)
        report = _taken(mailer.parts, screen, application, file, is_dry_run=dry_run)
    if as_json:
        screen.document(_form(report))
    else:
        _tell(screen, report)
    if report.stopped:
        raise typer.Exit(ExitCode.FAILED)
    if report.refused_count:
        raise typer.Exit(ExitCode.USAGE)


def _taken(
    parts: Parts, screen: Screen, application: str, file: str, *, is_dry_run: bool
) -> ImportReport:
    outbox = parts.outbox
    with opened(file, "FILE") as source, screen.progress("users", None) as told:
        if is_dry_run:
            return rehearse_import(outbox.reading, application, source, progress=told)
        return import_users(outbox.transaction, application, source, now_ms=now_ms(), progress=told)


def _tell(screen: Screen, report: ImportReport) -> None:
    verb = "would be " if report.is_dry_run else ""
    screen.line(
        f"{report.added} {verb}added, {report.changed} {verb}changed, "
        f"{report.unchanged} unchanged, {report.refused_count} refused"
    )
    if report.groups_added:
        screen.line(f"new groups: {', '.join(report.groups_added)}")
    for column in report.ignored_columns:
        screen.note(f"note: column {column!r} stands for nothing that Envoi knows")
    for kept in report.unusable[:MAX_SHOWN]:
        screen.note(
            f"line {kept.line}: {kept.login}: address {kept.text!r} is kept, unusable: {kept.why}"
        )
    for row in report.refused[:MAX_SHOWN]:
        screen.note(f"line {row.line}: refused: {row.why}")
    more = report.unusable_count + report.refused_count
    more -= len(report.unusable[:MAX_SHOWN]) + len(report.refused[:MAX_SHOWN])
    if more > 0:
        screen.note(f"... and {more} more; --json lists them")
    if report.stopped:
        screen.note(f"error: stopped at line {report.stopped.line}: {report.stopped.why}")


def _form(report: ImportReport) -> dict[str, object]:
    return {
        "dry_run": report.is_dry_run,
        "added": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "refused": report.refused_count,
        "unusable": report.unusable_count,
        "groups_added": list(report.groups_added),
        "ignored_columns": list(report.ignored_columns),
        "refused_rows": [{"line": row.line, "why": row.why} for row in report.refused],
        "unusable_addresses": [
            {"line": kept.line, "login": kept.login, "address": kept.text, "why": kept.why}
            for kept in report.unusable
        ],
        "stopped": {"line": report.stopped.line, "why": report.stopped.why}
        if report.stopped
        else None,
    }
