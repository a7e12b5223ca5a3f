"""This room is `envoi report`: tell of an error that a program in any language met."""

import platform
from typing import Annotated

import typer

from envoi.cli.call import call_of, known_application
from envoi.cli.inputs import STDIN, read_json
from envoi.cli.presence import hint_at_delivery
from envoi.cli.receipts import receipt_form, tell_receipt
from envoi.cli.typed import Json, examples
from envoi.core.incident import ERROR_KIND
from envoi.mailer import Mailer, Receipt
from envoi.reportform import read_report

HELP = """\
Tell the addresses of `errors.to` of an error that a program in any language met.

The error is a JSON object. Only `type` must be there:

\b
type            name of the error's class, such as TypeError
message         what it says
frames          the calls on the way to it, the outermost first, each an object with
                file, line, function, module, code (lines of source), source_from (number
                of the first of them), variables (texts by name), is_own (false: a library's)
cause           the error before it: an object with type, message, frames, cause
request         an object with method, url, user, client, headers and form (texts by name)
user            who was signed in
release         version of the application
host            machine that it happened on; this one by default
level           debug, info, warning, error (default), critical, fatal; from error on it is told
times           how many equal errors it stands for; 1 by default
happened_at_ms  when, in milliseconds since 1970; now by default
fingerprint     what equal errors share; by default type, own functions and message
application     which application of the settings; main by default

Secrets are masked as in errors of Python. Equal errors are one incident: `envoi incidents`.
"""


def add_to(app: typer.Typer) -> None:
    """Add `report`."""
    app.command("report", help=HELP, epilog=examples(
        "envoi report error.json",
        """echo '{"type": "TypeError", "message": "x is null"}' | envoi report --json -""",
    ))(report)  # fmt: skip


def report(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="The error as JSON; - is standard input.")
    ] = STDIN,
    as_json: Json = False,
) -> None:
    """Tell of an error; what this says for --help is `HELP`."""
    call = call_of(ctx)
    form = read_json(source, "FILE")
    with call.mailer() as mailer:
        receipt = _stored(mailer, form)
        if as_json:
            call.screen.document(receipt_form(receipt))
            return
        tell_receipt(call.screen, receipt, ERROR_KIND)
        if receipt.is_kept:
            hint_at_delivery(call.screen, mailer.parts)


def _stored(mailer: Mailer, form: object) -> Receipt:
    errors = mailer.parts.settings.errors
    reported = read_report(
        form,
        now_ms=mailer.parts.clock(),
        host=platform.node(),
        max_request_chars=errors.dump_request_size if errors.dump_request else 0,
    )
    known_application(mailer.parts.settings, reported.sighting.application)
    return mailer.report_seen(reported)
