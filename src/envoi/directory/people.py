"""This room adds, changes, finds, lists and removes users, as somebody typed it.

Input is checked first and as a whole: what is refused has changed nothing. Several accounts may
share an address (a team's mailbox); it is allowed and said in a note, since an event that names
the address then means them all.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from envoi.addresses import parse_address
from envoi.directory import statements, writing
from envoi.directory.records import (
    MAX_ID,
    NO_USER,
    Saved,
    UserChange,
    UserDraft,
    UserFilter,
    UserRecord,
    user_id_of,
)
from envoi.directory.typed import (
    address_key,
    checked_addresses,
    checked_line,
    checked_locale,
    checked_login,
    checked_time_zone,
    login_key,
    refusal,
    shown,
)
from envoi.errors import AddressError, InputError, NotFoundError
from envoi.seams import Params, Tx

# A page of a list; a command that wants more asks again with the last id.
MAX_LISTED = 1_000
# How many logins a note or an error names.
MAX_NAMED = 5


def add_user(tx: Tx, application: str, draft: UserDraft, *, now_ms: int) -> Saved:
    """Store a new user.

    Args:
        tx: An open transaction.
        application: Whose user he is.
        draft: What was typed.
        now_ms: The clock.

    Raises:
        InputError: A field does not fit, or the login is taken; nothing is stored.
        AddressError: One of the addresses is not usable; nothing is stored.
    """
    user = _checked(UserRecord(id=0, login="", created_at_ms=now_ms), draft)
    user_id = writing.add_user_if_free(tx, user_row(application, user))
    if user_id is None:
        raise _taken(user.login)
    writing.add_addresses(tx, {user_id: user.addresses})
    return saved(tx, application, user_id)


def change_user(tx: Tx, application: str, who: str | int, change: UserChange) -> Saved:
    """Store what shall be different about a user.

    Raises:
        NotFoundError: Nobody is called so.
        InputError: A field does not fit, or the new login is taken; nothing is changed.
    """
    before = find_user(tx, application, who)
    after = _checked(before, change)
    key = login_key(after.login)
    if statements.ids_by_login(tx, application, [key]).get(key, before.id) != before.id:
        raise _taken(after.login)
    writing.update_users(tx, [user_row(application, after)])
    if after.addresses != before.addresses:
        writing.replace_addresses(tx, {before.id: after.addresses})
    return saved(tx, application, before.id)


def remove_user(tx: Tx, application: str, who: str | int) -> UserRecord:
    """Remove a user with his addresses and memberships; return him as he was.

    Deliveries and decisions that name him stay as they are.

    Raises:
        NotFoundError: Nobody is called so.
    """
    user = find_user(tx, application, who)
    writing.remove_user_row(tx, user.id)
    return user


def find_user(tx: Tx, application: str, who: str | int) -> UserRecord:
    """Return the user with that id, login or registered address.

    Args:
        tx: An open transaction.
        application: Whose user he is.
        who: A row id as a number or in digits, a person id (`user:000000000007`), a login or an
            address. A login is tried before an address, and both before digits.

    Raises:
        NotFoundError: Nobody is called so.
        InputError: Several users registered this address.
    """
    ids = _ids_numbered(who) if isinstance(who, int) else _ids_named(tx, application, who)
    if len(ids) > 1:
        logins = _logins(tx, ids)
        raise refusal("user", "one user", f"{who}, an address of {logins}", "name a login")
    if not statements.are_users_of(tx, application, ids):
        raise NotFoundError(f"user: nobody is called {shown(who)!r}; `envoi user list` shows all")
    return statements.records(tx, ids)[0]


def list_users(
    tx: Tx,
    application: str,
    which: UserFilter | None = None,
    *,
    after: int = 0,
    limit: int = 100,
) -> tuple[UserRecord, ...]:
    """Return users by ascending id.

    Args:
        tx: An open transaction.
        application: Whose users.
        which: Which of them; None: all.
        after: Id of the last one already had; 0 for the first page.
        limit: At most so many, 1..1,000.
    """
    if not 1 <= limit <= MAX_LISTED:
        raise refusal("limit", f"1..{MAX_LISTED}", limit)
    ids = statements.ids_matching(tx, application, which or UserFilter(), after, limit)
    return statements.records(tx, ids)


def saved(tx: Tx, application: str, user_id: int) -> Saved:
    """Return a user as he is stored now, with a note for each address he shares."""
    user = statements.records(tx, [user_id])[0]
    keys = [address.key for address in user.addresses if address.key]
    holders = statements.ids_by_address(tx, application, keys)
    others = {key: [i for i in holders[key] if i != user_id] for key in keys}
    return Saved(
        user=user,
        notes=tuple(
            f"{key} is also an address of {_logins(tx, ids)}" for key, ids in others.items() if ids
        ),
    )


def user_row(application: str, user: UserRecord) -> Params:
    """Return a user's own columns as parameters."""
    return {
        "id": user.id,
        "application": application,
        "login": user.login,
        "login_key": login_key(user.login),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_admin": int(user.is_admin),
        "is_active": int(user.is_active),
        "locale": user.locale,
        "time_zone": user.time_zone,
        "created_at_ms": user.created_at_ms,
    }


def _checked(user: UserRecord, change: UserDraft | UserChange) -> UserRecord:
    # Every field is checked before anything is written.
    typed = {f.name: getattr(change, f.name) for f in fields(change)}
    return replace(user, **{name: _CHECKS[name](v) for name, v in typed.items() if v is not None})


_CHECKS: Mapping[str, Callable[[Any], Any]] = MappingProxyType({
    "login": checked_login,
    "first_name": lambda typed: checked_line(typed, "first_name"),
    "last_name": lambda typed: checked_line(typed, "last_name"),
    "addresses": checked_addresses,
    "is_admin": bool,
    "is_active": bool,
    "locale": checked_locale,
    "time_zone": checked_time_zone,
})  # fmt: skip


def _ids_numbered(user_id: int) -> list[int]:
    return [user_id] if 0 < user_id <= MAX_ID else []


def _ids_named(tx: Tx, application: str, who: str) -> list[int]:
    if not who.isprintable():
        return []
    if (user_id := user_id_of(who)) != NO_USER:
        return [user_id]
    key = login_key(who)
    found = statements.ids_by_login(tx, application, [key])
    if found:
        return [found[key]]
    is_number = who.isascii() and who.isdecimal() and len(who) <= len(str(MAX_ID))
    return _ids_numbered(int(who)) if is_number else _ids_with(tx, application, who)


def _ids_with(tx: Tx, application: str, text: str) -> list[int]:
    try:
        key = address_key(parse_address(text))
    except AddressError:
        return []
    return statements.ids_by_address(tx, application, [key]).get(key, [])


def _logins(tx: Tx, ids: list[int]) -> str:
    logins = [user.login for user in statements.records(tx, ids[:MAX_NAMED])]
    more = f" and {len(ids) - MAX_NAMED} more" if len(ids) > MAX_NAMED else ""
    return ", ".join(logins) + more


def _taken(login: str) -> InputError:
    return refusal("login", "a login that nobody has", f"{login}, which is taken", "choose another")
