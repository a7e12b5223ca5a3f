"""This room compares the tables with the code, and brings them up to date when asked."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, cast

from envoi.errors import SchemaError

if TYPE_CHECKING:
    from sqlalchemy import Connection

VERSION_TABLE = "envoi_alembic_version"
# Every revision this code knows, oldest first. Written down here so that the check at a worker's
# start costs one query and not Alembic's import; a test compares it with the files.
REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
)


class SchemaState(StrEnum):
    """How the tables stand to this version of Envoi."""

    MISSING = "missing"  # no tables of ours
    OLDER = "older"  # `envoi db upgrade` brings them up to date
    NEWER = "newer"  # made by a later Envoi; this one must not touch them
    CURRENT = "current"


def state_of(revision: str | None) -> SchemaState:
    """Say what the revision found in the database means.

    >>> [str(state_of(revision)) for revision in (None, REVISIONS[-1], "9999")]
    ['missing', 'current', 'newer']
    """
    if revision is None:
        return SchemaState.MISSING
    if revision == REVISIONS[-1]:
        return SchemaState.CURRENT
    return SchemaState.OLDER if revision in REVISIONS else SchemaState.NEWER


def read_revision(connection: "Connection", schema: str) -> str | None:
    """Return the revision of the tables that the connection sees; None without tables."""
    from sqlalchemy import inspect  # noqa: PLC0415 # heavy, used at the edge only

    if not inspect(connection).has_table(VERSION_TABLE, schema=schema or None):
        return None
    place = f"{schema}.{VERSION_TABLE}" if schema else VERSION_TABLE
    row = connection.exec_driver_sql(f"SELECT version_num FROM {place}").fetchone()  # noqa: S608 # both names are ours and checked
    return str(row[0]) if row else None


def require_current(state: SchemaState) -> None:
    """Refuse to work with tables that this code does not know.

    Raises:
        SchemaError: The tables are missing, older or newer; says which command helps.
    """
    match state:
        case SchemaState.MISSING:
            raise SchemaError("expected Envoi's tables, found none: run `envoi db upgrade`")
        case SchemaState.OLDER:
            raise SchemaError(
                "the outbox's tables are older than this Envoi: run `envoi db upgrade`"
            )
        case SchemaState.NEWER:
            raise SchemaError(
                "the outbox's tables are newer than this Envoi: install the version that made them"
            )
        case SchemaState.CURRENT:  # pragma: no branch # the type checker proves the list whole
            return


def migrate(connection: "Connection", schema: str) -> None:
    """Run every missing migration in the connection's transaction."""
    from alembic import command  # noqa: PLC0415 # 0.1 s that only an upgrade needs
    from alembic.config import Config  # noqa: PLC0415 # same

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    command.upgrade(config, "head")


def run_migrations(attributes: Mapping[str, object]) -> None:
    """Run Alembic on the connection that `migrate` handed over; called by `migrations/env.py`."""
    from alembic import context  # noqa: PLC0415 # 0.1 s that only an upgrade needs

    from envoi.outbox.tables import metadata  # noqa: PLC0415 # same

    context.configure(
        connection=cast("Connection", attributes["connection"]),
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        version_table_schema=str(attributes["schema"]) or None,
    )
    context.run_migrations()
