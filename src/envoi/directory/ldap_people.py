"""This room makes people and groups of what an LDAP server tells.

A person's number is made of an attribute that never changes. Small whole numbers (`uidNumber`)
are taken as they are; whatever else it holds (`entryUUID`, `objectGUID`) is digested into one of
eighteen digits: of a million users hardly two share one, and where they do they are told apart by
an error, never mixed up.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from envoi.core.people import Person
from envoi.directory.ldap_talk import Entry
from envoi.directory.proposing import person_of
from envoi.directory.typed import login_key, shown
from envoi.errors import DirectoryError
from envoi.settings import LdapSettings

# Person ids sort as texts: what is shorter than the eighteen digits must begin with a zero.
SMALL_DIGITS = 11
_LEAST = 10**17
# RFC 4514 lets spaces stand around what parts a name; one behind a backslash belongs to a value.
_FIRST_PART = re.compile(r" *([A-Za-z][A-Za-z0-9-]*|[0-9.]+) *= *((?:\\.|[^,+\\])*)")
_ESCAPED = re.compile(rb"\\(?:([0-9A-Fa-f]{2})|(.))")
_AROUND_MARKS = re.compile(r"(?<!\\) *([,+=]) *")


@dataclass(frozen=True, slots=True)
class Known:
    """A user as his entry tells of him.

    Args:
        person: As routing knows him.
        number: The number in his id.
        dn: The key of his entry's name.
        logins: All values of the login, the first is shown.
        addresses: All his addresses as they are stored; the first is primary if `has_primary`.
        has_primary: Whether mail goes anywhere.
        groups: Keys of the names of the groups that his entry names.
    """

    person: Person
    number: int
    dn: str
    logins: tuple[str, ...]
    addresses: tuple[str, ...]
    has_primary: bool
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Group:
    """A group as its entry tells of it.

    Args:
        number: The number that stands for its entry's name.
        names: All its names, the first is shown.
        dn: Its entry's name as the server spells it.
        entries: Members by the key of their entry's name, with the name as it is spelt there.
        logins: Members by login.
    """

    number: int
    names: tuple[str, ...]
    dn: str
    entries: Mapping[str, str]
    logins: frozenset[str]


def known_of(
    entry: Entry, settings: LdapSettings, inactive: Collection[str], admins: Collection[str]
) -> Known | None:
    """Return the user that an entry is; None when it has no login.

    Args:
        entry: As the server told it.
        settings: Which attribute means what.
        inactive: Keys of the names of entries that are inactive.
        admins: Keys of the names, of entries or of groups, and logins that mean administrators.

    Raises:
        DirectoryError: It has no id.
    """
    logins = entry.texts(settings.login)
    if not logins:
        return None
    dn = dn_key(entry.dn)
    primary, extra = entry.texts(settings.email), entry.texts(settings.extra_email)
    groups = frozenset(dn_key(name) for name in entry.texts(settings.member_of))
    number = number_of(_id_in(entry, settings.id))
    is_admin = (
        not groups.isdisjoint(admins)
        or dn in admins
        or any(login_key(login) in admins for login in logins)
    )
    names = (_first(entry.texts(of)) for of in (settings.first_name, settings.last_name))
    row = (number, logins[0], *names, _first(primary), dn not in inactive, is_admin)
    person = person_of(row)
    return Known(person, number, dn, logins, (*primary, *extra), bool(primary), groups)


def _first(texts: Sequence[str]) -> str:
    return texts[0] if texts else ""


def group_of(entry: Entry, settings: LdapSettings) -> Group | None:
    """Return the group that an entry is; None when it has no name."""
    names = entry.texts(settings.group_name)
    if not names:
        return None
    members = [text for attribute in settings.members for text in entry.texts(attribute)]
    # A login may hold an `=` nowhere; the name of an entry always holds one.
    return Group(
        number=number_of(dn_key(entry.dn).encode()),
        names=names,
        dn=entry.dn,
        entries={dn_key(text): text for text in members if "=" in text},
        logins=frozenset(login_key(text) for text in members if "=" not in text),
    )


def number_of(value: bytes) -> int:
    """Return the number that stands for a value, the same one for ever.

    >>> number_of(b"1001"), len(str(number_of(b"5c1d0cbc-7fa3-103e-8a29-9f4ba0d84bd1")))
    (1001, 18)
    """
    if len(value) <= SMALL_DIGITS and value.isdigit():
        return int(value)
    digest = hashlib.blake2b(value, digest_size=16).digest()
    return _LEAST + int.from_bytes(digest) % (9 * _LEAST)


def dn_key(dn: str) -> str:
    """Return what makes two spellings of an entry's name the same.

    >>> dn_key("UID=Ann, ou=People")
    'uid=ann,ou=people'
    """
    return login_key(_AROUND_MARKS.sub(r"\1", dn.strip()))


def first_part(dn: str) -> tuple[str, str] | None:
    r"""Return the attribute and the value that an entry's name begins with; None when it is none.

    >>> first_part("cn=Lee\\, Ann,o=x"), first_part("cn=\\41nne+ou=a,o=x")
    (('cn', 'Lee, Ann'), ('cn', 'Anne'))
    """
    found = _FIRST_PART.match(dn)
    if not found:
        return None
    value = _ESCAPED.sub(_meant, found[2].strip().encode())
    return found[1], value.decode("utf-8", "replace")


def _meant(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[1].decode()) if escape[1] else escape[2]


def _id_in(entry: Entry, attribute: str) -> bytes:
    values = entry.values.get(attribute.lower(), ())
    if len(values) != 1:
        raise DirectoryError(
            f"ldap.id: expected one {attribute} in every user's entry, got {len(values)} in "
            f"{shown(entry.dn)} (name another attribute, or let ldap.bind_dn read this one)"
        )
    return values[0]
