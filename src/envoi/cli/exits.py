"""This room names the exit codes: what a script learns without reading a word."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; the numbers are public and never change their meaning."""

    OK = 0  # everything asked for was done
    FAILED = 1  # it was tried and did not work, or the present state does not allow it
    USAGE = 2  # wrong options, settings or input; what did not fit is on standard error
    NOT_FOUND = 3  # a named event, delivery, user, group, kind or sender does not exist
    OUTBOX = 4  # the outbox cannot be reached, or its tables do not fit this version
    STILL_GOING = 5  # the time to wait was over first; what was asked for goes on
    NO_CONTENT = 12  # a broadcast without recipients or without words
    NOT_TAKEN = 13  # a broadcast that is refused: permission, sender or subject
    INTERRUPTED = 130  # Ctrl-C
    PIPE_CLOSED = 141  # whoever read the output went away


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "Everything asked for was done.",
    ExitCode.FAILED: "It was tried and did not work, or the present state does not allow it.",
    ExitCode.USAGE: "Wrong options, settings or input; standard error says what did not fit.",
    ExitCode.NOT_FOUND: "A named event, delivery, user, group, kind or sender does not exist.",
    ExitCode.OUTBOX: "The outbox cannot be reached, or its tables do not fit this version.",
    ExitCode.STILL_GOING: "The time to wait was over first; what was asked for goes on.",
    ExitCode.NO_CONTENT: "A broadcast names no recipients or has no words.",
    ExitCode.NOT_TAKEN: "A broadcast is refused: no permission, no sender or no subject.",
    ExitCode.INTERRUPTED: "Interrupted with Ctrl-C.",
    ExitCode.PIPE_CLOSED: "Whoever read the output closed it.",
}
