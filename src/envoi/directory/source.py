"""This room offers the users that another system keeps: to routing, to operators, to `check`."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from envoi.core.people import Address
from envoi.core.problem import Problem
from envoi.core.routing import Audience, Question
from envoi.directory.foreign import ForeignDatabase
from envoi.directory.foreign_roster import ForeignRoster
from envoi.directory.merging import count_of, page_of
from envoi.directory.records import person_id
from envoi.directory.roster import Roster
from envoi.directory.tables import ListedTables, Tables
from envoi.seams import Params, Row, Tx


def _none() -> tuple[Problem, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where another system keeps its users.

    Args:
        place: Its address, without a password.
        reading: Opens them for one question; may do so in the transaction it is given.
        close: Closes every connection; a later use opens new ones.
        misfits: Asks it what of the settings does not fit it; raises `DirectoryError` when it
            cannot be asked.
    """

    place: str
    reading: Callable[[Tx], AbstractContextManager[ListedTables]]
    close: Callable[[], None]
    misfits: Callable[[], tuple[Problem, ...]] = _none

    def directory(self, admin_addresses: tuple[Address, ...] = ()) -> "ForeignDirectory":
        """Return the directory that the users are."""
        return ForeignDirectory(self.reading, admin_addresses)

    @contextmanager
    def roster(self, tx: Tx) -> Generator[Roster]:
        """Open the users and groups to be looked at.

        Raises:
            DirectoryError: They cannot be reached or read; `tx` stays usable.
        """
        with self.reading(tx) as tables:
            yield ForeignRoster(tables)


def source_of(
    database: ForeignDatabase,
    tables: Callable[[Tx], ListedTables],
    misfits: Callable[[], tuple[Problem, ...]] = _none,
) -> Source:
    """Return the source that tables of a database are.

    Args:
        database: Where they are.
        tables: Makes them of a transaction.
        misfits: As in `Source`.
    """

    @contextmanager
    def reading(tx: Tx) -> Generator[ListedTables]:
        with database.reading(tx) as theirs:
            yield tables(theirs)

    return Source(place=database.place, reading=reading, close=database.close, misfits=misfits)


class NoTx:
    """Stands for the transaction of an outbox where there is none; a `seams.Tx`."""

    dialect = "none"

    def execute(self, sql: str, params: Params) -> Sequence[Row]:
        """Refuse: there is nothing to ask."""
        raise NotImplementedError(f"asked an outbox that is not there: {sql} {sorted(params)}")

    def execute_many(self, sql: str, params: Sequence[Params]) -> None:
        """Refuse: there is nowhere to write."""
        raise NotImplementedError(f"asked an outbox that is not there: {sql} {len(params)}")


@dataclass(frozen=True, slots=True)
class ForeignDirectory:
    """The directory that another system's users are; a `seams.Directory`.

    Args:
        reading: Opens them for one question; may do so in the transaction it is given.
        admin_addresses: Plain addresses that the selector `admins` finds besides.
    """

    reading: Callable[[Tx], AbstractContextManager[Tables]]
    admin_addresses: tuple[Address, ...] = ()

    def count(self, tx: Tx, question: Question) -> int:
        """Return an upper bound of the people that the question finds, without loading them."""
        with self.reading(tx) as tables:
            return count_of(tables, question, self.admin_addresses)

    def audience(self, tx: Tx, question: Question, *, after: str = "", limit: int) -> Audience:
        """Return the next people that the question finds, each once, by ascending person id.

        Args:
            tx: The transaction that the mail is stored in.
            question: Who is looked for.
            after: Person id of the last one already had; empty for the first page.
            limit: How many at most, from 1.

        Raises:
            DirectoryError: They cannot be reached or read; `tx` stays usable.
        """
        with self.reading(tx) as tables:
            return page_of(tables, question, self.admin_addresses, after=after, limit=limit)

    def newest(self, tx: Tx) -> str:
        """Return the person id behind which nobody is yet; whoever comes will be."""
        with self.reading(tx) as tables:
            return person_id(tables.newest())

    def user_numbered(self, tx: Tx, number: int) -> str:
        """Return the login of the user with this number; empty when there is none."""
        with self.reading(tx) as tables:
            found = tables.people([number]).get(number)
        return found.login if found else ""

    def group_numbered(self, tx: Tx, number: int) -> str:
        """Return the name of the group with this number; empty when there is none."""
        with self.reading(tx) as tables:
            return tables.group_name(number)
