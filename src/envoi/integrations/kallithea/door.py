"""This room is where mail leaves Kallithea's process: into the outbox, or into the spool.

The outbox needs SQLAlchemy 2 and what else Envoi depends on. Kallithea 0.7 cannot stand beside
them, so in its environment mail is written down as files, and a worker in another environment
takes them in. The worker then finds who answers for mail without recipients, holds what no relay
is configured for, and says so in its log.
"""

from functools import partial
from typing import TYPE_CHECKING, Protocol

from envoi import forms
from envoi.assembly import Parts
from envoi.core.problem import Problem
from envoi.core.ready import READY_KIND, ReadyMail
from envoi.errors import InputError, OutboxUnavailableError, SettingsError
from envoi.integrations.kallithea.transaction import after_commit
from envoi.journal import Fact, Journal
from envoi.mailer import Mailer
from envoi.outbox.spool import Spool
from envoi.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NEEDED = 2


class Door(Protocol):
    """Takes checked mail and keeps it."""

    def take(self, mail: ReadyMail, session: "Session | None") -> None:
        """Keep a mail.

        Args:
            mail: Checked.
            session: Its commit decides whether the mail exists; None: it exists now.
        """
        ...

    def start(self) -> None:
        """Deliver from this process too."""
        ...

    def close(self) -> None:
        """Stop delivering and close what is open."""
        ...


class OutboxDoor:
    """The outbox itself: within the session's transaction where it is in the same database.

    Args:
        mailer: Its parts belong to nobody else.
    """

    def __init__(self, mailer: Mailer) -> None:
        """Open nothing yet."""
        self._mailer = mailer

    def take(self, mail: ReadyMail, session: "Session | None") -> None:
        """Store a mail, with the session's changes or right after their commit."""
        try:
            self._mailer.send(mail, session)
        except InputError:
            # A session that is bound to its tables names no database that could be ours.
            if session is None:
                raise
            after_commit(session, partial(self._mailer.send, mail))

    def start(self) -> None:
        """Begin a worker thread, after the last fork."""
        self._mailer.start()

    def close(self) -> None:
        """Stop the worker and close the database."""
        self._mailer.close()


class SpoolDoor:
    """The spool folder, for an environment that cannot open the outbox.

    Args:
        spool: The folder of the settings.
        journal: Told of each mail.
    """

    def __init__(self, spool: Spool, journal: Journal) -> None:
        """Make no folder yet."""
        self._spool = spool
        self._journal = journal

    def take(self, mail: ReadyMail, session: "Session | None") -> None:
        """Write a mail down now or right after the session's commit."""
        if session is None:
            self._keep(mail)
        else:
            after_commit(session, partial(self._keep, mail))

    def start(self) -> None:
        """Refuse.

        Raises:
            SettingsError: Always.
        """
        problem = Problem(
            where="deliver",
            expected=f"an environment with SQLAlchemy {NEEDED} and the rest of what Envoi needs",
            got="one without",
            hint="leave `deliver` out, and run `envoi work` in an environment of its own",
        )
        raise SettingsError((problem,))

    def close(self) -> None:
        """Nothing is open between two mails."""

    def _keep(self, mail: ReadyMail) -> None:
        # May run inside the caller's commit, where an error would look like a failed commit.
        try:
            path = self._spool.keep({"mail": forms.mail_form(mail)})
        except OutboxUnavailableError as err:
            self._journal.note(
                Fact.EVENT_NOT_STORED,
                kind=READY_KIND,
                because=err,
                facts=repr(mail.shown_subject),
            )
        else:
            self._journal.note(Fact.MAIL_SPOOLED, subject=mail.shown_subject, path=path)


def open_door(settings: Settings, journal: Journal) -> Door:
    """Return the outbox where this environment can open it, else the spool."""
    if _has_sqlalchemy():
        try:
            return OutboxDoor(Mailer(Parts(settings, journal)))
        except ImportError:
            pass  # Envoi was installed without its dependencies, on purpose
    outbox = settings.outbox
    return SpoolDoor(Spool(outbox.spool, max_bytes=outbox.spool_max_mb * 1024 * 1024), journal)


def _has_sqlalchemy() -> bool:
    try:
        import sqlalchemy  # noqa: PLC0415 # the host's, which may be too old or missing
    except ImportError:
        return False
    return int(sqlalchemy.__version__.partition(".")[0]) >= NEEDED
