"""This room is `envoi kinds`: which events there are, and what each must say."""

from typing import Annotated

import typer

from envoi.cli.call import call_of
from envoi.cli.typed import Json, examples
from envoi.core.kind import MASK, Kind

Name = Annotated[str, typer.Argument(metavar="KIND", help="A kind's name.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add `kinds` with its commands."""
    group = typer.Typer(
        name="kinds",
        help="Kinds of events and their facts.",
        no_args_is_help=True,
        epilog=examples("envoi kinds list", "envoi kinds show pull_request"),
    )
    group.command("list", epilog=examples("envoi kinds list", "envoi kinds list --json"))(show_all)
    group.command("show", epilog=examples(
        "envoi kinds show pull_request",
        "envoi kinds show pull_request --sample > event.json",
        "envoi kinds show pull_request --sample | envoi notify pull_request --data -",
    ))(show)  # fmt: skip
    app.add_typer(group)


def show_all(ctx: typer.Context, as_json: Json = False) -> None:
    """List all kinds, shipped ones and your own."""
    screen = call_of(ctx).screen
    with call_of(ctx).parts() as parts:
        kinds = tuple(parts.catalogue.kinds().values())
    if as_json:
        screen.document([kind_form(kind) for kind in kinds])
        return
    rows = [
        (kind.name, kind.mail_class, ", ".join(kind.roles) or "-", kind.description or "-")
        for kind in kinds
    ]
    screen.table(("KIND", "CLASS", "ROLES", "DESCRIPTION"), rows)


def show(
    ctx: typer.Context,
    name: Name,
    sample: Annotated[
        bool, typer.Option("--sample", help="Print the sample event alone, as JSON.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a kind: its facts, the roles people stand in, and a sample event."""
    screen = call_of(ctx).screen
    with call_of(ctx).parts() as parts:
        kind = parts.catalogue.kind(name)
    if sample:
        screen.document(dict(kind.sample))
    elif as_json:
        screen.document(kind_form(kind))
    else:
        screen.pairs({
            "kind": kind.name,
            "description": kind.description or "-",
            "class": kind.mail_class,
            "roles": ", ".join(kind.roles) or "-",
            "subject": " or ".join(kind.subjects) or "-",
            "lifetime": f"{kind.lifetime_s} s" if kind.lifetime_s else "-",
        })  # fmt: skip
        screen.table(("FACT", "TYPE", "", "DESCRIPTION"), [
            (fact_name, fact.type, _marks(kind, fact_name), fact.description or "-")
            for fact_name, fact in kind.facts.items()
        ])  # fmt: skip
        screen.note(f"A sample event: envoi kinds show {kind.name} --sample")


def kind_form(kind: Kind) -> dict[str, object]:
    """Return a kind as JSON shows it; `sample` can be handed to `envoi notify` as it is."""
    return {
        "name": kind.name,
        "description": kind.description,
        "class": kind.mail_class.value,
        "roles": list(kind.roles),
        "lifetime_s": kind.lifetime_s,
        "header_value": kind.header_value,
        "subject": list(kind.subjects),
        "subthread": kind.subthread,
        "facts": {
            name: {
                "type": fact.type.value,
                "required": fact.is_required,
                "secret": fact.is_secret,
                "description": fact.description,
            }
            for name, fact in kind.facts.items()
        },
        "sample": dict(kind.sample),
    }


def _marks(kind: Kind, name: str) -> str:
    fact = kind.facts[name]
    secret = f"secret, shown as {MASK}" if fact.is_secret else ""
    return ", ".join(filter(None, ("required" if fact.is_required else "optional", secret)))
