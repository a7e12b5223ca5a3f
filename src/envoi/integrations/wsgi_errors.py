"""This room reports what a WSGI application raises; the application answers as it always did.

Where `errors.not_found` asks for it, pages that it does not have (404) are counted too.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, cast

from envoi.integrations.bodies import Kept, keep_body
from envoi.integrations.requests import of_environ, user_by
from envoi.mailer import Mailer

Environ: TypeAlias = dict[str, Any]
App: TypeAlias = Callable[[Environ, Any], Iterable[bytes]]
NOT_FOUND = "404"


def remote_user(environ: Environ) -> str:
    """Return who signed in, as a server says it."""
    return str(environ.get("REMOTE_USER") or "")


class ReportErrors:
    """A WSGI application that reports what another one raises, and raises it again.

    Args:
        app: The application.
        mailer: Tells `errors.to`.
        release: Version of the application.
        user_of: Who is signed in, by the environment.
    """

    def __init__(
        self,
        app: App,
        mailer: Mailer,
        *,
        release: str = "",
        user_of: Callable[[Environ], str] = remote_user,
    ) -> None:
        """Hold what was given."""
        self._app = app
        self._mailer = mailer
        self._release = release
        self._user_of = user_of

    def __call__(self, environ: Environ, start_response: Callable[..., object]) -> Iterable[bytes]:
        """Answer one request."""
        errors = self._mailer.parts.settings.errors
        if errors.not_found:
            start_response = self._watching(environ, start_response)
        kept = keep_body(environ, errors.dump_request_size if errors.dump_request else 0)
        try:
            answer = self._app(environ, start_response)
        except Exception as err:
            self._report(err, environ, kept)
            raise
        if type(answer) in {list, tuple}:
            return answer  # nothing runs any more; and a server may ask how long it is
        return _Watched(answer, lambda err: self._report(err, environ, kept))

    def _watching(
        self, environ: Environ, start_response: Callable[..., object]
    ) -> Callable[..., object]:
        def begin(status: str, *more: object) -> object:
            if status.startswith(NOT_FOUND):
                self._mailer.not_found(of_environ(environ))
            return start_response(status, *more)

        return begin

    def _report(self, error: Exception, environ: Environ, kept: Kept | None) -> None:
        user = user_by(self._user_of, environ)
        request = of_environ(environ, user, kept.body if kept else b"")
        self._mailer.report(error, request, release=self._release)


class _Watched:
    """An answer that may still raise while it is written."""

    def __init__(self, answer: Iterable[bytes], report: Callable[[Exception], None]) -> None:
        self._answer = answer
        self._report = report

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer
        except Exception as err:
            self._report(err)
            raise

    def close(self) -> None:
        """End the answer, as PEP 3333 wants it of whoever has one to end."""
        end = getattr(self._answer, "close", None)
        if end is not None:
            cast("Callable[[], None]", end)()
