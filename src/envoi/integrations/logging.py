"""This room reports what an application logs as an error, and what nothing caught at all."""

import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from envoi.mailer import Mailer


class LoggedError(Exception):
    """Something that was logged as an error without an exception."""


class ReportHandler(logging.Handler):
    """A log handler that reports records of errors; Envoi's own records never.

    Args:
        mailer: Tells `errors.to`.
        release: Version of the application.
        level: Records below it are left to other handlers. Default `logging.ERROR`.
    """

    def __init__(self, mailer: Mailer, *, release: str = "", level: int = logging.ERROR) -> None:
        """Hold what was given."""
        super().__init__(level)
        self._mailer = mailer
        self._release = release

    def emit(self, record: logging.LogRecord) -> None:
        """Report one record; one exception is reported once, whoever logs it again."""
        if record.name == "envoi" or record.name.startswith("envoi."):
            return
        try:
            error = record.exc_info[1] if record.exc_info else None
            error = error or LoggedError(f"{record.name}: {record.getMessage()}")
            self._mailer.report(error, release=self._release)
        except Exception:  # noqa: BLE001 # what was logged may not fit its own words
            self.handleError(record)


def report_uncaught(mailer: Mailer, *, release: str = "") -> Callable[[], None]:
    """Report what ends the process or one of its threads, beside what happens to it anyway.

    Args:
        mailer: Tells `errors.to`.
        release: Version of the application.

    Returns:
        What takes it back.
    """
    before, before_in_threads = sys.excepthook, threading.excepthook

    def in_process(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if issubclass(kind, Exception):
            mailer.report(error, release=release)
        before(kind, error, traceback)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and issubclass(args.exc_type, Exception):
            mailer.report(args.exc_value, release=release)
        before_in_threads(args)

    def take_back() -> None:
        sys.excepthook, threading.excepthook = before, before_in_threads

    sys.excepthook, threading.excepthook = in_process, in_thread
    return take_back
