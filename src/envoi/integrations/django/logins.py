"""This room tells of sign-ins that Django refused, as events `failed_login`.

Who signs in under a name that nobody has is told of to nobody: whoever guesses names would fill
the administrators' mailboxes. The password is never looked at.
"""

from collections.abc import Mapping
from functools import partial

from envoi.core.event import Event
from envoi.core.objects import subject_of
from envoi.integrations.django.request import client_of, program_of
from envoi.integrations.django.toolkit import (
    LOGIN_FAILED,
    atomic,
    is_user,
    username_field,
    users_alias,
)
from envoi.journal import Fact
from envoi.mailer import Mailer

KIND = "failed_login"


def listen(mailer: Mailer) -> None:
    """Hand every refused sign-in to the mailer."""
    LOGIN_FAILED.connect(partial(_refused, mailer), weak=False, dispatch_uid=KIND)


def _refused(
    mailer: Mailer, credentials: Mapping[str, object], request: object = None, **_more: object
) -> None:
    # In the view that signs people in, whose page must come whatever becomes of the mail.
    try:
        _tell(mailer, credentials, request)
    except Exception as err:  # noqa: BLE001 # see above
        because = f"{type(err).__name__}: {err}"
        mailer.parts.journal.note(Fact.EVENT_NOT_STORED, kind=KIND, because=because)


def _tell(mailer: Mailer, credentials: Mapping[str, object], request: object) -> None:
    username = str(credentials.get(username_field()) or credentials.get("username") or "")
    alias = users_alias()
    with atomic(alias):
        if not username or not is_user(username, alias):
            return
    mailer.notify(
        Event(
            kind=KIND,
            subject=subject_of("users", f"{username}/sign-in"),
            people={"user": (username,)},
            facts={
                "username": username,
                "at": mailer.parts.clock(),
                "client": client_of(request),
                "user_agent": program_of(request),
            },
        ),
        alias,
    )
