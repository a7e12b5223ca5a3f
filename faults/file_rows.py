"""This room is what happens to an SQLite outbox: locks, full disks, lost rights, damage (S1-S6)."""

import os
import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from faults.caller import Caller
from faults.disk import Disk
from faults.process import Process
from faults.row import NotHereError, Row, Tally
from faults.site import CONNECTIONS, Site
from faults.waiting import wait, wait_for

# Beside a short time-out of ours, so that refusals come while the fault still lasts.
BUSY: dict[str, object] = {"busy_timeout_s": 0.2}
NOBODY = 65534
PAGE = 4096

LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""

# An application of another author: short transactions without end, begun as they should be.
WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("CREATE TABLE IF NOT EXISTS host_counter (n INTEGER)")
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO host_counter VALUES (1)")
    connection.execute("COMMIT")
    time.sleep(0.005)
"""

SENDER = """
import sys
from envoi import Mailbox, Mailer, ReadyMail
from envoi.addresses import parse_address
mailer = Mailer.from_file("envoi.toml")
for name in sys.argv[1:]:
    box = Mailbox(parse_address(name))
    mailer.send(ReadyMail(to=(box,), subject="News", text="Hello."), strict=True)
"""


def file_of(site: Site) -> Path:
    """Return the outbox's file."""
    return Path(site.url.removeprefix("sqlite:///"))


