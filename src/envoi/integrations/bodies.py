"""This room keeps the beginning of a request's body, and reads the fields of a form in it."""

from collections.abc import Iterator, MutableMapping
from email import message_from_bytes
from email.message import Message
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl

from envoi.core.kind import clean_line

URL_ENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
# More fields than a person fills in are no form.
MAX_FIELDS = 1_000

Fields = tuple[tuple[str, str], ...]


def is_form(content_type: str) -> bool:
    """Whether a body of this type holds the fields of a form."""
    return any(known in content_type.lower() for known in (URL_ENCODED, MULTIPART))


def fields_of(content_type: str, body: bytes) -> Fields:
    """Return names and values of a form's fields, of a file its name and type.

    Args:
        content_type: Value of the header.
        body: The body, or its beginning: the last field may be cut.
    """
    if body and MULTIPART in content_type.lower():
        return tuple(_parts(content_type, body))
    if not body or URL_ENCODED not in content_type.lower():
        return ()
    try:
        fields = parse_qsl(_text(body), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return ()
    return tuple(fields)


class Readable(Protocol):
    """What WSGI calls an input stream."""

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes."""
        ...

    def readline(self, size: int = -1, /) -> bytes:
        """Return a line."""
        ...


class Kept:
    """An input stream that remembers the beginning of what the application read.

    Args:
        stream: The server's.
        room: How many bytes are remembered.
    """

    def __init__(self, stream: Readable, room: int) -> None:
        """Start with nothing read."""
        self._stream = stream
        self._room = room
        self.body = b""

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes."""
        return self._keep(self._stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        """Return a line."""
        return self._keep(self._stream.readline(size))

    def readlines(self, hint: int = -1) -> list[bytes]:
        """Return lines of about so many bytes."""
        lines: list[bytes] = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        """Yield lines."""
        return iter(self.readline, b"")

    def _keep(self, part: bytes) -> bytes:
        self.body += part[: max(self._room - len(self.body), 0)]
        return part


def keep_body(environ: MutableMapping[str, Any], room: int) -> Kept | None:
    """Put a stream that remembers into a WSGI environment; None where there is nothing to keep.

    Args:
        environ: As the server made it.
        room: How many bytes are remembered; 0: none.
    """
    stream = environ.get("wsgi.input")
    if not room or stream is None or not is_form(str(environ.get("CONTENT_TYPE"))):
        return None
    kept = Kept(cast("Readable", stream), room)
    environ["wsgi.input"] = kept
    return kept


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    head = f"Content-Type: {clean_line(content_type)}\r\n\r\n".encode("latin-1", "replace")
    whole = message_from_bytes(head + body)
    payload: object = whole.get_payload()
    parts = cast("list[Message]", payload) if isinstance(payload, list) else []
    for part in parts[:MAX_FIELDS]:
        name = part.get_param("name", header="content-disposition")
        if name is not None:
            yield _word(name), _value(part)


def _value(part: Message) -> str:
    file = part.get_filename()
    if file is not None:
        # What somebody sent in a file is nobody's business, and rarely text.
        return f"<file {_word(file)}, {part.get_content_type()}>"
    content: object = part.get_payload(decode=True)
    return _text(content) if isinstance(content, bytes) else ""


def _word(given: object) -> str:
    # RFC 2231 gives a triple; raw bytes beyond ASCII come as lone surrogates.
    text = str(cast("tuple[object, ...]", given)[-1]) if isinstance(given, tuple) else str(given)
    return _text(text.encode("utf-8", "surrogateescape"))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
