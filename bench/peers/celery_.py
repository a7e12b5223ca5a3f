"""This room is Celery with Redis as its broker, which syncs every write: appendfsync always.

The worker runs beside the program that hands over, with a process per core, as Celery does.
"""

import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench import mails, order

# Redis answers within milliseconds; a machine that takes longer than this is in trouble.
START_S = 10.0


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    socket = wanted.place / "redis.sock"
    os.environ["BENCH_BROKER"] = f"redis+socket://{socket}"
    os.environ["BENCH_PORT"] = str(wanted.port)
    with _redis(wanted, str(socket)) as redis, _worker():
        from bench.peers.celery_tasks import send

        said = asdict(mails.words(wanted.size))

        def work(numbers: range) -> order.Told:
            began_s = time.perf_counter()
            for number in numbers:
                send.delay(number, said)
            return {"stored_s": time.perf_counter() - began_s}

        order.serve(wanted, work, {"servers": [redis.pid]})


@contextmanager
def _redis(wanted: order.Order, socket: str) -> Generator[subprocess.Popen[bytes]]:
    command = [
        "redis-server", "--port", "0", "--unixsocket", socket, "--dir", wanted.folder,
        "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            until_s = time.monotonic() + START_S
            while not Path(socket).exists():
                if server.poll() is not None or time.monotonic() > until_s:
                    raise RuntimeError("redis-server does not start")
                time.sleep(0.01)
            yield server
        finally:
            server.terminate()


@contextmanager
def _worker() -> Generator[None]:
    command = [
        sys.executable, "-m", "celery", "--quiet", "--app", "bench.peers.celery_tasks", "worker",
        "--loglevel", "WARNING", "--pool", "prefork", "--concurrency", str(os.cpu_count() or 1),
        "--without-gossip", "--without-mingle",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as worker:
        try:
            yield
        finally:
            worker.terminate()


if __name__ == "__main__":
    main()
