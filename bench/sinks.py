"""This room opens the sinks: relays that take everything, each a process of its own, and counted.

Postfix's smtp-sink where it is installed, because nothing else on these pages answers as fast;
the sink of our own where a measurement needs what only that one has, or smtp-sink is missing.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from bench.counting_sink import COUNTERS

# How often somebody who waits looks at the counters: a fiftieth of a percent of a core.
LOOK_S = 0.002
START_S = 10.0
# Between asking for a free port and listening on it somebody else may take it.
PORT_TRIES = 5
# More clients than these no measurement has.
BACKLOG = 1024
_MAILS = re.compile(rb"mesg=(\d+)\r")


class Kind(StrEnum):
    """Which sink takes the mails."""

    FASTEST = "fastest"  # smtp-sink where it is installed
    OURS = "ours"  # counts bytes and tells when it answered
    CHUNKING = "chunking"  # ours, offering CHUNKING
    SILENT = "silent"  # ours, never answering a content


_FLAGS = {Kind.CHUNKING: ["--chunking"], Kind.SILENT: ["--silent"]}


class SinkError(Exception):
    """The sink did not start, or did not get what it should have got."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a sink has counted.

    Args:
        mails: Answered with 250.
        content_bytes: Of their contents; 0 from smtp-sink, which does not tell.
        answered_ns: Moment of the last answer, monotonic; 0 from smtp-sink.
    """

    mails: int
    content_bytes: int = 0
    answered_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """A sink that is running.

    Args:
        port: On 127.0.0.1.
        count: What it has counted by now.
        is_alive: Whether its process runs.
        counters: File that our own sink counts in.
    """

    port: int
    counters: Path
    count: Callable[[], Count]
    is_alive: Callable[[], bool]

    def wait_for(
        self, mails: int, limit_s: float, goes_on: Callable[[], bool] = lambda: True
    ) -> int:
        """Wait until so many mails have come; return the moment, in monotonic nanoseconds.

        Args:
            mails: Altogether.
            limit_s: How long at most.
            goes_on: Whether waiting still makes sense, e.g. whether the sender lives.

        Raises:
            SinkError: They did not come.
        """
        until_s = time.monotonic() + limit_s
        while (come := self.count().mails) < mails:
            if not self.is_alive():
                raise SinkError("the sink has died")
            if time.monotonic() > until_s or not goes_on():
                raise SinkError(f"expected {mails} mails at the sink, found {come}")
            time.sleep(LOOK_S)
        return time.monotonic_ns()


@contextmanager
def open_sink(folder: Path, kind: Kind) -> Generator[Sink]:
    """Run a sink on a free port.

    Args:
        folder: For its counters.
        kind: Which.

    Raises:
        SinkError: It does not answer.
    """
    for _ in range(PORT_TRIES):
        port = free_port()
        is_theirs = kind is Kind.FASTEST and has_smtp_sink()
        opened = _smtp_sink(folder, port) if is_theirs else _ours(folder, port, kind)
        with opened as sink:
            if _answers(sink):
                yield sink
                return
    raise SinkError(f"the sink does not answer, asked on {PORT_TRIES} ports")


def has_smtp_sink() -> bool:
    """Whether Postfix's sink is installed."""
    return shutil.which("smtp-sink") is not None


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _smtp_sink(folder: Path, port: int) -> Generator[Sink]:
    # It refuses to serve as root.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = ["smtp-sink", "-c", *user, f"127.0.0.1:{port}", str(BACKLOG)]
    output = folder / "sink.out"
    # Into a file: a pipe that nobody empties in time would stop it.
    with output.open("wb") as file, running(command, stdout=file) as process:
        yield _sink(process, port, output, lambda: _told(output))


@contextmanager
def _ours(folder: Path, port: int, kind: Kind) -> Generator[Sink]:
    counters = folder / "sink.counters"
    counters.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.counting_sink", "--port", str(port)]
    flags = ["--counters", str(counters), *_FLAGS.get(kind, [])]
    with running([*command, *flags]) as process:
        yield _sink(process, port, counters, lambda: _counted(counters))


def _sink(
    process: "subprocess.Popen[bytes]", port: int, counters: Path, count: Callable[[], Count]
) -> Sink:
    return Sink(port=port, counters=counters, count=count, is_alive=lambda: process.poll() is None)


@contextmanager
def running(
    command: list[str], stdout: "IO[bytes] | int" = subprocess.DEVNULL
) -> Generator["subprocess.Popen[bytes]"]:
    """Run a process beside ours, and end it with the block."""
    process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _answers(sink: Sink) -> bool:
    until_s = time.monotonic() + START_S
    while sink.is_alive() and time.monotonic() < until_s:
        try:
            with socket.create_connection(("127.0.0.1", sink.port), timeout=1) as probe:
                return probe.recv(3) == b"220"
        except OSError:
            time.sleep(0.01)
    return False


def _told(output: Path) -> Count:
    with output.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 120))
        found = _MAILS.findall(file.read())
    return Count(int(found[-1]) if found else 0)


def _counted(counters: Path) -> Count:
    try:
        return Count(*COUNTERS.unpack(counters.read_bytes()))
    except (FileNotFoundError, ValueError):
        return Count(0)
