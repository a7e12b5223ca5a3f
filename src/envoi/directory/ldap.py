"""This room reads the users that an LDAP server knows.

Whom an event names is asked for by name, anew each time. A list of everybody cannot be asked for
in parts that begin behind somebody, as tables can; it is read whole, page by page, and kept for
`ldap.cache_s` so that the parts of a large mailing are cut from one list. Such a list costs about
a kilobyte per user.

The server compares names as its schema says, `login_key` and `address_key` decide.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager

from envoi.core.people import Address, Person
from envoi.core.problem import Problem
from envoi.directory.ldap_people import (
    SMALL_DIGITS,
    Group,
    Known,
    dn_key,
    first_part,
    group_of,
    known_of,
)
from envoi.directory.ldap_talk import NO_ATTRIBUTES, Conversation, LdapServer, escaped
from envoi.directory.proposing import address_texts, usable
from envoi.directory.records import MAX_ID, GroupRecord
from envoi.directory.source import Source
from envoi.directory.tables import Holder, ListedTables
from envoi.directory.typed import address_key, login_key
from envoi.errors import DirectoryError
from envoi.seams import Tx
from envoi.settings import LdapSettings

# So many names in one filter; servers limit its length.
_NAMES = 100
# Above so many members the list of everybody is cheaper than asking for them by name.
_FEW = 1_000


def ldap_source(url: str, settings: LdapSettings) -> Source:
    """Return the users that an LDAP server knows.

    Args:
        url: `ldaps://HOST` or `ldap://HOST`.
        settings: How it is asked.
    """
    server, kept = LdapServer(url, settings), Kept(settings.cache_s)

    @contextmanager
    def reading(_tx: Tx) -> Generator[ListedTables]:
        with server.conversation() as talk:
            yield LdapTables(talk, settings, kept)

    def misfits() -> tuple[Problem, ...]:
        with server.conversation() as talk:
            return tuple(_misfits(LdapTables(talk, settings, kept), settings))

    return Source(place=server.place, reading=reading, close=kept.forget, misfits=misfits)


def _misfits(tables: "LdapTables", settings: LdapSettings) -> Iterable[Problem]:
    if not tables.everyone(-1, 1):
        got = f"nobody below {settings.base}"
        hint = "check ldap.base and ldap.login, and what ldap.bind_dn may read"
        yield Problem(where="ldap.users", expected="users", got=got, hint=hint)
    if settings.admins and not tables.groups([settings.admins]):
        expected, hint = "the name of a group", "check ldap.groups and ldap.group_name"
        yield Problem(where="ldap.admins", expected=expected, got=settings.admins, hint=hint)


class Kept:
    """The list of everybody, for a while; `size` tells how many were on the last one."""

    def __init__(self, keep_s: float) -> None:
        """Keep nothing yet."""
        self.size: int | None = None
        self._keep_s = keep_s
        self._until = 0.0
        self._everybody: dict[int, Known] = {}

    def everybody(self, load: Callable[[], Iterable[Known]]) -> Mapping[int, Known]:
        """Return all users by ascending number, as they were at most `keep_s` ago."""
        now = time.monotonic()
        if now >= self._until:
            loaded = sorted(load(), key=lambda known: known.number)
            # Another thread sees the old list or the new one, never a half.
            self._everybody = found = {known.number: known for known in loaded}
            self._until, self.size = now + self._keep_s, len(found)
            return found
        return self._everybody

    def forget(self) -> None:
        """Ask anew next time."""
        self._until, self._everybody = 0.0, {}


class LdapTables:
    """What a server knows, during one conversation, as `tables.ListedTables` asks for it."""

    def __init__(self, talk: Conversation, settings: LdapSettings, kept: Kept) -> None:
        """Take the conversation; what is asked in it is remembered until its end."""
        self._talk = talk
        self._settings = settings
        self._kept = kept
        self._seen: dict[int, Known] = {}
        self._groups: dict[int, Group] = {}
        self._members: dict[int, list[int]] = {}
        self._admin_groups: list[Group] | None = None

    def everyone(self, after: int, limit: int) -> Sequence[int]:
        """Return the next users by id."""
        return _next(list(self._everybody()), after, limit)

    def admins(self, after: int, limit: int) -> Sequence[int]:
        """Return the next members of the administrators' group by id."""
        return _next(self._admin_ids(), after, limit)

    def members(self, group_id: int, after: int, limit: int) -> Sequence[int]:
        """Return the next members of a group by id; all of them are users."""
        return _next(self._member_ids(group_id), after, limit)

    def count_everyone(self) -> int:
        """Return how many users there are, or were when last they were listed.

        Before that it is not known, and as many as there can be: who only wants to know whether
        they are many must not wait until they are counted one by one.
        """
        return MAX_ID if self._kept.size is None else self._kept.size

    def count_admins(self) -> int:
        """Return how many administrators there are."""
        return len(self._admin_ids())

    def count_members(self, group_ids: Collection[int]) -> int:
        """Return how many memberships these groups have together."""
        if self._settings.member_of:
            return sum(len(self._member_ids(group_id)) for group_id in group_ids)
        groups = [self._groups[group_id] for group_id in group_ids]
        return sum(len(group.entries) + len(group.logins) for group in groups)

    def peopled(self, group_ids: Collection[int]) -> Collection[int]:
        """Return those of the groups that have a member."""
        return {group_id for group_id in group_ids if self._member_ids(group_id)}

    def groups(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the group behind each name, by its key."""
        wanted = {login_key(name) for name in names}
        found: dict[str, int] = {}
        for group in self._asked_groups(_any(self._settings.group_name, names)):
            for name in group.names:
                if login_key(name) in wanted:
                    key = login_key(name)
                    found[key] = min(group.number, found.get(key, group.number))
        return found

    def by_login(self, logins: Collection[str]) -> Mapping[str, int]:
        """Return the user behind each login, by its key."""
        wanted = {login_key(login) for login in logins}
        found: dict[str, int] = {}
        for known in self._named(self._settings.login, logins):
            for key in {login_key(login) for login in known.logins} & wanted:
                found[key] = min(known.number, found.get(key, known.number))
        return found

    def by_address(self, addresses: Collection[Address]) -> Mapping[str, Sequence[Holder]]:
        """Return who registered each address, by its key."""
        wanted = {address_key(address) for address in addresses}
        texts = {text for address in addresses for text in address_texts(address)}
        ranked: dict[str, dict[int, tuple[bool, int, Holder]]] = {}
        attributes = filter(None, (self._settings.email, self._settings.extra_email))
        for known in [one for name in attributes for one in self._named(name, texts)]:
            for place, text in enumerate(known.addresses):
                address = usable(text)
                key = address_key(address) if address else ""
                if key in wanted:
                    is_extra = place > 0 or not known.has_primary
                    holder = (is_extra, known.number, Holder(known.number, address))
                    ranked.setdefault(key, {}).setdefault(known.number, holder)
        return {
            key: tuple(holder for *_, holder in sorted(holders.values(), key=lambda h: h[:2]))
            for key, holders in ranked.items()
        }

    def people(self, ids: Sequence[int]) -> Mapping[int, Person]:
        """Return the users with these ids, ascending, that exist."""
        found = self._with(ids)
        return {number: found[number].person for number in ids if number in found}

    def newest(self) -> int:
        """Return the greatest number there can be: they tell nothing about who came when."""
        return MAX_ID

    def group_name(self, group_id: int) -> str:
        """Return the name of a group; empty when there is none of this id."""
        self._all_groups()
        return self._groups[group_id].names[0] if group_id in self._groups else ""

    def extra_addresses(self, ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """Return the further addresses of these users, as they are stored."""
        found = self._with(ids)
        return {i: known.addresses[int(known.has_primary) :] for i, known in found.items()}

    def groups_of(self, ids: Sequence[int]) -> Mapping[int, Collection[str]]:
        """Return the names of the groups that each of these users is in."""
        wanted, names = frozenset(ids), dict[int, set[str]]()
        for group in self._all_groups():
            for number in wanted.intersection(self._member_ids(group.number)):
                names.setdefault(number, set()).add(group.names[0])
        return names

    def group_records(self) -> Sequence[GroupRecord]:
        """Return all groups, in any order."""
        return [
            GroupRecord(
                id=group.number, name=group.names[0], members=len(self._member_ids(group.number))
            )
            for group in self._all_groups()
        ]

    def _everybody(self) -> Mapping[int, Known]:
        everybody = self._kept.everybody(lambda: self._asked_users([""]))
        self._seen.update(everybody)
        return everybody

    def _with(self, ids: Sequence[int]) -> Mapping[int, Known]:
        missing = [number for number in ids if number not in self._seen]
        small = [str(number) for number in missing if len(str(number)) <= SMALL_DIGITS]
        if small:
            self._named(self._settings.id, small)
        if len(small) < len(missing):
            self._everybody()  # what a digest was made of cannot be asked for
        return {number: self._seen[number] for number in ids if number in self._seen}

    def _named(self, attribute: str, texts: Collection[str]) -> list[Known]:
        return self._asked_users(_any(attribute, texts))

    def _asked_users(self, wheres: Iterable[str]) -> list[Known]:
        return [known for where in wheres for known in self._taken(where)]

    def _taken(self, where: str) -> list[Known]:
        settings = self._settings
        entries = list(self._talk.search(f"(&{settings.users}{where})", self._attributes))
        inactive = frozenset[str]()
        if entries and settings.inactive:
            asked = f"(&{settings.users}{where}{settings.inactive})"
            gone = self._talk.search(asked, NO_ATTRIBUTES)
            inactive = frozenset(dn_key(entry.dn) for entry in gone)
        admins = self._admin_keys() if entries else ()
        people = (known_of(entry, settings, inactive, admins) for entry in entries)
        found = [known for known in people if known]
        self._remember(found)
        return found

    @property
    def _attributes(self) -> list[str]:
        settings = self._settings
        names = (
            settings.id, settings.login, settings.first_name, settings.last_name, settings.email,
            settings.extra_email, settings.member_of,
        )  # fmt: skip
        return [name for name in names if name]

    def _remember(self, found: Iterable[Known]) -> None:
        for known in found:
            other = self._seen.setdefault(known.number, known)
            if other.dn != known.dn:
                raise DirectoryError(
                    f"ldap.id: expected another {self._settings.id} for each user, got one for "
                    f"both {other.dn} and {known.dn} (name an attribute that tells them apart)"
                )

    def _asked_groups(self, wheres: Iterable[str]) -> list[Group]:
        settings = self._settings
        attributes = [settings.group_name, *(() if settings.member_of else settings.members)]
        entries = (
            entry
            for where in wheres
            for entry in self._talk.search(f"(&{settings.groups}{where})", attributes)
        )
        found = [group for entry in entries if (group := group_of(entry, settings))]
        self._groups.update({group.number: group for group in found})
        return found

    def _all_groups(self) -> list[Group]:
        return self._asked_groups([""])

    def _admins(self) -> list[Group]:
        if self._admin_groups is None:
            name = self._settings.admins
            wheres = _any(self._settings.group_name, [name]) if name else ()
            self._admin_groups = self._asked_groups(wheres)
        return self._admin_groups

    def _admin_keys(self) -> frozenset[str]:
        if self._settings.member_of:
            return frozenset(dn_key(group.dn) for group in self._admins())
        return frozenset(key for group in self._admins() for key in (*group.entries, *group.logins))

    def _admin_ids(self) -> list[int]:
        return sorted({i for group in self._admins() for i in self._member_ids(group.number)})

    def _member_ids(self, group_id: int) -> list[int]:
        if group_id not in self._members:
            found = self._asked_members(self._groups[group_id])
            self._members[group_id] = sorted({known.number for known in found})
        return self._members[group_id]

    def _asked_members(self, group: Group) -> list[Known]:
        if self._settings.member_of:
            return self._named(self._settings.member_of, [group.dn])
        by_login = self._named(self._settings.login, group.logins)
        if len(group.entries) > _FEW:
            by_entry: Iterable[Known] = self._everybody().values()
        else:
            by_entry = self._called(group.entries.values())
        return [*by_login, *(known for known in by_entry if known.dn in group.entries)]

    def _called(self, dns: Iterable[str]) -> list[Known]:
        # The first part of an entry's name is one of its attributes. Whoever shares it and lies
        # elsewhere is sorted out by the whole name.
        by_attribute: dict[str, list[str]] = {}
        for attribute, value in filter(None, map(first_part, dns)):
            by_attribute.setdefault(attribute, []).append(value)
        return [
            known
            for attribute, values in by_attribute.items()
            for known in self._named(attribute, values)
        ]


def _any(attribute: str, texts: Collection[str]) -> list[str]:
    """Return filters that find whoever has one of the values; none for no values."""
    each = [f"({attribute}={escaped(text)})" for text in sorted(texts)]
    return [f"(|{''.join(each[n : n + _NAMES])})" for n in range(0, len(each), _NAMES)]


def _next(ids: Sequence[int], after: int, limit: int) -> Sequence[int]:
    first = bisect_right(ids, after)
    return ids[first : first + limit]
