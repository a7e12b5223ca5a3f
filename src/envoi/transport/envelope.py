"""This room makes what one mail puts on the wire: its MAIL and RCPT lines and its content.

Pure. A ValueError means that we made a mail that must not go to the wire: a bug of ours.
"""

from envoi.core.delivery import Unsuitable
from envoi.seams import Capabilities, Parcel

_ALL_BUT_LINE_ENDS = bytes(octet for octet in range(256) if octet not in b"\r\n")


def stuff_dots(content: bytes) -> bytes:
    r"""Return the content as DATA carries it, final dot included.

    >>> stuff_dots(b"a\r\n.b\r\n")
    b'a\r\n..b\r\n.\r\n'

    Raises:
        ValueError: A CR or LF stands alone (C2): another server could read a second mail there.
    """
    _check_line_ends(content)
    # RFC 5321 4.5.2: "If the first character of the line is a period, one additional period is
    # inserted".
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    end = b".\r\n" if stuffed.endswith(b"\r\n") or not stuffed else b"\r\n.\r\n"
    return stuffed + end


def chunk(content: bytes) -> bytes:
    r"""Return the content as one BDAT carries it (RFC 3030), the command included.

    >>> chunk(b"a\r\n.b")
    b'BDAT 6 LAST\r\na\r\n.b\r\n'

    Raises:
        ValueError: A CR or LF stands alone; the relay may pass the content on by DATA.
    """
    _check_line_ends(content)
    whole = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    return b"BDAT %d LAST\r\n%b" % (len(whole), whole)


def _check_line_ends(content: bytes) -> None:
    # Every pair is two of them: one more is a lone one. Half the time of counting each kind.
    ends = content.translate(None, _ALL_BUT_LINE_ENDS)
    if len(ends) != 2 * content.count(b"\r\n"):
        raise ValueError("expected only CRLF line ends in the content, found a bare CR or LF")


def unsuitable(parcel: Parcel, content: bytes, offer: Capabilities) -> Unsuitable | None:
    """Return why this relay cannot carry the parcel at all, known before a byte is sent."""
    if not offer.has_smtputf8 and _needs_smtputf8(parcel):
        return Unsuitable(because="the address needs SMTPUTF8, which the relay does not offer")
    if 0 < offer.max_bytes < len(content):
        return Unsuitable(
            because=f"552 the mail has {len(content)} bytes, the relay takes {offer.max_bytes}",
            is_final=True,
        )
    if not offer.has_8bitmime and not content.isascii():
        return Unsuitable(because="the mail needs 8BITMIME, which the relay does not offer")
    return None


def envelope_of(parcel: Parcel, content: bytes, offer: Capabilities) -> tuple[bytes, bytes]:
    """Return the MAIL and RCPT lines of a parcel."""
    words = f" SIZE={len(content)}" if offer.max_bytes else ""
    if not content.isascii():
        words += " BODY=8BITMIME"
    # RFC 6531 3.1: a header with UTF-8 in it needs the parameter as an address does.
    if _needs_smtputf8(parcel) or (
        not content.isascii() and not content.partition(b"\r\n\r\n")[0].isascii()
    ):
        words += " SMTPUTF8"
    mail = f"MAIL FROM:<{parcel.mail_from or ''}>{words}\r\n"
    return mail.encode(), f"RCPT TO:<{parcel.recipient}>\r\n".encode()


def _needs_smtputf8(parcel: Parcel) -> bool:
    return parcel.recipient.needs_smtputf8 or (
        parcel.mail_from is not None and parcel.mail_from.needs_smtputf8
    )
