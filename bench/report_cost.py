"""What a report costs the request that failed, measured around whole requests of a real server.

    python -m bench.report_cost [REQUESTS]

prints a table: how long a visitor waits for the page that says sorry, with reports off and on, the
relay hanging, the outbox locked by another program, out of reach, and in a storm of many visitors.
The difference to the first line is what the report costs. Nothing is asserted.
"""

import os
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from envoi import Mailer
from envoi.integrations.wsgi_errors import ReportErrors
from envoi.outbox import open_outbox

# WSGI's own protocol.
Environ: TypeAlias = dict[str, Any]
Begin: TypeAlias = Callable[..., object]
App: TypeAlias = Callable[[Environ, Begin], Iterable[bytes]]

ROOT = Path(__file__).parent.parent
REQUESTS, CALLERS, DEPTH = 60, 8, 30
WORDS = "abcdefghijklmnopqrstuvwxyz"
APPLICATION = "bench.report_cost:make()"
LISTENS = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
SETTINGS = """\
[outbox]
url = "{url}"
[smtp]
host = "127.0.0.1"
port = {port}
[errors]
to = ["ops@example.test"]
enabled = {enabled}
dump_request = true
dump_local_frames = true
"""


def failing(environ: Environ, start_response: Begin) -> Iterable[bytes]:
    """Fail as deep down as an application does; `/well` goes well."""
    if environ["PATH_INFO"] != "/well":
        fall(environ["PATH_INFO"], DEPTH)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []


def fall(path: str, depth: int, **known: object) -> NoReturn:
    """Call oneself until it fails; each path is another error."""
    if depth:
        fall(path, depth - 1, page=path, left=depth)
    raise LookupError(f"no page {path}: {known}")


def make() -> App:
    """Return an application that shows a page of its own where it fails."""
    mailer = Mailer.from_file(os.environ["ENVOI_CONFIG"])
    mailer.start()
    reporting = ReportErrors(failing, mailer, release="1.0")

    def application(environ: Environ, start_response: Begin) -> Iterable[bytes]:
        try:
            return reporting(environ, start_response)
        except LookupError:
            start_response("500 Sorry", [("Content-Type", "text/plain"), ("Content-Length", "5")])
            return [b"Sorry"]

    return application


@contextmanager
def serving(folder: Path, settings: str) -> Iterator[int]:
    """Serve it by gunicorn, one process with threads; yield its port."""
    (folder / "envoi.toml").write_text(settings, "utf-8")
    (folder / "envoi.toml").chmod(0o600)
    log = (folder / "log").open("w+")
    words = ["--bind=127.0.0.1:0", "--worker-class=gthread", f"--threads={CALLERS}",
             "--worker-tmp-dir=/tmp", "--no-control-socket", APPLICATION]  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *words],
        cwd=ROOT,
        env={**os.environ, "ENVOI_CONFIG": str(folder / "envoi.toml")},
        stderr=log,
    )
    try:
        while not (found := LISTENS.search(Path(log.name).read_text("utf-8"))):
            time.sleep(0.02)
        yield int(found[1])
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        log.close()


@contextmanager
def hung_relay() -> Iterator[int]:
    """Take connections and never say a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the outbox's only lock, as a program that forgot to commit does."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def asked_ms(port: int, paths: list[str]) -> list[float]:
    """Return how long each request took, on one connection as a browser has it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    taken = []
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path)
        connection.getresponse().read()
        taken.append((time.perf_counter() - began) * 1000)
    connection.close()
    return taken


def paths_of(count: int, start: int, *, is_equal: bool) -> list[str]:
    """Paths whose errors are equal, or all different: digits do not count, letters do."""
    if is_equal:
        return [f"/page/{number}" for number in range(start, start + count)]
    return [
        f"/page/{''.join(WORDS[int(one)] for one in str(number))}"
        for number in range(start, start + count)
    ]


def show(state: str, what: str, taken: list[float]) -> None:
    """Print one row."""
    ordered = sorted(taken)
    p95 = ordered[int(len(ordered) * 0.95) - 1]
    print(f"{state:<26}{what:<11}{statistics.median(taken):8.1f}{p95:8.1f}{ordered[-1]:8.1f}")


def measure(state: str, port: int, requests: int) -> None:
    """Ask one after the other, then all at once."""
    asked_ms(port, ["/well"])  # by now the process has begun
    show(state, "first", asked_ms(port, ["/page/first"]))
    for what, is_equal in (("equal", True), ("different", False)):
        show(state, what, asked_ms(port, paths_of(requests, 1_000, is_equal=is_equal)))
    lists = [paths_of(requests, 10_000 * turn, is_equal=False) for turn in range(1, CALLERS + 1)]
    with ThreadPoolExecutor(CALLERS) as pool:
        taken = pool.map(lambda paths: asked_ms(port, paths), lists)
    show(state, f"{CALLERS} at once", [one for each in taken for one in each])


def main(requests: int) -> None:
    """Print the table."""
    print(f"{'':<26}{'errors':<11}{'median':>8}{'95 %':>8}{'most':>8}   (ms per request)")
    states: list[tuple[str, str, Callable[[Path], AbstractContextManager[object]]]] = [
        ("no reports", "false", lambda _: ExitStack()),
        ("reports", "true", lambda _: ExitStack()),
        ("outbox locked", "true", lambda folder: locked(folder / "envoi.db")),
    ]
    with hung_relay() as port:
        for state, enabled, trouble in states:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                outbox = open_outbox(f"sqlite:///{folder / 'envoi.db'}")
                outbox.upgrade()
                outbox.close()
                url = f"sqlite:///{folder / 'envoi.db'}"
                settings = SETTINGS.format(url=url, port=port, enabled=enabled)
                with serving(folder, settings) as served, trouble(folder):
                    measure(state, served, requests)
                shutil.rmtree(folder / "spool", ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS)
