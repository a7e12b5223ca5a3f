"""This room is `envoi incidents`: errors of the application, equal ones counted as one."""

from dataclasses import replace
from typing import Annotated

import typer

from envoi.cli.call import call_of, known_application
from envoi.cli.moments import both, local
from envoi.cli.typed import Application, Json, examples
from envoi.cli.who import system_user
from envoi.core.recurrence import Incident, Standing
from envoi.outbox import audit, incidents

_MAX_WIDTH = 60
Fingerprint = Annotated[
    str, typer.Argument(metavar="INCIDENT", help="Its fingerprint, or the beginning of it.")
]


def add_to(app: typer.Typer) -> None:
    """Add `incidents` with its commands."""
    group = typer.Typer(
        name="incidents",
        help="Errors of the application, equal ones together: list, show, mute, resolve.",
        no_args_is_help=True,
        epilog=examples("envoi incidents list", "envoi incidents resolve 3f8a1c09"),
    )
    group.command(
        "list",
        epilog=examples("envoi incidents list", "envoi incidents list --standing muted --json"),
    )(show_all)
    group.command("show", epilog=examples("envoi incidents show 3f8a1c09"))(show)
    group.command("mute", epilog=examples("envoi incidents mute 3f8a1c09"))(mute)
    group.command("unmute", epilog=examples("envoi incidents unmute 3f8a1c09"))(unmute)
    group.command("resolve", epilog=examples("envoi incidents resolve 3f8a1c09"))(resolve)
    app.add_typer(group)


def show_all(
    ctx: typer.Context,
    standing: Annotated[
        Standing | None, typer.Option(help="Only those; default all.", case_sensitive=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest so many.")] = 50,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """List incidents, the latest first."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer, mailer.outbox.reading() as tx:
        known_application(mailer.parts.settings, application)
        found = incidents.incidents(tx, application, standing=standing, limit=limit)
    if as_json:
        screen.document([_form(incident) for incident in found])
    elif not found:
        screen.note("no incidents")
    else:
        rows = [
            (one.fingerprint, one.standing, one.count, local(one.last_at_ms), _title(one))
            for one in found
        ]
        screen.table(("INCIDENT", "STANDING", "COUNT", "LATEST", "ERROR"), rows)


def show(
    ctx: typer.Context,
    name: Fingerprint,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """Show an incident; its mails stand in `envoi outbox list`."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer, mailer.outbox.reading() as tx:
        known_application(mailer.parts.settings, application)
        incident = incidents.find(tx, application, name)
    if as_json:
        screen.document(_form(incident))
    else:
        screen.pairs({
            "incident": incident.fingerprint,
            "standing": incident.standing,
            "error": incident.error_type,
            "message": incident.message or "-",
            "place": incident.place or "-",
            "release": incident.release or "-",
            "count": incident.count,
            "not mailed yet": incident.held_back,
            "first": local(incident.first_at_ms),
            "latest": local(incident.last_at_ms),
        })  # fmt: skip


def mute(ctx: typer.Context, name: Fingerprint, application: Application = "main") -> None:
    """Count an incident on and mail it no more."""
    _stand(ctx, name, application, Standing.MUTED, "mute")


def unmute(ctx: typer.Context, name: Fingerprint, application: Application = "main") -> None:
    """Mail an incident again."""
    _stand(ctx, name, application, Standing.OPEN, "unmute")


def resolve(ctx: typer.Context, name: Fingerprint, application: Application = "main") -> None:
    """Say that an incident is mended: the next one of it is a regression and says so."""
    _stand(ctx, name, application, Standing.RESOLVED, "resolve")


def _stand(
    ctx: typer.Context, name: str, application: str, standing: Standing, action: str
) -> None:
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        with mailer.outbox.transaction() as tx:
            found = incidents.find(tx, application, name)
            known = incidents.lock(tx, application, found.fingerprint, found.error_type)
            incidents.keep(tx, replace(known, standing=standing))
            audit.note_use(
                tx,
                audit.Note(
                    made_by=system_user(),
                    action=f"incidents {action}",
                    target=known.fingerprint,
                    at_ms=mailer.parts.clock(),
                ),
            )
    call_of(ctx).screen.line(f"incident {known.fingerprint} is {standing}: {_title(known)}")


def _title(incident: Incident) -> str:
    title = (
        f"{incident.error_type}: {incident.message}" if incident.message else incident.error_type
    )
    line = " ".join(title.split())
    return line if len(line) <= _MAX_WIDTH else f"{line[: _MAX_WIDTH - 3]}..."


def _form(incident: Incident) -> dict[str, object]:
    return {
        "incident": incident.fingerprint,
        "application": incident.application,
        "standing": incident.standing,
        "error_type": incident.error_type,
        "message": incident.message,
        "place": incident.place,
        "release": incident.release,
        "count": incident.count,
        "not_mailed_yet": incident.held_back,
        **both("first", incident.first_at_ms),
        **both("latest", incident.last_at_ms),
    }
