"""This room is `envoi send`: ready-made mail, as other tools' `mail` and `sendmail` take it."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, cast

import typer

from envoi import forms
from envoi.cli import batches
from envoi.cli.call import call_of
from envoi.cli.inputs import STDIN, json_lines, read_bytes, read_text
from envoi.cli.presence import hint_at_delivery, require_delivery
from envoi.cli.receipts import receipt_form, tell_receipt
from envoi.cli.typed import Json, examples, key_typed, taking
from envoi.core.kind import MailClass
from envoi.core.message import Attachment
from envoi.core.ready import MAX_CONTENT_BYTES, READY_KIND, ReadyMail
from envoi.errors import InputError
from envoi.mailer import Mailer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="The text; without any, standard input."),
    ] = None
    to: Annotated[
        list[str], typer.Option("--to", metavar="MAILBOX", help="Recipient; repeat it.")
    ] = field(default_factory=list[str])
    cc: Annotated[list[str], typer.Option("--cc", metavar="MAILBOX", help="Visible copy.")] = field(
        default_factory=list[str]
    )
    bcc: Annotated[list[str], typer.Option("--bcc", metavar="MAILBOX", help="Hidden copy.")] = (
        field(default_factory=list[str])
    )
    subject: Annotated[str, typer.Option("--subject", "-s", help="One line.")] = ""
    html: Annotated[
        str, typer.Option("--html", metavar="FILE", help="The HTML part; - is standard input.")
    ] = ""
    header: Annotated[
        list[str], typer.Option("--header", metavar="'NAME: VALUE'", help="A header; repeat it.")
    ] = field(default_factory=list[str])
    attach: Annotated[
        list[str], typer.Option("--attach", "-a", metavar="FILE", help="A file; repeat it.")
    ] = field(default_factory=list[str])
    sender: Annotated[
        str, typer.Option("--from", metavar="MAILBOX", help="Default: the application's.")
    ] = ""
    reply_to: Annotated[str, typer.Option(metavar="MAILBOX", help="Where answers go.")] = ""
    mail_class: Annotated[
        MailClass,
        typer.Option(
            "--class", metavar="CLASS", help=f"Its place in the queue: {', '.join(MailClass)}."
        ),
    ] = MailClass.NOTICE
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same one is stored once.")
    ] = None
    application: Annotated[
        str, typer.Option("--application", "-A", metavar="NAME", help="Which application speaks.")
    ] = ""
    jsonl: Annotated[
        str, typer.Option("--jsonl", metavar="FILE", help="Many mails, one JSON object per line.")
    ] = ""
    as_json: Json = False


def add_to(app: typer.Typer) -> None:
    """Add `send`."""
    app.command("send", epilog=examples(
        "envoi send --to ann@example.org --subject 'Backup done' All went well.",
        "df -h | envoi send --to ops@example.org --subject Disks",
        "envoi send --to 'Ann Lee <ann@example.org>' -s Report --attach report.pdf See the file.",
        "envoi send --jsonl mails.jsonl --json",
    ))(taking(_Options)(send))  # fmt: skip


def send(ctx: typer.Context, options: _Options) -> None:
    """Send a ready-made mail: stored first, delivered by a worker.

    A line of --jsonl is an object: to, cc, bcc, subject, text, html, headers, attachments, from,
    reply_to, references, secrets, to_fallback, lifetime_s, occurred_at_ms, key, class,
    application. Lines that do not fit are told and left out.
    """
    if options.jsonl:
        _refuse_beside_jsonl(options)
        with call_of(ctx).mailer() as mailer:
            require_delivery(mailer.parts.settings)
            _send_many(ctx, mailer, options)
        return
    mail = _mail_of(options)
    with call_of(ctx).mailer() as mailer:
        require_delivery(mailer.parts.settings)
        receipt = mailer.send(mail, strict=True)
        screen = call_of(ctx).screen
        if options.as_json:
            screen.document(receipt_form(receipt))
            return
        tell_receipt(screen, receipt, READY_KIND)
        hint_at_delivery(screen, mailer.parts)


def _send_many(ctx: typer.Context, mailer: Mailer, options: _Options) -> None:
    screen = call_of(ctx).screen
    lines = batches.Batches(
        mailer.parts.outbox,
        json_lines(options.jsonl, "--jsonl"),
        forms.read_mail,
        lambda mail, tx: mailer.send(cast("ReadyMail", mail), tx, strict=True),
    )
    tally = batches.run(lines, screen, "mails")
    batches.tell(screen, tally, "mails", as_json=options.as_json)
    if not options.as_json:
        hint_at_delivery(screen, mailer.parts)
    raise typer.Exit(tally.code)


def _refuse_beside_jsonl(options: _Options) -> None:
    if replace(options, jsonl="", as_json=False) != _Options():
        raise InputError("--jsonl: expected alone; every other option stands in its lines")


def _mail_of(options: _Options) -> ReadyMail:
    form: dict[str, object] = {
        "to": options.to,
        "cc": options.cc,
        "bcc": options.bcc,
        "subject": options.subject,
        "text": _text_of(options),
        "html": read_text(options.html, "--html") if options.html else "",
        "from": options.sender,
        "reply_to": options.reply_to,
        "key": key_typed(options.key),
        "class": options.mail_class.value,
        "application": options.application or "main",
    }
    mail = forms.read_mail(form)
    headers = tuple(_header(text) for text in options.header)
    files = tuple(_attachment(path) for path in options.attach)
    return forms.checked_mail(replace(mail, headers=headers, attachments=files))


def _text_of(options: _Options) -> str:
    if options.words:
        return " ".join(options.words) + "\n"
    if options.html:
        return ""  # made from the HTML; standard input may be that HTML
    if sys.stdin.isatty():
        raise InputError(
            "text: expected words after the options, standard input or --html, got none"
        )
    return read_text(STDIN, "text")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InputError(f"--header: expected 'Name: value', got {text!r:.60}")
    return name.strip(), value.strip()


def _attachment(path: str) -> Attachment:
    name = Path(path).name if path != STDIN else "attachment"
    content = read_bytes(path, "--attach")
    if len(content) > MAX_CONTENT_BYTES:
        raise InputError(
            f"--attach: expected at most {MAX_CONTENT_BYTES} bytes, got {len(content)}"
        )
    return Attachment(name=name, media_type=forms.media_type_of(name), content=content)
