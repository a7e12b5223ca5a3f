"""This room is `envoi user`: who can be told, with addresses, flags and language."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import typer

from envoi.assembly import Parts, now_ms
from envoi.cli.call import call_of, known_application
from envoi.cli.moments import both
from envoi.cli.rosters import looking, require_own
from envoi.cli.screen import Screen
from envoi.cli.typed import MAX_ID, Application, Json, Yes, examples, sure, taking
from envoi.cli.user_fields import KEYS, change_of, draft_of, fields_of
from envoi.directory.mailboxes import add_address, make_primary, remove_address
from envoi.directory.people import (
    MAX_LISTED,
    add_user,
    change_user,
    find_user,
    remove_user,
)
from envoi.directory.records import NO_USER, Saved, UserFilter, UserRecord
from envoi.directory.root import ROOT, keep_root
from envoi.directory.roster import OwnRoster, Roster
from envoi.errors import InputError
from envoi.seams import Tx

_FIELDS_HELP = f"More fields as KEY=VALUE: {', '.join(KEYS)}."
Who = Annotated[
    str, typer.Argument(metavar="USER", help="Login, address or id.", show_default=False)
]
Fields = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help=_FIELDS_HELP, show_default=False),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What can be typed about a user."""

    fields: Fields = None
    email: Annotated[
        list[str],
        typer.Option("--email", "-e", help="An address; repeat it, the first is primary."),
    ] = field(default_factory=list[str])
    first_name: Annotated[str | None, typer.Option(help="Given name.")] = None
    last_name: Annotated[str | None, typer.Option(help="Family name.")] = None
    admin: Annotated[bool | None, typer.Option("--admin/--no-admin", help="Administrator.")] = None
    active: Annotated[
        bool | None,
        typer.Option("--active/--inactive", help="Whether this user is told of anything."),
    ] = None
    locale: Annotated[str | None, typer.Option(help="Such as de or pt_BR.")] = None
    time_zone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin.")] = None
    application: Application = "main"
    as_json: Json = False

    def typed(self) -> dict[str, object]:
        """Return the fields that were typed, whichever way."""
        options: dict[str, object] = {
            "addresses": tuple(self.email) or None,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "is_admin": self.admin,
            "is_active": self.active,
            "locale": self.locale,
            "time_zone": self.time_zone,
        }
        return fields_of(self.fields or (), options)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AddOptions(_Options):
    login: Annotated[str, typer.Argument(help="Name to sign in with.", show_default=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SetOptions(_Options):
    who: Who
    login: Annotated[str | None, typer.Option(help="A new login.")] = None
    add_email: Annotated[list[str], typer.Option("--add-email", help="One more address.")] = field(
        default_factory=list[str]
    )
    remove_email: Annotated[list[str], typer.Option("--remove-email", help="An address less.")] = (
        field(default_factory=list[str])
    )
    primary_email: Annotated[
        str, typer.Option("--primary-email", help="Which of the addresses mail goes to.")
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ListOptions:
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", show_default=False, help="Part of login, name or address."),
    ] = ""
    group: Annotated[str, typer.Option(help="Members of this group only.")] = ""
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="Only administrators, or only others.")
    ] = None
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Only active ones, or the others.")
    ] = None
    reachable: Annotated[
        bool | None,
        typer.Option("--reachable/--unreachable", help="Only with a usable address, or without."),
    ] = None
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100
    after: Annotated[
        int,
        typer.Option(min=NO_USER, max=MAX_ID, show_default=False, help="Only ids above this one."),
    ] = NO_USER
    application: Application = "main"
    as_json: Json = False


def add_to(app: typer.Typer) -> None:
    """Add `user` with its commands."""
    from envoi.cli import user_import  # noqa: PLC0415 # it shows users as this room does

    group = typer.Typer(
        name="user",
        help="Users: add, change, find, import.",
        no_args_is_help=True,
        epilog=examples("envoi user add ann --email ann@example.org", "envoi user list"),
    )
    group.command("add", epilog=examples(
        "envoi user add ann --email ann@example.org --first-name Ann --last-name Lee",
        "envoi user add root email=root@example.org admin=yes",
    ))(taking(_AddOptions)(add))  # fmt: skip
    group.command("set", epilog=examples(
        "envoi user set root email=root@university.example",
        "envoi user set ann --inactive",
        "envoi user set ann --add-email ann@home.example --primary-email ann@home.example",
    ))(taking(_SetOptions)(change))  # fmt: skip
    group.command("remove", epilog=examples("envoi user remove ann --yes"))(remove)
    group.command("list", epilog=examples(
        "envoi user list", "envoi user list lee --json", "envoi user list --unreachable",
    ))(taking(_ListOptions)(show_all))  # fmt: skip
    group.command("show", epilog=examples("envoi user show ann", "envoi user show ann --json"))(
        show
    )
    user_import.add_to(group)
    app.add_typer(group)


def add(ctx: typer.Context, options: _AddOptions) -> None:
    """Add a user."""
    draft = draft_of(options.login, options.typed())
    with _writing(ctx, options.application) as (_, tx):
        saved = add_user(tx, options.application, draft, now_ms=now_ms())
    _tell(call_of(ctx).screen, "added", saved, as_json=options.as_json)


