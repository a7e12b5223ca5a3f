"""A Flask application that fails at `/crash` and shows a page of its own."""

from flask import Flask

from envoi import Mailer
from envoi.integrations.flask import ReportErrors


def create_app() -> Flask:
    """Return the application."""
    app = Flask(__name__)
    mailer = Mailer.from_file()
    mailer.start()
    ReportErrors(app, mailer, release="1.0")

    @app.get("/")
    def index() -> str:
        return "All is well.\n"

    @app.get("/crash")
    def crash() -> str:
        pages_left: dict[str, int] = {}
        return str(pages_left["weekly"])

    @app.errorhandler(500)
    def server_error(_error: Exception) -> tuple[str, int]:
        return "Sorry, that is our fault.\n", 500

    return app
