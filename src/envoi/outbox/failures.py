"""This room turns what a driver raises into Envoi's errors, with what to do about it."""

from envoi.errors import EnvoiError, OutboxError, OutboxUnavailableError, SchemaError

# SQLSTATEs of tables or columns that are not there (PostgreSQL, appendix A).
_MISSING_STATES = frozenset({"42P01", "42703", "3F000"})
# Drivers that carry no SQLSTATE say it in words.
_MISSING_WORDS = ("no such table", "no such column", "has no column named")
# What the words of an engine mean for the person who must repair it.
_ADVICE = (
    ("locked", "another process writes; try again"),
    ("full", "free space on the disk of the outbox"),
    ("readonly", "the file or its folder is not writable for this user"),
    ("read-only", "the database takes no writes at the moment"),
    ("unable to open", "check that the folder exists and is writable for this user"),
    ("malformed", "the file is damaged: stop, keep it, and restore a backup"),
    ("not a database", "the file is no SQLite database: check outbox.url"),
    ("disk i/o error", "the disk failed: stop, and check it before anything else"),
    ("password", "check user and password in outbox.url"),
    ("does not exist", "check the names in outbox.url"),
)
# What a server says that was a primary and takes no writes any more.
_READ_ONLY_STATE = "25006"
# Not the statement is wrong: the server is another's now, or ended a transaction that slept.
_TEMPORARY_STATES = frozenset({_READ_ONLY_STATE, "25P03"})
_TEMPORARY = frozenset({"OperationalError", "InterfaceError", "TimeoutError", "DatabaseError"})
_DBAPI_NAMES = _TEMPORARY | {
    "DataError", "IntegrityError", "InternalError", "NotSupportedError", "ProgrammingError",
}  # fmt: skip
MAX_WORDS = 300


def refused(err: Exception) -> EnvoiError:
    """Return the error of ours that stands for a driver's or a toolkit's.

    Statement and parameters stay out of the message: they may hold a reader's words.
    """
    cause = _cause_of(err)
    words = " ".join(str(cause).split())[:MAX_WORDS]
    state = _state_of(cause)
    if state in _MISSING_STATES or any(word in words for word in _MISSING_WORDS):
        return SchemaError(
            f"the outbox's tables do not fit this Envoi ({words}): run `envoi db upgrade`"
        )
    if _family(err) in _TEMPORARY or state in _TEMPORARY_STATES:
        return OutboxUnavailableError(f"the outbox cannot be used: {words}{_advice(words)}")
    return OutboxError(f"the outbox refused: {type(cause).__name__}: {words}")


def is_demoted(err: Exception) -> bool:
    """Whether the server takes no writes: another one may have been promoted in its place."""
    first = err.__cause__ if isinstance(err, OutboxError) else err
    return isinstance(first, Exception) and _state_of(_cause_of(first)) == _READ_ONLY_STATE


def _cause_of(err: Exception) -> BaseException:
    return getattr(err, "orig", None) or err.__cause__ or err


def _family(err: Exception) -> str:
    # Drivers have subclasses of their own for each SQLSTATE; DB-API's name stands above them.
    return next((one.__name__ for one in type(err).__mro__ if one.__name__ in _DBAPI_NAMES), "")


def _state_of(cause: BaseException) -> object:
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def _advice(words: str) -> str:
    lowered = words.lower()
    return next((f" ({advice})" for word, advice in _ADVICE if word in lowered), "")
