"""This room is `envoi admin`: what an administrator tells many, and who used that.

The options and answers of `admin email` are those that OMERO's people know.
"""

import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Annotated, NoReturn

import typer

from envoi.addresses import parse_address
from envoi.broadcasting import CHUNK_PEOPLE, Broadcasting
from envoi.cli.call import call_of, known_application
from envoi.cli.exits import ExitCode
from envoi.cli.following import (
    code_of,
    follow,
    in_short,
    looked,
    passed_over,
    report_form,
    watching,
    what_next,
)
from envoi.cli.inputs import STDIN, read_text
from envoi.cli.moments import both, local
from envoi.cli.presence import hint_at_delivery, require_delivery
from envoi.cli.rehearsal import tell_rehearsal
from envoi.cli.screen import Screen
from envoi.cli.typed import Application, Json, counted, examples, taking
from envoi.cli.who import system_user
from envoi.core.broadcast import (
    Broadcast,
    Refusal,
    Report,
    check_words,
    refusal,
)
from envoi.core.routing import Selector, SelectorType
from envoi.errors import EnvoiError, InputError, RefusedError
from envoi.mailer import Mailer
from envoi.outbox import audit
from envoi.outbox.route import EventClaim
from envoi.selecting import Named, Selected, administrator, select

_CODES = {
    Refusal.PERMISSION: ExitCode.NOT_TAKEN,
    Refusal.RECIPIENTS: ExitCode.NO_CONTENT,
    Refusal.SENDER: ExitCode.NOT_TAKEN,
    Refusal.SUBJECT: ExitCode.NOT_TAKEN,
    Refusal.BODY: ExitCode.NO_CONTENT,
}
Texts = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="One line.")]
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="The text; without any, or just -, standard input."),
    ] = None
    everyone: Annotated[bool, typer.Option("--everyone", help="Everybody with an account.")] = False
    inactive: Annotated[
        bool, typer.Option("--inactive", help="Inactive people too, of those who are named.")
    ] = False
    user_id: Annotated[
        list[str], typer.Option("--user-id", metavar="ID", help="A user by number; repeat it.")
    ] = field(default_factory=Texts)
    user_name: Annotated[
        list[str], typer.Option("--user-name", metavar="LOGIN", help="A user; repeat it.")
    ] = field(default_factory=Texts)
    group_id: Annotated[
        list[str], typer.Option("--group-id", metavar="ID", help="A group by number; repeat it.")
    ] = field(default_factory=Texts)
    group_name: Annotated[
        list[str], typer.Option("--group-name", metavar="NAME", help="A group; repeat it.")
    ] = field(default_factory=Texts)
    extra: Annotated[
        list[str], typer.Option("--extra", metavar="ADDRESS", help="A plain address; repeat it.")
    ] = field(default_factory=Texts)
    html: Annotated[
        bool, typer.Option("--html", help="The text is HTML; the plain part is made from it.")
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say who would get it, and store nothing.")
    ] = False
    test_to: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Send it to this address alone, marked [Test].")
    ] = ""
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Follow it at most so long; 0: not at all; below 0: to its end."
        ),
    ] = 0
    login: Annotated[
        str,
        typer.Option(
            "--as", metavar="LOGIN", help="Who sends; default: you, as this system's operator."
        ),
    ] = ""
    application: Application = "main"
    as_json: Json = False

    @property
    def named(self) -> Named:
        """Whom somebody named."""
        return Named(
            everyone=self.everyone,
            user_ids=self.user_id,
            user_names=self.user_name,
            group_ids=self.group_id,
            group_names=self.group_name,
            extra=self.extra,
        )


def add_to(app: typer.Typer) -> None:
    """Add `admin` with its commands."""
    group = typer.Typer(
        name="admin",
        help="What administrators tell many.",
        no_args_is_help=True,
        epilog=examples("envoi admin email --everyone 'Down on Sunday' The wiki moves."),
    )
    group.command("email", epilog=examples(
        "envoi admin email --everyone 'Down on Sunday' The wiki moves from 8 to 10.",
        "envoi admin email --group-name staff --user-name ann --dry-run Hello 'Dear all'",
        "envoi admin email --everyone --wait -1 News < news.txt",
        "envoi admin email --everyone --html --test-to me@example.org News < news.html",
    ))(taking(_Options)(email))  # fmt: skip
    group.command("audit", epilog=examples("envoi admin audit", "envoi admin audit --json"))(
        show_audit
    )
    app.add_typer(group)


