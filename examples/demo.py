"""Walk every kind of event once, through a real SMTP server on this machine: `make run`.

The demo makes a folder with settings, an outbox on SQLite and a folder of mail. Nothing leaves
this machine. It hands over the sample event of every kind, delivers with the worker that
`envoi run` runs, and prints what became of it. Everything in the folder stays for you to look at.
"""

import argparse
import fcntl
import logging
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from envoi import EnvoiError, Mailer, Receipt, Stored
from envoi.core.delivery import State
from envoi.directory.people import add_user
from envoi.directory.records import UserDraft
from envoi.fleet import Fleet
from envoi.outbox.explain import PassedOver, explain_event
from envoi.outbox.filters import Page, Query
from envoi.outbox.find import Listed, deliveries
from examples.smtp_sink import Sink, open_sink

DEFAULT_FOLDER = Path(".envoi-demo")
# Says that a folder is a demo's and may be emptied; locked while a demo serves from it.
MARK = "demo.lock"
# All samples leave within a second; a machine that needs longer than this is in trouble.
PATIENCE_S = 60.0
# A pipe has no width; five columns want this much.
PIPE_COLUMNS = 180

SETTINGS = """\
# Written by the demo. Every key: docs/reference/settings.md
[application]
name = "Envoi demo"
base_url = "https://code.example.org"
from = "Code <noreply@code.example.org>"

[smtp]
host = "127.0.0.1"
port = {port}

# These six ship switched off, because not every server wants them.
[senders]
server_up.enabled = true
server_down.enabled = true
failed_login.enabled = true
new_user.enabled = true
new_comment.enabled = true
object_changed.enabled = true
"""

# The people whom the samples name. Dan is inactive; the last one is a machine without an address.
USERS = (
    UserDraft(login="ann", first_name="Ann", last_name="Lee", addresses=("ann@example.org",)),
    UserDraft(login="ben", first_name="Ben", last_name="Ito", addresses=("ben@example.org",)),
    UserDraft(
        login="cleo",
        first_name="Cleo",
        last_name="Brandt",
        addresses=("cleo@example.org",),
        locale="de",
        time_zone="Europe/Berlin",
    ),
    UserDraft(login="dan", addresses=("dan@example.org",), is_active=False),
    UserDraft(login="eve", first_name="Eve", last_name="Okafor", addresses=("eve@example.org",)),
    UserDraft(login="root", addresses=("root@example.org",), is_admin=True),
    UserDraft(login="olga", addresses=("olga@example.org",), is_admin=True, locale="de"),
    UserDraft(login="backup", is_admin=True),
)


class DemoError(Exception):
    """The demo cannot go on; the message says why and what helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the walk did.

    Args:
        receipts: The answer to each event.
        listed: Every delivery, oldest first.
        skipped: Everybody who was considered and not told.
    """

    receipts: tuple[Receipt, ...]
    listed: tuple[Listed, ...]
    skipped: tuple[PassedOver, ...]

    @property
    def unsent(self) -> tuple[Listed, ...]:
        """The deliveries that the relay did not take."""
        return tuple(row for row in self.listed if row.delivery.state is not State.SENT)


