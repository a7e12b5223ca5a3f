"""This room says what the figures were taken on: without it no figure means anything."""

import os
import platform
import shutil
import sqlite3
import subprocess
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from bench.running import PEERS_PYTHON
from bench.sinks import has_smtp_sink

_SYNCS = 100
_PEERS = ("aiosmtplib", "Django", "django-post-office", "django-mailer", "celery", "redis")


def facts() -> dict[str, str]:
    """Return the machine's facts by name."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return {
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{_memory_gb():.0f} GB",
        "load before": load,
        "fdatasync": f"{sync_us():.0f} us (median of {_SYNCS} writes of 4 KB)",
        "Python": f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "Envoi": _envoi(),
        "Postfix": _told(["postconf", "-d", "-h", "mail_version"]),
        # Ours takes fewer mails a second, so rates into it are not those into smtp-sink.
        "sink": "smtp-sink" if has_smtp_sink() else "of our own, slower (apt install postfix)",
        "Redis": _told(["redis-server", "--version"]).partition(" sha")[0],
        "peers": _peers(),
    }


def sync_us() -> float:
    """Return how long a written page takes to be on the disk, in microseconds."""
    with tempfile.NamedTemporaryFile() as file:
        taken: list[float] = []
        for _ in range(_SYNCS):
            os.write(file.fileno(), bytes(4096))
            began_ns = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter_ns() - began_ns) / 1_000)
    return median(taken)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _envoi() -> str:
    try:
        return version("envoi")
    except PackageNotFoundError:
        return "not installed"


def _told(command: list[str]) -> str:
    if not shutil.which(command[0]):
        return "not installed"
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip().removeprefix("Redis server ")


def _peers() -> str:
    if not PEERS_PYTHON.exists():
        return "not installed (make bench)"
    ask = (
        "from importlib.metadata import version as v;"
        f"print(', '.join(f'{{one}} {{v(one)}}' for one in {_PEERS!r}))"
    )
    done = subprocess.run([PEERS_PYTHON, "-c", ask], check=False, capture_output=True, text=True)
    return done.stdout.strip() or "not complete"
