"""This room asks our own tables who could care about an event."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from envoi.core.people import Address, Person
from envoi.core.routing import Audience, Question
from envoi.directory import numbered, statements
from envoi.directory.merging import count_of, page_of
from envoi.directory.records import person_id
from envoi.directory.tables import Holder
from envoi.directory.typed import address_key, login_key
from envoi.seams import Row, Tx


@dataclass(frozen=True, slots=True)
class OwnDirectory:
    """The directory of one application in our own tables; a `seams.Directory`.

    Args:
        application: Whose users it knows.
        admin_addresses: Plain addresses that the selector `admins` finds besides the users with
            the flag. One that a user registered stands for that user.
    """

    application: str = "main"
    admin_addresses: tuple[Address, ...] = ()

    def count(self, tx: Tx, question: Question) -> int:
        """Return an upper bound of the people that the question finds, without loading them."""
        return count_of(OwnTables(tx, self.application), question, self.admin_addresses)

    def audience(self, tx: Tx, question: Question, *, after: str = "", limit: int) -> Audience:
        """Return the next people that the question finds, each once, by ascending person id.

        Args:
            tx: Where to read.
            question: Who is looked for.
            after: Person id of the last one already had; empty for the first page.
            limit: How many at most, from 1.
        """
        tables = OwnTables(tx, self.application)
        return page_of(tables, question, self.admin_addresses, after=after, limit=limit)

    def newest(self, tx: Tx) -> str:
        """Return the person id behind which nobody is yet."""
        return person_id(OwnTables(tx, self.application).newest())

    def user_numbered(self, tx: Tx, number: int) -> str:
        """Return the login of the user with this number; empty when there is none."""
        return numbered.login_of(tx, self.application, number)

    def group_numbered(self, tx: Tx, number: int) -> str:
        """Return the name of the group with this number; empty when there is none."""
        return OwnTables(tx, self.application).group_name(number)


@dataclass(frozen=True, slots=True)
class OwnTables:
    """Our own tables within a transaction, as `tables.Tables` asks for them."""

    tx: Tx
    application: str

    def everyone(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users by id."""
        return statements.ids_of_everyone(self.tx, self.application, after, limit)

    def admins(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users with the admin flag by id."""
        return statements.ids_of_admins(self.tx, self.application, after, limit)

    def members(self, group_id: int, after: int, limit: int) -> Sequence[int]:
        """Return the next members of a group by id."""
        return statements.ids_of_members(self.tx, group_id, after, limit)

    def count_everyone(self) -> int:
        """Return how many users there are."""
        return statements.count_everyone(self.tx, self.application)

    def count_admins(self) -> int:
        """Return how many users have the admin flag."""
        return statements.count_admins(self.tx, self.application)

    def count_members(self, group_ids: Collection[int]) -> int:
        """Return how many memberships these groups have together."""
        return statements.count_members(self.tx, group_ids)

    def peopled(self, group_ids: Collection[int]) -> Collection[int]:
        """Return those of the groups that have a member."""
        return statements.peopled_groups(self.tx, group_ids)

    def groups(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the group behind each name, by its key."""
        return statements.group_ids(self.tx, self.application, map(login_key, names))

    def by_login(self, logins: Collection[str]) -> Mapping[str, int]:
        """Return the user behind each login, by its key."""
        return statements.ids_by_login(self.tx, self.application, map(login_key, logins))

    def by_address(self, addresses: Collection[Address]) -> Mapping[str, Sequence[Holder]]:
        """Return who registered each address, by its key."""
        keys = map(address_key, addresses)
        found = statements.holders_by_address(self.tx, self.application, keys)
        return {
            key: [Holder(user_id, stored_address(text)) for user_id, text in holders]
            for key, holders in found.items()
        }

    def people(self, ids: Sequence[int]) -> Mapping[int, Person]:
        """Return the users with these ids, ascending, that exist."""
        rows = statements.people_rows(self.tx, ids)
        return {statements.number(user[0]): _person(user, primary) for user, primary in rows}

    def newest(self) -> int:
        """Return the greatest user id there is; 0 when there is none."""
        return numbered.newest_id(self.tx)

    def group_name(self, group_id: int) -> str:
        """Return the name of a group; empty when there is none of this id."""
        return numbered.group_name(self.tx, self.application, group_id)


def _person(user: Row, primary: Row) -> Person:
    user_id, login, first_name, last_name, is_admin, is_active, locale, time_zone = user
    address, unusable = _mail(*primary) if primary else (None, "")
    return Person(
        id=person_id(statements.number(user_id)),
        login=str(login),
        first_name=str(first_name),
        last_name=str(last_name),
        address=address,
        unusable_address=unusable,
        is_active=bool(is_active),
        is_admin=bool(is_admin),
        locale=str(locale),
        time_zone=str(time_zone),
    )


def _mail(text: object, problem: object) -> tuple[Address | None, str]:
    # Mail goes to the primary address or nowhere: another one was not chosen by its owner.
    address = None if problem else stored_address(str(text))
    return address, "" if address else str(text)


def stored_address(text: str) -> Address | None:
    """Return an address as our tables hold it, normalised; None when it is none any more."""
    local, _, domain = text.rpartition("@")
    if "." not in domain:  # a bare host name is nobody's mail address (A22)
        return None
    try:
        return Address(local, domain)
    except ValueError:  # a row that was not written by us
        return None