def email(ctx: typer.Context, options: _Options) -> None:
    """Tell many people something: stored at once, delivered by a worker whatever happens to you.

    Unknown names are told and passed over. Inactive people get nothing without --inactive,
    however they are named. Two accounts with one address get one mail.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, options.application)
        if not options.dry_run:
            require_delivery(mailer.parts.settings)
        broadcast = _typed(mailer, screen, options)
        if options.dry_run:
            tell_rehearsal(screen, mailer, broadcast, as_json=options.as_json)
        elif options.test_to:
            _send_test(screen, mailer, broadcast, options)
        else:
            _send(screen, mailer, broadcast, options)


def show_audit(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List who used what only an administrator may, and whom it was refused."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer, mailer.parts.outbox.reading() as tx:
        found = audit.notes(tx, limit=limit)
    if as_json:
        screen.document([
            {"by": one.made_by, "login": one.login or None, "action": one.action,
             "target": one.target, "outcome": one.outcome, **both("at", one.at_ms)}
            for one in found
        ])  # fmt: skip
    elif not found:
        screen.note("nothing yet: `envoi admin email` and `envoi broadcast` are noted here")
    else:
        screen.table(("WHEN", "WHO", "AS", "WHAT", "ABOUT", "OUTCOME"), [
            (local(one.at_ms), one.made_by, one.login or "-", one.action, one.target, one.outcome)
            for one in found
        ])  # fmt: skip


def _typed(mailer: Mailer, screen: Screen, options: _Options) -> Broadcast:
    """Return what was typed, checked in the order that people know."""
    broadcast = Broadcast(
        subject=options.subject,
        body="-",
        is_html=options.html,
        tells_inactive=options.inactive,
        author=options.login,
        application=options.application,
    )
    found = _selected(mailer, options)
    if found is None:
        Broadcasting(mailer.parts).refuse(broadcast, system_user())
        _end(screen, Refusal.PERMISSION)
    for warning in found.warnings:
        screen.note(warning)
    broadcast = replace(broadcast, recipients=found.selectors or _reader_of_test(options))
    sender = str(mailer.parts.identity(options.application).sender.address)
    # Standard input is asked for last: whoever may not send need not type his text first.
    _end_if(screen, refusal(broadcast, sender, may_send=True))
    broadcast = replace(broadcast, body=_body(screen, options))
    _end_if(screen, refusal(broadcast, sender, may_send=True))
    problems = check_words(broadcast)
    if problems:
        raise InputError("\n".join(str(problem) for problem in problems))
    return broadcast


def _selected(mailer: Mailer, options: _Options) -> Selected | None:
    """Return who is named; None when whoever sends may not."""
    directory = mailer.parts.directory(options.application)
    with mailer.parts.outbox.reading() as tx:
        if options.login and administrator(tx, directory, options.login) is None:
            return None
        return select(tx, directory, options.named)


def _reader_of_test(options: _Options) -> tuple[Selector, ...]:
    return (Selector(SelectorType.ADDRESS, options.test_to),) if options.test_to else ()


def _end_if(screen: Screen, reason: Refusal | None) -> None:
    if reason is not None:
        _end(screen, reason)


def _end(screen: Screen, reason: Refusal) -> NoReturn:
    screen.note(f"error: {reason}")
    raise typer.Exit(_CODES[reason])


def _body(screen: Screen, options: _Options) -> str:
    if options.words and options.words != [STDIN]:
        return " ".join(options.words)
    if sys.stdin.isatty():
        screen.note("Type the text; Ctrl-D on a line of its own ends it.")
    return read_text(STDIN, "text")


def _send(screen: Screen, mailer: Mailer, broadcast: Broadcast, options: _Options) -> None:
    broadcasting = Broadcasting(mailer.parts)
    claim = broadcasting.store(broadcast, system_user())
    if _find_people(screen, broadcasting, claim):
        raise typer.Exit(ExitCode.INTERRUPTED)
    with watching(screen, claim.event_id):
        mailer.parts.outbox.ring()
        if not options.as_json:
            _tell_stored(screen, mailer, claim.event_id)
        if options.wait:
            follow(screen, mailer.parts, claim.event_id, options.wait)
        kept, report = looked(mailer.parts, claim.event_id)
    if options.as_json:
        screen.document(report_form(mailer.parts, kept, report))
    elif options.wait:
        _tell_end(screen, report, options.wait)
    if options.wait:
        raise typer.Exit(code_of(report))


def _tell_stored(screen: Screen, mailer: Mailer, event_id: int) -> None:
    _, report = looked(mailer.parts, event_id)
    nobody = ": nobody gets a mail" if not (report.mails or report.is_finding) else ""
    over = f", {passed_over(report)}" if report.skipped else ""
    screen.line(
        f"broadcast {event_id} stored: {counted(report.mails, 'mail', 'mails')}{over}{nobody}"
    )
    hint_at_delivery(screen, mailer.parts)
    screen.note(what_next(report, event_id) or f"How far it is: envoi broadcast watch {event_id}")


def _find_people(screen: Screen, broadcasting: Broadcasting, claim: EventClaim) -> bool:
    """Find the people at once; a worker goes on where this cannot. Whether Ctrl-C ended it."""
    try:
        with screen.progress("people found", None) as told:
            for step, _ in enumerate(broadcasting.route(claim), start=1):
                told(step * CHUNK_PEOPLE)
    except RefusedError:
        pass  # a worker has it already, or somebody cancelled it
    except (EnvoiError, KeyboardInterrupt) as err:
        is_interrupted = isinstance(err, KeyboardInterrupt)
        because = "interrupted" if is_interrupted else str(err)
        with suppress(EnvoiError):  # then the lease runs out
            broadcasting.give_back(claim)
        screen.note(
            f"broadcast {claim.event_id} is stored; a worker finds the rest of its people "
            f"({because})"
        )
        return is_interrupted
    return False


def _tell_end(screen: Screen, report: Report, wait_s: float) -> None:
    if not report.is_over:
        screen.line(f"not over after {wait_s:g} s, and it goes on: {in_short(report)}")
        return
    screen.line(f"Successfully sent {report.sent} of {report.mails} emails")
    if report.failed:
        screen.line(
            f"{report.failed} failed for good: {report.refused} refused by the relay, "
            f"{report.given_up} given up"
        )
    if report.held:
        screen.line(f"{report.held} held until somebody releases them")


def _send_test(screen: Screen, mailer: Mailer, broadcast: Broadcast, options: _Options) -> None:
    to = parse_address(options.test_to)
    event_id = Broadcasting(mailer.parts).store_test(broadcast, to, system_user())
    if options.as_json:
        screen.document({"event": event_id, "to": str(to), "test": True})
        return
    screen.line(f"test mail to {to} stored as event {event_id}")
    hint_at_delivery(screen, mailer.parts)
    screen.note(f"What became of it: envoi outbox list --event {event_id}")
