"""This room turns errors into lines for a person and an exit code for a script."""

from envoi.cli.exits import ExitCode
from envoi.errors import (
    EnvoiError,
    InputError,
    NotFoundError,
    NotStoredError,
    OutboxError,
    SettingsError,
    UnknownKindError,
)

# The first class that fits decides; an unknown kind is a wrong input too, so the order matters.
_CODES: tuple[tuple[type[EnvoiError], ExitCode], ...] = (
    (UnknownKindError, ExitCode.NOT_FOUND),
    (NotFoundError, ExitCode.NOT_FOUND),
    (SettingsError, ExitCode.USAGE),
    (InputError, ExitCode.USAGE),
    (OutboxError, ExitCode.OUTBOX),
)


def code_of(err: EnvoiError) -> ExitCode:
    """Return the exit code that an error means.

    >>> code_of(NotFoundError("user: nobody is called 'x'"))
    <ExitCode.NOT_FOUND: 3>
    """
    if isinstance(err, NotStoredError) and not isinstance(err.__cause__, OutboxError):
        return ExitCode.FAILED
    for error, code in _CODES:
        if isinstance(err, error):
            return code
    return ExitCode.FAILED


def lines_of(err: EnvoiError) -> tuple[str, ...]:
    r"""Return the lines to print, the first one beginning with `error:`.

    >>> lines_of(InputError("to: expected one\nsubject: expected one"))
    ('error: 2 things do not fit', '  to: expected one', '  subject: expected one')
    """
    lines = [line for line in str(err).split("\n") if line]
    if len(lines) <= 1:
        return (f"error: {lines[0] if lines else type(err).__name__}",)
    return (f"error: {len(lines)} things do not fit", *(f"  {line}" for line in lines))
