"""This room is `envoi db`: the outbox's tables and their version."""

import typer

from envoi.cli.call import call_of, outbox_file
from envoi.cli.exits import ExitCode
from envoi.cli.typed import Json, examples
from envoi.outbox import Outbox, SchemaState

_ADVICE = {
    SchemaState.MISSING: "run `envoi db upgrade`",
    SchemaState.OLDER: "run `envoi db upgrade`",
    SchemaState.NEWER: "install the Envoi that made them",
    SchemaState.CURRENT: "",
}


def add_to(app: typer.Typer) -> None:
    """Add `db` with its commands."""
    group = typer.Typer(
        name="db",
        help="The outbox's tables.",
        no_args_is_help=True,
        epilog=examples("envoi db status", "envoi db upgrade"),
    )
    group.command("upgrade", epilog=examples("envoi db upgrade"))(upgrade)
    group.command("status", epilog=examples("envoi db status", "envoi db status --json"))(status)
    app.add_typer(group)


def upgrade(ctx: typer.Context) -> None:
    """Make the tables, or bring them up to date; does nothing when they are."""
    screen = call_of(ctx).screen
    with call_of(ctx).parts() as parts:
        before = state_of(parts.outbox)
        parts.outbox.upgrade()
        where = place_of(parts.outbox)
    if before is SchemaState.CURRENT:
        screen.line(f"the tables are up to date: {where}")
    else:
        screen.line(f"the tables were {before} and are up to date now: {where}")


def status(ctx: typer.Context, as_json: Json = False) -> None:
    """Say how the tables stand to this version; ends with 4 when they do not fit."""
    screen = call_of(ctx).screen
    with call_of(ctx).parts() as parts:
        state, where = state_of(parts.outbox), place_of(parts.outbox)
    if as_json:
        advice = _ADVICE[state] or None
        screen.document({"outbox": where, "tables": state.value, "advice": advice})
    else:
        screen.pairs({"outbox": where, "tables": state.value})
        if _ADVICE[state]:
            screen.note(_ADVICE[state])
    if state is not SchemaState.CURRENT:
        raise typer.Exit(ExitCode.OUTBOX)


def state_of(outbox: Outbox) -> SchemaState:
    """Return how the tables stand to this version; asking never makes an SQLite file."""
    file = outbox_file(outbox)
    if file is not None and not file.exists():
        return SchemaState.MISSING
    return outbox.database.state()


def place_of(outbox: Outbox) -> str:
    """Return where the outbox is, its password masked."""
    return outbox.database.url.render_as_string(hide_password=True)


def advice_for(state: SchemaState) -> str:
    """Return what to do about tables in this state; empty when there is nothing to do."""
    return _ADVICE[state]
