"""A plain WSGI application that delivers its own mail: `mailer.start()` and nothing beside it.

    ENVOI_CONFIG=envoi.toml gunicorn --workers 2 examples.wsgi_app:application

`start()` at import is safe: the worker begins in the processes that serve, never in a parent that
only forks them, with and without `--preload`.
"""

import os
from collections.abc import Callable, Iterable
from typing import TypeAlias
from urllib.parse import parse_qs

from envoi import Event, InputError, Mailer
from envoi.outbox.find import stats

StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], object]

# Longer bodies are cut: this is a comment, not an upload.
MAX_BODY_BYTES = 64 * 1024

mailer = Mailer.from_file(os.environ["ENVOI_CONFIG"])
mailer.start()


def application(environ: dict[str, object], start_response: StartResponse) -> Iterable[bytes]:
    """Answer `POST /comment` and `GET /`."""
    match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
        case "POST", "/comment":
            status, words = comment(_form(environ))
        case "GET", "/":
            status, words = "200 OK", count()
        case _:
            status, words = "404 Not Found", "POST /comment, or GET /"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{words}\n".encode()]


def comment(form: dict[str, str]) -> tuple[str, str]:
    """Tell somebody of a comment; who and what come from the form, `key` makes it happen once."""
    event = Event(
        kind="message",
        people={"recipients": (form.get("to", "ann"),)},
        facts={"title": "New comment", "body": form.get("comment", "")},
        key=form.get("key", ""),
    )
    try:
        receipt = mailer.notify(event)
    except InputError as err:
        return "400 Bad Request", str(err)
    status = "201 Created" if receipt.is_kept else "503 Service Unavailable"
    return status, f"{receipt.stored}: {receipt.deliveries} deliveries {receipt.because}".rstrip()


def count() -> str:
    """Say how many deliveries are in which state."""
    with mailer.parts.outbox.reading() as tx:
        counted = stats(tx, mailer.parts.clock())
    states = (f"{state}: {number}" for state, number in counted.by_state.items() if number)
    return "\n".join([f"total: {counted.total}", *states])


def _form(environ: dict[str, object]) -> dict[str, str]:
    length = int(str(environ.get("CONTENT_LENGTH") or 0))
    body = environ["wsgi.input"].read(min(length, MAX_BODY_BYTES))  # type: ignore[attr-defined] # WSGI's own protocol
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}
