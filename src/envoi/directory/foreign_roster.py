"""This room shows an operator the users and groups that another system keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from envoi.addresses import parse_address
from envoi.core.people import Person
from envoi.directory.records import (
    MAX_ID,
    NO_USER,
    AddressRecord,
    GroupRecord,
    UserFilter,
    UserRecord,
    user_id_of,
)
from envoi.directory.tables import ListedTables
from envoi.directory.typed import address_key, login_key, refusal, shown, unusable
from envoi.errors import AddressError, NotFoundError

# Filters look at whole users, so that they mean the same as with our own; so many at a time.
_PAGE = 500


@dataclass(frozen=True, slots=True)
class ForeignRoster:
    """Another system's users and groups while they are read; a `roster.Roster`."""

    tables: ListedTables

    def users(self, which: UserFilter, *, after: int, limit: int) -> Sequence[UserRecord]:
        """Return the next users that the filter lets through by id."""
        found: list[UserRecord] = []
        while len(found) < limit and (page := self.tables.everyone(after, _PAGE)):
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
        return tuple(sorted(self.tables.group_records(), key=lambda group: login_key(group.name)))

    def group(self, name: str) -> GroupRecord:
        """Return the group of that name, without regard to case."""
        ids = set(self.tables.groups([name]).values()) if name.isprintable() else set[int]()
        for group in self.groups():
            if group.id in ids:
                return group
        raise NotFoundError(f"group: none is called {shown(name)!r}; `envoi group list` shows all")

    def _ids_named(self, who: str) -> Sequence[int]:
        if not who.isprintable():
            return ()
        if (user_id := user_id_of(who)) != NO_USER:
            return (user_id,)
        if found := tuple(self.tables.by_login([who]).values()):
            return found
        if who.isascii() and who.isdecimal() and len(who) <= len(str(MAX_ID)):
            return (int(who),)
        try:
            address = parse_address(who)
        except AddressError:
            return ()
        holders = self.tables.by_address([address]).get(address_key(address), ())
        return sorted({holder.user_id for holder in holders})

    def _records(self, ids: Sequence[int]) -> Sequence[UserRecord]:
        people = self.tables.people(ids)
        extra, groups = self.tables.extra_addresses(ids), self.tables.groups_of(ids)
        return [_record(people[i], extra.get(i, ()), groups.get(i, ())) for i in sorted(people)]


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
