"""This room makes the one mailer of a Django process, by what Django's settings say."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from envoi.core.problem import Problem
from envoi.errors import SettingsError
from envoi.integrations.django.toolkit import app_config
from envoi.mailer import Mailer
from envoi.settings import Settings, from_mapping, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envoi.integrations.django.apps import EnvoiConfig

LABEL = "envoi"
TABLES, FILE = "ENVOI", "ENVOI_CONFIG"


def mailer() -> Mailer:
    """Return the process's mailer; `mailer().start()` in `wsgi.py` lets this process deliver.

    Raises:
        LookupError: `envoi.integrations.django` is not among the `INSTALLED_APPS`.
    """
    return cast("EnvoiConfig", app_config(LABEL)).mailer


def settings_of(django: object) -> Settings:
    """Return the settings that Django's name: the tables `ENVOI`, the file `ENVOI_CONFIG`, or none.

    Args:
        django: Django's settings. Relative paths start at their `BASE_DIR`, where there is one.

    Raises:
        SettingsError: Lists everything that does not fit.
    """
    folder = Path(cast("str | Path", getattr(django, "BASE_DIR", Path.cwd())))
    tables = cast("Mapping[str, object] | None", getattr(django, TABLES, None))
    path = cast("str | Path | None", getattr(django, FILE, None))
    if tables is not None and path is not None:
        expected = f"either tables in {TABLES} or a file in {FILE}"
        raise SettingsError((Problem(where=TABLES, expected=expected, got="both"),))
    if tables is not None:
        return from_mapping(tables, folder, os.environ)
    return load(folder / path if path else None, os.environ)
