"""This room says what it asks of anybody's tables of people, ours or another system's.

Users, groups and memberships have ascending numbers as ids, as every such system gives them.
`naming` finds whom a question names, `merging` makes pages of an audience; both know tables
only by this page, so a directory on other tables is their statements and nothing more.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from envoi.core.people import Address, Person
from envoi.directory.records import GroupRecord


@dataclass(frozen=True, slots=True)
class Holder:
    """A user whom a text means.

    Args:
        user_id: Who.
        address: His registered address, as it is stored, that the text stands for; None where
            the text is his login, or the stored address cannot be used.
    """

    user_id: int
    address: Address | None = None


class Tables(Protocol):
    """Users of one application, within one transaction; texts match without regard to case."""

    def everyone(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users by id."""
        ...

    def admins(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users with the admin flag by id."""
        ...

    def members(self, group_id: int, after: int, limit: int) -> Sequence[int]:
        """Return the next members of a group by id; all of them are users."""
        ...

    def count_everyone(self) -> int:
        """Return how many users there are."""
        ...

    def count_admins(self) -> int:
        """Return how many users have the admin flag."""
        ...

    def count_members(self, group_ids: Collection[int]) -> int:
        """Return how many memberships these groups have together."""
        ...

    def peopled(self, group_ids: Collection[int]) -> Collection[int]:
        """Return those of the groups that have a member."""
        ...

    def groups(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the group behind each name that one has, by `login_key` of the name."""
        ...

    def by_login(self, logins: Collection[str]) -> Mapping[str, int]:
        """Return the user behind each login that somebody has, by `login_key` of the login."""
        ...

    def by_address(self, addresses: Collection[Address]) -> Mapping[str, Sequence[Holder]]:
        """Return who registered each address, by `address_key`; whose primary it is comes first.

        An address that is there without anybody is known to be nobody's, and gets no mail.
        """
        ...

    def people(self, ids: Sequence[int]) -> Mapping[int, Person]:
        """Return the users with these ids, ascending, that exist."""
        ...

    def newest(self) -> int:
        """Return the greatest user id there is; 0 when there is none."""
        ...

    def group_name(self, group_id: int) -> str:
        """Return the name of a group; empty when there is none of this id."""
        ...


class ListedTables(Tables, Protocol):
    """Tables of another system, which an operator may look at too."""

    def extra_addresses(self, ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """Return the further addresses of these users, as they are stored."""
        ...

    def groups_of(self, ids: Sequence[int]) -> Mapping[int, Collection[str]]:
        """Return the names of the groups that each of these users is in."""
        ...

    def group_records(self) -> Sequence[GroupRecord]:
        """Return all groups, in any order."""
        ...
