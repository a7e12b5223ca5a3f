"""This room reports what a Flask application raises; the visitor gets the application's own page.

    ReportErrors(app, Mailer.from_file())

Flask turns an error into an answer itself, so it is heard of by Flask's signal. With `app.debug`
nothing is told.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from flask import Flask, Response, got_request_exception, has_request_context, request
from werkzeug.wrappers import Request as FlaskRequest

from envoi.core.incident import Request
from envoi.integrations.requests import of_environ, user_by
from envoi.mailer import Mailer

NOT_FOUND = 404
EXTENSION = "envoi_errors"


def remote_user(request: FlaskRequest) -> str:
    """Return who signed in, as a server says it."""
    return request.remote_user or ""


class ReportErrors:
    """An extension of Flask.

    Args:
        app: The application; None where `init_app` is called later.
        mailer: Tells `errors.to`; None likewise.
        release: Version of the application.
        user_of: Who is signed in, by the request.
    """

    def __init__(
        self,
        app: Flask | None = None,
        mailer: Mailer | None = None,
        *,
        release: str = "",
        user_of: Callable[[FlaskRequest], str] = remote_user,
    ) -> None:
        """Hold what was given; with both, begin."""
        self._release = release
        self._user_of = user_of
        if app is not None and mailer is not None:
            self.init_app(app, mailer)

    def init_app(self, app: Flask, mailer: Mailer) -> None:
        """Report what an application raises, and with `errors.not_found` what it has not."""

        def raised(_sender: object, exception: BaseException, **_more: object) -> None:
            if isinstance(exception, Exception) and not app.debug:
                mailer.report(exception, self._request(), release=self._release)

        def answered(response: Response) -> Response:
            if response.status_code == NOT_FOUND and not app.debug:
                mailer.not_found(of_environ(request.environ))
            return response

        # The signal holds its receivers weakly, and the application holds its extensions.
        app.extensions[EXTENSION] = raised
        got_request_exception.connect(raised, app)
        if mailer.parts.settings.errors.not_found:
            app.after_request(answered)

    def _request(self) -> Request | None:
        if not has_request_context():
            return None
        asked = of_environ(request.environ, user_by(self._user_of, request))
        return replace(asked, form=tuple(_read_fields(request)))


def _read_fields(request: FlaskRequest) -> Iterator[tuple[str, str]]:
    # Only what the application has read: a body that it has not may still be on its way.
    read = vars(request)
    if "form" in read:
        yield from request.form.items(multi=True)
    if "files" in read:
        for name, file in request.files.items(multi=True):
            yield name, f"<file {file.filename}, {file.content_type}>"
