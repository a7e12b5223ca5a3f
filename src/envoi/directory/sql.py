"""This room reads users by statements that somebody wrote in the settings.

Four SELECTs, of users, further addresses, groups and members, stand in ours as if they were
tables, so they are asked for pages, names and numbers like any others and can do nothing but
read: neither engine takes a statement that writes in the place of a table.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from envoi.core.people import Address, Person
from envoi.core.problem import Problem
from envoi.directory.foreign import ForeignDatabase
from envoi.directory.proposing import by_name, holders_of, ids_of, person_of
from envoi.directory.records import GroupRecord
from envoi.directory.source import Source, source_of
from envoi.directory.statements import number, rows_in, rows_of
from envoi.directory.tables import Holder
from envoi.errors import DirectoryError
from envoi.seams import Row, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """What to select; an empty one finds nothing.

    Args:
        users: `id`, `login`, `first_name`, `last_name`, `email`, `is_active`, `is_admin`.
        addresses: `user_id`, `email` of addresses besides the primary one.
        groups: `id`, `name`.
        members: `group_id`, `user_id`.
    """

    users: str
    addresses: str = ""
    groups: str = ""
    members: str = ""

    def within(self, sql: str) -> str:
        """Return a statement of ours with these in the place of `<users>` and so on."""
        return re.sub("<([a-z_]+)>", self._meant, sql)

    def _meant(self, match: re.Match[str]) -> str:
        if match[1] in _FLAGS:
            # Whatever a system says yes with: a boolean, a number or a letter, on either engine.
            return f"LOWER(CAST({match[1]} AS TEXT)) IN ('1', 't', 'true', 'y', 'yes', 'on')"
        # Behind a comment in the last line our bracket would be one too.
        return f"(\n{getattr(self, match[1]) or _NOTHING[match[1]]}\n) AS its_{match[1]}"


_FLAGS = frozenset({"is_active", "is_admin"})
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "users": ("id", "login", "first_name", "last_name", "email", "is_active", "is_admin"),
    "addresses": ("user_id", "email"),
    "groups": ("id", "name"),
    "members": ("group_id", "user_id"),
}
_NUMBERS = frozenset({"id", "user_id", "group_id"})
_NOTHING = {
    "addresses": "SELECT 0 AS user_id, '' AS email WHERE 1 = 0",
    "groups": "SELECT 0 AS id, '' AS name WHERE 1 = 0",
    "members": "SELECT 0 AS group_id, 0 AS user_id WHERE 1 = 0",
}
_FIRST_TABLE = re.compile(r'(?i)\bFROM\s+((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))*)')


def sql_source(url: str, queries: Queries) -> Source:
    """Return the users that the statements find.

    Raises:
        DirectoryError: Not an address of SQLite or PostgreSQL.
    """
    table = _FIRST_TABLE.search(queries.users)
    database = ForeignDatabase(
        url, witness=table[1] if table else "", misfit="`envoi check` says what does not fit"
    )
    return source_of(
        database, lambda tx: SqlTables(tx, queries), lambda: misfits(database, queries)
    )


def misfits(database: ForeignDatabase, queries: Queries) -> tuple[Problem, ...]:
    """Try the statements; return which fails and which columns they lack.

    Raises:
        DirectoryError: The database cannot be reached at all.
    """
    with database.alone() as tx:
        tx.execute("SELECT 1", {})
    return tuple(problem for name in COLUMNS for problem in _misfits_of(database, queries, name))


def _misfits_of(database: ForeignDatabase, queries: Queries, name: str) -> Iterator[Problem]:
    where = f"directory.{name}"
    if refusal := _refusal(database, queries.within(_TRY.replace("NAME", name))):
        yield Problem(where=where, expected="a SELECT that the database runs", got=refusal)
        return
    for column in COLUMNS[name]:
        sql = queries.within(_LOOK.replace("COLUMN", column).replace("NAME", name))
        if _refusal(database, sql):
            hint = f"name it by AS {column}"
            got = "none of that name"
            yield Problem(where=where, expected=f"a column {column}", got=got, hint=hint)
        elif column in _NUMBERS and not _is_number(database, sql):
            expected, got = f"whole numbers from 0 in {column}", "something else"
            yield Problem(where=where, expected=expected, got=got)
        elif column == "id" and (twice := _twice(database, queries, name)):
            # What stands in pages by id would be counted twice here and left out there.
            hint = "a join that multiplies rows? further addresses belong in directory.addresses"
            got = f"{twice} in several"
            yield Problem(where=where, expected="each id in one row", got=got, hint=hint)


_TRY = "SELECT 1 FROM <NAME> LIMIT 1"
_LOOK = "SELECT COLUMN FROM <NAME> LIMIT 1"
_TWICE = "SELECT id FROM <NAME> GROUP BY id HAVING COUNT(*) > 1 ORDER BY id LIMIT 3"


def _refusal(database: ForeignDatabase, sql: str) -> str:
    try:
        with database.alone() as tx:
            tx.execute(sql, {})
    except DirectoryError as err:
        return str(err).partition(" cannot be read: ")[2].rpartition(" (")[0]
    return ""


def _twice(database: ForeignDatabase, queries: Queries, name: str) -> str:
    with database.alone() as tx:
        rows = tx.execute(queries.within(_TWICE.replace("NAME", name)), {})
    return ", ".join(str(row[0]) for row in rows)


def _is_number(database: ForeignDatabase, sql: str) -> bool:
    with database.alone() as tx:
        rows = tx.execute(sql, {})
    return all(isinstance(row[0], int) and row[0] >= 0 for row in rows)


@dataclass(frozen=True, slots=True)
class SqlTables:
    """What the statements find within a transaction, as `tables.ListedTables` asks for it."""

    tx: Tx
    queries: Queries

    def everyone(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users by id."""
        return self._ids(_EVERYONE, after=after, limit=limit)

    def admins(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users with the admin flag by id."""
        return self._ids(_ADMINS, after=after, limit=limit)

    def members(self, group_id: int, after: int, limit: int) -> Sequence[int]:
        """Return the next members of a group by id; all of them are users."""
        return self._ids(_MEMBERS, group=group_id, after=after, limit=limit)

    def count_everyone(self) -> int:
        """Return how many users there are."""
        return self._ids(_COUNT_EVERYONE)[0]

    def count_admins(self) -> int:
        """Return how many users have the admin flag."""
        return self._ids(_COUNT_ADMINS)[0]

    def count_members(self, group_ids: Collection[int]) -> int:
        """Return how many memberships these groups have together."""
        return sum(number(row[0]) for row in self._rows_in(_COUNT_MEMBERS, sorted(group_ids)))

    def peopled(self, group_ids: Collection[int]) -> Collection[int]:
        """Return those of the groups that have a member."""
        return {number(row[0]) for row in self._rows_in(_PEOPLED, sorted(group_ids))}

    def groups(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the group behind each name, by its key."""
        return by_name(self.tx, self.queries.within(_GROUPS), "name", names)

    def by_login(self, logins: Collection[str]) -> Mapping[str, int]:
        """Return the user behind each login, by its key."""
        return by_name(self.tx, self.queries.within(_LOGINS), "login", logins)

    def by_address(self, addresses: Collection[Address]) -> Mapping[str, Sequence[Holder]]:
        """Return who registered each address, by its key."""
        return holders_of(self.tx, self.queries.within(_ADDRESSES), addresses)

    def people(self, ids: Sequence[int]) -> Mapping[int, Person]:
        """Return the users with these ids, ascending, that exist."""
        wanted = frozenset(ids)
        rows = rows_of(self.tx, self.queries.within(_PEOPLE), ids)
        return {number(row[0]): person_of(row) for row in rows if row[0] in wanted}

    def newest(self) -> int:
        """Return the greatest user id there is; 0 when there is none."""
        return number(self.tx.execute(self.queries.within(_NEWEST), {})[0][0] or 0)

    def group_name(self, group_id: int) -> str:
        """Return the name of a group; empty when there is none of this id."""
        rows = self.tx.execute(self.queries.within(_GROUP_NAME), {"group": group_id})
        return str(rows[0][0]) if rows else ""

    def extra_addresses(self, ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """Return the further addresses of these users, as they are stored."""
        extra: dict[int, list[str]] = {}
        for user_id, email in self._rows_in(_EXTRA, ids):
            extra.setdefault(number(user_id), []).append(str(email))
        return extra

    def groups_of(self, ids: Sequence[int]) -> Mapping[int, Collection[str]]:
        """Return the names of the groups that each of these users is in."""
        groups: dict[int, set[str]] = {}
        for user_id, name in self._rows_in(_GROUPS_OF, ids):
            groups.setdefault(number(user_id), set()).add(str(name))
        return groups

    def group_records(self) -> Sequence[GroupRecord]:
        """Return all groups, in any order."""
        return [
            GroupRecord(id=number(row[0]), name=str(row[1]), members=number(row[2]))
            for row in self.tx.execute(self.queries.within(_GROUP_RECORDS), {})
        ]

    def _ids(self, sql: str, **params: object) -> list[int]:
        rows = self.tx.execute(self.queries.within(sql), params)
        try:
            return ids_of(rows)
        except TypeError as err:
            expected = "directory.users: expected whole numbers in the column id"
            raise DirectoryError(f"{expected}, got others (select a column of numbers)") from err

    def _rows_in(self, sql: str, values: Sequence[object]) -> Iterator[Row]:
        return rows_in(self.tx, self.queries.within(sql), values)


_EVERYONE = "SELECT DISTINCT id FROM <users> WHERE id > :after ORDER BY id LIMIT :limit"
_ADMINS = """
SELECT DISTINCT id FROM <users> WHERE <is_admin> AND id > :after
ORDER BY id LIMIT :limit
"""
# Memberships may outlive the users they are of.
_MEMBERS = """
SELECT DISTINCT user_id FROM <members>
WHERE group_id = :group AND user_id > :after AND user_id IN (SELECT id FROM <users>)
ORDER BY user_id LIMIT :limit
"""
_COUNT_EVERYONE = "SELECT COUNT(*) FROM <users>"
_COUNT_ADMINS = "SELECT COUNT(*) FROM <users> WHERE <is_admin>"
_COUNT_MEMBERS = "SELECT COUNT(*) FROM <members> WHERE group_id IN {list}"
_PEOPLED = """
SELECT DISTINCT group_id FROM <members>
WHERE group_id IN {list} AND user_id IN (SELECT id FROM <users>)
"""
_LOGINS = "SELECT login, id FROM <users> WHERE {column} IN {list}"
_GROUPS = "SELECT name, id FROM <groups> WHERE {column} IN {list}"
_NEWEST = "SELECT MAX(id) FROM <users>"
_GROUP_NAME = "SELECT name FROM <groups> WHERE id = :group"
_ADDRESSES = """
SELECT email, id, 0, login FROM <users> WHERE {column} IN {list}
UNION ALL
SELECT email, user_id, 1, '' FROM <addresses>
WHERE {column} IN {list} AND user_id IN (SELECT id FROM <users>)
"""
_PEOPLE = """
SELECT id, login, first_name, last_name, email, <is_active>, <is_admin>
FROM <users> WHERE id {which}
"""
_EXTRA = "SELECT user_id, email FROM <addresses> WHERE user_id IN {list}"
_GROUPS_OF = """
SELECT user_id, name FROM <members> JOIN <groups> ON its_groups.id = its_members.group_id
WHERE user_id IN {list}
"""
_GROUP_RECORDS = """
SELECT its_groups.id, its_groups.name, COUNT(DISTINCT its_users.id)
FROM <groups> LEFT JOIN <members> ON its_members.group_id = its_groups.id
LEFT JOIN <users> ON its_users.id = its_members.user_id
GROUP BY its_groups.id, its_groups.name
"""
