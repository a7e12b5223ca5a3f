"""This room makes parcels: step 11, from a claim to what a transport carries.

Messages are fetched once and kept while their deliveries pass by; the bytes that all deliveries
of a message share are made once per message and relay capability.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from envoi.assembly import Parts
from envoi.core.delivery import Delivery, Failed, Suppress, Verdict
from envoi.core.message import Composed
from envoi.core.mime import addresses
from envoi.core.people import Address, Mailbox
from envoi.core.wire import Prepared, needs_utf8, prepare, splice, words_of
from envoi.outbox.claim import Claim
from envoi.seams import Capabilities, Parcel, Tx

# A worker has a few dozen deliveries in hand; of one broadcast they share one message. Attachments
# may weigh 25 MB, so few are kept.
MAX_KEPT_MESSAGES = 64
MAX_KEPT_BYTES = 32 * 1024 * 1024


class Parcels:
    """The messages in hand, and the bytes made of them.

    Args:
        parts: The outbox's parts.
        relay: Name of the relay that carries them.
    """

    def __init__(self, parts: Parts, relay: str) -> None:
        """Start empty."""
        self._parts = parts
        self._guard = parts.settings.guard
        self._mail_from = parts.relays.mail_from(relay)
        self._composed: OrderedDict[int, Composed] = OrderedDict()
        self._prepared: OrderedDict[tuple[int, bool, bool], Prepared] = OrderedDict()

    def fetch(self, tx: Tx, claims: Sequence[Claim]) -> None:
        """Read the messages of these claims that are not in hand yet."""
        wanted = {claim.delivery.message_id for claim in claims}
        missing = sorted(wanted - self._composed.keys())
        if missing:
            self._composed.update(self._parts.outbox.messages(tx, missing))
        for message_id in wanted & self._composed.keys():
            self._composed.move_to_end(message_id)
        while len(self._composed) > max(MAX_KEPT_MESSAGES, len(wanted)):
            self._composed.popitem(last=False)

    def parcel(self, claim: Claim) -> Parcel | Verdict:
        """Return what the transport carries, or the verdict where nothing may be carried."""
        delivery = claim.delivery
        composed = self._composed[delivery.message_id]
        if composed.message.is_sealed and composed.sealed is None:
            return Failed(because="its secret values were deleted when it was finished")
        if self._guard.allow and not is_allowed(delivery.address, self._guard.allow):
            return Suppress(because="the staging guard (guard.allow) does not name this address")
        return Parcel(
            delivery_id=delivery.id,
            mail_from=self._mail_from or composed.message.sender.address,
            recipient=self._guard.redirect or delivery.address,
            wire=partial(self._wire, composed, delivery),
        )

    def _wire(self, composed: Composed, delivery: Delivery, relay: Capabilities) -> bytes:
        prepared = self._prepare(composed, delivery, relay)
        octets = splice(prepared, delivery)
        if self._guard.redirect is None:
            return octets
        # To shows nobody of a hidden copy, and several of a mail to several.
        meant = (Mailbox(delivery.address),)
        return addresses("X-Original-To", meant, utf8=prepared.utf8).encode() + octets

    def _prepare(self, composed: Composed, delivery: Delivery, relay: Capabilities) -> Prepared:
        # Only a mail that needs it may hold raw UTF-8 in its header (RFC 6531 3.1).
        utf8 = relay.has_smtputf8 and needs_utf8(composed.message, delivery)
        key = (composed.message.id, relay.has_8bitmime, utf8)
        known = self._prepared.get(key)
        if known is None:
            message = composed.message
            words = composed.sealed or words_of(message)
            known = prepare(message, words, eight_bit=relay.has_8bitmime, utf8=utf8)
            self._prepared[key] = known
            while len(self._prepared) > MAX_KEPT_MESSAGES:
                self._prepared.popitem(last=False)
        return known


def is_allowed(address: Address, allow: Sequence[str]) -> bool:
    """Whether an allow list of addresses and `@domain`s names the address.

    >>> is_allowed(Address("ann", "example.org"), ["@example.org"])
    True
    """
    text = str(address).casefold()
    return any(
        text == entry.casefold() or f"@{address.domain}" == entry.casefold() for entry in allow
    )