def change(ctx: typer.Context, options: _SetOptions) -> None:
    """Change a user; what is not named stays.

    --email replaces all addresses of the user. A user called root who is not there is added, as
    an administrator.
    """
    typed = options.typed()
    if options.login is not None:
        typed["login"] = options.login
    more = (*options.add_email, *options.remove_email, options.primary_email)
    if not typed and not any(more):
        raise InputError(f"nothing to change: name a field as an option or as {KEYS[0]}=VALUE")
    application = options.application
    with _writing(ctx, application) as (_, tx):
        if options.who == ROOT and keep_root(tx, application, now_ms=now_ms()):
            call_of(ctx).screen.note("note: root was not there: added as an administrator")
        saved = change_user(tx, application, options.who, change_of(typed))
        user = saved.user.id
        for address in options.add_email:
            saved = add_address(tx, application, user, address)
        if options.primary_email:
            saved = make_primary(tx, application, user, options.primary_email)
        for address in options.remove_email:
            saved = remove_address(tx, application, user, address)
    _tell(call_of(ctx).screen, "changed", saved, as_json=options.as_json)


def remove(
    ctx: typer.Context, who: Who, application: Application = "main", yes: Yes = False
) -> None:
    """Remove a user; mail and decisions that name the user stay."""
    screen = call_of(ctx).screen
    with _writing(ctx, application) as (_, tx):
        user = find_user(tx, application, who)
    sure(screen, f"Remove user {user.login}?", yes=yes)
    with _writing(ctx, application) as (_, tx):
        remove_user(tx, application, user.id)
    screen.line(f"removed {user.login}")


def show_all(ctx: typer.Context, options: _ListOptions) -> None:
    """List users by id."""
    screen = call_of(ctx).screen
    which = UserFilter(
        text=options.text,
        group=options.group,
        is_admin=options.admin,
        is_active=options.active,
        is_reachable=options.reachable,
    )
    with looking(ctx, options.application) as roster:
        found = tuple(_pages(roster, which, options))
        is_ours = isinstance(roster, OwnRoster)
    if options.as_json:
        screen.document([user_form(user) for user in found])
        return
    if not found:
        screen.note(_nobody(which, is_ours=is_ours))
        return
    screen.table(("ID", "LOGIN", "NAME", "ADDRESS", "FLAGS", "GROUPS"), map(_row, found))
    if len(found) == options.limit:
        screen.note(f"There may be more: --after {found[-1].id}, or a greater --limit.")


def show(
    ctx: typer.Context, who: Who, application: Application = "main", as_json: Json = False
) -> None:
    """Show one user with all addresses and groups."""
    with looking(ctx, application) as roster:
        user = roster.user(who)
    if as_json:
        call_of(ctx).screen.document(user_form(user))
    else:
        show_user(call_of(ctx).screen, user)


def user_form(user: UserRecord) -> dict[str, object]:
    """Return a user as JSON shows it."""
    return {
        "id": user.id,
        "login": user.login,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "addresses": [
            {
                "address": address.text,
                "is_primary": address.is_primary,
                "problem": address.problem or None,
            }
            for address in user.addresses
        ],
        "groups": list(user.groups),
        "is_admin": user.is_admin,
        "is_active": user.is_active,
        "locale": user.locale or None,
        "time_zone": user.time_zone or None,
        **both("created_at", user.created_at_ms),
    }


def show_user(screen: Screen, user: UserRecord) -> None:
    """Print one user, line by line."""
    lines: Mapping[str, str] = {
        "login": f"{user.login} (id {user.id})",
        "name": f"{user.first_name} {user.last_name}".strip() or "-",
        "flags": _flags(user) or "-",
        "locale": user.locale or "the application's",
        "time zone": user.time_zone or "the application's",
        "groups": ", ".join(user.groups) or "-",
    }
    screen.pairs(lines)
    for address in user.addresses:
        primary = ", primary" if address.is_primary else ""
        problem = f", unusable: {address.problem}" if address.problem else ""
        screen.pairs({"address": f"{address.text}{primary}{problem}"})
    if not user.addresses:
        screen.pairs({"address": "none: skipped by name"})


@contextmanager
def _writing(ctx: typer.Context, application: str) -> Generator[tuple[Parts, Tx]]:
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        require_own(mailer.parts)
        with mailer.parts.outbox.transaction() as tx:
            yield mailer.parts, tx


def _pages(roster: Roster, which: UserFilter, options: _ListOptions) -> Iterable[UserRecord]:
    after, left = options.after, options.limit
    while left:
        page = roster.users(which, after=after, limit=min(left, MAX_LISTED))
        yield from page
        if len(page) < min(left, MAX_LISTED):
            return
        after, left = page[-1].id, left - len(page)


def _tell(screen: Screen, verb: str, saved: Saved, *, as_json: bool) -> None:
    for note in saved.notes:
        screen.note(f"note: {note}")
    if as_json:
        screen.document(user_form(saved.user))
        return
    screen.line(f"{verb} {saved.user.login}")
    show_user(screen, saved.user)


def _row(user: UserRecord) -> tuple[object, ...]:
    name = f"{user.first_name} {user.last_name}".strip()
    primary = next((address for address in user.addresses if address.is_primary), None)
    address = primary.text if primary else "-"
    if primary and primary.problem:
        address = f"{primary.text} (unusable)"
    return (
        user.id,
        user.login,
        name or "-",
        address,
        _flags(user) or "-",
        ", ".join(user.groups) or "-",
    )


def _flags(user: UserRecord) -> str:
    flags = ("admin" if user.is_admin else "", "" if user.is_active else "inactive")
    return ", ".join(filter(None, flags))


def _nobody(which: UserFilter, *, is_ours: bool) -> str:
    if which != UserFilter():
        return "no user is like that"
    if not is_ours:
        return "no users there: `envoi check` says where they are read"
    return "no users yet: try `envoi user add LOGIN --email ADDRESS`, or `envoi user import FILE`"