def locked_by_another(site: Site, _seed: int) -> Tally:
    """Another process locks the file for longer than any lease (S1)."""
    count = site.count(300, 80)
    site.set(outbox=BUSY)
    site.relay.become(slow_s=0.05)
    site.relay.at_messages([], then="slow_ack")
    site.enqueue(count)
    worker = site.work()
    site.relay.wait_for(count // 10)
    locker = site.start("-c", LOCKER, str(file_of(site)), "4" if site.is_quick else "30")
    wait_for(lambda: "locked" in locker.log, "the lock")
    caller = Caller(site)
    caller.hand_in(3, "strict", strict=True)
    caller.hand_in(3, "patient", strict=False)
    wait_for(lambda: "locked" in worker.log, "the worker to say so")
    frozen = site.relay.evidence.kept
    wait(1.0)
    more = site.relay.evidence.kept - frozen
    locker.wait()
    found = site.finish()
    caller.check_refusals(found, "locked")
    found.expect(more <= CONNECTIONS, f"no new content while nothing can be noted, got {more}")
    found.expect(worker.is_alive, "the worker to go on by itself")
    return found


def beside_a_busy_application(site: Site, _seed: int) -> Tally:
    """Processes hand in and deliver while an application commits without end (S2)."""
    count = site.count(200, 60)
    site.set(outbox={"busy_timeout_s": 10})
    busy = site.start("-c", WRITER, str(file_of(site)))
    workers = [site.work(), site.work()]
    names = [f"u{number}@x.test" for number in range(count)]
    senders = [site.start("-c", SENDER, *names[start::2]) for start in (0, 1)]
    codes = [sender.wait(90) for sender in senders]
    site.accepted += names
    found = site.finish()
    found.expect(busy.is_alive, "the application not to be disturbed")
    found.expect(codes == [0, 0], "every mail to be stored at once")
    said = [process.log for process in (*workers, *senders) if "locked" in process.log]
    found.expect(not said, "nobody to meet a lock that waiting does not open")
    return found


def _on_a_disk(site: Site, size_bytes: int) -> Disk:
    """Move the fresh outbox to a small disk; the spool stays on the large one."""
    disk = Disk(site.folder / "disk", size_bytes)
    shutil.copyfile(file_of(site), disk.folder / "envoi.db")
    site.url = f"sqlite:///{disk.folder / 'envoi.db'}"
    site.set(outbox={"url": site.url, "spool": str(site.folder / "spool"), **BUSY})
    return disk


def full_when_handing_in(site: Site, _seed: int) -> Tally:
    """The disk is full when mail is handed in (S3)."""
    disk = _on_a_disk(site, 4 << 20)
    site.enqueue(20)
    disk.fill()
    caller = Caller(site)
    caller.hand_in(15, "strict", strict=True)
    caller.hand_in(15, "patient", strict=False)
    disk.empty()
    found = site.finish()
    caller.check_refusals(found, "full")
    found.expect(caller.spooled, "a spool on another disk to be used")
    return found


def forbidden_to_grow(site: Site, _seed: int) -> Tally:
    """No file of the caller may grow beyond a size (S3)."""
    size = file_of(site).stat().st_size
    site.set()
    words = ("-m", "envoi", "send", "--subject", "News", "--to")
    limit = f"--fsize={size // 4}"
    codes: list[int] = []
    for number in range(5):
        text = "Much happened. " * 2000
        name = f"u{number}@x.test"
        sender = site.start("/usr/bin/prlimit", limit, sys.executable, *words, name, text)
        codes.append(sender.wait())
        if codes[-1] == 0:
            site.accepted.append(name)
    found = site.finish()
    found.expect(set(codes) <= {0, 4} and 4 in codes, f"stored (0) or refused (4), got {codes}")  # noqa: PLR2004 # exit codes
    return found


def full_when_noting(site: Site, _seed: int) -> Tally:
    """The disk is full when the relay's answers are to be written down (S4)."""
    count = site.count(200, 80)
    disk = _on_a_disk(site, 4 << 20)
    site.relay.become(slow_s=0.05)
    site.relay.at_messages([], then="slow_ack")
    site.enqueue(count, per_message=10)
    worker = site.work()
    site.relay.wait_for(count // 5)
    disk.fill()
    wait_for(lambda: "full" in worker.log, "the worker to say so")
    frozen = site.relay.evidence.kept
    wait(3.0)
    more = site.relay.evidence.kept - frozen
    disk.empty()
    found = site.finish()
    found.expect(more <= CONNECTIONS, f"no new content while nothing can be noted, got {more}")
    found.expect(worker.is_alive, "the worker to go on by itself")
    return found


def not_writable(site: Site, _seed: int) -> Tally:
    """The file may be read and not written (S5)."""
    site.enqueue(20)
    site.mailer.close()
    site.folder.chmod(0o555)
    file_of(site).chmod(0o444)
    try:
        worker = _as_nobody(site)
        wait_for(lambda: not worker.is_alive or "ERROR" in worker.log, "the worker to say so")
        wait(1.0)
        worker.close()
    finally:
        file_of(site).chmod(0o666)
        site.folder.chmod(0o777)
    arrived = site.relay.evidence.kept
    found = site.finish()
    found.expect(arrived == 0, f"nothing sent that cannot be noted, got {arrived}")
    words = ("readonly", "not writable", "unable to open", "denied")
    found.expect(any(word in worker.log for word in words), f"the reason, got {worker.log[-300:]}")
    return found


def _as_nobody(site: Site) -> Process:
    if os.geteuid() != 0:
        return site.work()
    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise NotHereError("there is no setpriv, and root may write everywhere")
    who = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return site.start(setpriv, *who, sys.executable, "-m", "envoi", "work")


def gone_for_a_while(site: Site, _seed: int) -> Tally:
    """The file is moved away under a working worker, and comes back (S6)."""
    count = site.count(200, 80)
    site.relay.become(slow_s=0.05)
    site.relay.at_messages([], then="slow_ack")
    site.enqueue(count, per_message=10)
    worker = site.work()
    site.relay.wait_for(count // 5)
    found = Tally()
    with _moved_away(file_of(site)):
        wait_for(lambda: "is not there" in worker.log, "the worker to say so")
        caller = Caller(site)
        caller.hand_in(3, "strict", strict=True)
        caller.hand_in(3, "patient", strict=False)
        caller.check_refusals(found, "is not there")
        wait(1.0)
        found.expect(not file_of(site).exists(), "no new file in silence")
    found.add(site.finish())
    found.expect(worker.is_alive, "the worker to go on by itself")
    return found


@contextmanager
def _moved_away(file: Path) -> Generator[None]:
    away = file.parent / "away"
    away.mkdir()
    parts = list(file.parent.glob(f"{file.name}*"))
    for part in parts:
        part.rename(away / part.name)
    yield
    for part in parts:
        (away / part.name).rename(part)


def truncated(site: Site, _seed: int) -> Tally:
    """The file ends in the middle (S6)."""

    def truncate(file: Path) -> None:
        os.truncate(file, file.stat().st_size // PAGE // 3 * PAGE)

    return _damaged(site, truncate)


def overwritten(site: Site, _seed: int) -> Tally:
    """Every page but the first holds something else (S6)."""

    def overwrite(file: Path) -> None:
        with file.open("r+b") as pages:
            pages.seek(PAGE)
            pages.write(b"\xa5" * (file.stat().st_size - PAGE))

    return _damaged(site, overwrite)


def _damaged(site: Site, damage: Callable[[Path], None]) -> Tally:
    site.enqueue(40)
    site.mailer.close()
    file = file_of(site)
    backup = site.folder / "backup.db"
    shutil.copyfile(file, backup)
    damage(file)
    found = Tally()
    worker = site.work()
    wait_for(lambda: not worker.is_alive or "ERROR" in worker.log, "the worker to say so")
    found.expect("damaged" in worker.log, f"the word damaged in the log, got {worker.log[-300:]}")
    caller = Caller(site)
    caller.hand_in(3, "strict", strict=True)
    caller.check_refusals(found, "damaged")
    worker.close()
    found.expect(site.relay.evidence.kept == 0, "nothing sent from a damaged outbox")
    site.mailer.close()
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()
    shutil.copyfile(backup, file)
    found.add(site.finish())
    return found


def _sqlite(
    row_id: str, title: str, run: Callable[[Site, int], Tally], limit_s: float = 120
) -> Row:
    return Row(id=row_id, title=title, run=run, engines=("sqlite",), limit_s=limit_s)


ROWS = (
    _sqlite("S1", "the file locked by another process", locked_by_another),
    _sqlite("S2", "an application that commits without end", beside_a_busy_application),
    _sqlite("S3", "disk full when handing in", full_when_handing_in),
    _sqlite("S3f", "no file may grow when handing in", forbidden_to_grow),
    _sqlite("S4", "disk full when noting a 250", full_when_noting),
    _sqlite("S5", "a file that may not be written", not_writable),
    _sqlite("S6g", "the file moved away and back", gone_for_a_while),
    _sqlite("S6t", "the file cut off in the middle", truncated),
    _sqlite("S6o", "the file overwritten", overwritten),
)
