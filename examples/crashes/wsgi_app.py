"""A plain WSGI application that fails at `/crash` and shows a page of its own."""

import sys
from collections.abc import Callable, Iterable

from envoi import Mailer
from envoi.integrations.wsgi_errors import ReportErrors

Environ = dict[str, object]
StartResponse = Callable[..., object]
TEXT = [("Content-Type", "text/plain; charset=utf-8")]

mailer = Mailer.from_file()
mailer.start()


def pages(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer what there is; fail where it is asked for."""
    match environ["PATH_INFO"]:
        case "/":
            start_response("200 OK", TEXT)
            return [b"All is well.\n"]
        case "/crash":
            pages_left: dict[str, int] = {}
            return [str(pages_left["weekly"]).encode()]
        case _:
            start_response("404 Not Found", TEXT)
            return [b"There is no such page.\n"]


def friendly(app: Callable[[Environ, StartResponse], Iterable[bytes]]) -> object:
    """Return an application that shows its own page where another one fails."""

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except Exception:  # noqa: BLE001 # whatever it was, the visitor gets a page
            start_response("500 Internal Server Error", TEXT, sys.exc_info())
            return [b"Sorry, that is our fault.\n"]

    return answer


# Inside of what turns errors into pages, or nothing would be seen of them.
application = friendly(ReportErrors(pages, mailer, release="1.0"))
