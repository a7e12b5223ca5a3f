"""This room keeps the first administrator, whom some installations take for granted."""

from contextlib import suppress

from envoi.directory.people import add_user, find_user
from envoi.directory.records import UserDraft
from envoi.errors import NotFoundError
from envoi.seams import Tx

ROOT = "root"


def keep_root(tx: Tx, application: str, *, now_ms: int) -> bool:
    """Make the user called root, an administrator, unless he is there.

    An OMERO has him from the beginning, so its page sets his address without adding him.

    Returns:
        Whether he was made.
    """
    with suppress(NotFoundError):
        find_user(tx, application, ROOT)
        return False
    add_user(tx, application, UserDraft(login=ROOT, is_admin=True), now_ms=now_ms)
    return True
