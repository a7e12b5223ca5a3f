"""This room is `envoi run` and `envoi work`: deliver, until told to stop.

The first SIGTERM or Ctrl-C stops gently: nothing new is begun, what is under way is finished
within `delivery.drain_s`, the rest is given back, and the exit code is 0. The second one ends the
process at once; what was under way is then in doubt and is tried again (DESIGN 4.7).
"""

import os
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from types import FrameType
from typing import Annotated

import typer

from envoi.cli import logs
from envoi.cli.call import Call, call_of, outbox_file
from envoi.cli.exits import ExitCode
from envoi.cli.logs import LogLevel
from envoi.cli.presence import trouble
from envoi.cli.typed import counted, examples
from envoi.core.delivery import State
from envoi.errors import InputError
from envoi.fleet import Fleet
from envoi.journal import Fact
from envoi.mailer import Mailer
from envoi.outbox import find
from envoi.seams import Carrier
from envoi.serving import Server
from envoi.settings import Guard
from envoi.transport.capture import folder_carrier

Capture = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Put mail into this folder as .eml files instead of sending it."
    ),
]
OnlyRelays = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Serve this relay alone; repeat for more. Default: all of them."
    ),
]
# Beside the servers of the applications that it delivers for.
SERVER = "envoi"
_WAITING = frozenset({State.QUEUED, State.UNCERTAIN})
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def add_to(app: typer.Typer) -> None:
    """Add `run` and `work`."""
    app.command("run", epilog=examples("envoi run", "envoi run --capture ./mail"))(run)
    app.command("work", epilog=examples(
        "envoi work", "envoi work --once", "envoi work --once --capture ./mail",
        "envoi work --relay bulk",
    ))(work)  # fmt: skip


def run(ctx: typer.Context, capture: Capture = None, relay: OnlyRelays = None) -> None:
    """Run Envoi: deliver until Ctrl-C or SIGTERM.

    A first run makes the SQLite file; tables of an older version are refused with the command
    that upgrades them. --capture sends nothing: mail that is stored meanwhile goes to the folder.
    """
    call = call_of(ctx)
    _make_first_outbox(call)
    _deliver(call, capture, relay or (), is_once=False, is_server=True)


def work(
    ctx: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Deliver everything that is due, then end.")
    ] = False,
    capture: Capture = None,
    relay: OnlyRelays = None,
) -> None:
    """Deliver what is in the outbox.

    Run as many of these as you like, with PostgreSQL on other machines too.
    With --once the exit code is 1 when the relay could not be used.
    """
    _deliver(call_of(ctx), capture, relay or (), is_once=once)


@dataclass(slots=True)
class Stop:
    """Whether somebody asked the process to end."""

    flag: Flag = field(default_factory=Flag)
    worker: Fleet | None = None

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """Note the first signal; let the second one end the process."""
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        self.flag.set()
        # A handler runs inside the worker's own thread, between any two of its instructions, and
        # must neither wait for a lock that this thread holds nor write into half a log line.
        Thread(target=self._tell, args=(signal.Signals(number).name,), daemon=True).start()

    def _tell(self, name: str) -> None:
        logs.warn(f"{name}: finishing what is under way; again ends at once")
        if self.worker is not None:
            self.worker.wake()


@contextmanager
def stopping() -> Generator[Stop]:
    """Hear SIGTERM and Ctrl-C; as before at the end."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_first_outbox(call: Call) -> None:
    with call.parts() as parts:
        file = outbox_file(parts.outbox)
        if file is not None and not file.exists():
            parts.outbox.upgrade()
            call.screen.note(f"made the outbox {file}")


def _deliver(
    call: Call,
    capture: Path | None,
    relays: Sequence[str],
    *,
    is_once: bool,
    is_server: bool = False,
) -> None:
    call.log(LogLevel.INFO)
    with call.mailer() as mailer, stopping() as stop:
        for warning in mailer.parts.settings.warnings:
            logs.warn(warning)
        if capture is None and not mailer.parts.way_out:
            why = mailer.parts.why_held
            logs.warn(f"{why}: mail is kept as held; --capture FOLDER shows it")
        if capture is not None:
            _make_folder(capture)
            logs.warn(f"nothing is sent: mail goes to the folder {capture}")
        _warn_of_guard(mailer.parts.settings.guard)
        stop.worker = mailer.make_worker(_carrier(mailer, capture), relays)
        if is_once:
            _run_once(mailer, stop.worker, stop)
        elif is_server:
            _run_as_server(mailer, stop.worker, stop)
        else:
            stop.worker.run(stop.flag.is_set)


def _run_as_server(mailer: Mailer, worker: Fleet, stop: Stop) -> None:
    # Told where `server_up` and `server_down` are enabled. That it ends is stored before anything
    # else, so that it is told later if the relay takes too long now.
    server = Server(mailer, name=SERVER)
    server.start()
    told: list[bool] = []

    def must_stop() -> bool:
        if stop.flag.is_set():
            told.append(server.leave())
        return stop.flag.is_set()

    worker.run(must_stop)
    if any(told):
        server.deliver()


def _make_folder(capture: Path) -> None:
    # Later it would be trouble of the relay, which other workers on this outbox heed too.
    try:
        capture.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        got = err.strerror or err
        raise InputError(f"--capture: expected a folder, got {str(capture)!r}: {got}") from err
    if not os.access(capture, os.W_OK | os.X_OK):
        raise InputError(f"--capture: expected a folder to write to, got {str(capture)!r}")


def _warn_of_guard(guard: Guard) -> None:
    if guard.allow:
        logs.warn("staging guard: only addresses that guard.allow names receive mail")
    if guard.redirect:
        logs.warn(f"staging guard: all mail goes to {guard.redirect} instead (guard.redirect)")


def _carrier(mailer: Mailer, capture: Path | None) -> Carrier | None:
    return folder_carrier(capture, mailer.parts.clock) if capture is not None else None


def _tell_held(mailer: Mailer) -> None:
    if mailer.parts.journal.counts().get(Fact.DELIVERY_SENT):
        return
    with mailer.parts.outbox.reading() as tx:
        held = find.stats(tx, mailer.parts.clock()).by_state[State.HELD]
    if held:
        logs.warn(
            f"{counted(held, 'delivery is', 'deliveries are')} held until you decide: "
            "`envoi outbox release --all`, or by id"
        )


def _run_once(mailer: Mailer, worker: Fleet, stop: Stop) -> None:
    try:
        worker.run_until_idle(stop.flag.is_set)
    finally:
        worker.drain()
    _tell_held(mailer)
    # Counting what went down and came back would not do: an outage may be older than this call.
    if mailer.parts.journal.counts().get(Fact.RELAY_DOWN) and _waits_for_a_relay(mailer):
        raise typer.Exit(ExitCode.FAILED)


def _waits_for_a_relay(mailer: Mailer) -> bool:
    # Where another relay stood in, an outage has cost nothing.
    down = {pause.relay for pause in trouble(mailer.parts)}
    with mailer.parts.outbox.reading() as tx:
        counts = find.stats(tx, mailer.parts.clock()).counts
    return any(relay in down and state in _WAITING for relay, state in counts)
