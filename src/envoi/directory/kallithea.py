"""This room reads the users that a Kallithea keeps, from its own tables.

Whom Kallithea knows: users with one primary address (perhaps none) and any number of further
ones, an admin flag, an active flag, and user groups. Row `default` stands for whoever is not
signed in; it is nobody, and the address it has is nobody's and gets no mail.

Kallithea stores addresses in lower case; rows that others wrote are found nevertheless.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from envoi.core.people import Address, Person
from envoi.directory.foreign import ForeignDatabase
from envoi.directory.proposing import by_name, holders_of, ids_of, person_of
from envoi.directory.records import GroupRecord
from envoi.directory.source import ForeignDirectory, Source, source_of
from envoi.directory.statements import number, rows_in, rows_of
from envoi.directory.tables import Holder
from envoi.seams import Tx

# The row that stands for whoever is not signed in; the statements below leave it out.
ANONYMOUS = "default"


def kallithea_database(url: str) -> ForeignDatabase:
    """Return the database of a Kallithea.

    Raises:
        DirectoryError: Not an address of SQLite or PostgreSQL.
    """
    return ForeignDatabase(url, witness="users")


def kallithea_source(url: str) -> Source:
    """Return where a Kallithea keeps its users.

    Raises:
        DirectoryError: Not an address of SQLite or PostgreSQL.
    """
    return source_of(kallithea_database(url), KallitheaTables)


def kallithea_directory(
    database: ForeignDatabase, admin_addresses: tuple[Address, ...] = ()
) -> ForeignDirectory:
    """Return the directory that a Kallithea's users are."""
    return source_of(database, KallitheaTables).directory(admin_addresses)


