"""This room shows people to an operator, whoever keeps them: users and groups in lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from envoi.directory import groups, people
from envoi.directory.records import GroupRecord, UserFilter, UserRecord
from envoi.seams import Tx


class Roster(Protocol):
    """Users and groups, to be looked at."""

    def users(self, which: UserFilter, *, after: int, limit: int) -> Sequence[UserRecord]:
        """Return the next users that the filter lets through by id, 1..1,000."""
        ...

    def user(self, who: str) -> UserRecord:
        """Return the user of that id, login or address; raises `NotFoundError`, `InputError`."""
        ...

    def groups(self) -> Sequence[GroupRecord]:
        """Return all groups by name."""
        ...

    def group(self, name: str) -> GroupRecord:
        """Return the group of that name; raises `NotFoundError`."""
        ...


@dataclass(frozen=True, slots=True)
class OwnRoster:
    """Users and groups of one application in our own tables."""

    tx: Tx
    application: str

    def users(self, which: UserFilter, *, after: int, limit: int) -> Sequence[UserRecord]:
        """Return the next users that the filter lets through by id."""
        return people.list_users(self.tx, self.application, which, after=after, limit=limit)

    def user(self, who: str) -> UserRecord:
        """Return the user of that id, login or address."""
        return people.find_user(self.tx, self.application, who)

    def groups(self) -> Sequence[GroupRecord]:
        """Return all groups by name."""
        return groups.list_groups(self.tx, self.application)

    def group(self, name: str) -> GroupRecord:
        """Return the group of that name."""
        return groups.find_group(self.tx, self.application, name)
