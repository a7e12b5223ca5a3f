"""This room holds the statements that change people: plain SQL, one form for both engines."""

from collections.abc import Iterable, Mapping, Sequence

from envoi.directory.records import AddressRecord
from envoi.directory.statements import number, run_in
from envoi.seams import Params, Tx

USER_FIELDS = ("login", "first_name", "last_name", "is_admin", "is_active", "locale", "time_zone")

_ADD_USER = """
INSERT INTO envoi_user (application, login, login_key, first_name, last_name, is_admin, is_active,
  locale, time_zone, created_at_ms)
VALUES (:application, :login, :login_key, :first_name, :last_name, :is_admin, :is_active,
  :locale, :time_zone, :created_at_ms)
"""
_UPDATE_USER = """
UPDATE envoi_user SET login = :login, login_key = :login_key, first_name = :first_name,
  last_name = :last_name, is_admin = :is_admin, is_active = :is_active, locale = :locale,
  time_zone = :time_zone
WHERE id = :id
"""
_ADD_ADDRESS = """
INSERT INTO envoi_user_address (user_id, address, address_key, is_primary, problem)
VALUES (:user, :address, :address_key, :is_primary, :problem)
"""


def add_user_if_free(tx: Tx, user: Params) -> int | None:
    """Store a new user; return his id, or None when the login is taken, by whomever."""
    rows = tx.execute(
        f"{_ADD_USER} ON CONFLICT (application, login_key) DO NOTHING RETURNING id", user
    )
    return number(rows[0][0]) if rows else None


def add_users(tx: Tx, users: Sequence[Params]) -> None:
    """Store new users whose logins are known to be free."""
    if users:
        tx.execute_many(_ADD_USER, users)


def update_users(tx: Tx, users: Sequence[Params]) -> None:
    """Store all fields of users that exist."""
    if users:
        tx.execute_many(_UPDATE_USER, users)


def remove_user_row(tx: Tx, user_id: int) -> None:
    """Remove a user with his addresses and memberships."""
    # Said out loud, because on a caller's SQLite connection foreign keys may be off.
    for sql in (
        "DELETE FROM envoi_membership WHERE user_id = :id",
        "DELETE FROM envoi_user_address WHERE user_id = :id",
        "DELETE FROM envoi_user WHERE id = :id",
    ):
        tx.execute(sql, {"id": user_id})


def replace_addresses(tx: Tx, by_user: Mapping[int, Sequence[AddressRecord]]) -> None:
    """Make these all the addresses that each of these users has."""
    run_in(tx, "DELETE FROM envoi_user_address WHERE user_id IN {list}", by_user)
    add_addresses(tx, by_user)


def add_addresses(tx: Tx, by_user: Mapping[int, Sequence[AddressRecord]]) -> None:
    """Store addresses beside those that these users have."""
    rows = [_address_row(user, record) for user, records in by_user.items() for record in records]
    if rows:
        tx.execute_many(_ADD_ADDRESS, rows)


def _address_row(user_id: int, record: AddressRecord) -> Params:
    return {
        "user": user_id,
        "address": record.text,
        "address_key": record.key,
        "is_primary": int(record.is_primary),
        "problem": record.problem,
    }


def add_group_if_free(tx: Tx, group: Params) -> int | None:
    """Store a new group; return its id, or None when the name is taken."""
    rows = tx.execute(
        """INSERT INTO envoi_group (application, name, name_key, description)
        VALUES (:application, :name, :name_key, :description)
        ON CONFLICT (application, name_key) DO NOTHING RETURNING id""",
        group,
    )
    return number(rows[0][0]) if rows else None


def remove_group_row(tx: Tx, group_id: int) -> None:
    """Remove a group with its memberships; its users stay."""
    tx.execute("DELETE FROM envoi_membership WHERE group_id = :id", {"id": group_id})
    tx.execute("DELETE FROM envoi_group WHERE id = :id", {"id": group_id})


def add_memberships(tx: Tx, pairs: Iterable[tuple[int, int]]) -> None:
    """Make users members of groups, as (group id, user id); who is one stays one."""
    rows = [{"group": group, "user": user} for group, user in pairs]
    if rows:
        tx.execute_many(
            """INSERT INTO envoi_membership (group_id, user_id) VALUES (:group, :user)
            ON CONFLICT (group_id, user_id) DO NOTHING""",
            rows,
        )


def remove_memberships(tx: Tx, pairs: Iterable[tuple[int, int]]) -> None:
    """End memberships, as (group id, user id); who is no member stays none."""
    rows = [{"group": group, "user": user} for group, user in pairs]
    if rows:
        tx.execute_many(
            "DELETE FROM envoi_membership WHERE group_id = :group AND user_id = :user", rows
        )


def end_memberships_of(tx: Tx, users: Iterable[int]) -> None:
    """Make these users members of nothing."""
    run_in(tx, "DELETE FROM envoi_membership WHERE user_id IN {list}", users)
