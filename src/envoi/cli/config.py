"""This room is `envoi config`: settings files, as somebody who sets up a site handles them."""

import typer

from envoi.cli import config_edit, config_import, config_show
from envoi.cli.typed import examples


def add_to(app: typer.Typer) -> None:
    """Add `config` with its commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Settings files: set a key, see what is in force, take over another program's.",
        epilog=examples(
            "envoi config set smtp.host smtp.university.example",
            "envoi config get smtp.host",
            "envoi config import my.ini",
        ),
    )
    config_edit.add_to(group)
    config_show.add_to(group)
    config_import.add_to(group)
    app.add_typer(group, name="config")
