"""A Django project that fails, run as a program: `python -m tests.integrations.django_errors CASE`.

Each case does what a visitor does, and prints what the project's administrators are mailed.
"""

# ruff: noqa: E402 # Django wants its settings and its apps first

import asyncio
import json
import logging
import os
import re
import sys
from pathlib import Path

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

FOLDER = Path(os.environ["SITE"])
MORE = json.loads(os.environ.get("MORE", "{}"))
ERRORS = {
    "to": ["ops@example.org"],
    "not_found": True,
    "dump_request": True,
    "dump_local_frames": True,
    **MORE.pop("errors", {}),
}
LINKS = "envoi.integrations.django.links.report_broken_links"

settings.configure(
    SECRET_KEY="for this test",
    ALLOWED_HOSTS=["site.test"],
    ROOT_URLCONF=__name__,
    BASE_DIR=FOLDER,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "site.db"}},
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "envoi.integrations.django",
    ],
    INTERNAL_IPS=["10.0.0.1"],
    IGNORABLE_404_URLS=[re.compile("^/quiet/")],
    ENVOI={"outbox": {"url": "sqlite:///envoi.db"}, "errors": ERRORS},
    **{
        "MIDDLEWARE": [
            LINKS,
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        "DEFAULT_EXCEPTION_REPORTER_FILTER": "django.views.debug.SafeExceptionReporterFilter",
        **MORE,
    },
)
django.setup()

from django.core.checks import run_checks
from django.core.exceptions import SuspiciousOperation
from django.core.management import call_command
from django.db import connection, transaction
from django.test import AsyncClient, Client
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from envoi.integrations.django import mailer

LOG = logging.getLogger("django.request")


def crash(_request):
    raise LookupError("no page 7")


async def crash_later(_request):
    raise LookupError("no page 7")


@csrf_exempt
@sensitive_post_parameters("answer")
def form(request):
    raise LookupError(f"wrong: {request.POST['answer']} {request.POST['title']}")


@csrf_exempt
@sensitive_post_parameters()
def whole_form(request):
    raise LookupError(f"{len(request.POST)} fields")


@sensitive_variables("answer")
def hidden():
    answer, shown = "bluebird", "plainly"
    raise LookupError(f"no {shown}", len(answer))


def variables(_request):
    hidden()


@sensitive_variables("answer")
async def hidden_later():
    answer, shown = "bluebird", "plainly"
    raise LookupError(f"no {shown}", len(answer))


async def variables_later(_request):
    await hidden_later()


def unavailable(_request):
    return HttpResponse("come back", status=503)


def asks_host(request):
    return HttpResponse(request.get_host())


def suspicious(_request):
    raise SuspiciousOperation("forged")


def broken_transaction(request):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM nowhere")
    return HttpResponse(request.user)


urlpatterns = [
    path("crash", crash), path("crash/later", crash_later), path("form", form),
    path("whole", whole_form), path("variables", variables), path("database", broken_transaction),
    path("variables/later", variables_later), path("503", unavailable),
    path("forged", suspicious), path("host", asks_host),
    path("pages/", lambda _request: HttpResponse("pages")),
]  # fmt: skip


def client(**more):
    return Client(
        raise_request_exception=False, SERVER_NAME="site.test", REMOTE_ADDR="192.0.2.7", **more
    )


def mails():
    mailer().close()
    with mailer().outbox.reading() as tx:
        return tx.execute("SELECT subject, text, html FROM envoi_message ORDER BY id", {})


def get(*paths):
    return lambda: [client().get(each).status_code for each in paths]


def later(each):
    asked = AsyncClient(raise_request_exception=False, headers={"host": "site.test"})
    return lambda: [asyncio.run(asked.get(each)).status_code]


def post(each):
    fields = {"answer": "bluebird", "title": "Weekly", "password": "hunter22"}
    return lambda: [client().post(each, fields).status_code]


def set_up_again():
    """What `get_wsgi_application` and `get_asgi_application` do after a `django.setup()`."""
    django.setup()
    return [client().get("/503").status_code]


def internal():
    return [client().get("/crash", REMOTE_ADDR="10.0.0.1").status_code]


def logged():
    LOG.error("the queue is full", extra={"status_code": 500})
    logging.getLogger("envoi.worker").error("never")
    LOG.warning("not yet")
    return []


def links():
    asked = client()
    pages = ["/gone", "/quiet/page", "/pages", "/favicon.ico", "/crash/../gone?token=s3cretvalue"]
    codes = [asked.get(each, HTTP_REFERER="http://site.test/start").status_code for each in pages]
    codes.append(asked.get("/gone").status_code)
    asked.get("/missing/", HTTP_REFERER="http://site.test/missing")
    return codes


def checks():
    return [warning.id for warning in run_checks(tags=["envoi"])]


CASES = {
    "crash": get("/crash"),
    "twice": get("/crash", "/crash"),
    "later": later("/crash/later"),
    "form": post("/form"),
    "whole": post("/whole"),
    "variables": get("/variables"),
    "variables later": later("/variables/later"),
    "503": get("/503"),
    "set up again": set_up_again,
    "forged": get("/forged"),
    "host": lambda: [client().get("/host", headers={"host": "evil.test"}).status_code],
    "database": get("/database"),
    "internal": internal,
    "logged": logged,
    "links": links,
    "checks": checks,
}

if __name__ == "__main__":
    call_command("envoi_upgrade", verbosity=0, stdout=sys.stderr)
    said = CASES[sys.argv[1]]()
    sys.stdout.write(json.dumps({"said": said, "mails": [list(row) for row in mails()]}))
