"""This room tells a Django project at its start what it set and will not get."""

import logging
from collections.abc import Iterator
from typing import cast

from envoi.integrations.django.toolkit import Warned, setting, warned
from envoi.mailer import Mailer

LINKS = "envoi.integrations.django.links.report_broken_links"


def check(mailer: Mailer) -> list[Warned]:
    """Return what is said at the start, as Django's own checks say it."""
    return list(_found(mailer))


def _found(mailer: Mailer) -> Iterator[Warned]:
    errors = mailer.parts.settings.errors
    middleware = cast("list[str]", setting("MIDDLEWARE") or [])
    if errors.not_found and LINKS not in middleware:
        yield warned(
            "errors.not_found is true, and nothing looks for broken links",
            f'put "{LINKS}" at the top of MIDDLEWARE',
            "envoi.W001",
        )
    if errors.to and setting("ADMINS") and _has_mail_handler():
        yield warned(
            "each error is mailed twice: by Envoi and by Django's AdminEmailHandler",
            'put "envoi.integrations.django.errors.ErrorHandler" in its place in LOGGING, '
            "or leave ADMINS empty",
            "envoi.W002",
        )


def _has_mail_handler() -> bool:
    names = ("", *logging.root.manager.loggerDict)
    handlers = (handler for name in names for handler in logging.getLogger(name).handlers)
    return any(type(handler).__name__ == "AdminEmailHandler" for handler in handlers)
