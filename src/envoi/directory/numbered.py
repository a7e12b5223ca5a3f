"""This room knows users and groups by their numbers, as command lines name them."""

from envoi.directory.statements import number
from envoi.seams import Tx


def newest_id(tx: Tx) -> int:
    """Return the greatest user id there is, of whatever application; 0 when there is none."""
    return number(tx.execute("SELECT MAX(id) FROM envoi_user", {})[0][0] or 0)


def login_of(tx: Tx, application: str, user_id: int) -> str:
    """Return the login of a user of the application; empty when there is none of this id."""
    sql = "SELECT login FROM envoi_user WHERE id = :id AND application = :application"
    rows = tx.execute(sql, {"id": user_id, "application": application})
    return str(rows[0][0]) if rows else ""


def group_name(tx: Tx, application: str, group_id: int) -> str:
    """Return the name of a group of the application; empty when there is none of this id."""
    sql = "SELECT name FROM envoi_group WHERE id = :id AND application = :application"
    rows = tx.execute(sql, {"id": group_id, "application": application})
    return str(rows[0][0]) if rows else ""
