"""A Django project that fails at `/crash`, synchronous and not, and shows a page of its own."""

import os
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "only for this example"),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    BASE_DIR=Path.cwd(),
    # The two lines: an application, and what looks for broken links.
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "envoi.integrations.django",
    ],
    MIDDLEWARE=["envoi.integrations.django.links.report_broken_links"],
    ENVOI_CONFIG=os.environ["ENVOI_CONFIG"],
    ENVOI_RELEASE="1.0",
)
django.setup()

from envoi.integrations.django import mailer  # noqa: E402 # Django wants to be set up first

mailer().start()


def index(_request: HttpRequest) -> HttpResponse:
    """Answer."""
    return HttpResponse("All is well.\n")


def crash(_request: HttpRequest) -> HttpResponse:
    """Fail."""
    pages_left: dict[str, int] = {}
    return HttpResponse(str(pages_left["weekly"]))


async def crash_later(_request: HttpRequest) -> HttpResponse:
    """Fail where nobody waits for a thread."""
    pages_left: dict[str, int] = {}
    return HttpResponse(str(pages_left["daily"]))


def server_error(_request: HttpRequest) -> HttpResponse:
    """Show our own page."""
    return HttpResponse("Sorry, that is our fault.\n", status=500)


urlpatterns = [path("", index), path("crash", crash), path("crash/later", crash_later)]
handler500 = server_error
application = get_wsgi_application()
asgi_application = get_asgi_application()
