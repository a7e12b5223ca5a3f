"""This room reads the request that met an error from what a server handed to the application."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from envoi.core.incident import Request
from envoi.integrations.bodies import Fields, fields_of


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
        client=str(environ.get("REMOTE_ADDR") or ""),
        headers=headers,
        form=_form(headers, body),
    )


def of_scope(scope: Mapping[str, Any], user: str = "", body: bytes = b"") -> Request:
    """Return the request of an ASGI scope.

    Args:
        scope: Of type `http` or `websocket`.
        user: Who was signed in.
        body: The beginning of the body, where it was kept.
    """
    raw = cast("Iterable[tuple[bytes, bytes]]", scope.get("headers") or ())
    headers = tuple((_text(name).title(), _text(value)) for name, value in raw)
    host = next((value for name, value in headers if name == "Host"), "")
    query = _text(scope.get("query_string") or b"")
    path = quote(str(scope.get("path") or ""), safe="/;=,:@!$&'()*+~")
    url = f"{scope.get('scheme') or 'http'}://{host}{path}{'?' if query else ''}{query}"
    client = cast("tuple[object, ...]", scope.get("client") or ("",))
    return Request(
        method=str(scope.get("method") or scope.get("type") or ""),
        url=url if host else path,
        user=user,
        client=str(client[0]),
        headers=headers,
        form=_form(headers, body),
    )


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


def _form(headers: Iterable[tuple[str, str]], body: bytes) -> Fields:
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    return fields_of(kind, body)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
