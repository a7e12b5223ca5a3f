"""This room makes what one mail puts on the wire: its MAIL and RCPT lines and its content.

Pure. A ValueError means that we made a mail that must not go to the wire: a bug of ours.
"""

from envoi.core.delivery import Unsuitable
from envoi.seams import Capabilities, Parcel

_HEADER_END = b"\r\n\r\n"
_FINAL_DOT = b".\r\n"
# What is kept of a body per connection; a larger one is read again for each mail.
_MAX_KNOWN_BYTES = 256 * 1024
_ALL_BUT_LINE_ENDS = bytes(octet for octet in range(256) if octet not in b"\r\n")


class Framing:
    """Makes contents fit for the wire; the body that a broadcast's mails share is read once."""

    def __init__(self) -> None:
        """Start with no body known."""
        self._body = b""
        self._stuffed = _FINAL_DOT

    def for_data(self, content: bytes) -> bytes:
        r"""Return the content as DATA carries it, final dot included.

        >>> Framing().for_data(b"a\r\n.b\r\n")
        b'a\r\n..b\r\n.\r\n'

        Raises:
            ValueError: A CR or LF stands alone (C2): another server could read a second mail there.
        """
        body_at = content.find(_HEADER_END) + len(_HEADER_END)
        if body_at < len(_HEADER_END):
            return _stuff(content) + _end_of(content) + _FINAL_DOT
        body = content[body_at:]
        if body != self._body:
            stuffed = _stuff(body) + _end_of(body) + _FINAL_DOT
            if len(body) > _MAX_KNOWN_BYTES:
                return _stuff(content[:body_at]) + stuffed
            self._body, self._stuffed = body, stuffed
        return _stuff(content[:body_at]) + self._stuffed

    def for_bdat(self, content: bytes) -> bytes:
        r"""Return the content as one BDAT carries it (RFC 3030), the command included.

        >>> Framing().for_bdat(b"a\r\n.b")
        b'BDAT 6 LAST\r\na\r\n.b\r\n'

        Raises:
            ValueError: A CR or LF stands alone; the relay may pass the content on by DATA.
        """
        _check_line_ends(content)
        whole = content + _end_of(content)
        return b"BDAT %d LAST\r\n%b" % (len(whole), whole)


def _stuff(lines: bytes) -> bytes:
    _check_line_ends(lines)
    # RFC 5321 4.5.2: "If the first character of the line is a period, one additional period is
    # inserted".
    stuffed = lines.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _end_of(content: bytes) -> bytes:
    return b"" if content.endswith(b"\r\n") or not content else b"\r\n"


def _check_line_ends(lines: bytes) -> None:
    # Every pair is two of them: one more is a lone one. Faster than counting each kind.
    ends = lines.translate(None, _ALL_BUT_LINE_ENDS)
    if len(ends) != 2 * lines.count(b"\r\n"):
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


def envelope_of(parcel: Parcel, content: bytes, offer: Capabilities) -> bytes:
    """Return the MAIL and RCPT lines of a parcel."""
    words = f" SIZE={len(content)}" if offer.max_bytes else ""
    # RFC 6531 3.1: a header with UTF-8 in it needs the parameter as an address does.
    is_utf8 = _needs_smtputf8(parcel)
    if not content.isascii():
        words += " BODY=8BITMIME"
        is_utf8 = is_utf8 or not content.partition(b"\r\n\r\n")[0].isascii()
    if is_utf8:
        words += " SMTPUTF8"
    sender = parcel.mail_from or ""
    return f"MAIL FROM:<{sender}>{words}\r\nRCPT TO:<{parcel.recipient}>\r\n".encode()


def _needs_smtputf8(parcel: Parcel) -> bool:
    return parcel.recipient.needs_smtputf8 or (
        parcel.mail_from is not None and parcel.mail_from.needs_smtputf8
    )
