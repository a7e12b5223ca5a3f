"""This room is `envoi notify`: say what happened, from a script or another language."""

from dataclasses import dataclass, field, replace
from typing import Annotated, cast

import typer

from envoi import forms
from envoi.cli import batches
from envoi.cli.call import call_of
from envoi.cli.events import checked_event, facts_typed, merged_form, people_typed
from envoi.cli.inputs import json_lines, read_json
from envoi.cli.presence import hint_at_delivery
from envoi.cli.receipts import receipt_form, tell_receipt
from envoi.cli.typed import Json, examples, key_typed, taking
from envoi.core.event import Event
from envoi.core.kind import Kind, Plain
from envoi.core.routing import pick_senders
from envoi.errors import InputError
from envoi.mailer import Mailer, Receipt, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What sort of thing happened.")]
    data: Annotated[
        str,
        typer.Option(
            "--data", "-d", metavar="FILE", help="The event as JSON; - is standard input."
        ),
    ] = ""
    jsonl: Annotated[
        str, typer.Option("--jsonl", metavar="FILE", help="Many events, one JSON object per line.")
    ] = ""
    actor: Annotated[str, typer.Option(metavar="LOGIN", help="Who did it.")] = ""
    subject: Annotated[str, typer.Option(help="What it is about, e.g. docs/pull/7.")] = ""
    fact: Annotated[
        list[str], typer.Option("--fact", "-f", metavar="NAME=VALUE", help="A fact; repeat it.")
    ] = field(default_factory=list[str])
    to_role: Annotated[
        list[str], typer.Option("--to-role", metavar="ROLE=LOGIN", help="Who stands in a role.")
    ] = field(default_factory=list[str])
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same one is stored once.")
    ] = None
    application: Annotated[
        str, typer.Option("--application", "-A", metavar="NAME", help="Which application speaks.")
    ] = ""
    as_json: Json = False

    def flags(self, kind: Kind) -> dict[str, Plain]:
        """Return what was typed as fields of an event's JSON form."""
        return {
            "actor": self.actor,
            "subject": self.subject,
            "facts": facts_typed(kind, self.fact),
            "people": people_typed(self.to_role),
            "key": key_typed(self.key),
            "application": self.application,
        }


def add_to(app: typer.Typer) -> None:
    """Add `notify`."""
    app.command("notify", epilog=examples(
        "envoi notify pull_request --data event.json",
        "envoi kinds show pull_request --sample | envoi notify pull_request --data -",
        "envoi notify server_down --fact host=db1 --key outage-17",
        "envoi notify new_user --jsonl events.jsonl --json",
    ))(taking(_Options)(notify))  # fmt: skip


def notify(ctx: typer.Context, options: _Options) -> None:
    """Say what happened; whom it concerns hears of it.

    An event is a JSON object: facts, actor, subject, people, key. `envoi kinds show KIND` says
    what a kind needs. Options beside --data win over it. With --jsonl, lines that do not fit are
    told with their number and left out; the others are stored, a hundred per transaction.
    """
    with call_of(ctx).mailer() as mailer:
        kind = mailer.parts.catalogue.kind(options.kind)
        if options.jsonl:
            _notify_many(ctx, mailer, kind, options)
            return
        form: object = read_json(options.data, "--data") if options.data else {}
        event = forms.read_event(merged_form(form, options.flags(kind)), kind.name)
        receipt = _explained(mailer, event, mailer.notify(event, strict=True))
        screen = call_of(ctx).screen
        if options.as_json:
            screen.document(receipt_form(receipt))
            return
        tell_receipt(screen, receipt, kind.name)
        hint_at_delivery(screen, mailer.parts)


def _explained(mailer: Mailer, event: Event, receipt: Receipt) -> Receipt:
    if receipt.stored is not Stored.STORED or receipt.deliveries or receipt.because:
        return receipt
    if receipt.skipped:
        return replace(receipt, because="everybody considered was skipped")
    with mailer.parts.outbox.reading() as tx:
        senders = pick_senders(event, mailer.parts.senders(tx))
    names = "; ".join(
        f"sender {sender.name}: {', '.join(map(str, sender.recipients))}" for sender in senders
    )
    return replace(receipt, because=f"nobody is found by {names}")


def _notify_many(ctx: typer.Context, mailer: Mailer, kind: Kind, options: _Options) -> None:
    if options.data or options.fact or options.to_role or options.key is not None:
        raise InputError("--jsonl: expected alone; --data, --fact, --to-role and --key are for one")
    screen = call_of(ctx).screen

    def read(value: object) -> Event:
        event = forms.read_event(value, kind.name)
        event = replace(
            event,
            actor=event.actor or options.actor,
            subject=event.subject or options.subject,
            application=options.application or event.application,
        )
        return checked_event(kind, event)

    lines = batches.Batches(
        mailer.parts.outbox,
        json_lines(options.jsonl, "--jsonl"),
        read,
        lambda event, tx: mailer.notify(cast("Event", event), tx, strict=True),
    )
    tally = batches.run(lines, screen, "events")
    batches.tell(screen, tally, "events", as_json=options.as_json)
    if not options.as_json:
        hint_at_delivery(screen, mailer.parts)
    raise typer.Exit(tally.code)
