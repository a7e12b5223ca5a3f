"""This room records mail in memory and lets a test look at it."""

from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from envoi.transport.capture import CaptureCarrier, Caught, MemoryShelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A recorded mail with its envelope.

    Args:
        delivery_id: Which delivery it was.
        mail_from: Envelope sender; empty for the null sender.
        recipient: Envelope recipient, whatever the headers say.
        raw: The mail as it would have gone.
    """

    delivery_id: int
    mail_from: str
    recipient: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return message_from_bytes(self.raw, policy=default)

    @property
    def subject(self) -> str:
        """The Subject header, decoded."""
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The plain part, decoded; empty when there is none."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The HTML part, decoded; empty when there is none."""
        return self._part("html")

    def _part(self, subtype: str) -> str:
        part = self.message.get_body(preferencelist=(subtype,))
        # Line ends as a reader sees them; `raw` has those of the wire.
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


class Recorder:
    """Takes the place of a relay and shows what would have gone out.

    >>> recorder = Recorder()
    >>> recorder.sent
    ()
    """

    def __init__(self) -> None:
        """Begin with nothing recorded."""
        self._shelf = MemoryShelf()

    def carrier(self) -> CaptureCarrier:
        """Return a carrier for a worker; all carriers of one recorder record into it."""
        return CaptureCarrier(self._shelf)

    @property
    def sent(self) -> tuple[Sent, ...]:
        """Everything recorded, in order."""
        return tuple(_sent(caught) for caught in self._shelf.all())

    @property
    def messages(self) -> tuple[EmailMessage, ...]:
        """Everything recorded, parsed."""
        return tuple(sent.message for sent in self.sent)

    @property
    def raw(self) -> tuple[bytes, ...]:
        """Everything recorded, as bytes."""
        return tuple(sent.raw for sent in self.sent)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects of everything recorded."""
        return tuple(sent.subject for sent in self.sent)

    def sent_to(self, address: str) -> tuple[Sent, ...]:
        """Return what went to an address by the envelope, whatever the headers say."""
        return tuple(sent for sent in self.sent if sent.recipient == address)

    def only_to(self, address: str) -> Sent:
        """Return the one mail to an address.

        Raises:
            AssertionError: There is none, or more than one; tells what there is.
        """
        found = self.sent_to(address)
        if len(found) != 1:
            there = ", ".join(f"{sent.recipient}: {sent.subject!r}" for sent in self.sent) or "none"
            raise AssertionError(f"expected one mail to {address}, got {len(found)}; sent: {there}")
        return found[0]

    def clear(self) -> None:
        """Forget everything recorded so far."""
        self._shelf.clear()


def _sent(caught: Caught) -> Sent:
    return Sent(
        delivery_id=caught.delivery_id,
        mail_from=str(caught.mail_from or ""),
        recipient=str(caught.recipient),
        raw=caught.raw,
    )
