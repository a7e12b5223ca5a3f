"""This room is `envoi prune`: remove what is old, now."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from envoi.assembly import Parts, now_ms
from envoi.cli.call import call_of
from envoi.cli.moments import both, local, moment_typed
from envoi.cli.screen import Screen
from envoi.cli.typed import Json, Yes, counted, examples, sure, taking
from envoi.cli.who import system_user
from envoi.core.delivery import FINAL_STATES, State
from envoi.core.retention import Cut
from envoi.errors import InputError
from envoi.outbox import audit
from envoi.retention import Pruned, prune, retention_of

_FINAL = tuple(state for state in State if state in FINAL_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    older_than: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help="What ended before: 30d ago, or before 2026-05-31; default as [retention] says.",
        ),
    ] = ""
    state: Annotated[
        list[str],
        typer.Option(
            "--state",
            "-s",
            metavar="STATE",
            help="Only events all of whose deliveries are in this state: "
            f"{', '.join(_FINAL)}; repeat it for several.",
            autocompletion=lambda: [*_FINAL],
        ),
    ] = field(default_factory=list[str])
    content: Annotated[
        bool, typer.Option("--content", help="Only words and files; what became of it stays.")
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only count what would be removed.")
    ] = False
    yes: Yes = False
    as_json: Json = False


def add_to(app: typer.Typer) -> None:
    """Add `prune`."""
    app.command("prune", epilog=examples(
        "envoi prune", "envoi prune --dry-run --json",
        "envoi prune --older-than 7d --state sent --yes",
        "envoi prune --older-than 1d --content",
    ))(taking(_Options)(prune_now))  # fmt: skip


def prune_now(ctx: typer.Context, options: _Options) -> None:
    """Remove what is old: a worker does so by itself, once an hour.

    Nothing that waits, is held or in doubt is ever removed, nor an event that it belongs to.
    """
    screen = call_of(ctx).screen
    states = _states(options.state)
    with call_of(ctx).mailer() as mailer:
        cut = _cut(mailer.parts, options, states)
        if not options.dry_run:
            _ask(screen, mailer.parts, cut, options)
        is_whole = not (options.older_than or options.state or options.content)
        pruned = prune(
            mailer.parts, cut, is_whole=is_whole, is_trial=options.dry_run, rest=time.sleep
        )
    if options.as_json:
        screen.document(_form(cut, pruned, is_trial=options.dry_run))
    else:
        screen.line(_line(pruned, is_trial=options.dry_run))


def _states(typed: Sequence[str]) -> tuple[State, ...]:
    for word in typed:
        if word not in _FINAL:
            is_open = word in {*State}
            why = ": what is not at its end is never removed" if is_open else ""
            raise InputError(f"--state: expected one of {', '.join(_FINAL)}, got {word}{why}")
    return tuple(State(word) for word in dict.fromkeys(typed)) or Cut().states


def _cut(parts: Parts, options: _Options, states: tuple[State, ...]) -> Cut:
    known = retention_of(parts.settings.retention).cut(parts.clock())
    before_ms = known.rows_before_ms
    if options.content:
        before_ms = known.content_before_ms
    if options.older_than:
        before_ms = moment_typed(options.older_than, now_ms(), "--older-than")
    elif not (options.state or options.content):
        return known
    if options.content:
        return Cut(content_before_ms=before_ms, states=states)
    return Cut(rows_before_ms=before_ms, states=states)


def _ask(screen: Screen, parts: Parts, cut: Cut, options: _Options) -> None:
    # What the settings say anyway, a worker removes without asking; cron may do so too.
    if not options.older_than:
        return
    before_ms = cut.closes_before_ms
    what = "the content of every event" if options.content else "every event"
    states = f" and is {' or '.join(cut.states)}" if options.state else ""
    question = f"Remove {what} that ended before {local(before_ms)}{states}?"
    sure(screen, question, yes=options.yes)
    note = audit.Note(
        made_by=system_user(), action="prune", target=question[:-1], at_ms=parts.clock()
    )
    with parts.outbox.transaction() as tx:
        audit.note_use(tx, note)


def _line(pruned: Pruned, *, is_trial: bool) -> str:
    mail, beside = pruned.mail, pruned.beside
    deliveries = counted(mail.deliveries, "delivery", "deliveries")
    parts = [
        f"the content of {counted(mail.contents, 'event', 'events')}",
        f"{counted(mail.events, 'event', 'events')} with {deliveries}",
    ]
    if not is_trial:
        parts += [
            counted(beside.notes, "note of use", "notes of use"),
            counted(beside.incidents, "incident", "incidents"),
            counted(beside.servers, "server", "servers"),
        ]
    return f"{'would remove' if is_trial else 'removed'}: {', '.join(parts)}"


def _form(cut: Cut, pruned: Pruned, *, is_trial: bool) -> dict[str, object]:
    beside = pruned.beside
    return {
        "is_dry_run": is_trial,
        **both("content_before", cut.closes_before_ms),
        **both("rows_before", cut.rows_before_ms),
        "contents": pruned.mail.contents,
        "events": pruned.mail.events,
        "deliveries": pruned.mail.deliveries,
        # A trial looks at the mail alone.
        "notes_of_use": None if is_trial else beside.notes,
        "incidents": None if is_trial else beside.incidents,
        "servers": None if is_trial else beside.servers,
    }
