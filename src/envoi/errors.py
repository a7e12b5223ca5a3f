"""This room draws every error Envoi raises.

An exception means a broken promise: ours, the caller's or the environment's.
What a relay says about a mail is never an exception, it is a value (`core.delivery`).

    EnvoiError
    ├── SettingsError (ValueError)        the settings do not fit; `.problems` lists all of them
    ├── InputError (ValueError)           something typed for us does not fit; names field and fix
    │   ├── AddressError                  not a usable e-mail address
    │   └── EventError                    an event that its kind's schema refuses
    │       └── UnknownKindError (LookupError)
    ├── NotFoundError (LookupError)       a delivery, user, group or sender that does not exist
    ├── TemplateError                     a template that cannot be loaded or rendered
    ├── RefusedError                      an operation that the present state does not allow
    ├── DirectoryError                    a directory outside the outbox cannot be asked who exists
    └── OutboxError                       the durable store cannot do what was asked
        ├── OutboxUnavailableError        not reachable, locked, full or read-only; try again later
        ├── SchemaError                   tables older or newer than this code
        └── NotStoredError                `notify(strict=True)` could not store the event
"""

from envoi.core.problem import Problem


class EnvoiError(Exception):
    """Base of everything that Envoi raises on purpose."""


class SettingsError(EnvoiError, ValueError):
    """The settings do not fit; every problem is listed, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep the problems for callers that print them one by one."""
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class InputError(EnvoiError, ValueError):
    """Something typed for us (API, CLI, form, call) does not fit."""


class AddressError(InputError):
    """The text is not an e-mail address that Envoi would hand to a relay."""


class EventError(InputError):
    """The event's facts do not fit the schema of its kind."""


class UnknownKindError(EventError, LookupError):
    """No kind of this name is registered."""


class NotFoundError(EnvoiError, LookupError):
    """A named delivery, event, user, group, kind or sender does not exist."""


class TemplateError(EnvoiError):
    """A template is missing, does not parse or does not render."""


class RefusedError(EnvoiError):
    """The present state does not allow the operation; the message says why and what would."""


class DirectoryError(EnvoiError):
    """Another system's directory cannot be asked who exists; says what to do about it."""


class OutboxError(EnvoiError):
    """The durable store cannot do what was asked."""


class OutboxUnavailableError(OutboxError):
    """The database cannot be reached or written at the moment."""


class SchemaError(OutboxError):
    """The tables are older or newer than this version of Envoi."""


class NotStoredError(OutboxError):
    """A strict `notify` could not store the event; nothing was written."""
