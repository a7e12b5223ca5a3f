"""This room is one call of the command line: its global options, and the rooms that it opens."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer

from envoi.assembly import Parts, assemble
from envoi.cli import logs
from envoi.cli.logs import LogLevel
from envoi.cli.screen import Screen
from envoi.errors import NotFoundError, OutboxUnavailableError
from envoi.mailer import Mailer
from envoi.outbox import Outbox
from envoi.settings import Settings, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What every command gets.

    Args:
        config: Path of the settings file; None: `envoi.toml` in the working directory, if any.
        log_level: As typed; None: each command's own.
        screen: Where it prints.
    """

    config: Path | None = None
    log_level: LogLevel | None = None
    screen: Screen = field(default_factory=Screen)

    def settings(self) -> Settings:
        """Return the settings of the file and the environment; raises `SettingsError`."""
        return load(self.config, os.environ)

    @contextmanager
    def parts(self) -> Generator[Parts]:
        """Put the rooms together; the outbox need not be there yet."""
        parts = assemble(self.settings())
        try:
            yield parts
        finally:
            parts.close()

    @contextmanager
    def mailer(self) -> Generator[Mailer]:
        """Open the outbox and stand before it.

        Raises:
            OutboxUnavailableError: There is none.
            SchemaError: Its tables do not fit this version.
        """
        with self.parts() as parts:
            require_outbox(parts.outbox)
            mailer = Mailer(parts)
            try:
                yield mailer
            finally:
                mailer.close()

    def log(self, default: LogLevel = LogLevel.WARNING) -> None:
        """Begin to log to standard error, at the level typed or else at this one."""
        logs.set_up(self.log_level or default)


def call_of(ctx: typer.Context) -> Call:
    """Return the call that the command belongs to."""
    call = ctx.obj
    if not isinstance(call, Call):
        raise TypeError(f"expected a Call, got {type(call).__name__}")
    return call


def known_application(settings: Settings, name: str) -> str:
    """Return the name of an application; raises `NotFoundError` when the settings know none."""
    if name not in settings.applications:
        known = ", ".join(settings.applications)
        raise NotFoundError(
            f"application: expected one of {known}, got {name!r} "
            f"(name it in the settings as [application.{name}])"
        )
    return name


def outbox_file(outbox: Outbox) -> Path | None:
    """Return the file of an outbox on SQLite; None on PostgreSQL."""
    database = outbox.database
    if database.dialect != "sqlite":
        return None
    return Path(database.url.database or "")


def require_outbox(outbox: Outbox) -> None:
    """Refuse an outbox that was not made yet, or not for this version; nothing is created."""
    file = outbox_file(outbox)
    if file is not None and not file.exists():
        raise OutboxUnavailableError(
            f"there is no outbox at {file} yet: make it with `envoi init` or `envoi db upgrade`, "
            "or correct outbox.url"
        )
    outbox.database.require_current()
