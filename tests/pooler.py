"""A real PgBouncer before the suite's PostgreSQL, lending a session per transaction."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 10.0


def program() -> str | None:
    """Where PgBouncer is; None: not on this machine."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pooler(folder: Path, server: Path, place: str = "") -> Iterator[str]:
    """A running pooler; `postgresql://postgres@<this>/<database>` leads through it.

    Args:
        folder: For its settings and its log.
        server: Folder of the PostgreSQL server's socket.
        place: Host and port; empty: any free one.
    """
    place = place or _free_place()
    settings, log = folder / "pgbouncer.ini", folder / "pgbouncer.log"
    settings.write_text(_settings(server, place))
    # It never runs as root, and the server's own user may reach its socket.
    owner = pwd.getpwuid(server.stat().st_uid).pw_name
    as_whom = ("-u", owner) if os.geteuid() == 0 else ()
    with log.open("w") as file:
        popen = subprocess.Popen(
            (program() or "pgbouncer", *as_whom, str(settings)), stdout=file, stderr=file
        )
    try:
        _wait_for(popen, log)
        yield place
    finally:
        popen.kill()
        popen.wait()


def _free_place() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def _settings(server: Path, place: str) -> str:
    host, _, port = place.partition(":")
    return (
        f"[databases]\n* = host={server} user=postgres\n[pgbouncer]\nlisten_addr = {host}\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 4\n"
    )


def _wait_for(popen: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while "process up" not in log.read_text():
        assert popen.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.01)
