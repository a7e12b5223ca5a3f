"""This room adds, lists and removes groups and their members."""

from collections.abc import Iterable

from envoi.directory import statements, writing
from envoi.directory.people import find_user, list_users
from envoi.directory.records import GroupRecord, UserFilter, UserRecord
from envoi.directory.typed import (
    MAX_DESCRIPTION_CHARS,
    checked_group,
    checked_line,
    login_key,
    refusal,
    shown,
)
from envoi.errors import NotFoundError
from envoi.seams import Tx


def add_group(tx: Tx, application: str, name: str, *, description: str = "") -> GroupRecord:
    """Store a new group without members.

    Raises:
        InputError: The name does not fit or is taken.
    """
    checked = checked_group(name)
    row = {
        "application": application,
        "name": checked,
        "name_key": login_key(checked),
        "description": checked_line(description, "description", MAX_DESCRIPTION_CHARS),
    }
    group_id = writing.add_group_if_free(tx, row)
    if group_id is None:
        raise refusal("group", "a name that no group has", f"{checked}, which is taken")
    return find_group(tx, application, checked)


def remove_group(tx: Tx, application: str, name: str) -> GroupRecord:
    """Remove a group; its members stay users. Return it as it was.

    Raises:
        NotFoundError: There is no such group.
    """
    group = find_group(tx, application, name)
    writing.remove_group_row(tx, group.id)
    return group


def find_group(tx: Tx, application: str, name: str) -> GroupRecord:
    """Return the group of that name, without regard to case.

    Raises:
        NotFoundError: There is no such group.
    """
    key = login_key(name) if name.isprintable() else ""
    found = statements.group_records(tx, application, key) if key else ()
    if not found:
        raise NotFoundError(f"group: none is called {shown(name)!r}; `envoi group list` shows all")
    return found[0]


def list_groups(tx: Tx, application: str) -> tuple[GroupRecord, ...]:
    """Return all groups by name, with the number of their members."""
    return statements.group_records(tx, application)


def list_members(
    tx: Tx, application: str, name: str, *, after: int = 0, limit: int = 100
) -> tuple[UserRecord, ...]:
    """Return members of a group by ascending id, those behind `after`.

    Raises:
        NotFoundError: There is no such group.
    """
    group = find_group(tx, application, name)
    return list_users(tx, application, UserFilter(group=group.name), after=after, limit=limit)


def add_members(tx: Tx, application: str, name: str, who: Iterable[str | int]) -> GroupRecord:
    """Make users members of a group; who is one already stays one.

    Raises:
        NotFoundError: There is no such group, or one of the users does not exist; none is added.
    """
    group = find_group(tx, application, name)
    users = [find_user(tx, application, one) for one in who]
    writing.add_memberships(tx, [(group.id, user.id) for user in users])
    return find_group(tx, application, name)


def remove_members(tx: Tx, application: str, name: str, who: Iterable[str | int]) -> GroupRecord:
    """End memberships in a group; who is no member stays none.

    Raises:
        NotFoundError: There is no such group, or one of the users does not exist; all stay.
    """
    group = find_group(tx, application, name)
    users = [find_user(tx, application, one) for one in who]
    writing.remove_memberships(tx, [(group.id, user.id) for user in users])
    return find_group(tx, application, name)
