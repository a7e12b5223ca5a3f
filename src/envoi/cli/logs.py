"""This room sets up logging for the command line; a library never does that for its host."""

import logging
import sys
from datetime import datetime
from enum import StrEnum

from envoi.journal import escaped


class LogLevel(StrEnum):
    """How much is told on standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Lines(logging.Formatter):
    """One line per fact: local time with zone, level, words."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 # the library's own name
        moment = datetime.fromtimestamp(record.created).astimezone()
        return moment.isoformat(" ", timespec="milliseconds")


def set_up(level: LogLevel) -> None:
    """Send Envoi's log to standard error, from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(levelname)-7s %(message)s"))
    logger = logging.getLogger("envoi")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())


def trace(err: Exception) -> None:
    """Log where an error that nobody foresaw came from; only at level debug."""
    logging.getLogger("envoi").debug("unforeseen", exc_info=err)


def warn(words: object) -> None:
    """Log a warning of the command line's own, such as one about the settings."""
    logging.getLogger("envoi").warning("%s", escaped(words))
