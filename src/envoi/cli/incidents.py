"""This room is `envoi incidents`: errors of the application, equal ones counted as one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

from envoi.cli.call import call_of, known_application
from envoi.cli.moments import both, lasting_ms, local
from envoi.cli.typed import Application, Json, examples
from envoi.cli.who import system_user
from envoi.core.recurrence import MAX_RELEASE_CHARS, NEXT, Incident, Standing, opened
from envoi.errors import InputError
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
    group.command(
        "mute",
        epilog=examples("envoi incidents mute 3f8a1c09", "envoi incidents mute 3f8a1c09 --for 7d"),
    )(mute)
    group.command("unmute", epilog=examples("envoi incidents unmute 3f8a1c09"))(unmute)
    group.command(
        "resolve",
        epilog=examples(
            "envoi incidents resolve 3f8a1c09",
            "envoi incidents resolve 3f8a1c09 --in-release 5.6.11",
        ),
    )(resolve)
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
            "standing": _standing(incident),
            "error": incident.error_type,
            "message": incident.message or "-",
            "place": incident.place or "-",
            "release": incident.release or "-",
            "seen in": ", ".join(incident.releases) or "-",
            "count": incident.count,
            "not mailed yet": incident.held_back,
            "first": local(incident.first_at_ms),
            "latest": local(incident.last_at_ms),
        })  # fmt: skip


def mute(
    ctx: typer.Context,
    name: Fingerprint,
    lasting: Annotated[
        str,
        typer.Option("--for", metavar="TIME", help="So long, e.g. 12h or 7d; default for good."),
    ] = "",
    times: Annotated[
        int, typer.Option(min=0, help="Until there were so many more; default for good.")
    ] = 0,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """Count an incident on and mail it no more, or not until a time or a count is reached."""
    lasting_for_ms = lasting_ms(lasting, "--for") if lasting else 0

    def muted(known: Incident, now_ms: int) -> Incident:
        return replace(
            opened(known),
            standing=Standing.MUTED,
            muted_until_ms=now_ms + lasting_for_ms if lasting_for_ms else 0,
            muted_until_count=known.count + times if times else 0,
        )

    _stand(ctx, (name, application), muted, "mute", as_json=as_json)


def unmute(
    ctx: typer.Context, name: Fingerprint, application: Application = "main", as_json: Json = False
) -> None:
    """Mail an incident again."""
    _stand(ctx, (name, application), lambda known, _: opened(known), "unmute", as_json=as_json)


def resolve(
    ctx: typer.Context,
    name: Fingerprint,
    in_release: Annotated[
        str, typer.Option(metavar="RELEASE", help="It is mended in this release and later ones.")
    ] = "",
    next_release: Annotated[
        bool, typer.Option("--next-release", help="It is mended in whatever comes next.")
    ] = False,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """Say that an incident is mended: the next one of it is a regression and says so.

    Where a release is named, those of older ones are counted and not mailed.
    """
    if in_release and next_release:
        raise InputError("--in-release, --next-release: expected one of them, got both")

    def resolved(known: Incident, _: int) -> Incident:
        if next_release and not known.releases:
            raise InputError(
                "--next-release: expected errors that name their release, got none; "
                "give --in-release, or `release` where errors are reported"
            )
        mended_in = NEXT if next_release else in_release.strip()[:MAX_RELEASE_CHARS]
        return replace(opened(known), standing=Standing.RESOLVED, mended_in=mended_in)

    _stand(ctx, (name, application), resolved, "resolve", as_json=as_json)


def _stand(
    ctx: typer.Context,
    which: tuple[str, str],
    change: Callable[[Incident, int], Incident],
    action: str,
    *,
    as_json: bool,
) -> None:
    name, application = which
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        now_ms = mailer.parts.clock()
        with mailer.outbox.transaction() as tx:
            found = incidents.find(tx, application, name)
            known = incidents.lock(tx, application, found.fingerprint, found.error_type)
            changed = change(known, now_ms)
            incidents.keep(tx, changed)
            note = audit.Note(
                made_by=system_user(),
                action=f"incidents {action}",
                target=known.fingerprint,
                at_ms=now_ms,
            )
            audit.note_use(tx, note)
    screen = call_of(ctx).screen
    if as_json:
        screen.document(_form(changed))
    else:
        screen.line(f"incident {known.fingerprint} is {_standing(changed)}: {_title(known)}")


def _standing(incident: Incident) -> str:
    """What somebody said of an incident, and how long it holds."""
    until = [
        f"until {local(incident.muted_until_ms)}" if incident.muted_until_ms else "",
        f"until it was seen {incident.muted_until_count} times"
        if incident.muted_until_count
        else "",
    ]
    release = "the next release" if incident.mended_in == NEXT else incident.mended_in
    words = [" or ".join(filter(None, until)), f"in {release}" if release else ""]
    return " ".join(filter(None, [incident.standing, *words]))


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
        "releases": list(incident.releases),
        "mended_in": incident.mended_in,
        **both("muted_until", incident.muted_until_ms),
        "muted_until_count": incident.muted_until_count or None,
        "count": incident.count,
        "not_mailed_yet": incident.held_back,
        **both("first", incident.first_at_ms),
        **both("latest", incident.last_at_ms),
    }
