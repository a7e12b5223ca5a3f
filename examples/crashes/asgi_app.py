"""A plain ASGI application that fails at `/crash` and shows a page of its own."""

from typing import Any

from envoi import Mailer
from envoi.integrations.asgi import ServerLifespan
from envoi.integrations.asgi_errors import App, Receive, ReportErrors, Scope, Send

mailer = Mailer.from_file()
mailer.start()


async def page(send: Send, status: int, words: str) -> None:
    """Answer a request."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})


async def pages(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer what there is; fail where it is asked for."""
    match scope["path"]:
        case "/":
            await page(send, 200, "All is well.\n")
        case "/crash":
            pages_left: dict[str, int] = {}
            await page(send, 200, str(pages_left["weekly"]))
        case _:
            await page(send, 404, "There is no such page.\n")


def friendly(app: App) -> App:
    """Return an application that shows its own page where another one fails."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception:  # noqa: BLE001 # whatever it was, the visitor gets a page
            await page(send, 500, "Sorry, that is our fault.\n")

    return answer


# Inside of what turns errors into pages, or nothing would be seen of them.
application: Any = ServerLifespan(friendly(ReportErrors(pages, mailer, release="1.0")), mailer)