@dataclass(frozen=True, slots=True)
class KallitheaTables:
    """Kallithea's tables within a transaction, as `tables.ListedTables` asks for them."""

    tx: Tx

    def everyone(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users by id."""
        return ids_of(self.tx.execute(_EVERYONE, {"after": after, "limit": limit}))

    def admins(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users with the admin flag by id."""
        return ids_of(self.tx.execute(_ADMINS, {"after": after, "limit": limit}))

    def members(self, group_id: int, after: int, limit: int) -> Sequence[int]:
        """Return the next members of a group by id; an inactive group has none."""
        params = {"group": group_id, "after": after, "limit": limit}
        return ids_of(self.tx.execute(_MEMBERS, params))

    def count_everyone(self) -> int:
        """Return how many users there are."""
        return number(self.tx.execute(_COUNT_EVERYONE, {})[0][0])

    def count_admins(self) -> int:
        """Return how many users have the admin flag."""
        return number(self.tx.execute(_COUNT_ADMINS, {})[0][0])

    def count_members(self, group_ids: Collection[int]) -> int:
        """Return how many memberships these groups have together."""
        rows = rows_in(self.tx, _COUNT_MEMBERS, sorted(group_ids))
        return sum(number(row[0]) for row in rows)

    def peopled(self, group_ids: Collection[int]) -> Collection[int]:
        """Return those of the groups that have a member."""
        return set(ids_of(rows_in(self.tx, _PEOPLED, sorted(group_ids))))

    def groups(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the group behind each name, by its key."""
        return by_name(self.tx, _GROUPS, "users_group_name", names)

    def by_login(self, logins: Collection[str]) -> Mapping[str, int]:
        """Return the user behind each username, by its key."""
        return by_name(self.tx, _LOGINS, "username", logins)

    def by_address(self, addresses: Collection[Address]) -> Mapping[str, Sequence[Holder]]:
        """Return who registered each address, by its key."""
        return holders_of(self.tx, _ADDRESSES, addresses, nobody=ANONYMOUS)

    def people(self, ids: Sequence[int]) -> Mapping[int, Person]:
        """Return the users with these ids, ascending, that exist."""
        wanted = frozenset(ids)
        rows = (row for row in rows_of(self.tx, _PEOPLE, ids) if row[0] in wanted)
        return {number(row[0]): person_of(row) for row in rows}

    def newest(self) -> int:
        """Return the greatest user id there is; 0 when there is none."""
        return number(self.tx.execute(_NEWEST, {})[0][0] or 0)

    def group_name(self, group_id: int) -> str:
        """Return the name of a group; empty when there is none of this id."""
        rows = self.tx.execute(_GROUP_NAME, {"group": group_id})
        return str(rows[0][0]) if rows else ""

    def extra_addresses(self, ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """Return the further addresses of these users, as they are stored."""
        extra: dict[int, list[str]] = {}
        for user_id, email in rows_in(self.tx, _EXTRA, ids):
            extra.setdefault(number(user_id), []).append(str(email))
        return extra

    def groups_of(self, ids: Sequence[int]) -> Mapping[int, Collection[str]]:
        """Return the names of the groups that each of these users is in."""
        groups: dict[int, set[str]] = {}
        for user_id, name in rows_in(self.tx, _GROUPS_OF, ids):
            groups.setdefault(number(user_id), set()).add(str(name))
        return groups

    def group_records(self) -> Sequence[GroupRecord]:
        """Return all groups, in any order; an inactive one says so."""
        return [
            GroupRecord(
                id=number(row[0]),
                name=str(row[1]),
                description=str(row[2] or "") if row[3] else f"inactive; {row[2] or ''}",
                members=number(row[4]),
            )
            for row in self.tx.execute(_GROUP_RECORDS, {})
        ]


_EVERYONE = """
SELECT user_id FROM users WHERE user_id > :after AND username <> 'default'
ORDER BY user_id LIMIT :limit
"""
_ADMINS = """
SELECT user_id FROM users WHERE admin AND user_id > :after AND username <> 'default'
ORDER BY user_id LIMIT :limit
"""
# Rows may point to users who are gone: SQLite does not hold foreign keys unless it is asked to.
_MEMBERS = """
SELECT DISTINCT m.user_id FROM users_groups_members m
JOIN users_groups g ON g.users_group_id = m.users_group_id
JOIN users u ON u.user_id = m.user_id
WHERE m.users_group_id = :group AND m.user_id > :after
  AND g.users_group_active AND u.username <> 'default'
ORDER BY m.user_id LIMIT :limit
"""
_COUNT_EVERYONE = "SELECT COUNT(*) FROM users WHERE username <> 'default'"
_COUNT_ADMINS = "SELECT COUNT(*) FROM users WHERE admin AND username <> 'default'"
_COUNT_MEMBERS = "SELECT COUNT(*) FROM users_groups_members WHERE users_group_id IN {list}"
_PEOPLED = """
SELECT DISTINCT m.users_group_id FROM users_groups_members m
JOIN users_groups g ON g.users_group_id = m.users_group_id
JOIN users u ON u.user_id = m.user_id
WHERE m.users_group_id IN {list} AND g.users_group_active AND u.username <> 'default'
"""
_LOGINS = """
SELECT username, user_id FROM users WHERE {column} IN {list} AND username <> 'default'
"""
_GROUPS = "SELECT users_group_name, users_group_id FROM users_groups WHERE {column} IN {list}"
_NEWEST = "SELECT MAX(user_id) FROM users"
_GROUP_NAME = "SELECT users_group_name FROM users_groups WHERE users_group_id = :group"
_ADDRESSES = """
SELECT email, user_id, 0, username FROM users WHERE {column} IN {list}
UNION ALL
SELECT e.email, e.user_id, 1, u.username
FROM (SELECT email, user_id FROM user_email_map WHERE {column} IN {list}) e
JOIN users u ON u.user_id = e.user_id
"""
_PEOPLE = """
SELECT user_id, username, firstname, lastname, email, active, admin FROM users
WHERE username <> 'default' AND user_id {which}
"""

_EXTRA = "SELECT user_id, email FROM user_email_map WHERE user_id IN {list} ORDER BY email_id"
_GROUPS_OF = """
SELECT m.user_id, g.users_group_name FROM users_groups_members m
JOIN users_groups g ON g.users_group_id = m.users_group_id
WHERE m.user_id IN {list} AND g.users_group_active
"""
_GROUP_RECORDS = """
SELECT g.users_group_id, g.users_group_name, g.user_group_description, g.users_group_active,
  (SELECT COUNT(DISTINCT m.user_id) FROM users_groups_members m
   JOIN users u ON u.user_id = m.user_id
   WHERE m.users_group_id = g.users_group_id AND g.users_group_active
     AND u.username <> 'default')
FROM users_groups g
"""
