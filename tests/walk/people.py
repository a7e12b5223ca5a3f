"""The people whom the tests of the walk know."""

from collections.abc import Mapping
from dataclasses import replace

from envoi import Event
from envoi.core.kind import Plain
from envoi.directory.people import add_user
from envoi.directory.records import UserDraft
from envoi.mailer import Mailer

USERS = (
    UserDraft(login="ann", first_name="Ann", last_name="Lee", addresses=("ann@example.test",)),
    UserDraft(login="bob", first_name="Bob", last_name="Ray", addresses=("bob@example.test",)),
    UserDraft(login="cat"),
    UserDraft(login="dan", addresses=("dan@example.test",), is_active=False),
    UserDraft(login="eva", addresses=("eva@example.test",), locale="de", time_zone="Europe/Berlin"),
    UserDraft(login="root", addresses=("root@example.test",), is_admin=True),
)


def add_users(mailer: Mailer, *drafts: UserDraft) -> None:
    """Store these users, or the usual six."""
    with mailer.parts.outbox.transaction() as tx:
        for draft in drafts or USERS:
            add_user(tx, "main", draft, now_ms=1)


def review(facts: Mapping[str, Plain], **changes: object) -> Event:
    """A pull request event by ann, with bob, cat, dan and ann as reviewers."""
    event = Event(
        kind="pull_request",
        actor="ann",
        subject="docs/pull/7",
        people={"reviewers": ("bob", "cat", "dan", "ann")},
        facts=facts,
    )
    return replace(event, **changes)  # type: ignore[arg-type] # what a test changes, it types
