"""This room is `envoi obj`: users by the words that OMERO's people type.

`Experimenter:N` is the user with the id N, and `Experimenter:0`, OMERO's first administrator, is
the user called root: an installation always has one, so he is made when his address is first set.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from envoi.assembly import now_ms
from envoi.cli.call import call_of, known_application
from envoi.cli.rosters import looking, require_own
from envoi.cli.typed import Application, examples
from envoi.directory.people import change_user
from envoi.directory.records import MAX_ID, Saved, UserChange, UserRecord
from envoi.directory.root import ROOT, keep_root
from envoi.errors import AddressError, InputError, NotFoundError
from envoi.seams import Tx

CLASS = "Experimenter"
# OMERO's codes; a process ends with what is left of them modulo 256.
BAD_CLASS, UNKNOWN_ID, NOT_SAVED = 102, 334, 336
_MOST = 256
# OMERO's names of what Envoi knows of a user, and ours.
_FIELDS = {
    "email": "addresses",
    "omeName": "login",
    "firstName": "first_name",
    "lastName": "last_name",
}
Which = Annotated[str, typer.Argument(metavar="Experimenter:ID", help="0 is root.")]
Field = Annotated[str, typer.Argument(metavar="FIELD", help=f"One of {', '.join(_FIELDS)}.")]


def add_to(app: typer.Typer) -> None:
    """Add `obj` with its commands."""
    group = typer.Typer(
        name="obj",
        help="Users as OMERO's people address them; `envoi user` can do more.",
        no_args_is_help=True,
        epilog=examples("envoi obj update Experimenter:0 email=root@university.example"),
    )
    group.command("update", epilog=examples(
        "envoi obj update Experimenter:0 email=root@university.example",
        "envoi obj update Experimenter:7 firstName=Ann lastName=Lee",
    ))(update)  # fmt: skip
    group.command("get", epilog=examples(
        "envoi obj get Experimenter:0", "envoi obj get Experimenter:0 email",
    ))(get)  # fmt: skip
    group.command("null", epilog=examples("envoi obj null Experimenter:7 email"))(null)
    app.add_typer(group)


def update(
    ctx: typer.Context,
    which: Which,
    pairs: Annotated[
        list[str], typer.Argument(metavar="FIELD=VALUE", help=f"Fields: {', '.join(_FIELDS)}.")
    ],
    application: Application = "main",
) -> None:
    """Change a user's address or name; print who it was.

    Ends with OMERO's codes modulo 256: 102 for another class, 78 (334) for an unknown id, 80
    (336) for a value that does not fit.
    """
    fields: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            _end(ctx, NOT_SAVED, f"{pair!r}: expected FIELD=VALUE")
        fields[name] = value
    number = _id_of(ctx, which)
    _save(ctx, application, number, fields)
    call_of(ctx).screen.line(f"{CLASS}:{number}")


def null(ctx: typer.Context, which: Which, field: Field, application: Application = "main") -> None:
    """Clear one field of a user."""
    number = _id_of(ctx, which)
    _save(ctx, application, number, {field: ""})
    call_of(ctx).screen.line(f"{CLASS}:{number}")


def get(
    ctx: typer.Context,
    which: Which,
    field: Annotated[
        str, typer.Argument(metavar="FIELD", help="Without it: all.", show_default=False)
    ] = "",
    application: Application = "main",
) -> None:
    """Print one field of a user, or all of them."""
    number = _id_of(ctx, which)
    if field and field not in _FIELDS:
        _end(ctx, NOT_SAVED, _unknown(field))
    with looking(ctx, application) as roster, _found(ctx, number):
        user = roster.user(ROOT if number == 0 else str(number))
    screen = call_of(ctx).screen
    if field:
        screen.line(_value(user, field))
        return
    screen.line(f"id={number}")
    for name in _FIELDS:
        if value := _value(user, name):
            screen.line(f"{name}={value}")


def _id_of(ctx: typer.Context, which: str) -> int:
    name, _, digits = which.partition(":")
    if name != CLASS:
        _end(ctx, BAD_CLASS, f"{which!r}: expected {CLASS}:ID; nothing else is kept here")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < len(str(MAX_ID))):
        _end(ctx, BAD_CLASS, f"{which!r}: expected {CLASS}:ID with a number")
    return int(digits)


def _save(ctx: typer.Context, application: str, number: int, fields: dict[str, str]) -> None:
    for name in fields:
        if name not in _FIELDS:
            _end(ctx, NOT_SAVED, _unknown(name))
    with call_of(ctx).mailer() as mailer:
        known_application(mailer.parts.settings, application)
        require_own(mailer.parts)
        with mailer.parts.outbox.transaction() as tx, _found(ctx, number):
            saved = _saved(tx, application, number, _change(fields))
    for note in saved.notes:
        call_of(ctx).screen.note(f"note: {note}")


def _saved(tx: Tx, application: str, number: int, change: UserChange) -> Saved:
    if number:
        return change_user(tx, application, number, change)
    keep_root(tx, application, now_ms=now_ms())
    return change_user(tx, application, ROOT, change)


def _change(fields: dict[str, str]) -> UserChange:
    address = fields.get("email")
    return UserChange(
        login=fields.get("omeName"),
        first_name=fields.get("firstName"),
        last_name=fields.get("lastName"),
        addresses=None if address is None else (address,) if address else (),
    )


def _value(user: UserRecord, name: str) -> str:
    if name == "email":
        return next((one.text for one in user.addresses if one.is_primary), "")
    return str(getattr(user, _FIELDS[name]))


@contextmanager
def _found(ctx: typer.Context, number: int) -> Generator[None]:
    try:
        yield
    except NotFoundError:
        _end(ctx, UNKNOWN_ID, f"there is no {CLASS}:{number}; `envoi user list` shows all")
    except (InputError, AddressError) as err:
        _end(ctx, NOT_SAVED, str(err))


def _unknown(name: str) -> str:
    return f"{name!r}: expected {_either(_FIELDS)}"


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)


def _end(ctx: typer.Context, code: int, because: str) -> NoReturn:
    call_of(ctx).screen.note(f"error: {because}")
    raise typer.Exit(code % _MOST)
