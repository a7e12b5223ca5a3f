"""This room tells that a WSGI server went up and down.

Under gunicorn the arbiter is asked, which lives as long as the server does, so that no recycled
worker is taken for it. In `gunicorn.conf.py`:

    from envoi import Mailer
    from envoi.integrations.wsgi import ArbiterHooks

    when_ready, on_exit = ArbiterHooks(Mailer.from_file("envoi.toml"))

Under any other server every process says for itself that it begins and ends:

    announce(mailer, grace_s=10)
"""

import atexit
from collections.abc import Callable, Iterator
from typing import TypeAlias

from envoi.mailer import Mailer
from envoi.serving import Server

__all__ = ["ArbiterHooks", "announce"]

# What gunicorn calls with its arbiter.
Hook: TypeAlias = Callable[[object], None]

# A worker that is recycled leaves its place empty for as long as its successor takes to import
# the application.
GRACE_S = 10.0


class ArbiterHooks:
    """The hooks `when_ready` and `on_exit` of gunicorn's arbiter, in this order.

    Args:
        mailer: Its own, beside those of the workers.
        name: Name of the server, where an application has several.
        application: Which application of the outbox speaks.
    """

    def __init__(self, mailer: Mailer, *, name: str = "", application: str = "main") -> None:
        """Say nothing yet."""
        self._server = Server(mailer, name=name, application=application)

    def __iter__(self) -> Iterator[Hook]:
        """Return both, for `when_ready, on_exit = ...`."""
        return iter((self.when_ready, self.on_exit))

    def when_ready(self, server: object) -> None:
        """Say that the server is up."""
        # gunicorn counts a hook's arguments, so this one has a name.
        del server
        self._server.start()

    def on_exit(self, server: object) -> None:
        """Say that the server is down; its mail has 5 seconds, the rest is sent later."""
        del server
        self._server.stop()


def announce(
    mailer: Mailer, *, name: str = "", application: str = "main", grace_s: float = GRACE_S
) -> Server:
    """Say that this process of a server begins, and at its end that it ends in order.

    Args:
        mailer: The process's.
        name: Name of the server, where an application has several.
        application: Which application of the outbox speaks.
        grace_s: How long the place of the last process may be empty before its server is told to
            be down, in seconds. Default 10.
    """
    server = Server(mailer, name=name, application=application, grace_s=grace_s)
    server.start()
    atexit.register(server.stop)
    return server
