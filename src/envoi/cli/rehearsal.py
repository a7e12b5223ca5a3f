"""This room shows whom a broadcast would reach, before anybody is told."""

from collections import Counter

from envoi.broadcasting import Broadcasting
from envoi.cli.screen import Screen
from envoi.core.broadcast import Broadcast, compose_broadcast
from envoi.core.message import Stamp
from envoi.core.routing import Recipient, Skipped
from envoi.mailer import Mailer

# People that a screen names; JSON names all.
MAX_NAMED = 50


def tell_rehearsal(screen: Screen, mailer: Mailer, broadcast: Broadcast, *, as_json: bool) -> None:
    """Print whom a broadcast would reach and whom not; nothing is stored."""
    found = Broadcasting(mailer.parts).rehearse(broadcast)
    message = compose_broadcast(
        broadcast, mailer.parts.identity(broadcast.application), Stamp(uid="0" * 32, now_ms=0)
    )
    if as_json:
        screen.document({
            "subject": message.subject,
            "audience": len(found.recipients) + len(found.skipped),
            "mails": len(found.recipients),
            "skipped": len(found.skipped),
            "recipients": [_recipient_form(one) for one in found.recipients],
            "skipped_list": [_skipped_form(one) for one in found.skipped],
        })  # fmt: skip
        return
    screen.pairs({
        "from": message.sender.address,
        "subject": message.subject,
        "mails": len(found.recipients),
        "passed over": len(found.skipped),
    })  # fmt: skip
    for why, count in Counter(str(one.because.why) for one in found.skipped).items():
        screen.line(f"  {why.replace('_', ' ')}: {count}")
    shown = found.skipped[:MAX_NAMED]
    if shown:
        screen.line()
        screen.table(("WHO GETS NOTHING", "BECAUSE"),
                     [(one.person.label, one.because) for one in shown])  # fmt: skip
    if len(found.skipped) > len(shown):
        screen.note(f"... and {len(found.skipped) - len(shown)} more; --json names all")
    screen.note("nothing was stored")


def _recipient_form(one: Recipient) -> dict[str, object]:
    return {
        "address": str(one.address),
        "name": one.person.full_name or None,
        "person": one.person.id,
        "because": str(one.because),
    }


def _skipped_form(one: Skipped) -> dict[str, object]:
    return {
        "name": one.person.label,
        "person": one.person.id,
        "why": str(one.because.why),
        "because": str(one.because),
    }
