"""This room is `envoi broadcast`: follow what administrators told many, and stop or go on."""

from collections.abc import Callable
from typing import Annotated

import typer

from envoi.broadcasting import Broadcasting
from envoi.cli.call import call_of
from envoi.cli.following import (
    code_of,
    counts_of,
    follow,
    form_of,
    in_short,
    looked,
    report_form,
    show_head,
    show_report,
    watching,
    what_next,
)
from envoi.cli.moments import local
from envoi.cli.presence import hint_at_delivery
from envoi.cli.typed import MAX_ID, Json, Yes, counted, examples, sure
from envoi.cli.who import system_user
from envoi.outbox import broadcast_report, broadcasts
from envoi.outbox.broadcasts import Order

Id = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=MAX_ID, help="A broadcast's id, as in the list.")
]
COLUMNS = ("ID", "STATE", "SUBJECT", "AUDIENCE", "SENT", "FAILED", "WAITING", "STORED", "BY")


def add_to(app: typer.Typer) -> None:
    """Add `broadcast` with its commands."""
    group = typer.Typer(
        name="broadcast",
        help="Mail to many: how far it is, pause it, cancel it.",
        no_args_is_help=True,
        epilog=examples("envoi broadcast list", "envoi broadcast watch 7"),
    )
    group.command("list", epilog=examples("envoi broadcast list", "envoi broadcast list --json"))(
        show_all
    )
    group.command("show", epilog=examples("envoi broadcast show 7"))(show)
    group.command("watch", epilog=examples(
        "envoi broadcast watch 7", "envoi broadcast watch 7 --wait 60",
    ))(watch)  # fmt: skip
    group.command("pause", epilog=examples("envoi broadcast pause 7"))(_orderer(Order.PAUSED))
    group.command("resume", epilog=examples("envoi broadcast resume 7"))(_orderer(Order.GOING))
    group.command("cancel", epilog=examples("envoi broadcast cancel 7 --yes"))(cancel)
    app.add_typer(group)


def show_all(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 20,
    before: Annotated[
        int, typer.Option(metavar="ID", max=MAX_ID, show_default=False, help="Only older ones.")
    ] = 0,
    application: Annotated[
        str, typer.Option("--application", "-A", metavar="NAME", help="Of this application only.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List broadcasts, newest first."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer, mailer.parts.outbox.reading() as tx:
        kept = broadcasts.listed(tx, application=application, limit=limit, before_id=before)
        found = [(one, broadcast_report.report(tx, one)) for one in kept]
    if as_json:
        screen.document([form_of(one, report) for one, report in found])
    elif not found:
        is_narrow = application or before
        screen.note("no broadcast is like that" if is_narrow else
                    "no broadcasts yet: `envoi admin email --everyone SUBJECT TEXT` sends one; "
                    "with --dry-run it only says to whom")  # fmt: skip
    else:
        screen.table(COLUMNS, [
            (one.event_id, report.phase.value, one.subject, report.audience, report.sent,
             report.failed, report.left, local(one.stored_at_ms), one.author or one.stored_by)
            for one, report in found
        ])  # fmt: skip
        if len(found) == limit:
            screen.note(f"There may be more: --before {found[-1][0].event_id}, or --limit.")


def show(ctx: typer.Context, broadcast_id: Id, as_json: Json = False) -> None:
    """Show one broadcast: what became of everybody, and who gets nothing and why."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        kept, report = looked(mailer.parts, broadcast_id)
        if as_json:
            screen.document(report_form(mailer.parts, kept, report))
            return
        show_head(screen, kept, report)
        screen.line()
        show_report(screen, mailer.parts, kept, report)
        if hint := what_next(report, broadcast_id):
            screen.note(hint)


def watch(
    ctx: typer.Context,
    broadcast_id: Id,
    wait: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="At most so long; 0: one look; below 0: to the end."),
    ] = -1,
    as_json: Json = False,
) -> None:
    """Follow a broadcast to its end; Ctrl-C ends the watching and nothing else."""
    screen = call_of(ctx).screen
    with watching(screen, broadcast_id), call_of(ctx).mailer() as mailer:
        looked(mailer.parts, broadcast_id)
        if not as_json:
            hint_at_delivery(screen, mailer.parts)
        if wait:
            follow(screen, mailer.parts, broadcast_id, wait)
        kept, report = looked(mailer.parts, broadcast_id)
        if as_json:
            screen.document(report_form(mailer.parts, kept, report))
        else:
            screen.line(f"{report.phase.value}: {in_short(report)}")
            if hint := what_next(report, broadcast_id):
                screen.note(hint)
    raise typer.Exit(code_of(report))


def _orderer(wanted: Order) -> Callable[..., None]:
    def pause(ctx: typer.Context, broadcast_id: Id, as_json: Json = False) -> None:
        """Send nothing more of a broadcast until it is resumed; what is under way still goes."""
        _order(ctx, broadcast_id, wanted, as_json=as_json)

    def resume(ctx: typer.Context, broadcast_id: Id, as_json: Json = False) -> None:
        """Go on with a broadcast that is paused, or that no relay was there for."""
        _order(ctx, broadcast_id, wanted, as_json=as_json)

    return pause if wanted is Order.PAUSED else resume


def cancel(ctx: typer.Context, broadcast_id: Id, yes: Yes = False, as_json: Json = False) -> None:
    """Take back what was not sent yet; the search for people ends."""
    with call_of(ctx).mailer() as mailer:
        kept, report = looked(mailer.parts, broadcast_id)
    left = report.left + report.held + report.paused
    if left or report.is_finding:
        mails = counted(left, "mail is", "mails are")
        question = f"Cancel {kept.subject!r}, of which {mails} not sent yet?"
        sure(call_of(ctx).screen, question, yes=yes)
    _order(ctx, broadcast_id, Order.CANCELLED, as_json=as_json)


def _order(ctx: typer.Context, broadcast_id: int, wanted: Order, *, as_json: bool) -> None:
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        broadcasting = Broadcasting(mailer.parts)
        broadcasting.order(broadcast_id, wanted, system_user())
        broadcasting.sweep(broadcast_id)
        kept, report = looked(mailer.parts, broadcast_id)
        if as_json:
            screen.document({"id": broadcast_id, "state": report.phase.value, **counts_of(report)})
            return
        screen.line(f"broadcast {broadcast_id}: {report.phase.value}: {in_short(report)}")
        if wanted is Order.GOING:
            hint_at_delivery(screen, mailer.parts)
        elif not kept.is_swept:
            screen.note("what a connection has at this moment may still be sent")