def main(args: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 when every delivery was sent."""
    options = _parser().parse_args(args)
    # A terminal that cannot show a letter shows its number instead of failing.
    getattr(sys.stdout, "reconfigure", lambda **_: None)(errors="backslashreplace")
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_COLUMNS)
    try:
        with fresh_folder(options.folder) as folder, open_sink(folder / "mail") as sink:
            return serve(folder, sink, console, is_once=options.once)
    except (DemoError, EnvoiError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 1


def serve(folder: Path, sink: Sink, console: Console, *, is_once: bool) -> int:
    """Walk all samples, show what became of them, and go on delivering until Ctrl-C."""
    mailer = prepare(folder, sink.port)
    try:
        with stopped_by_signals() as must_stop, delivering(mailer.make_worker(), must_stop):
            outcome = walk(mailer, must_stop)
            show(outcome, folder, console)
            if not is_once and not outcome.unsent and not must_stop.is_set():
                wait(must_stop, sink, console)
    finally:
        mailer.close()
    return 1 if outcome.unsent else 0


def prepare(folder: Path, port: int) -> Mailer:
    """Write the settings, make the outbox, add the people."""
    path = folder / "envoi.toml"
    path.write_text(SETTINGS.format(port=port), "utf-8")
    mailer = Mailer.from_file(path)
    mailer.parts.outbox.upgrade()
    with mailer.parts.outbox.transaction() as tx:
        for draft in USERS:
            add_user(tx, "main", draft, now_ms=mailer.parts.clock())
    return mailer


def walk(mailer: Mailer, must_stop: threading.Event) -> Outcome:
    """Hand over the sample of every kind, and wait until each delivery is at its end."""
    catalogue = mailer.parts.catalogue
    receipts = [mailer.notify(catalogue.sample(name), strict=True) for name in catalogue.kinds()]
    later = [receipt for receipt in receipts if receipt.stored is Stored.ROUTING]
    is_done = wait_until(lambda: must_stop.is_set() or not _under_way(mailer, later))
    if not is_done:
        raise DemoError(f"mail is still under way after {PATIENCE_S:.0f} s; see the log above")
    with mailer.parts.outbox.reading() as tx:
        listed = deliveries(tx, Query(), Page(limit=1_000))
        explained = [explain_event(tx, str(receipt.event_id)) for receipt in receipts]
    skipped = tuple(passed for event in explained for passed in event.skipped)
    return Outcome(receipts=tuple(receipts), listed=tuple(reversed(listed)), skipped=skipped)


def show(outcome: Outcome, folder: Path, console: Console) -> None:
    """Print the deliveries, the skipped people and where to look."""
    console.print(_delivery_table(outcome.listed))
    console.print(_skipped_table(outcome))
    if outcome.unsent:
        console.print("Not sent:", style="bold red")
        for row in outcome.unsent:
            delivery = row.delivery
            said = row.last_reply or "no answer yet"
            line = f"  {delivery.id} to {delivery.address} is {delivery.state}: {said}"
            console.print(line, markup=False, soft_wrap=True)
        return
    count, people = len(outcome.listed), len(outcome.skipped)
    console.print(f"{count} deliveries sent, {people} people skipped, each with the reason.\n")
    reviewed = next(row.delivery for row in outcome.listed if row.kind == "pull_request")
    _show_places(folder, reviewed.event_id, console)


def wait(must_stop: threading.Event, sink: Sink, console: Console) -> None:
    """Go on delivering what other processes hand over, until Ctrl-C."""
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("envoi").setLevel(logging.INFO)
    console.print(
        f"The relay answers on 127.0.0.1:{sink.port} and the worker goes on. Stop with Ctrl-C.",
        style="bold",
    )
    must_stop.wait()


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """Make an empty folder; only ever empty one that a demo made."""
    mark = folder / MARK
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise DemoError(f"{folder} is not empty and not a demo's; choose another with --folder")
    folder.mkdir(parents=True, exist_ok=True)
    with mark.open("a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise DemoError(f"another demo serves from {folder}; stop it or use --folder") from err
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != MARK:
                entry.unlink()
        yield folder


@contextmanager
def delivering(worker: Fleet, must_stop: threading.Event) -> Iterator[None]:
    """Run a worker beside the caller, as `envoi run` does; it stops with the block."""
    done = threading.Event()
    thread = threading.Thread(
        target=worker.run, args=[lambda: done.is_set() or must_stop.is_set()], name="worker"
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        worker.wake()
        thread.join()


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Set an event on Ctrl-C and SIGTERM; a second one ends the process as usual."""
    must_stop = threading.Event()
    # Only the main thread may listen to signals; a test may walk in another.
    is_main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = {number: signal.getsignal(number) for number in signals}

    def stop(number: int, _frame: FrameType | None) -> None:
        must_stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in signals:
        signal.signal(number, stop)
    try:
        yield must_stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_until(condition: Callable[[], bool]) -> bool:
    """Return whether the condition came true within the demo's patience."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _under_way(mailer: Mailer, later: Sequence[Receipt]) -> bool:
    # What was refused for now will not change within a demo either, so it is shown as it is.
    with mailer.parts.outbox.reading() as tx:
        # A password reset's people are looked for by the worker, later than it is handed over.
        if not all(explain_event(tx, str(receipt.event_id)).is_routed for receipt in later):
            return True
        waiting = deliveries(tx, Query(states=(State.QUEUED, State.SENDING)))
    return any(not row.attempts or row.delivery.state is State.SENDING for row in waiting)


def _delivery_table(listed: Sequence[Listed]) -> Table:
    table = Table(title="Every kind, sent through a real SMTP server", title_justify="left")
    for heading in ("kind", "recipient", "because", "subject", "the relay's reply"):
        table.add_column(heading, overflow="fold")
    for row in listed:
        delivery = row.delivery
        cells = (row.kind, delivery.address, delivery.because, row.subject, row.last_reply)
        # A subject may begin with [something], which Rich would take for its own markup.
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _skipped_table(outcome: Outcome) -> Table:
    table = Table(title="Considered and not told", title_justify="left")
    for heading in ("event", "sender", "person", "because"):
        table.add_column(heading, overflow="fold")
    for passed in outcome.skipped:
        cells = (passed.event_id, passed.sender, passed.name, passed.because)
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _show_places(folder: Path, event_id: int, console: Console) -> None:
    program = Path(sys.executable).with_name("envoi")
    with suppress(ValueError):
        program = program.relative_to(Path.cwd())
    envoi = shlex.join([str(program), "--config", str(folder / "envoi.toml")])
    places = {
        "the files": f"{folder / 'mail'}/*.eml, to be opened with a mail program",
        "the outbox": f"{folder / 'envoi.db'} (SQLite)",
        "all mail": f"{envoi} outbox list",
        "who and why": f"{envoi} explain {event_id}",
        "any words": f"{envoi} preview password_reset --locale de",
        "the people": f"{envoi} user list",
    }
    for name, place in places.items():
        console.print(f"  {name:<11} {place}", soft_wrap=True, highlight=False, markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="Send the sample of every kind through a real SMTP server on this machine, "
        "print what became of it, and go on delivering until Ctrl-C.",
    )
    parser.add_argument("--once", action="store_true", help="stop after the table, exit code 0")
    parser.add_argument(
        "--folder",
        type=Path,
        default=DEFAULT_FOLDER,
        help="where everything is put; emptied first (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
