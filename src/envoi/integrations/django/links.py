"""This room counts links to pages that a Django project does not have.

`"envoi.integrations.django.links.report_broken_links"` goes into `MIDDLEWARE` where
`"django.middleware.common.BrokenLinkEmailsMiddleware"` stood; `errors.not_found` switches it on.
What `IGNORABLE_404_URLS` names is not told, beside what Envoi's own list names.
"""

from dataclasses import replace
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, cast

from envoi.integrations.django.process import mailer
from envoi.integrations.django.request import Answer, client_of
from envoi.integrations.django.sightings import meta_of, url_of
from envoi.integrations.django.toolkit import both_ways, setting
from envoi.integrations.requests import of_environ

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from re import Pattern

    from django.http import HttpRequest, HttpResponse

NOT_FOUND = 404


@both_ways
def report_broken_links(get_response: Answer) -> Answer:
    """Count each missing page that somebody linked to."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: "HttpRequest") -> "HttpResponse":
            response = await cast("Awaitable[HttpResponse]", get_response(request))
            _look(request, response)
            return response

        return answer_later

    def answer(request: "HttpRequest") -> "HttpResponse":
        response = cast("HttpResponse", get_response(request))
        _look(request, response)
        return response

    return answer


def _look(request: "HttpRequest", response: "HttpResponse") -> None:
    if response.status_code != NOT_FOUND or setting("DEBUG"):
        return
    path = request.get_full_path()
    ignored = cast("Iterable[Pattern[str]]", setting("IGNORABLE_404_URLS") or ())
    if any(pattern.search(path) for pattern in ignored):
        return
    asked = replace(of_environ(meta_of(request)), url=url_of(request), client=client_of(request))
    mailer().not_found(asked, appends_slash=bool(setting("APPEND_SLASH")))
