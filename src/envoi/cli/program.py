"""This room is the command line's frame: the tree of commands, global options, and the way out.

Every command either prints its result and ends with 0, or says `error: ...` on standard error and
ends with one of the codes in `exits`. No command shows a traceback for what a person did.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from traceback import walk_tb
from typing import Annotated

import typer
from typer.exceptions import TyperException

from envoi.cli import (
    admin,
    broadcast,
    check,
    config,
    db,
    explain,
    groups,
    incidents,
    init,
    kinds,
    links,
    logs,
    notify,
    obj,
    outbox,
    preview,
    prune,
    relay,
    report,
    send,
    send_test,
    senders,
    users,
    work,
)
from envoi.cli.call import Call
from envoi.cli.exits import MEANINGS, ExitCode
from envoi.cli.faults import code_of, lines_of
from envoi.cli.logs import LogLevel
from envoi.cli.screen import Screen, is_text
from envoi.cli.typed import examples
from envoi.errors import EnvoiError

HELP = """\
Envoi tells people by mail what happened in your application.

Begin with `envoi init`, see that all is well with `envoi check`, try it with
`envoi send-test`, deliver with `envoi run`.
"""
HELP_WIDTH = 100
_EXIT_CODES = "".join(
    [
        "\n\n\b\nExit codes:\n",
        *(f"  {code.value:<3}  {meaning}\n" for code, meaning in MEANINGS.items()),
    ]
)
_GROUPS = (init, config, work, check, notify, send, send_test, users, groups, senders, outbox,
           relay, obj, admin, broadcast, report, incidents, links, explain, preview, prune, kinds,
           db)  # fmt: skip


def program() -> typer.Typer:
    """Return the whole tree of commands."""
    app = typer.Typer(
        name="envoi",
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH},
        epilog=examples("envoi init", "envoi send-test ann@example.org", "envoi COMMAND --help")
        + _EXIT_CODES,
    )
    app.callback()(begin)
    for group in _GROUPS:
        group.add_to(app)
    return app


def _show_version(is_asked: bool) -> None:
    if is_asked:
        Screen().line(f"envoi {version('envoi')}")
        raise typer.Exit


def begin(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="ENVOI_CONFIG",
            metavar="PATH",
            help="The settings file; default `envoi.toml` in the working directory.",
        ),
    ] = None,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            "--log-level",
            envvar="ENVOI_LOG_LEVEL",
            help="What is told on standard error: debug, info, warning or error.",
            metavar="LEVEL",
            show_default="warning; info for run and work",
            case_sensitive=False,
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Begin a call; what it says for --help is `HELP`."""
    call = Call(config=config, log_level=log_level)
    call.log()
    ctx.obj = call


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    Args:
        args: The words after `envoi`; None: those of this process.
    """
    _prepare_streams()
    screen = Screen()
    try:
        code = _ended(args, screen)
        screen.flush()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else ExitCode.FAILED
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    return int(code)


def _prepare_streams() -> None:
    # Python has None where a parent closed a stream; then nobody writes or listens.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: object = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 # as long as the process
        elif isinstance(stream, TextIOWrapper) and mode == "w":
            # A terminal that cannot show a letter shows its number instead of failing.
            stream.reconfigure(errors="backslashreplace")


def _ended(args: Sequence[str] | None, screen: Screen) -> int:
    words = sys.argv[1:] if args is None else list(args)
    for word in words:
        if not is_text(word):
            screen.note(f"error: {word!r}: expected UTF-8")
            return ExitCode.USAGE
    command = typer.main.get_command(program())
    try:
        code = command.main(args=words, prog_name="envoi", standalone_mode=False)
    except EnvoiError as err:
        for line in lines_of(err):
            screen.note(line)
        return code_of(err)
    except TyperException as err:
        return _misused(err, screen, _path(command, words))
    except Exception as err:  # noqa: BLE001 # the edge: a person is told, never shown a traceback
        if isinstance(err, OSError) and _is_of_typer(err):
            screen.give_up(err)
        # Its own words may quote a row or a secret; the log shows them to who asks for them.
        logs.trace(err)
        screen.note(
            f"error: unforeseen {type(err).__name__}, a defect of Envoi; "
            "`envoi --log-level debug ...` shows where"
        )
        return ExitCode.FAILED
    return code if isinstance(code, int) else ExitCode.OK


def _is_of_typer(err: OSError) -> bool:
    # Help is all that Typer prints itself, past the screen.
    *_, (frame, _) = walk_tb(err.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("typer.")


def _path(command: object, words: Sequence[str]) -> str:
    # Not every misuse knows where it happened: an option without its value does not.
    path = "envoi"
    for word in words:
        below: object = getattr(command, "commands", {}).get(word)
        if below is not None:
            command, path = below, f"{path} {word}"
    return path


def _misused(err: TyperException, screen: Screen, path: str) -> ExitCode:
    # Called without a command, a group shows its help as the "message".
    # Typer leaves in what Pydantic puts before the words of a check.
    words = err.format_message().replace(": Value error, ", ": ", 1)
    is_help = words.startswith("\n") or "Usage:" in words
    screen.note(words if is_help else f"error: {words}")
    context = getattr(err, "ctx", None)
    path = getattr(context, "command_path", path)
    if not is_help:
        screen.note(f"See `{path} --help`.")
    return ExitCode.USAGE
