"""This room is `envoi preview`: the mail of a kind as somebody reads it; nothing is stored."""

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from envoi import forms
from envoi.assembly import Parts, now_ms
from envoi.cli.call import call_of, known_application
from envoi.cli.events import checked_event
from envoi.cli.inputs import read_json
from envoi.cli.typed import Application, Json, examples, taking
from envoi.core.delivery import Delivery
from envoi.core.event import Event
from envoi.core.finding import with_found
from envoi.core.kind import Kind, mask_facts
from envoi.core.message import Audible, Message, Stamp, compose, context
from envoi.core.people import Address, Person
from envoi.core.reason import Because
from envoi.core.routing import Selector, SelectorType, Sender
from envoi.core.wire import raw_masked, spoken, words_of
from envoi.directory.typed import checked_locale, checked_time_zone
from envoi.errors import InputError, NotFoundError
from envoi.reporting import identity_for

# Where the reader of a preview would live; the domain is reserved for examples (RFC 2606).
_READER = Address("reader", "example.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    kind: Annotated[str, typer.Argument(metavar="KIND", help="A kind's name.")]
    data: Annotated[
        str,
        typer.Option(
            "--data",
            "-d",
            metavar="FILE",
            help="An event as JSON; - is standard input. Default: the kind's sample.",
        ),
    ] = ""
    locale: Annotated[str, typer.Option(help="The reader's; default the application's.")] = ""
    time_zone: Annotated[str, typer.Option(help="The reader's; default the application's.")] = ""
    sender: Annotated[
        str, typer.Option(metavar="NAME", help="Whose template and headers; default the first.")
    ] = ""
    text: Annotated[bool, typer.Option("--text", help="The plain text alone.")] = False
    html: Annotated[bool, typer.Option("--html", help="The HTML alone.")] = False
    headers: Annotated[bool, typer.Option("--headers", help="The header lines alone.")] = False
    application: Application = "main"
    as_json: Json = False


def add_to(app: typer.Typer) -> None:
    """Add `preview`."""
    app.command("preview", epilog=examples(
        "envoi preview pull_request --locale de",
        "envoi preview pull_request --html > preview.html",
        "envoi preview password_reset --data event.json --headers",
    ))(taking(_Options)(preview))  # fmt: skip


def preview(ctx: typer.Context, options: _Options) -> None:
    """Show the mail of a kind as a reader sees it.

    Secrets are masked and nothing is stored.
    """
    if sum((options.text, options.html, options.headers)) > 1:
        raise InputError("preview: expected one of --text, --html and --headers, got several")
    screen = call_of(ctx).screen
    with call_of(ctx).parts() as parts:
        known_application(parts.settings, options.application)
        kind = parts.catalogue.kind(options.kind)
        message, because = _composed(parts, kind, options)
    headers = _headers(message, because)
    words = spoken(words_of(message), message.blocks[because.stored])
    if options.as_json:
        screen.document({
            "kind": kind.name,
            "locale": message.locale,
            "headers": headers.splitlines(),
            "subject": words.subject,
            "text": words.text,
            "html": words.html,
        })  # fmt: skip
    elif options.html:
        screen.block(words.html)
    elif options.headers:
        screen.block(headers)
    elif options.text:
        screen.block(words.text)
    else:
        screen.pairs({"subject": words.subject, "from": message.sender.address})
        screen.line()
        screen.block(words.text)


def _composed(parts: Parts, kind: Kind, options: _Options) -> tuple[Message, Because]:
    identity = identity_for(parts, options.application, kind.name)
    sender = _sender(parts, kind, options.sender)
    event = sender.spoken(with_found(_event(parts, kind, options), kind, {}))
    actor = Person(id=f"preview:{event.actor}", login=event.actor) if event.actor else None
    audible = Audible(event=event, kind=kind, actor=actor, identity=identity)
    voice = (
        checked_locale(options.locale) or identity.locale,
        checked_time_zone(options.time_zone) or identity.time_zone,
    )
    stamp = Stamp(uid=parts.fresh_uid(), now_ms=now_ms())
    message = compose(audible, sender, voice, parts.templates.render, stamp).message
    because = sender.links[0].because
    plain = context(audible, mask_facts(kind, event.facts))
    block = parts.templates.block(because, voice[0], plain)
    return replace(message, blocks={because.stored: block}), because


def _event(parts: Parts, kind: Kind, options: _Options) -> Event:
    if not options.data:
        sample = parts.catalogue.sample(kind.name)
        return checked_event(kind, replace(sample, application=options.application))
    event = forms.read_event(read_json(options.data, "--data"), kind.name)
    return checked_event(kind, replace(event, application=options.application))


def _sender(parts: Parts, kind: Kind, name: str) -> Sender:
    senders, _ = parts.sender_tables()
    fitting = [sender for sender in senders if sender.kind == kind.name]
    if name:
        named = [sender for sender in fitting if sender.name == name]
        if not named:
            known = ", ".join(sender.name for sender in fitting) or "none"
            raise NotFoundError(f"--sender: expected one for {kind.name} ({known}), got {name!r}")
        return named[0]
    if fitting:
        return fitting[0]
    # A kind that nobody listens to yet can be looked at as well.
    return Sender(name="preview", kind=kind.name, recipients=(Selector(SelectorType.ADMINS),))


def _headers(message: Message, because: Because) -> str:
    delivery = Delivery(
        address=_READER,
        person="preview",
        sender="preview",
        because=because,
        mail_class=message.mail_class,
        due_at_ms=message.date_ms,
        created_at_ms=message.date_ms,
    )
    return raw_masked(message, delivery).partition("\n\n")[0]
