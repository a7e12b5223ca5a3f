"""This room opens the users and groups that a command shows or changes, whoever keeps them."""

from collections.abc import Generator
from contextlib import contextmanager

import typer

from envoi.assembly import Parts
from envoi.cli.call import call_of, known_application
from envoi.directory.roster import OwnRoster, Roster
from envoi.errors import RefusedError
from envoi.seams import Tx


@contextmanager
def looking(ctx: typer.Context, application: str) -> Generator[Roster]:
    """Open the users of an application to be looked at.

    Raises:
        DirectoryError: Another system keeps them, and it cannot be asked.
    """
    with call_of(ctx).mailer() as mailer, mailer.parts.outbox.reading() as tx:
        known_application(mailer.parts.settings, application)
        with roster_of(mailer.parts, tx, application) as roster:
            yield roster


@contextmanager
def roster_of(parts: Parts, tx: Tx, application: str) -> Generator[Roster]:
    """Open the users of an application beside what else is read from the outbox.

    Raises:
        DirectoryError: Another system keeps them, and it cannot be asked.
    """
    if parts.users_source is None:
        yield OwnRoster(tx, application)
        return
    with parts.users_source.roster(tx) as roster:
        yield roster


def require_own(parts: Parts) -> None:
    """Refuse to change users and groups that another system keeps.

    Raises:
        RefusedError: It keeps them; says where.
    """
    if parts.users_source is not None:
        raise RefusedError(
            f"users and groups come read-only from {parts.users_source.place} "
            f'(directory.kind = "{parts.settings.directory.kind}"): change them there'
        )
