"""This room is the Django site that the peers of Django run in: one SQLite file, synced writes."""

from pathlib import Path

# As Django's documentation recommends for SQLite beside other writers; FULL syncs every commit.
_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"


def set_up(folder: Path, port: int, *, app: str, **settings: object) -> None:
    """Configure Django with one application and make its tables.

    Args:
        folder: Gets the database.
        port: Of the relay.
        app: The application's dotted name.
        settings: What else it is set up with.
    """
    import django
    from django.conf import settings as configured
    from django.core.management import call_command

    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": folder / "site.db",
        "OPTIONS": {"init_command": _PRAGMAS, "transaction_mode": "IMMEDIATE", "timeout": 20},
    }
    configured.configure(
        SECRET_KEY="measured, not deployed",
        INSTALLED_APPS=["django.contrib.contenttypes", app],
        DATABASES={"default": database},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        **settings,
    )
    django.setup()
    call_command("migrate", verbosity=0)
