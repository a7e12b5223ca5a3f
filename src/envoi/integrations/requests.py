"""This room reads the request that met an error from what a server handed to the application."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, quote

from envoi.core.incident import Request

FORM_TYPE = "application/x-www-form-urlencoded"
# More fields than a person fills in are no form.
MAX_FIELDS = 1_000


def user_by(user_of: Callable[[Any], str], request: object) -> str:
    """Return who is signed in, as the application says; nobody where it fails to."""
    try:
        return user_of(request)
    except Exception:  # noqa: BLE001 # the application's own, and it has failed once already
        return ""


def of_environ(environ: Mapping[str, Any], user: str = "", body: bytes = b"") -> Request:
    """Return the request of a WSGI environment.

    Args:
        environ: As the server made it.
        user: Who was signed in.
        body: The beginning of the body, where it was kept.
    """
    headers = tuple(_headers(environ))
    return Request(
        method=str(environ.get("REQUEST_METHOD") or ""),
        url=_url(environ),
        user=user,
        headers=headers,
        form=_form(headers, body),
    )


def of_scope(scope: Mapping[str, Any], user: str = "", body: bytes = b"") -> Request:
    """Return the request of an ASGI scope.

    Args:
        scope: Of type `http`.
        user: Who was signed in.
        body: The beginning of the body, where it was kept.
    """
    raw = cast("Iterable[tuple[bytes, bytes]]", scope.get("headers") or ())
    headers = tuple((_text(name).title(), _text(value)) for name, value in raw)
    host = next((value for name, value in headers if name == "Host"), "")
    query = _text(scope.get("query_string") or b"")
    path = quote(str(scope.get("path") or ""), safe="/;=,:@!$&'()*+~")
    url = f"{scope.get('scheme') or 'http'}://{host}{path}{'?' if query else ''}{query}"
    return Request(
        method=str(scope.get("method") or ""),
        url=url if host else path,
        user=user,
        headers=headers,
        form=_form(headers, body),
    )


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
    if not room or stream is None or FORM_TYPE not in str(environ.get("CONTENT_TYPE")):
        return None
    kept = Kept(cast("Readable", stream), room)
    environ["wsgi.input"] = kept
    return kept


def _headers(environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_") or name == "CONTENT_TYPE":
            yield name.removeprefix("HTTP_").replace("_", "-").title(), str(value)


def _url(environ: Mapping[str, Any]) -> str:
    # A server leaves the host to the client; here it is shown and nothing leads there.
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME") or ""
    path = f"{environ.get('SCRIPT_NAME') or ''}{environ.get('PATH_INFO') or ''}"
    query = environ.get("QUERY_STRING") or ""
    place = quote(path, safe="/;=,:@!$&'()*+~", encoding="latin-1")
    scheme = environ.get("wsgi.url_scheme") or "http"
    return f"{scheme}://{host}{place}{'?' if query else ''}{query}"


def _form(headers: Iterable[tuple[str, str]], body: bytes) -> tuple[tuple[str, str], ...]:
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    if not body or FORM_TYPE not in kind:
        return ()
    try:
        fields = parse_qsl(_text(body), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return ()
    return tuple(fields)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
