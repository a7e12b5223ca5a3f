"""This room reads a request of Django for a report, and asks the project for nothing.

A request that failed may have a broken transaction, and a body that is still on its way: only
what the project has read by itself is told. `sensitive_post_parameters` and the project's own
filter (`DEFAULT_EXCEPTION_REPORTER_FILTER`) say which fields are not.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from envoi.core.incident import Request
from envoi.core.kind import MASK
from envoi.integrations.bodies import Fields
from envoi.integrations.django.toolkit import filter_of, setting
from envoi.integrations.requests import of_environ

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class _Fields(Protocol):
    def lists(self) -> "Iterable[tuple[str, list[str]]]": ...


class _Asked(Protocol):
    META: dict[str, object]
    POST: _Fields
    scheme: str

    def get_host(self) -> str: ...

    def get_full_path(self) -> str: ...


def request_of(request: object) -> Request:
    """Return what a report tells of a request."""
    form, secrets = _fields_of(request)
    return replace(
        of_environ(meta_of(request), _user_of(request)),
        url=url_of(request),
        client=_client_of(request),
        form=form,
        secrets=secrets,
    )


def meta_of(request: object) -> dict[str, object]:
    """Return what the server says of a request, WSGI's names in both worlds."""
    return cast("_Asked", request).META


def url_of(request: object) -> str:
    """Return the whole URL; the host is the one that Django takes, be it allowed or not."""
    asked = cast("_Asked", request)
    try:
        host = asked.get_host()
    except Exception:  # noqa: BLE001 # a host that is not allowed may be what happened
        host = str(asked.META.get("HTTP_HOST") or asked.META.get("SERVER_NAME") or "")
    return f"{asked.scheme}://{host}{asked.get_full_path()}"


def _user_of(request: object) -> str:
    # Asking for `request.user` may ask the database, within a transaction that is broken.
    known = vars(request)
    user: object = known.get("_cached_user") or known.get("_acached_user")
    name = getattr(user, "get_username", str)
    return str(name())


def _client_of(request: object) -> str:
    address = str(meta_of(request).get("REMOTE_ADDR") or "")
    if not address:
        return ""
    known = cast("Iterable[str]", setting("INTERNAL_IPS") or ())
    return f"{address} ({'internal' if address in known else 'EXTERNAL'} IP)"


def _fields_of(request: object) -> tuple[Fields, tuple[str, ...]]:
    """Return the fields as they are told, and the values of those that are not."""
    if "_post" not in vars(request):
        return (), ()
    shown = cast("Mapping[str, object]", filter_of(request).get_post_parameters(request))
    form: list[tuple[str, str]] = []
    secrets: list[str] = []
    for name, values in cast("_Asked", request).POST.lists():
        # The filter replaces what it hides by a text of its own, whatever that is.
        is_told = not values or shown.get(name) == values[-1]
        form += [(name, value if is_told else MASK) for value in values]
        secrets += [] if is_told else values
    return tuple(form), tuple(secrets)
