"""A Flask application with a mailer of its own per application object.

Run it with `ENVOI_CONFIG=envoi.toml flask --app examples.flask_app run`.
"""

from flask import Flask, request

from envoi import Event, Mailer


def create_app() -> Flask:
    """Return the application; each process delivers what it hands over."""
    app = Flask(__name__)
    mailer = Mailer.from_file()
    mailer.start()
    app.extensions["envoi"] = mailer

    @app.post("/comment")
    def comment() -> tuple[dict[str, object], int]:
        event = Event(
            kind="message",
            people={"recipients": ("ann",)},
            facts={"title": "New comment", "body": request.form["comment"]},
        )
        receipt = mailer.notify(event)
        return {"stored": receipt.stored, "deliveries": receipt.deliveries}, 201

    return app
