"""This room reports what a Django project raises or logs as an error; its own 500 page is shown.

With `"envoi.integrations.django"` in `INSTALLED_APPS` and `errors.to` set there is nothing to do.
Who names his log handlers himself puts `"envoi.integrations.django.errors.ErrorHandler"` where
`"django.utils.log.AdminEmailHandler"` stood; it is then the only one. With `DEBUG` nothing is told.
"""

import logging
import sys
from inspect import CO_COROUTINE
from types import FrameType
from typing import TYPE_CHECKING, cast

from envoi.integrations.django.process import mailer
from envoi.integrations.django.sightings import request_of
from envoi.integrations.django.toolkit import (
    ASYNC_MARKS,
    REQUEST_EXCEPTION,
    REQUEST_STARTED,
    setting,
)
from envoi.integrations.logging import LoggedError
from envoi.mailer import Mailer

if TYPE_CHECKING:
    from collections.abc import Callable

# Where Django hangs its own handler: requests, security, templates and databases say so here.
LOGGER = "django"
_MARK = "sensitive_variables_wrapper"


class ErrorHandler(logging.Handler):
    """A log handler that reports errors with their requests, in place of `AdminEmailHandler`."""

    def __init__(self, level: int = logging.ERROR) -> None:
        """Take errors alone."""
        super().__init__(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Report one record, unless its exception was reported just now."""
        if setting("DEBUG") or record.name.partition(".")[0] == "envoi":
            return
        try:
            error = record.exc_info[1] if record.exc_info else None
            error = error or LoggedError(f"{record.name}: {record.getMessage()}")
            _report(mailer(), error, getattr(record, "request", None))
        except Exception:  # noqa: BLE001 # what was logged may not fit its own words
            self.handleError(record)


def listen(mailer: Mailer) -> None:
    """Report what requests raise, whether it is logged or not, and what Django logs as an error."""

    def raised(request: object = None, **_more: object) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not setting("DEBUG"):
            _report(mailer, error, request)

    REQUEST_EXCEPTION.connect(raised, weak=False, dispatch_uid=LOGGER)
    mailer.hide_variables(is_sensitive)
    if mailer.parts.settings.errors.to and not _is_attached():
        _attach(ErrorHandler())


def _attach(ours: ErrorHandler) -> None:
    """Hear what Django logs, for good: a second `django.setup()` takes all handlers away."""
    logger = logging.getLogger(LOGGER)
    logger.addHandler(ours)

    def attached(**_: object) -> None:
        if ours not in logger.handlers and not _is_attached():
            logger.addHandler(ours)

    REQUEST_STARTED.connect(attached, weak=False, dispatch_uid=LOGGER)


def is_sensitive(frame: FrameType, name: str) -> bool:
    """Whether Django's `sensitive_variables` names this variable of the call, or all of them."""
    marked = _marked(frame)
    return marked is not None and (marked == "__ALL__" or name in marked)


def _report(mailer: Mailer, error: BaseException, request: object) -> None:
    release = str(setting("ENVOI_RELEASE") or "")
    mailer.report(error, request_of(request) if request is not None else None, release=release)


def _marked(frame: FrameType) -> "str | tuple[str, ...] | None":
    code = frame.f_code
    if code.co_flags & CO_COROUTINE and code.co_name != _MARK:
        # A coroutine does not know who called it: Django keeps the marks of these by their place.
        known = ASYNC_MARKS.get(hash(f"{code.co_filename}:{code.co_firstlineno}"))
        if known is not None:
            return known
    above = frame.f_back
    while above is not None:
        if above.f_code.co_name == _MARK and _MARK in above.f_locals:
            wrapper = cast("Callable[..., object]", above.f_locals[_MARK])
            found = getattr(wrapper, "sensitive_variables", None)
            return cast("str | tuple[str, ...] | None", found)
        above = above.f_back
    return None


def _is_attached() -> bool:
    known = logging.root.manager.loggerDict.values()
    loggers = [logging.root, *(one for one in known if isinstance(one, logging.Logger))]
    return any(isinstance(handler, ErrorHandler) for one in loggers for handler in one.handlers)
