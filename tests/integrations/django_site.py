"""A Django project in one file, run as a program: `python -m tests.integrations.django_site CASE`.

Each case does what a project does, and prints what came of it as one JSON document.
"""

# ruff: noqa: E402 # Django wants its settings and its apps first

import asyncio
import io
import json
import os
import signal
import sys
from pathlib import Path
from unittest import TestLoader, TextTestRunner

import django
from django.conf import settings
from django.core.management import call_command
from django.http import HttpResponse
from django.urls import path

FOLDER = Path(os.environ["SITE"])
PLACE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": FOLDER / "site.db",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 5},
    "TEST": {"NAME": ":memory:"},
}
ENVOI = {
    "outbox": {"url": "sqlite:///site.db"},
    "application": {"admins": ["root@example.org"], "from": "Site <site@example.org>"},
    "smtp": {"host": "127.0.0.1", "port": 1},  # nobody is there
    "senders": {
        "failed_login": {"enabled": True},
        "objects": {
            "kind": "object_changed",
            "recipients": ["role:owner", "admins"],
            "tells_actor": True,
        },
    },
}

settings.configure(
    SECRET_KEY="for this test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    BASE_DIR=FOLDER,
    DATABASES={"default": PLACE},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "envoi.integrations.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "envoi.integrations.django.request.remember",
    ],
    USE_TZ=True,
    **json.loads(os.environ.get("MORE", json.dumps({"ENVOI": ENVOI}))),
)
django.setup()

from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_login_failed
from django.db import connection, transaction
from django.test import AsyncClient, Client, TestCase
from django.test.runner import DiscoverRunner
from django.test.utils import setup_test_environment
from django.views.decorators.csrf import csrf_exempt

from envoi.directory.people import add_user
from envoi.directory.records import UserDraft
from envoi.integrations.django import INSERT, Watched, mailer, watch
from envoi.journal import Fact
from envoi.testing import Recorder


def sign_in(request):
    user = authenticate(request, **request.POST.dict())
    return HttpResponse("welcome" if user else "refused")


def make_group(request):
    with transaction.atomic():
        Group.objects.create(name=request.POST["name"])
        if request.POST["name"] == "bad":
            transaction.set_rollback(True)
    return HttpResponse("made")


async def make_group_later(request):
    await Group.objects.acreate(name=request.POST["name"])
    return HttpResponse("made")


urlpatterns = [
    path("login/", csrf_exempt(sign_in)),
    path("groups/", csrf_exempt(make_group)),
    path("groups/later/", csrf_exempt(make_group_later)),
]


def prepare():
    """Tables, two users, and a watch over groups."""
    call_command("migrate", verbosity=0)
    said = io.StringIO()
    call_command("envoi_upgrade", stdout=said)
    User.objects.create_user("ann", "ann@example.org", "right", first_name="Ann")
    with mailer().outbox.transaction() as tx:
        add_user(tx, "main", UserDraft(login="ann", addresses=("ann@example.org",)), now_ms=1)
    watch(mailer(), [Watched(Group, actions=(INSERT,))])
    return said.getvalue()


def mails():
    """What goes out, by a worker as in the project."""
    recorder = Recorder()
    worker = mailer().make_worker(recorder.carrier())
    worker.run_until_idle()
    worker.drain()
    return [(sent.recipient, sent.subject, sent.text) for sent in recorder.sent]


def logins():
    """Two wrong passwords and one name that nobody has, by Django's own view."""
    prepare()
    client = Client(REMOTE_ADDR="203.0.113.7", HTTP_USER_AGENT="Browser/1")
    answers = [
        client.post("/login/", {"username": name, "password": password}).content.decode()
        for name, password in (("ann", "Geheim4711"), ("nobody", "x"), ("ann", "right"))
    ]
    return {"answers": answers, "mails": mails()}


def views_of():
    """Groups made by somebody signed in, one of them rolled back, one by an async view."""
    said = prepare()
    client = Client(REMOTE_ADDR="203.0.113.7")
    client.force_login(User.objects.get(username="ann"))
    for name in ("good", "bad"):
        client.post("/groups/", {"name": name})
    found = mails()
    asyncio.run(ask_later())
    return {"said": said, "mails": found, "later": mails()}


async def ask_later():
    client = AsyncClient()
    await client.aforce_login(await User.objects.aget(username="ann"))
    await client.post("/groups/later/", {"name": "later"})


def in_tests():
    """A project's own tests: nothing goes out of a TestCase unless it asks for the callbacks."""
    prepare()

    class Tests(TestCase):  # type: ignore[misc] # Django has no types
        def test_nothing_is_told(self):
            Client().post("/groups/", {"name": "silent"})

        def test_callbacks_tell(self):
            with self.captureOnCommitCallbacks(execute=True) as callbacks:
                Client().post("/groups/", {"name": "asked"})
            assert len(callbacks) == 1

    runner = DiscoverRunner(verbosity=0)
    setup_test_environment()
    old = runner.setup_databases()
    result = TextTestRunner(stream=io.StringIO()).run(TestLoader().loadTestsFromTestCase(Tests))
    runner.teardown_databases(old)
    return {"ran": result.testsRun, "ok": result.wasSuccessful(), "mails": mails()}


def work():
    """`manage.py envoi_work --once` with a relay that nobody answers at: it ends."""
    prepare()
    Group.objects.create(name="waiting")
    call_command("envoi_work", "--once")
    return {"mails": mails()}


def broken():
    """A refused sign-in while nobody can be asked who exists."""
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE auth_user RENAME TO gone")
    answers = user_login_failed.send_robust(None, credentials={"username": "ann"}, request=None)
    return {
        "raised": [str(answer) for _, answer in answers if answer is not None],
        "journal": mailer().parts.journal.counts()[Fact.EVENT_NOT_STORED],
    }


def serve():
    """`manage.py envoi_work` until somebody asks it to end."""
    prepare()
    Group.objects.create(name="waiting")
    seen = []

    def end(fact, _fields):
        seen.append(fact.value)
        if fact is Fact.WORKER_STARTED:
            os.kill(os.getpid(), signal.SIGTERM)

    mailer().parts.journal.subscribe(end)
    call_command("envoi_work")
    return {"seen": seen}


CASES = {
    "broken": broken,
    "serve": serve,
    "logins": logins,
    "views": views_of,
    "tests": in_tests,
    "work": work,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(CASES[sys.argv[1]]()))
