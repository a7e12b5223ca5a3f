"""This room holds what commands share of their options, and lets a command take many as one value.

A command with a dozen options takes a frozen dataclass whose fields are the options: `taking`
shows Typer one parameter per field and hands the command the value.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar, cast, get_type_hints

import typer

from envoi.cli.exits import ExitCode
from envoi.cli.screen import Screen
from envoi.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# The largest number that a row id can be.
MAX_ID = 2**63 - 1

_OptionsT = TypeVar("_OptionsT")

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed in scripts.")]
Application: TypeAlias = Annotated[
    str, typer.Option("--application", "-A", metavar="NAME", help="Which application's.")
]


def examples(*lines: str) -> str:
    r"""Return the end of a command's help: what to type, line by line.

    >>> print(examples("envoi db status").replace("\b", ""))
    <BLANKLINE>
    Example:
      envoi db status
    """
    title = "Example:" if len(lines) == 1 else "Examples:"
    # The \b keeps the lines as they are; without it they become one paragraph.
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])


def sure(screen: Screen, question: str, *, yes: bool) -> None:
    """Go on when a person says so, or when `--yes` was typed; end the command otherwise."""
    if yes:
        return
    if not screen.can_ask:
        raise InputError(f"{question} Without a terminal nobody can be asked: add --yes")
    if not screen.confirm(question):
        screen.note("nothing was changed")
        raise typer.Exit(ExitCode.FAILED)


def key_typed(key: str | None) -> str:
    """Return an idempotency key; empty where none was typed.

    Raises:
        InputError: It was typed and is empty, as an unset variable of a shell is; taken for
            "no key" it would store the same thing at every try.
    """
    if key == "":
        raise InputError("--key: expected a text, got nothing")
    return key or ""


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "delivery", "deliveries"), counted(2, "delivery", "deliveries")
    ('1 delivery', '2 deliveries')
    """
    return f"{count} {one if count == 1 else many}"


def taking(
    options: type[_OptionsT],
) -> Callable[[Callable[[typer.Context, _OptionsT], None]], Callable[..., None]]:
    """Return a decorator for a command `f(ctx, options)` whose options are this dataclass."""

    def decorated(command: Callable[[typer.Context, _OptionsT], None]) -> Callable[..., None]:
        def called(ctx: typer.Context, **typed: object) -> None:
            command(ctx, options(**typed))

        called.__name__ = command.__name__
        called.__doc__ = command.__doc__
        called.__signature__ = _signature(options)  # type: ignore[attr-defined] # inspect's own protocol
        return called

    return decorated


def _signature(options: type[object]) -> inspect.Signature:
    hints = get_type_hints(options, include_extras=True)
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    typed = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(field),
            annotation=hints[field.name],
        )
        for field in _own_first(options)
    ]
    return inspect.Signature([context, *typed])


def _own_first(options: type[object]) -> "list[Field[object]]":
    # What a class adds comes before what it inherits: arguments are read in this order.
    places = [list(vars(cls).get("__annotations__", {})) for cls in options.__mro__]
    order = [name for names in places for name in names]
    found: tuple[Field[object], ...] = fields(cast("type[DataclassInstance]", options))
    return sorted(found, key=lambda field: order.index(field.name))


def _default(field: "Field[object]") -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return inspect.Parameter.empty if field.default is MISSING else field.default
