"""This room runs one measurement: sink, distance and program, from the first mail to the last.

The clock starts when the program is told to go, warm and connected, and stops when the sink has
answered the last mail.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from bench.measuring import Meter
from bench.order import Order
from bench.proxy import open_proxy
from bench.sinks import Count, Kind, Sink, SinkError, open_sink

ROOT = Path(__file__).parent.parent
# Where `make bench` installs the peers.
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
READY_S = 60.0
# Late mails would come within this; a program that sends too many is found out.
SETTLE_S = 0.1
STOP_S = 15.0
# What a mail of a size may weigh, so that nobody is measured with another mail.
WEIGHTS = {"small": (1_900, 3_400), "large": (13_500, 20_000)}


class RunError(Exception):
    """A measurement that did not do what it was to do: no figure comes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is run for a row.

    Args:
        module: Run with `python -m`.
        options: For its order.
        is_apart: Whether it runs in the environment of the installed peers, without Envoi.
        is_wrapper: Whether it only starts the process that is measured.
    """

    module: str
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    is_apart: bool = True
    is_wrapper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is to be carried, and how far.

    Args:
        count: Mails that are measured.
        warm: Mails before.
        size: `small` or `large`.
        round_trip_ms: To the relay and back.
        connections: How many may be open.
        sink: Which one takes the mails.
        is_delivered: Whether the clock stops when the sink has all; else when the program says so,
            which then tells figures of its own.
    """

    count: int
    warm: int = 20
    size: str = "small"
    round_trip_ms: float = 0
    connections: int = 10
    sink: Kind = Kind.FASTEST
    is_delivered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one run gave.

    Args:
        count: Mails.
        rate: Mails per second, from the first word to the sink's last answer.
        cpu_us: Processor time per mail of the program's processes, microseconds.
        server_us: Same of the database's or broker's.
        peak_mb: Memory of the program's processes.
        worker_mb: Of these the worker's alone; 0 where there is none.
        mail_bytes: Bytes of a content; 0 when they were not weighed.
        told: What the program told of itself.
    """

    count: int = 1
    rate: float = 0
    cpu_us: float = 0
    server_us: float = 0
    peak_mb: float = 0
    worker_mb: float = 0
    mail_bytes: float = 0
    told: Mapping[str, object] = field(default_factory=dict[str, object])


def run(program: Program, load: Load, limit_s: float) -> Measured:
    """Run a program once against a sink of its own.

    Args:
        program: What to run.
        load: What it carries.
        limit_s: How long the measured part may take.

    Raises:
        RunError: It failed, or the sink counted another number of mails.
    """
    with tempfile.TemporaryDirectory(prefix="envoi-bench-") as name:
        # The database server of a root user runs as somebody else.
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "kept").mkdir()
        with (
            open_sink(folder, load.sink) as sink,
            open_proxy(sink.port, load.round_trip_ms) as port,
        ):
            order = Order(
                port=port,
                count=load.count,
                warm=load.warm,
                size=load.size,
                folder=str(folder / "kept"),
                connections=load.connections,
                options={**program.options, "counters": str(sink.counters)},
            )
            try:
                with started(program, order, folder / "errors") as child:
                    return _measure(child, sink, program, load, limit_s)
            except SinkError as err:
                raise RunError(str(err)) from err


def _measure(child: "Child", sink: Sink, program: Program, load: Load, limit_s: float) -> Measured:
    ready = child.hear("ready", READY_S)
    if load.is_delivered:
        sink.wait_for(load.warm, READY_S, child.is_alive)
    before = sink.count()
    servers = cast("list[int]", ready.get("servers", []))
    meter = Meter([child.pid], without=servers, is_wrapper=program.is_wrapper)
    server_meter = Meter(servers)
    began_ns = child.go()
    if load.is_delivered:
        ended_ns = sink.wait_for(load.warm + load.count, limit_s, child.is_alive)
        told = child.hear("done", limit_s)
    else:
        told = child.hear("done", limit_s)
        ended_ns = time.monotonic_ns()
    spent, of_servers = meter.stop(), server_meter.stop()
    time.sleep(SETTLE_S)
    after = sink.count()
    child.stop()
    _refuse_miscount(before, after, load, told)
    return Measured(
        count=load.count,
        rate=load.count / (ended_ns - began_ns) * 1e9,
        cpu_us=spent.cpu_s / load.count * 1e6,
        server_us=of_servers.cpu_s / load.count * 1e6,
        peak_mb=spent.peak_mb,
        worker_mb=spent.peaks_mb.get(cast("int", ready.get("worker", 0)), 0.0),
        mail_bytes=(after.content_bytes - before.content_bytes) / load.count,
        told=told,
    )


def _refuse_miscount(before: Count, after: Count, load: Load, told: Mapping[str, object]) -> None:
    # Who does not deliver may still say how many must have come.
    expected = load.count if load.is_delivered else told.get("mails")
    found = after.mails - before.mails
    if expected not in {None, found} or (load.is_delivered and before.mails != load.warm):
        raise RunError(f"expected {expected} mails at the sink, found {before.mails} + {found}")


def weigh(program: Program, load: Load) -> float:
    """Return what a mail of this program weighs in bytes, by a short run that is not measured.

    Raises:
        RunError: It failed, or weighs what no mail of its size weighs.
    """
    kind = load.sink if load.sink is Kind.CHUNKING else Kind.OURS
    few = replace(load, count=10, warm=1, round_trip_ms=0, sink=kind)
    checked = replace(program, options={**program.options, "checks": True})
    mail_bytes = run(checked, few, READY_S).mail_bytes
    least, most = WEIGHTS[load.size]
    if not least <= mail_bytes <= most:
        raise RunError(
            f"expected a {load.size} mail of {least} to {most} bytes, found {mail_bytes:.0f}"
        )
    return mail_bytes


class Child:
    """A program that is running.

    Args:
        process: Started with pipes.
        errors: File with what it writes to its standard error.
    """

    def __init__(self, process: "subprocess.Popen[str]", errors: Path) -> None:
        """Begin to read what it says."""
        self._process = process
        self._errors = errors
        self.pid = process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def hear(self, word: str, limit_s: float) -> Mapping[str, object]:
        """Return what it tells with a word.

        Raises:
            RunError: It said something else, nothing in time, or has died.
        """
        assert self._process.stdout is not None
        timer = threading.Timer(limit_s, self._process.kill)
        timer.start()
        try:
            # Programs may print what they like before.
            for line in self._process.stdout:
                said, _, told = line.partition(" ")
                if said == word:
                    return cast("Mapping[str, object]", json.loads(told))
        finally:
            timer.cancel()
        raise RunError(f"expected {word!r}, found the end:\n{self._last_words()}")

    def go(self) -> int:
        """Let it work; return the moment, in monotonic nanoseconds."""
        assert self._process.stdin is not None
        began_ns = time.monotonic_ns()
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return began_ns

    def stop(self) -> None:
        """Let it end.

        Raises:
            RunError: It did not end well.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired as err:
            raise RunError(f"it does not end:\n{self._last_words()}") from err
        if code:
            raise RunError(f"it ended with {code}:\n{self._last_words()}")

    def _last_words(self) -> str:
        return self._errors.read_text(errors="replace")[-2_000:]


@contextmanager
def started(program: Program, order: Order, errors: Path) -> Generator[Child]:
    """Run a program with an order; whatever it started ends with the block."""
    python = str(PEERS_PYTHON) if program.is_apart else sys.executable
    command = [python, "-m", program.module, order.as_json()]
    with (
        errors.open("wb") as file,
        subprocess.Popen(
            command, cwd=ROOT, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
        ) as process,
    ):  # fmt: skip
        try:
            yield Child(process, errors)
        finally:
            end_group(process)


def end_group(process: "subprocess.Popen[str]") -> None:
    """End a process that leads a group, and with it all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
