"""This room remembers the request that is being answered: who acts, and from which machine.

`"envoi.integrations.django.request.remember"` goes into `MIDDLEWARE`, behind Django's own
`AuthenticationMiddleware`. Without it changes of objects are told without an actor.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Protocol, cast

from envoi.integrations.django.toolkit import both_ways

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

Answer = Callable[["HttpRequest"], "HttpResponse | Awaitable[HttpResponse]"]

# Of this thread or task alone; a module is where Python wants it.
_REQUEST: "ContextVar[HttpRequest | None]" = ContextVar("envoi_request", default=None)


class _User(Protocol):
    is_authenticated: bool

    def get_username(self) -> str: ...


@both_ways
def remember(get_response: Answer) -> Answer:
    """Remember each request while it is answered."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: "HttpRequest") -> "HttpResponse":
            with _remembered(request):
                return await cast("Awaitable[HttpResponse]", get_response(request))

        return answer_later

    def answer(request: "HttpRequest") -> "HttpResponse":
        with _remembered(request):
            return cast("HttpResponse", get_response(request))

    return answer


def current_login() -> str:
    """Return the user name of who acts; empty outside a request and for nobody signed in."""
    user = cast("_User | None", getattr(_REQUEST.get(), "user", None))
    return user.get_username() if user is not None and user.is_authenticated else ""


def current_client() -> str:
    """Return the address of the machine that the current request came from; may be empty."""
    request = _REQUEST.get()
    return client_of(request) if request is not None else ""


def client_of(request: object) -> str:
    """Return the address of the machine that a request came from.

    Behind a proxy that is the proxy, unless the project's middleware puts the client's address
    into `REMOTE_ADDR`: a header such as X-Forwarded-For may be written by anybody.
    """
    return _meta(request, "REMOTE_ADDR")


def program_of(request: object) -> str:
    """Return what the program that asks calls itself."""
    return _meta(request, "HTTP_USER_AGENT")


def _meta(request: object, name: str) -> str:
    meta = cast("dict[str, object]", getattr(request, "META", {}))
    return str(meta.get(name) or "")


@contextmanager
def _remembered(request: "HttpRequest") -> Generator[None]:
    token = _REQUEST.set(request)
    try:
        yield
    finally:
        _REQUEST.reset(token)
