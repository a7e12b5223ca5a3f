"""This room says how a column of ours is written, for every table.

One form serves both engines: times are milliseconds since 1970 UTC, booleans are 0 or 1, JSON is
text.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, SmallInteger, String, Text

# SQLite numbers rows by itself only where the type is spelled INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

# Names are given, so that a migration can say which constraint it means.
metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
    }
)


def number() -> Column[int]:
    """Return the primary key that the engine numbers by itself."""
    return Column("id", Id, primary_key=True, autoincrement=True)


def key(name: str, length: int = 100) -> Column[str]:
    """Return a primary key of letters, of `length` characters at most."""
    return Column(name, String(length), primary_key=True)


def belonging_to(table: str, *, is_key: bool = False, **more: bool) -> Column[int]:
    """Return the number of a row of `table`, and go when that row goes."""
    # What belongs to a row goes with it: pruning an event is one statement.
    name = f"{table.removeprefix('envoi_')}_id"
    parent = ForeignKey(f"{table}.id", ondelete="CASCADE")
    return Column(
        name,
        Id,
        parent,
        primary_key=is_key,
        nullable=more.get("nullable", False),
        autoincrement=False,
    )


def words(name: str, default: str | None = "") -> Column[str]:
    """Return text of any length."""
    return Column(name, Text, nullable=False, server_default=default)


def moment_ms(name: str, default: str | None = "0") -> Column[int]:
    """Return a moment, in milliseconds since 1970 UTC."""
    return Column(name, BigInteger, nullable=False, server_default=default)


def count(name: str, default: str | None = "0") -> Column[int]:
    """Return a whole number of 32 bits."""
    return Column(name, Integer, nullable=False, server_default=default)


def large_count(name: str) -> Column[int]:
    """Return a whole number of 64 bits."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def flag(name: str, default: str | None = "0") -> Column[int]:
    """Return 0 or 1."""
    return Column(name, SmallInteger, nullable=False, server_default=default)
