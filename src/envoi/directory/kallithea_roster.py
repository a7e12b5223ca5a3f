"""This room shows an operator the users and groups that a Kallithea keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from envoi.addresses import parse_address
from envoi.core.people import Person
from envoi.directory.kallithea import KallitheaTables
from envoi.directory.records import (
    MAX_ID,
    AddressRecord,
    GroupRecord,
    UserFilter,
    UserRecord,
    user_id_of,
)
from envoi.directory.statements import number, rows_in
from envoi.directory.typed import address_key, login_key, refusal, shown, unusable
from envoi.errors import AddressError, NotFoundError
from envoi.seams import Tx

# Filters look at whole users, so that they mean the same as with our own; so many at a time.
_PAGE = 500


@dataclass(frozen=True, slots=True)
class KallitheaRoster:
    """Kallithea's users and groups within a transaction; a `roster.Roster`."""

    tx: Tx

    def users(self, which: UserFilter, *, after: int, limit: int) -> Sequence[UserRecord]:
        """Return the next users that the filter lets through by id."""
        found: list[UserRecord] = []
        while len(found) < limit and (page := self._tables.everyone(after, _PAGE)):
            found += [user for user in self._records(page) if _fits(user, which)]
            after = page[-1]
        return tuple(found[:limit])

    def user(self, who: str) -> UserRecord:
        """Return the user of that id, login or address; a login is tried first."""
        records = self._records(self._ids_named(who))
        if len(records) > 1:
            logins = ", ".join(user.login for user in records)
            raise refusal("user", "one user", f"{who}, an address of {logins}", "name a login")
        for user in records:
            return user
        raise NotFoundError(f"user: nobody is called {shown(who)!r}; `envoi user list` shows all")

    def groups(self) -> Sequence[GroupRecord]:
        """Return all groups by name."""
        rows = self.tx.execute(_GROUPS, {})
        groups = [
            GroupRecord(
                id=number(row[0]),
                name=str(row[1]),
                description=str(row[2] or "") if row[3] else f"inactive; {row[2] or ''}",
                members=number(row[4]),
            )
            for row in rows
        ]
        return tuple(sorted(groups, key=lambda group: login_key(group.name)))

    def group(self, name: str) -> GroupRecord:
        """Return the group of that name, without regard to case."""
        ids = set(self._tables.groups([name]).values()) if name.isprintable() else set[int]()
        for group in self.groups():
            if group.id in ids:
                return group
        raise NotFoundError(f"group: none is called {shown(name)!r}; `envoi group list` shows all")

    @property
    def _tables(self) -> KallitheaTables:
        return KallitheaTables(self.tx)

    def _ids_named(self, who: str) -> Sequence[int]:
        if not who.isprintable():
            return ()
        if user_id := user_id_of(who):
            return (user_id,)
        if found := tuple(self._tables.by_login([who]).values()):
            return found
        if who.isascii() and who.isdecimal() and len(who) <= len(str(MAX_ID)):
            return (int(who),)
        try:
            address = parse_address(who)
        except AddressError:
            return ()
        holders = self._tables.by_address([address]).get(address_key(address), ())
        return sorted({holder.user_id for holder in holders})

    def _records(self, ids: Sequence[int]) -> Sequence[UserRecord]:
        extra: dict[int, list[str]] = {}
        for user_id, email in rows_in(self.tx, _EXTRA, ids):
            extra.setdefault(number(user_id), []).append(str(email))
        groups: dict[int, set[str]] = {}
        for user_id, name in rows_in(self.tx, _GROUPS_OF, ids):
            groups.setdefault(number(user_id), set()).add(str(name))
        people = self._tables.people(ids)
        return [_record(people[i], extra.get(i, ()), groups.get(i, ())) for i in sorted(people)]


_EXTRA = "SELECT user_id, email FROM user_email_map WHERE user_id IN {list} ORDER BY email_id"
_GROUPS_OF = """
SELECT m.user_id, g.users_group_name FROM users_groups_members m
JOIN users_groups g ON g.users_group_id = m.users_group_id
WHERE m.user_id IN {list} AND g.users_group_active
"""
_GROUPS = """
SELECT g.users_group_id, g.users_group_name, g.user_group_description, g.users_group_active,
  (SELECT COUNT(DISTINCT m.user_id) FROM users_groups_members m
   JOIN users u ON u.user_id = m.user_id
   WHERE m.users_group_id = g.users_group_id AND g.users_group_active
     AND u.username <> 'default')
FROM users_groups g
"""


def _record(person: Person, extra: Iterable[str], groups: Iterable[str]) -> UserRecord:
    primary = str(person.address or person.unusable_address)
    addresses = [_address(primary, is_primary=True)] if primary else []
    return UserRecord(
        id=user_id_of(person.id),
        login=person.login,
        first_name=person.first_name,
        last_name=person.last_name,
        is_admin=person.is_admin,
        is_active=person.is_active,
        addresses=(*addresses, *(_address(text, is_primary=False) for text in extra)),
        groups=tuple(sorted(groups)),
    )


def _address(text: str, *, is_primary: bool) -> AddressRecord:
    try:
        address = parse_address(text)
    except AddressError as err:
        kept = unusable(text, str(err))
        return AddressRecord(text=kept.text, problem=kept.problem, is_primary=is_primary)
    return AddressRecord(text=str(address), key=address_key(address), is_primary=is_primary)


def _fits(user: UserRecord, which: UserFilter) -> bool:
    is_reachable = any(record.is_primary and not record.problem for record in user.addresses)
    flags = (
        (which.is_admin, user.is_admin),
        (which.is_active, user.is_active),
        (which.is_reachable, is_reachable),
    )
    if any(wanted is not None and wanted != actual for wanted, actual in flags):
        return False
    if which.group and login_key(which.group) not in map(login_key, user.groups):
        return False
    texts = (user.login, user.first_name, user.last_name, *(r.text for r in user.addresses))
    return any(login_key(which.text) in login_key(text) for text in texts)
