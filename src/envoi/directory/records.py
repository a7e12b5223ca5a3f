"""This room holds the values that the directory takes and gives: drafts, changes, records."""

from dataclasses import dataclass

# A BIGINT holds more, but no table has so many rows; a larger number is none of ours.
MAX_ID = 10**18 - 1
_ID_DIGITS = range(12, 19)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDraft:
    """A user as somebody typed him, before he is checked and stored.

    Args:
        login: Name to sign in with, unique without regard to case.
        first_name: Given name.
        last_name: Family name.
        addresses: E-mail addresses; the first becomes the primary one, where mail goes.
        is_admin: Whether the selector `admins` finds him. Default False.
        is_active: Inactive users are skipped by name. Default True.
        locale: Such as `de` or `pt_BR`; empty: the application's.
        time_zone: Such as `Europe/Berlin`; empty: the application's.
    """

    login: str
    first_name: str = ""
    last_name: str = ""
    addresses: tuple[str, ...] = ()
    is_admin: bool = False
    is_active: bool = True
    locale: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What shall be different about a user; None leaves a field as it is.

    Args:
        login: New name to sign in with.
        first_name: Given name.
        last_name: Family name.
        addresses: All addresses from now on, the first primary; those not named are removed.
        is_admin: Whether the selector `admins` finds him.
        is_active: Whether he is told of anything.
        locale: Empty for the application's.
        time_zone: Empty for the application's.
    """

    login: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    addresses: tuple[str, ...] | None = None
    is_admin: bool | None = None
    is_active: bool | None = None
    locale: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRecord:
    """One address of a user as it is stored.

    Args:
        text: The normalised address, or what an import brought when it is unusable.
        key: The form that references are matched with; empty when it is unusable.
        is_primary: Whether mail goes here.
        problem: Why it cannot be used; empty when it can.
    """

    text: str
    key: str = ""
    is_primary: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A user as he is stored, his addresses primary first and his groups by name."""

    id: int
    login: str
    first_name: str = ""
    last_name: str = ""
    is_admin: bool = False
    is_active: bool = True
    locale: str = ""
    time_zone: str = ""
    created_at_ms: int = 0
    addresses: tuple[AddressRecord, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def person_id(self) -> str:
        """The id under which routing, deliveries and decisions know him.

        >>> UserRecord(id=7, login="ann").person_id
        'user:000000000007'
        """
        return person_id(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A user after a change, with what whoever made it should know.

    Args:
        user: As he is stored now.
        notes: Sentences such as that somebody else has the same address.
    """

    user: UserRecord
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilter:
    """Which users a list shows; None and empty text mean all.

    Args:
        text: Part of the login, a name or an address, without regard to case.
        group: Members of this group only.
        is_admin: Only those with, or without, the admin flag.
        is_active: Only active, or only inactive ones.
        is_reachable: Only those with, or without, a usable primary address.
    """

    text: str = ""
    group: str = ""
    is_admin: bool | None = None
    is_active: bool | None = None
    is_reachable: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """A group as it is stored, with the number of its members."""

    id: int
    name: str
    description: str = ""
    members: int = 0


def person_id(user_id: int) -> str:
    """Return the person id of a user: padded, so that text order is number order."""
    return f"user:{user_id:012d}"


# Before everybody: systems count their users from 0 on (OMERO's root) or from 1.
NO_USER = -1


def user_id_of(text: str) -> int:
    """Return the number in a person id; `NO_USER` when the text is none.

    >>> user_id_of("user:000000000007"), user_id_of("address:a@b.test")
    (7, -1)
    """
    word, _, number = text.partition(":")
    is_ours = word == "user" and len(number) in _ID_DIGITS and number.isascii() and number.isdigit()
    return int(number) if is_ours else NO_USER
