"""A Django application in one file: `notify` inside `atomic()` is part of its transaction.

Run it with `ENVOI_CONFIG=envoi.toml DJANGO_DB=envoi.db python -m examples.django_app`.
"""

import os
from functools import cache

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from envoi import Event, Mailer

if not settings.configured:
    settings.configure(
        SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "only for this example"),
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ.get("DJANGO_DB", "envoi.db"),
                # Writers wait for their turn instead of failing "database is locked".
                "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 5},
            }
        },
    )
    django.setup()


@cache
def mailer() -> Mailer:
    """Return the process's mailer; `ENVOI_CONFIG` names its settings."""
    return Mailer.from_file()


@csrf_exempt
@require_POST
def comment(request: HttpRequest) -> HttpResponse:
    """Keep a comment and tell the image's owner of it, or keep nothing at all."""
    words = request.POST.get("comment", "")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS app_comment (words TEXT NOT NULL)")
        cursor.execute("INSERT INTO app_comment (words) VALUES (%s)", [words])
        receipt = mailer().notify(
            Event(
                kind="message",
                people={"recipients": ("ann",)},
                facts={"title": "New comment", "body": words},
            ),
            connection,
        )
        if "spam" in words:
            transaction.set_rollback(True)
            return HttpResponseBadRequest("nothing was kept, the mail included")
    return JsonResponse({"stored": receipt.stored, "deliveries": receipt.deliveries})


urlpatterns = [path("comment", comment)]
application = get_wsgi_application()


def main() -> None:
    """Serve on http://127.0.0.1:8000 until Ctrl-C."""
    from wsgiref.simple_server import make_server  # noqa: PLC0415 # only here

    with make_server("127.0.0.1", 8000, application) as server:
        print("POST http://127.0.0.1:8000/comment")
        server.serve_forever()


if __name__ == "__main__":
    main()
