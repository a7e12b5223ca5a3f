"""This room changes the addresses of one user.

A user with addresses always has exactly one primary address, where his mail goes. It changes only
when somebody says so: removing it does not quietly move his mail to another one.
"""

from dataclasses import replace

from envoi.addresses import parse_address
from envoi.directory import writing
from envoi.directory.people import find_user, saved
from envoi.directory.records import AddressRecord, Saved, UserRecord
from envoi.directory.typed import address_key, checked_address, shown
from envoi.errors import AddressError, NotFoundError, RefusedError
from envoi.seams import Tx


def add_address(tx: Tx, application: str, who: str | int, address: str) -> Saved:
    """Give a user one more address; his first one becomes the primary one.

    Raises:
        NotFoundError: Nobody is called so.
        AddressError: Not a usable address.
        RefusedError: He has it already.
    """
    user = find_user(tx, application, who)
    added = checked_address(address)
    if any(added.key == old.key for old in user.addresses):
        raise RefusedError(f"address: {user.login} has {added.text} already")
    writing.add_addresses(tx, {user.id: [replace(added, is_primary=not user.addresses)]})
    return saved(tx, application, user.id)


def remove_address(tx: Tx, application: str, who: str | int, address: str) -> Saved:
    """Take an address from a user; an unusable one is named by its text as it is shown.

    Raises:
        NotFoundError: Nobody is called so, or he has no such address.
        RefusedError: It is the primary one and there are others.
    """
    user = find_user(tx, application, who)
    removed = _of(user, address)
    if removed.is_primary and len(user.addresses) > 1:
        raise RefusedError(
            f"address: {removed.text} is the primary address of {user.login}; "
            "make another one primary first"
        )
    kept = [old for old in user.addresses if old is not removed]
    writing.replace_addresses(tx, {user.id: kept})
    return saved(tx, application, user.id)


def make_primary(tx: Tx, application: str, who: str | int, address: str) -> Saved:
    """Have a user's mail go to another one of his addresses.

    Raises:
        NotFoundError: Nobody is called so, or he has no such address.
        RefusedError: The address is unusable.
    """
    user = find_user(tx, application, who)
    chosen = _of(user, address)
    if chosen.problem:
        raise RefusedError(f"address: {chosen.text} is unusable: {chosen.problem}")
    changed = [replace(old, is_primary=old is chosen) for old in user.addresses]
    writing.replace_addresses(tx, {user.id: changed})
    return saved(tx, application, user.id)


def _of(user: UserRecord, address: str) -> AddressRecord:
    try:
        key = address_key(parse_address(address))
    except AddressError:
        key = ""
    for record in user.addresses:
        if record.key == key if record.key else record.text == shown(address):
            return record
    have = ", ".join(record.text for record in user.addresses) or "none"
    raise NotFoundError(
        f"address: {user.login} has no address {shown(address)!r}; his addresses: {have}"
    )
