"""This room reads the users that a Kallithea keeps, from its own tables.

Whom Kallithea knows: users with one primary address (perhaps none) and any number of further
ones, an admin flag, an active flag, and user groups. Row `default` stands for whoever is not
signed in; it is nobody, and the address it has is nobody's and gets no mail.

Texts match without regard to case, as they do there. Engines fold case differently, so the
database only proposes rows, exact ones first, and `login_key` and `address_key` decide. Kallithea
stores addresses in lower case; rows that others wrote are found nevertheless.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import idna

from envoi.addresses import parse_address
from envoi.core.kind import clean_line
from envoi.core.people import Address, Person
from envoi.directory.foreign import ForeignDatabase, ForeignDirectory
from envoi.directory.records import person_id
from envoi.directory.statements import number, rows_in, rows_of
from envoi.directory.tables import Holder
from envoi.directory.typed import (
    MAX_NAME_CHARS,
    MAX_UNUSABLE_CHARS,
    address_key,
    ascii_lower,
    login_key,
    shown,
)
from envoi.seams import Row, Tx

# The row that stands for whoever is not signed in; the statements below leave it out.
ANONYMOUS = "default"


def kallithea_database(url: str) -> ForeignDatabase:
    """Return the database of a Kallithea.

    Raises:
        DirectoryError: Not an address of SQLite or PostgreSQL.
    """
    return ForeignDatabase(url, witness="users")


def kallithea_directory(
    database: ForeignDatabase, admin_addresses: tuple[Address, ...] = ()
) -> ForeignDirectory:
    """Return the directory that a Kallithea's users are."""
    return ForeignDirectory(database, KallitheaTables, admin_addresses)


