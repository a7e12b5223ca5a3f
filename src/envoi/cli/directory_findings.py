"""This room is the part of `envoi check` about who exists."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from envoi.assembly import Parts
from envoi.cli.call import require_outbox
from envoi.cli.findings import Finding, Level
from envoi.cli.typed import counted
from envoi.core.routing import Question, Selector, SelectorType
from envoi.directory.source import NoTx
from envoi.errors import DirectoryError, OutboxError
from envoi.seams import Directory, Tx

# Whether an administrator has an address is looked up among so many of them.
_LOOKED_AT = 1_000
# How many of those without one are named.
_NAMED = 5


def of_directory(parts: Parts) -> Iterator[Finding]:
    """Say how many users and administrators each application has, and what is missing."""
    try:
        misfits = parts.users_source.misfits() if parts.users_source else ()
        yield from (Finding(Level.WRONG, "directory", str(problem)) for problem in misfits)
        if misfits:
            return
        with _reading(parts) as tx:
            for application in parts.settings.applications:
                yield from _of_application(parts, tx, application)
    except DirectoryError as err:
        said, _, advice = str(err).removesuffix(")").rpartition(" (")
        yield Finding(Level.WRONG, "directory", said, advice)
    except OutboxError:
        return  # what is wrong with the outbox is said of the outbox


@contextmanager
def _reading(parts: Parts) -> Generator[Tx]:
    # People who are kept elsewhere are there without an outbox, and none may be made here.
    if parts.users_source is not None:
        yield NoTx()
        return
    require_outbox(parts.outbox)
    with parts.outbox.reading() as tx:
        yield tx


def _of_application(parts: Parts, tx: Tx, application: str) -> Iterator[Finding]:
    directory = parts.directory(application)
    users = directory.count(tx, _question(SelectorType.EVERYONE))
    admins, reachable, mute = _admins(directory, tx)
    place = parts.users_source.place if parts.users_source else "in the outbox"
    counts = (
        counted(users, "user", "users"),
        counted(admins, "administrator", "administrators"),
        place,
    )
    yield Finding(Level.OK, "directory", f"{application}: {', '.join(counts)}")
    if not reachable and not parts.settings.applications[application].fallback:
        yield Finding(
            Level.WARNING,
            "directory",
            f"{application}: no administrator has a usable address, and application.fallback is "
            "empty: mail whose recipients cannot be determined goes to nobody",
            "give an administrator an address, or name addresses in application.fallback",
        )
    if mute:
        more = f" and {len(mute) - _NAMED} more" if len(mute) > _NAMED else ""
        said = f"{', '.join(mute[:_NAMED])}{more}: no usable address, so no mail for administrators"
        advice = f"envoi user set {mute[0]} email=ADDRESS" if parts.users_source is None else ""
        yield Finding(Level.WARNING, "directory", f"{application}: {said}", advice)


def _admins(directory: Directory, tx: Tx) -> tuple[int, bool, tuple[str, ...]]:
    question = _question(SelectorType.ADMINS)
    candidates = directory.audience(tx, question, limit=_LOOKED_AT).candidates
    is_one_reachable = any(c.person.is_active and c.person.address for c in candidates)
    people = [candidate.person for candidate in candidates]
    mute = tuple(one.label for one in people if one.is_active and not one.address)
    return directory.count(tx, question), is_one_reachable, mute


def _question(selector_type: SelectorType) -> Question:
    return Question(selectors=frozenset({Selector(selector_type)}))
