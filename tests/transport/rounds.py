"""What the tests of this room share: parcels, options, and a small worker that drives a carrier."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from envoi.core.delivery import Outcome, Reply
from envoi.core.people import Address
from envoi.seams import (
    Capabilities,
    Carrier,
    CarrierEvent,
    Finished,
    Parcel,
    Ready,
    RelayTrouble,
    RelayWell,
)
from envoi.transport.carrier import SmtpCarrier
from envoi.transport.options import RelayOptions

SMALL = b"Message-ID: <%d@example.org>\r\nSubject: hello\r\n\r\n.a dot\r\nend\r\n"
PATIENCE_S = 20


def parcel(delivery_id: int, recipient: str = "ann", content: bytes = b"") -> Parcel:
    """A parcel to `recipient`, a local part or a whole address."""
    local, _, domain = recipient.partition("@")
    raw = content or SMALL % delivery_id
    return Parcel(
        delivery_id=delivery_id,
        mail_from=Address("noreply", "example.org"),
        recipient=Address(local, domain or "example.org"),
        wire=lambda _: raw,
    )


def options(port: int, **changes: object) -> RelayOptions:
    """A loopback relay with time-outs that a test can wait for."""
    settings: dict = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "connect_timeout_s": 5,
        "command_timeout_s": 5,
        "content_timeout_s": 5,
        "connections": 1,
        "helo": "client.test",
        **changes,
    }
    return RelayOptions(**settings)


@dataclass
class Round:
    """What came of some parcels.

    Args:
        outcomes: By delivery.
        events: Everything, turn by turn.
    """

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    events: list[Sequence[CarrierEvent]] = field(default_factory=list)

    @property
    def troubles(self) -> list[RelayTrouble]:
        return [e for turn in self.events for e in turn if isinstance(e, RelayTrouble)]

    @property
    def wells(self) -> list[RelayWell]:
        return [e for turn in self.events for e in turn if isinstance(e, RelayWell)]

    def take(self, carrier: Carrier, events: Sequence[CarrierEvent]) -> None:
        """Permit what is ready, as the worker does, and note what is finished."""
        self.events.append(events)
        for event in events:
            if isinstance(event, Ready):
                carrier.permit([event.delivery_id])
            elif isinstance(event, Finished):
                assert event.delivery_id not in self.outcomes, "two outcomes for one delivery"
                self.outcomes[event.delivery_id] = event.outcome


def told(events: Sequence[CarrierEvent]) -> dict[int, Outcome]:
    """What the events say became of which delivery."""
    return {event.delivery_id: event.outcome for event in events if isinstance(event, Finished)}


def reason(outcome: Outcome) -> str:
    """Why, in words."""
    return str(outcome) if isinstance(outcome, Reply) else outcome.because


def carry(carrier: Carrier, parcels: Sequence[Parcel]) -> Round:
    """Carry the parcels, never more than there is room for, and say what came of them."""
    result, waiting = Round(), list(parcels)
    drive(
        carrier,
        result,
        until=lambda: (
            len(result.outcomes) == len(parcels) or bool(result.troubles and not carrier.room())
        ),
        waiting=waiting,
    )
    return result


def drive(
    carrier: Carrier,
    result: Round,
    *,
    until: Callable[[], bool],
    waiting: list[Parcel] | None = None,
) -> None:
    """Turn the carrier until something holds; fails when it does not within the patience."""
    waiting = waiting if waiting is not None else []
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, f"nothing more happened after {result.events[-5:]}"
        while waiting and carrier.room():
            carrier.load(waiting.pop(0))
        result.take(carrier, carrier.turn(0.1))


def send(opts: RelayOptions, *parcels: Parcel) -> Round:
    """Carry the parcels with a carrier of their own."""
    carrier = SmtpCarrier(opts)
    try:
        result = carry(carrier, parcels)
    finally:
        last = carrier.close(1)
    result.take(carrier, last)
    return result


PLAIN = Capabilities()
FULL = Capabilities(
    has_pipelining=True,
    has_8bitmime=True,
    has_smtputf8=True,
    max_bytes=10_485_760,
    has_chunking=True,
    has_enhanced_codes=True,
)


class Word:
    """A password that shows itself only when asked."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text
