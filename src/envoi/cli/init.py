"""This room is `envoi init`: a settings file and an outbox, so that everything else can begin."""

from pathlib import Path
from typing import Annotated

import typer

from envoi.cli.call import Call, call_of
from envoi.cli.db import place_of
from envoi.cli.typed import examples
from envoi.errors import EnvoiError, InputError, RefusedError
from envoi.settings import starter, write_private

DEFAULT_FILE = Path("envoi.toml")

NEXT = """\
Next steps:
  1. In {path}, name your relay ([smtp] host) and who speaks ([application] from, base_url).
  2. envoi check --connect      sees that all of it is right
  3. envoi send-test ADDRESS    sends a test mail and shows the relay's answer
  4. envoi run                  delivers, until Ctrl-C"""


def add_to(app: typer.Typer) -> None:
    """Add `init`."""
    app.command("init", epilog=examples(
        "envoi init",
        "envoi init --relay smtp.example.org --from noreply@example.org",
        "envoi --config /etc/envoi/envoi.toml init",
    ))(init)  # fmt: skip


def init(
    ctx: typer.Context,
    relay: Annotated[str, typer.Option("--relay", metavar="HOST", help="The SMTP server.")] = "",
    sender: Annotated[
        str, typer.Option("--from", metavar="ADDRESS", help="Who speaks in your mail.")
    ] = "",
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="Base of every link.")
    ] = "",
) -> None:
    """Write a first envoi.toml and make the outbox.

    The file is readable for you alone. It asks nothing and overwrites nothing.
    """
    call = call_of(ctx)
    path = (call.config or DEFAULT_FILE).absolute()
    if path.suffix.lower() == ".ini":
        raise InputError(
            f"{path.name} is read as a Kallithea's own file and not written: "
            f"`envoi --config {path.name} db upgrade` makes the outbox"
        )
    given = {"smtp.host": relay, "application.from": sender, "application.base_url": base_url}
    try:
        write_private(path, starter({key: text for key, text in given.items() if text}))
    except RefusedError as err:
        if path.exists():
            raise RefusedError(f"{err}: `envoi db upgrade` makes the outbox") from err
        raise
    call.screen.line(f"wrote {path}")
    # What was typed is checked as the file's own content is: by loading it.
    written = Call(config=path, log_level=call.log_level, screen=call.screen)
    try:
        with written.parts() as parts:
            parts.outbox.upgrade()
            call.screen.line(f"made the outbox {place_of(parts.outbox)}")
    except EnvoiError:
        path.unlink()
        raise
    call.screen.note(NEXT.format(path=path))
