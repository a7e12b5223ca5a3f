"""This room is Envoi's SMTP session alone: finished mails, no database, as the worker drives it.

Option `window`: how many contents may be unanswered on one connection, where the relay offers
CHUNKING. Everything else of Envoi is left out, as smtp-source leaves it out.
"""

import sys
from email.policy import SMTP

from bench import mails, order
from envoi import parse_address
from envoi.core.delivery import Outcome, Reply
from envoi.seams import Finished, Parcel, Ready
from envoi.transport.carrier import SmtpCarrier
from envoi.transport.options import RelayOptions

# A relay on this machine that is silent for so long has hung up.
TURN_S = 5.0


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    window = wanted.options.get("window", 1)
    assert isinstance(window, int)
    options = RelayOptions(
        host="127.0.0.1",
        port=wanted.port,
        tls="none",
        connections=wanted.connections,
        messages_per_connection=0,
        window=window,
    )
    carrier = SmtpCarrier(options)
    order.serve(wanted, lambda numbers: _carry(carrier, wanted, numbers))
    carrier.close(1.0)


def _carry(carrier: SmtpCarrier, wanted: order.Order, numbers: range) -> None:
    content = mails.message(wanted.size, 0).as_bytes(policy=SMTP)
    sender, reader = parse_address(mails.SENDER), parse_address(mails.recipient(0))
    waiting, left = iter(numbers), len(numbers)
    while left:
        # The room first: a number that finds none must not be taken.
        for _, number in zip(range(carrier.room()), waiting, strict=False):
            carrier.load(
                Parcel(
                    delivery_id=number, mail_from=sender, recipient=reader, wire=lambda _: content
                )
            )
        events = carrier.turn(TURN_S)
        carrier.permit([event.delivery_id for event in events if isinstance(event, Ready)])
        for event in events:
            if isinstance(event, Finished):
                _refuse_unsent(event.outcome)
                left -= 1


def _refuse_unsent(outcome: Outcome) -> None:
    if not isinstance(outcome, Reply) or outcome.code != 250:  # noqa: PLR2004 # sent
        raise RuntimeError(f"expected 250, found {outcome}")


if __name__ == "__main__":
    main()
