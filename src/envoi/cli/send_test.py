"""This room is `envoi send-test`: one mail on the real way, followed to the relay's own answer."""

import socket
import time
from typing import Annotated

import typer

from envoi.addresses import parse_mailbox
from envoi.assembly import Parts
from envoi.cli.call import call_of, known_application
from envoi.cli.deliveries import form_of
from envoi.cli.exits import ExitCode
from envoi.cli.moments import local
from envoi.cli.presence import live_workers, require_delivery, trouble
from envoi.cli.screen import Screen
from envoi.cli.typed import Application, Json, examples
from envoi.core.delivery import State
from envoi.core.kind import MailClass
from envoi.core.people import Mailbox
from envoi.core.ready import ReadyMail
from envoi.errors import InputError
from envoi.mailer import Mailer
from envoi.outbox.filters import Query
from envoi.outbox.find import Listed, deliveries
from envoi.worker import GIVEN_BACK

# How often another process's worker is looked after.
LOOK_EVERY_S = 0.1

_TEXT = """\
This is a test mail.

If you can read it, {name} on {host} reaches you through the relay {relay}.
It was written at {at}.
"""


def add_to(app: typer.Typer) -> None:
    """Add `send-test`."""
    app.command("send-test", epilog=examples(
        "envoi send-test ann@example.org", "envoi send-test ann@example.org --wait 120 --json",
    ))(send_test)  # fmt: skip


def send_test(
    ctx: typer.Context,
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", show_default=False, help="Where to; default the first of admins."
        ),
    ] = "",
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to follow it; 0: not at all.")
    ] = 30,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """Send a test mail and follow it to the relay's answer.

    A running worker delivers it; where none runs, this process does, and with it whatever else
    is due. "sent" is said only when the relay's 250 was recorded.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        require_delivery(mailer.parts.settings)
        mail = _mail(mailer.parts, address, application)
        receipt = mailer.send(mail, strict=True)
        if not as_json:
            following = f"; following it for {wait:g} s" if wait else ""
            screen.note(f"stored as event {receipt.event_id}{following}")
        found = _followed(mailer, receipt.event_id, wait)
        because, advice = _why(mailer.parts, found, wait)
    if as_json:
        screen.document({**form_of(found), "because_not_sent": because or None,
                         "advice": advice or None})  # fmt: skip
    else:
        _tell(screen, found, because, advice)
    if found.delivery.state is not State.SENT:
        raise typer.Exit(ExitCode.FAILED)


def _mail(parts: Parts, address: str, application: str) -> ReadyMail:
    settings = parts.settings
    admins = settings.applications[application].admins
    if not address and not admins:
        raise InputError(
            "ADDRESS: expected an address, got nothing, and application.admins names nobody"
        )
    to = parse_mailbox(address) if address else Mailbox(admins[0])
    name = settings.applications[application].name or "Envoi"
    text = _TEXT.format(
        name=name,
        host=socket.gethostname(),
        relay=parts.way_out or "(none)",
        at=local(parts.clock()),
    )
    return ReadyMail(
        to=(to,),
        subject=f"Test mail from {name}",
        text=text,
        mail_class=MailClass.NOTICE,
        application=application,
    )


def _followed(mailer: Mailer, event_id: int, wait_s: float) -> Listed:
    until = time.monotonic() + wait_s
    found = _look(mailer.parts, event_id)
    if wait_s <= 0 or _is_settled(found):
        return found
    if live_workers(mailer.parts):
        while not _is_settled(found) and time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)
            found = _look(mailer.parts, event_id)
        return found
    worker = mailer.make_worker()
    try:
        while not _is_settled(found) and time.monotonic() < until:
            worker.run_until_idle(lambda: time.monotonic() >= until)
            found = _look(mailer.parts, event_id)
    finally:
        worker.drain()
    return _look(mailer.parts, event_id)


def _look(parts: Parts, event_id: int) -> Listed:
    with parts.outbox.reading() as tx:
        return deliveries(tx, Query(event_id=event_id))[0]


def _is_settled(found: Listed) -> bool:
    state = found.delivery.state
    # Held stays held until somebody acts; a retry in minutes is no reason to wait for it either.
    return state.is_final or state is State.HELD or bool(found.last_reply)


def _why(parts: Parts, found: Listed, wait_s: float) -> tuple[str, str]:
    state = found.delivery.state
    if state is State.SENT:
        return "", ""
    if state is State.HELD and not parts.way_out:
        advice = "set smtp.host; then `envoi outbox release`"
        return "smtp.host is not set, so the mail is kept and leaves by hand only", advice
    down = trouble(parts)
    if down and not state.is_final:
        return down[0].because, down[0].advice
    if found.last_reply and found.last_reply != GIVEN_BACK:
        return found.last_reply, _next_step(parts, found)
    because = f"no answer within {wait_s:g} s" if wait_s else "no answer yet"
    return because, _next_step(parts, found)


def _next_step(parts: Parts, found: Listed) -> str:
    show = f"`envoi outbox show {found.delivery.id}`"
    if found.delivery.state.is_final:
        return ""
    if live_workers(parts):
        return f"it waits, and the running worker tries again; see {show}"
    return f"it waits for a worker: start `envoi run`, or `envoi work --once`; see {show}"


def _tell(screen: Screen, found: Listed, because: str, advice: str) -> None:
    delivery = found.delivery
    if delivery.state is State.SENT:
        screen.state("sent", f"to {delivery.address}; the relay said: {found.last_reply}")
        return
    screen.state(delivery.state, f"to {delivery.address}: {because}")
    if advice:
        screen.note(f"advice: {advice}")
