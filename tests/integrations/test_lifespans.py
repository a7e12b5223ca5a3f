"""Server up and down from the lifespans of ASGI and WSGI servers."""

import asyncio

import pytest

from envoi.integrations.asgi import ServerLifespan
from envoi.integrations.wsgi import ArbiterHooks
from envoi.mailer import Mailer
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.settings import from_mapping

ON = {"server_up": {"enabled": True}, "server_down": {"enabled": True}}
UP, DOWN = "Server started", "Server shutdown"


@pytest.fixture
def mailer(sqlite_url, tmp_path):
    made = Mailer.from_settings(
        from_mapping(
            {
                "outbox": {"url": sqlite_url},
                "application": {"admins": ["root@example.test"]},
                "senders": ON,
            },
            tmp_path,
        )
    )
    yield made
    made.close()


def subjects(mailer):
    with mailer.parts.outbox.reading() as tx:
        return [row.subject for row in reversed(deliveries(tx, Query()))]


async def with_lifespan(_scope, receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def without_lifespan(scope, _receive, _send):
    assert scope["type"] == "http"


async def without_after_the_first_word(scope, receive, _send):
    await receive()
    raise KeyError(scope["type"])


async def failing_at_its_start(_scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed"})
    raise OSError


def live(app):
    """Serve an application from its start to its shutdown; what it said."""
    said = []

    async def run():
        coming = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive():
            return {"type": next(coming)}

        async def send(message):
            said.append(message["type"])

        await app({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    return said


@pytest.mark.parametrize(
    "app",
    [with_lifespan, without_lifespan, without_after_the_first_word],
    ids=lambda one: one.__name__,
)
def test_an_asgi_server_is_told_to_be_up_and_down(mailer, app):
    said = live(ServerLifespan(app, mailer))

    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert subjects(mailer) == [UP, DOWN]


def test_an_application_that_cannot_start_is_not_told_to_be_up(mailer):
    with pytest.raises(OSError):  # the application's own
        live(ServerLifespan(failing_at_its_start, mailer))

    assert subjects(mailer) == []


def test_requests_pass_through(mailer):
    app = ServerLifespan(without_lifespan, mailer)

    async def nothing(_message=None):
        return {}

    asyncio.run(app({"type": "http"}, nothing, nothing))

    assert subjects(mailer) == []


def test_hooks_of_an_arbiter_tell_of_it(mailer):
    when_ready, on_exit = ArbiterHooks(mailer)

    when_ready(object())
    on_exit(object())

    assert subjects(mailer) == [UP, DOWN]
