"""This room makes what one mail puts on the wire: its MAIL, RCPT and DATA lines and its content.

Pure. A ValueError means that we made a mail that must not go to the wire: a bug of ours.
"""

from envoi.core.delivery import Unsuitable
from envoi.seams import Capabilities, Parcel


def stuff_dots(content: bytes) -> bytes:
    r"""Return the content as DATA carries it, final dot included.

    >>> stuff_dots(b"a\r\n.b\r\n")
    b'a\r\n..b\r\n.\r\n'

    Raises:
        ValueError: A CR or LF stands alone (C2): another server could read a second mail there.
    """
    pairs = content.count(b"\r\n")
    if content.count(b"\r") != pairs or content.count(b"\n") != pairs:
        raise ValueError("expected only CRLF line ends in the content, found a bare CR or LF")
    # RFC 5321 4.5.2: "If the first character of the line is a period, one additional period is
    # inserted".
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    end = b".\r\n" if stuffed.endswith(b"\r\n") or not stuffed else b"\r\n.\r\n"
    return stuffed + end


def unsuitable(parcel: Parcel, content: bytes, offer: Capabilities) -> Unsuitable | None:
    """Return why this relay cannot carry the parcel at all, known before a byte is sent."""
    if _needs_smtputf8(parcel) and not offer.has_smtputf8:
        return Unsuitable(because="the address needs SMTPUTF8, which the relay does not offer")
    if offer.max_bytes and len(content) > offer.max_bytes:
        return Unsuitable(
            because=f"552 the mail has {len(content)} bytes, the relay takes {offer.max_bytes}",
            is_final=True,
        )
    if not content.isascii() and not offer.has_8bitmime:
        return Unsuitable(because="the mail needs 8BITMIME, which the relay does not offer")
    return None


def envelope_of(parcel: Parcel, content: bytes, offer: Capabilities) -> tuple[bytes, bytes, bytes]:
    """Return the MAIL, RCPT and DATA lines of a parcel."""
    words = [f"MAIL FROM:<{parcel.mail_from or ''}>"]
    if offer.max_bytes:
        words.append(f"SIZE={len(content)}")
    if not content.isascii():
        words.append("BODY=8BITMIME")
    # RFC 6531 3.1: a header with UTF-8 in it needs the parameter as an address does.
    if _needs_smtputf8(parcel) or not content.partition(b"\r\n\r\n")[0].isascii():
        words.append("SMTPUTF8")
    mail = " ".join(words) + "\r\n"
    return mail.encode(), f"RCPT TO:<{parcel.recipient}>\r\n".encode(), b"DATA\r\n"


def _needs_smtputf8(parcel: Parcel) -> bool:
    return parcel.recipient.needs_smtputf8 or (
        parcel.mail_from is not None and parcel.mail_from.needs_smtputf8
    )
