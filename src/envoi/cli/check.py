"""This room is `envoi check`: is everything right? It changes nothing and sends nothing."""

from collections.abc import Iterator
from typing import Annotated

import typer

from envoi.assembly import Parts
from envoi.cli.call import call_of
from envoi.cli.db import advice_for, place_of, state_of
from envoi.cli.directory_findings import of_directory
from envoi.cli.error_findings import of_errors
from envoi.cli.exits import ExitCode
from envoi.cli.findings import Finding, Level
from envoi.cli.relay_findings import of_relays
from envoi.cli.screen import Screen
from envoi.cli.typed import Json, examples
from envoi.core.routing import Sender
from envoi.errors import OutboxError, SettingsError, TemplateError
from envoi.outbox import SchemaState
from envoi.settings import Entry
from envoi.templates.catalogue import Catalogue


def add_to(app: typer.Typer) -> None:
    """Add `check`."""
    app.command("check", epilog=examples(
        "envoi check", "envoi check --connect", "envoi check --json",
    ))(check)  # fmt: skip


def check(
    ctx: typer.Context,
    connect: Annotated[
        bool, typer.Option("--connect", help="Walk to the relay, step by step; sends no mail.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check settings, senders, templates, outbox and relay.

    Shows each setting in force with where it comes from, and renders every kind's sample in
    every language. Ends with 1 when anything is wrong; warnings alone end with 0.
    """
    call = call_of(ctx)
    entries: tuple[Entry, ...] = ()
    try:
        entries = call.settings().listing()
        with call.parts() as parts:
            findings = tuple(_findings(parts, is_connecting=connect))
    except SettingsError as err:
        findings = tuple(_of_settings(err))
    if as_json:
        call.screen.document(_form(entries, findings))
    else:
        _show(call.screen, entries, findings)
    if any(finding.level is Level.WRONG for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def _findings(parts: Parts, *, is_connecting: bool) -> Iterator[Finding]:
    yield Finding(Level.OK, "settings", str(parts.settings.path or "no file: defaults"))
    for warning in parts.settings.warnings:
        yield Finding(Level.WARNING, "settings", str(warning))
    yield from _of_senders(parts)
    yield from _of_kinds(parts)
    yield from _of_outbox(parts)
    yield from of_directory(parts)
    yield from of_relays(parts, is_connecting=is_connecting)
    yield from of_errors(parts.settings)


def _of_settings(err: SettingsError) -> Iterator[Finding]:
    for problem in err.problems:
        yield Finding(Level.WRONG, "settings", str(problem))


def _of_senders(parts: Parts) -> Iterator[Finding]:
    senders, problems = parts.sender_tables()
    enabled = sum(sender.is_enabled for sender in senders)
    yield Finding(Level.OK, "senders", f"{len(senders)}, {enabled} of them on")
    for problem in problems:
        yield Finding(Level.WRONG, "senders", str(problem))
    for sender in senders:
        if sender.template_name != sender.kind:
            yield from _of_template(parts, sender)


def _of_template(parts: Parts, sender: Sender) -> Iterator[Finding]:
    """Say in the first language where it fails that a borrowed template does not fit the kind."""
    where = f"senders.{sender.name}.template"
    identity = parts.identity("main")
    for locale in locales_of(parts.catalogue):
        try:
            parts.templates.prove(
                sender.kind, locale, identity.time_zone, identity, sender.template_name
            )
        except TemplateError as err:
            yield Finding(Level.WRONG, "senders", f"{where} ({locale}): {err}")
            return


def _of_kinds(parts: Parts) -> Iterator[Finding]:
    locales = locales_of(parts.catalogue)
    identity = parts.identity("main")
    broken = 0
    for kind in parts.catalogue.kinds():
        for locale in locales:
            try:
                parts.templates.prove(kind, locale, identity.time_zone, identity)
            except TemplateError as err:
                broken += 1
                yield Finding(Level.WRONG, "kinds", f"{kind} ({locale}): {err}")
    if not broken:
        count = len(parts.catalogue.kinds())
        yield Finding(Level.OK, "kinds", f"{count}, each rendered in {', '.join(locales)}")


def locales_of(catalogue: Catalogue) -> tuple[str, ...]:
    """Return the languages that the catalogue's folders speak, English first."""
    spoken = {
        path.parent.parent.name
        for folder in catalogue.locale_folders()
        for path in folder.glob("*/LC_MESSAGES/*.po")
    }
    return ("en", *sorted(spoken - {"en"}))


def _of_outbox(parts: Parts) -> Iterator[Finding]:
    where = place_of(parts.outbox)
    try:
        state = state_of(parts.outbox)
    except OutboxError as err:
        yield Finding(Level.WRONG, "outbox", f"{where}: {err}")
        return
    is_current = state is SchemaState.CURRENT
    level = Level.OK if is_current else Level.WRONG
    yield Finding(level, "outbox", f"{where}: tables are {state}", advice_for(state))


def _form(entries: tuple[Entry, ...], findings: tuple[Finding, ...]) -> dict[str, object]:
    return {
        "is_well": all(finding.level is not Level.WRONG for finding in findings),
        "settings": [
            {"key": entry.key, "value": entry.shown, "origin": entry.origin} for entry in entries
        ],
        "findings": [
            {
                "level": finding.level.value,
                "about": finding.about,
                "said": finding.said,
                "advice": finding.advice or None,
            }
            for finding in findings
        ],
    }


def _show(screen: Screen, entries: tuple[Entry, ...], findings: tuple[Finding, ...]) -> None:
    if entries:
        rows = [(entry.key, entry.shown or "-", entry.origin) for entry in entries]
        screen.table(("SETTING", "VALUE", "FROM"), rows)
        screen.line()
    for finding in findings:
        advice = f" ({finding.advice})" if finding.advice else ""
        screen.state(finding.level, f"{finding.about}: {finding.said}{advice}")
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    screen.note(f"{wrong} wrong, {warnings} warning{'' if warnings == 1 else 's'}")
