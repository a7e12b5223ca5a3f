"""This room is `envoi group`: groups of users, which senders may name."""

from typing import Annotated

import typer

from envoi.cli.call import call_of, known_application
from envoi.cli.rosters import looking, require_own
from envoi.cli.screen import Screen
from envoi.cli.typed import Application, Json, Yes, counted, examples, sure
from envoi.cli.users import user_form
from envoi.directory import groups as directory
from envoi.directory.people import MAX_LISTED
from envoi.directory.records import NO_USER, GroupRecord, UserFilter, UserRecord
from envoi.directory.roster import Roster

Name = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]
Members = Annotated[list[str], typer.Argument(metavar="USER", help="Logins, addresses or ids.")]


def add_to(app: typer.Typer) -> None:
    """Add `group` with its commands."""
    group = typer.Typer(
        name="group",
        help="Groups: add, remove, members.",
        no_args_is_help=True,
        epilog=examples("envoi group add developers", "envoi group add-member developers ann"),
    )
    group.command(
        "add", epilog=examples("envoi group add developers --description 'Who writes code'")
    )(add)
    group.command("remove", epilog=examples("envoi group remove developers --yes"))(remove)
    group.command("list", epilog=examples("envoi group list", "envoi group list --json"))(show_all)
    group.command("show", epilog=examples("envoi group show developers"))(show)
    group.command("add-member", epilog=examples("envoi group add-member developers ann bob"))(
        add_member
    )
    group.command("remove-member", epilog=examples("envoi group remove-member developers bob"))(
        remove_member
    )
    app.add_typer(group)


def add(
    ctx: typer.Context,
    name: Name,
    description: Annotated[str, typer.Option(help="A sentence for lists.")] = "",
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """Add a group without members."""
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        require_own(mailer.parts)
        with mailer.parts.outbox.transaction() as tx:
            group = directory.add_group(tx, application, name, description=description)
    _tell(call_of(ctx).screen, "added", group, as_json=as_json)


def remove(
    ctx: typer.Context, name: Name, application: Application = "main", yes: Yes = False
) -> None:
    """Remove a group; its members stay users."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        require_own(mailer.parts)
        with mailer.parts.outbox.reading() as tx:
            group = directory.find_group(tx, application, name)
        sure(
            screen,
            f"Remove group {group.name} with {counted(group.members, 'member', 'members')}?",
            yes=yes,
        )
        with mailer.parts.outbox.transaction() as tx:
            directory.remove_group(tx, application, group.name)
    screen.line(f"removed {group.name}")


def show_all(ctx: typer.Context, application: Application = "main", as_json: Json = False) -> None:
    """List groups by name."""
    screen = call_of(ctx).screen
    with looking(ctx, application) as roster:
        groups = roster.groups()
    if as_json:
        screen.document([group_form(group) for group in groups])
    elif not groups:
        screen.note("no groups yet: try `envoi group add NAME`")
    else:
        rows = [(group.name, group.members, group.description or "-") for group in groups]
        screen.table(("GROUP", "MEMBERS", "DESCRIPTION"), rows)


def show(
    ctx: typer.Context, name: Name, application: Application = "main", as_json: Json = False
) -> None:
    """Show a group with its members."""
    screen = call_of(ctx).screen
    with looking(ctx, application) as roster:
        group = roster.group(name)
        members = _members(roster, group)
    if as_json:
        people = [user_form(user) for user in members]
        screen.document({**group_form(group), "people": people})
        return
    screen.pairs({"group": group.name, "description": group.description or "-"})
    if members:
        rows = [
            (user.login, f"{user.first_name} {user.last_name}".strip() or "-") for user in members
        ]
        screen.table(("LOGIN", "NAME"), rows)
    else:
        screen.note(f"no members yet: try `envoi group add-member {group.name} USER`")


def add_member(
    ctx: typer.Context,
    name: Name,
    who: Members,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """Make users members of a group; who is one already stays one."""
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        require_own(mailer.parts)
        with mailer.parts.outbox.transaction() as tx:
            group = directory.add_members(tx, application, name, who)
    _tell(call_of(ctx).screen, "changed", group, as_json=as_json)


def remove_member(
    ctx: typer.Context,
    name: Name,
    who: Members,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """End memberships in a group; who is no member stays none."""
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        require_own(mailer.parts)
        with mailer.parts.outbox.transaction() as tx:
            group = directory.remove_members(tx, application, name, who)
    _tell(call_of(ctx).screen, "changed", group, as_json=as_json)


def group_form(group: GroupRecord) -> dict[str, object]:
    """Return a group as JSON shows it."""
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "members": group.members,
    }


def _members(roster: Roster, group: GroupRecord) -> list[UserRecord]:
    found: list[UserRecord] = []
    after, which = NO_USER, UserFilter(group=group.name)
    while page := roster.users(which, after=after, limit=MAX_LISTED):
        found += page
        after = page[-1].id
    return found


def _tell(screen: Screen, verb: str, group: GroupRecord, *, as_json: bool) -> None:
    if as_json:
        screen.document(group_form(group))
    else:
        screen.line(f"{verb} {group.name}, {counted(group.members, 'member', 'members')}")