@dataclass(frozen=True, slots=True)
class KallitheaTables:
    """Kallithea's tables within a transaction, as `tables.Tables` asks for them."""

    tx: Tx

    def everyone(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users by id."""
        return _ids(self.tx.execute(_EVERYONE, {"after": after, "limit": limit}))

    def admins(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users with the admin flag by id."""
        return _ids(self.tx.execute(_ADMINS, {"after": after, "limit": limit}))

    def members(self, group_id: int, after: int, limit: int) -> Sequence[int]:
        """Return the next members of a group by id; an inactive group has none."""
        params = {"group": group_id, "after": after, "limit": limit}
        return _ids(self.tx.execute(_MEMBERS, params))

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
        return set(_ids(rows_in(self.tx, _PEOPLED, sorted(group_ids))))

    def groups(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the group behind each name, by its key."""
        return self._named(_GROUPS, "users_group_name", names)

    def by_login(self, logins: Collection[str]) -> Mapping[str, int]:
        """Return the user behind each username, by its key."""
        return self._named(_LOGINS, "username", logins)

    def by_address(self, addresses: Collection[Address]) -> Mapping[str, Sequence[Holder]]:
        """Return who registered each address, by its key."""
        texts = {address_key(address): _address_texts(address) for address in addresses}
        found: dict[str, dict[int, Holder]] = {}
        rows = self._proposed(_ADDRESSES, "email", texts, _key_of_address)
        for key, (stored, user_id, _, username) in sorted(rows, key=_by_rank):
            holders = found.setdefault(key, {})
            if username != ANONYMOUS:
                holder = Holder(number(user_id), usable(str(stored)))
                holders.setdefault(holder.user_id, holder)
        return {key: tuple(holders.values()) for key, holders in found.items()}

    def people(self, ids: Sequence[int]) -> Mapping[int, Person]:
        """Return the users with these ids, ascending, that exist."""
        wanted = frozenset(ids)
        rows = (row for row in rows_of(self.tx, _PEOPLE, ids) if row[0] in wanted)
        return {number(row[0]): _person(row) for row in rows}

    def newest(self) -> int:
        """Return the greatest user id there is; 0 when there is none."""
        return number(self.tx.execute(_NEWEST, {})[0][0] or 0)

    def group_name(self, group_id: int) -> str:
        """Return the name of a group; empty when there is none of this id."""
        rows = self.tx.execute(_GROUP_NAME, {"group": group_id})
        return str(rows[0][0]) if rows else ""

    def _named(self, sql: str, column: str, names: Collection[str]) -> dict[str, int]:
        texts: dict[str, set[str]] = {}
        for name in names:
            texts.setdefault(login_key(name), set()).add(name)
        rows = self._proposed(sql, column, texts, login_key)
        # Of two names that differ in case only, the one as it was typed, else the older row.
        ranked = sorted(rows, key=lambda row: (row[1][0] not in texts[row[0]], row[1][1]))
        found: dict[str, int] = {}
        for key, row in ranked:
            found.setdefault(key, number(row[1]))
        return found

    def _proposed(
        self,
        sql: str,
        column: str,
        texts: Mapping[str, Iterable[str]],
        key_of: Callable[[str], str],
    ) -> list[tuple[str, Row]]:
        """Return rows with the wanted key of the text in their first column."""
        exact = {text for spelt in texts.values() for text in spelt}
        found = list(
            _fitting(rows_in(self.tx, sql.replace("{column}", column), exact), texts, key_of)
        )
        missing = texts.keys() - {key for key, _ in found}
        # No index serves this one, so only names that were not found cost a look at every row.
        lowered = {low for key in missing for text in texts[key] for low in _lowered(text)}
        folding = sql.replace("{column}", f"LOWER({column})")
        return found + [
            (key, row)
            for key, row in _fitting(rows_in(self.tx, folding, lowered), texts, key_of)
            if key in missing
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


def _ids(rows: Iterable[Row]) -> list[int]:
    return [number(row[0]) for row in rows]


def _by_rank(found: tuple[str, Row]) -> tuple[int, int]:
    # Whose primary address it is comes first.
    _, (_, user_id, rank, _) = found
    return number(rank), number(user_id)


def _fitting(
    rows: Iterable[Row], texts: Mapping[str, object], key_of: Callable[[str], str]
) -> Iterator[tuple[str, Row]]:
    for row in rows:
        key = key_of(str(row[0]))
        if key in texts:
            yield key, row


def _lowered(text: str) -> set[str]:
    # LOWER of SQLite, and of PostgreSQL in some locales, knows A-Z only: what else is in the
    # text is looked for as it was typed, in small letters and in capitals.
    return {ascii_lower(spelt) for spelt in (text, text.lower(), text.upper())}


def _address_texts(address: Address) -> set[str]:
    texts = {str(address), address_key(address)}
    if "xn--" in address.domain:
        try:
            domain = idna.decode(address.domain)
        except idna.IDNAError:
            return texts
        texts |= {f"{address.local}@{domain}", ascii_lower(f"{address.local}@{domain}")}
    return texts


def _key_of_address(text: str) -> str:
    address = usable(text)
    return address_key(address) if address else ""


# Nearly every address is of this form, and reading one whole costs a quarter of a millisecond:
# a minute for the people of a large site. `--` may stand for letters beyond ASCII.
_PLAIN = re.compile(r"(?!.*--)([A-Za-z0-9._+-]+)@([A-Za-z0-9.-]+\.[A-Za-z0-9.-]+)")


def usable(text: str) -> Address | None:
    """Return the address that a stored text is, as `parse_address` does; None when it is none."""
    plain = _PLAIN.fullmatch(text)
    try:
        return Address(plain[1], plain[2].lower()) if plain else parse_address(text)
    except ValueError:  # AddressError is one too
        return None


def _person(row: Row) -> Person:
    user_id, username, first_name, last_name, email, is_active, is_admin = row
    text = str(email or "")
    address = usable(text) if text else None
    return Person(
        id=person_id(number(user_id)),
        login=_line(username),
        first_name=_line(first_name),
        last_name=_line(last_name),
        address=address,
        unusable_address="" if address else shown(text, MAX_UNUSABLE_CHARS),
        is_active=bool(is_active),
        is_admin=bool(is_admin),
    )


def _line(text: object) -> str:
    # Whatever wrote it did not ask us what a name may hold.
    return clean_line(str(text or ""))[:MAX_NAME_CHARS]
