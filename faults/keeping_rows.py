"""This room is what happens around an outbox: its host, its version, its backup (S9-S11)."""

import shutil
import sqlite3
from collections import Counter
from contextlib import closing

import psycopg

from envoi.core.delivery import State
from faults.file_rows import file_of
from faults.process import Process
from faults.row import Row, Tally
from faults.server_rows import database_of, owner_of
from faults.site import Site
from faults.waiting import wait, wait_for

VERSION = "UPDATE envoi_alembic_version SET version_num = :revision"
# The outbox cannot be used, in exit codes.
OUTBOX = 4
# Before anything, in monotonic seconds.
EVER_S = 0.001


def host_commits(site: Site, seed: int) -> Tally:
    """An application commits, rolls back and is killed, with mail in its transactions (S9)."""
    count = site.count(600, 60)
    worker = site.work()
    dice = site.dice(seed)
    for _ in range(2 if site.is_quick else 8):
        host = _take_orders(site, count)
        moment = dice.randint(2, max(3, count // 10))
        wait_for(lambda: _orders_of(host) >= moment or not host.is_alive, "some orders")  # noqa: B023 # waited for right here
        host.kill()
    code = _take_orders(site, count).wait(120)
    site.accepted = _ordered(site)
    found = site.finish()
    found.expect(code == 0, "the application to come to its end")
    found.expect(worker.stop() == 0, "the worker to end in order")
    wrong = [name for name in site.accepted if int(name[1:].partition("@")[0]) % 3 == 0]
    found.expect(site.accepted and not wrong, f"orders, and none that was rolled back: {wrong[:3]}")
    return found


def _take_orders(site: Site, last: int) -> Process:
    done = _ordered(site)
    first = 1 + max((int(name[1:].partition("@")[0]) for name in done), default=0)
    return site.start("-m", "faults.host", str(first), str(max(0, last + 1 - first)))


def _orders_of(host: Process) -> int:
    return host.log.count("\n")


def _ordered(site: Site) -> list[str]:
    with site.mailer.parts.outbox.transaction() as tx:
        tx.execute(
            "CREATE TABLE IF NOT EXISTS host_order (number INTEGER PRIMARY KEY, address VARCHAR)",
            {},
        )
        return [str(row[0]) for row in tx.execute("SELECT address FROM host_order", {})]


def another_version(site: Site, _seed: int) -> Tally:
    """The tables are older or newer than the code (S10)."""
    site.enqueue(20)
    outbox = site.mailer.parts.outbox
    with outbox.reading() as tx:
        current = str(tx.execute("SELECT version_num FROM envoi_alembic_version", {})[0][0])
    found = Tally()
    for revision, word in (("0001", "envoi db upgrade"), ("9999", "install the version")):
        with outbox.transaction() as tx:
            tx.execute(VERSION, {"revision": revision})
        for words in (("work",), ("run",), ("send", "--to", "late@x.test", "-s", "News", "Hi")):
            process = site.start("-m", "envoi", *words)
            code = process.wait()
            found.expect(
                code == OUTBOX, f"envoi {words[0]} at {revision} to end with 4, not {code}"
            )
            found.expect(word in process.log, f"{word!r} to be said, got {process.log[-300:]}")
    found.expect(
        site.relay.evidence.kept == 0, "nothing sent by code that does not know the tables"
    )
    with outbox.transaction() as tx:
        tx.execute(VERSION, {"revision": current})
    found.add(site.finish())
    return found


def restored(site: Site, _seed: int) -> Tally:
    """A backup is put in place of the outbox, and an operator decides first (S11)."""
    count = site.count(300, 100)
    site.relay.become(slow_s=0.05)
    site.relay.at_messages([], then="slow_ack")
    site.enqueue(count, per_message=10)
    worker = site.work()
    site.relay.wait_for(count // 5)
    site.kill(worker)
    site.mailer.close()
    backup = _back_up(site)
    known = _copies(site)
    worker = site.work()
    site.relay.wait_for(count // 2)
    refusal = _hold_all(site)
    worker.stop()
    site.mailer.close()
    _restore(site, backup)
    since = _copies(site) - known
    found = _decide(site, since.total())
    found.expect("stop it first" in refusal, f"hold-all refused beside a worker, got {refusal}")
    again = _copies(site) - known - since
    wrong = [name for name in again if known[name] and name not in since]
    found.expect(not wrong, f"nothing again that the backup knew as sent, got {wrong[:3]}")
    return found


def _copies(site: Site) -> Counter[str]:
    copies = site.relay.evidence.copies
    return Counter({name: len(several) for name, several in copies.items()})


def _decide(site: Site, since: int) -> Tally:
    wait_for(lambda: not _hold_all(site), "the dead worker's lease to end")
    states = site.states.keys()
    idle = site.work()
    wait_for(lambda: idle.pid in site.live_workers, "a worker to sign on")
    before = site.relay.evidence.kept
    wait(1.0)
    frozen = site.relay.evidence.kept == before
    idle.stop()
    # What was sent after the backup was made is sent again: the window that the manual names.
    site.disrupt("a backup is restored", since, began_at_s=EVER_S)
    site.command("outbox", "release", "--all", "--yes")
    found = site.finish()
    found.expect(states <= {State.HELD, State.SENT}, f"all held after hold-all, got {states}")
    found.expect(frozen, "nothing sent before somebody decides")
    found.note(f"{since} sent after the backup was made, and again")
    return found


def _hold_all(site: Site) -> str:
    """Hold everything; return why it was refused."""
    process = site.start("-m", "envoi", "outbox", "hold-all", "--yes")
    return process.log if process.wait() else ""


def _back_up(site: Site) -> str:
    if site.engine == "postgresql":
        copy = f"{database_of(site)}_backup"
        _as_owner(site, f"CREATE DATABASE {copy} TEMPLATE {database_of(site)}")
        return copy
    copy = str(site.folder / "backup.db")
    with closing(sqlite3.connect(file_of(site))) as live, closing(sqlite3.connect(copy)) as kept:
        live.backup(kept)
    return copy


def _restore(site: Site, backup: str) -> None:
    if site.engine == "postgresql":
        _as_owner(site, f"DROP DATABASE {database_of(site)} WITH (FORCE)")
        _as_owner(site, f"ALTER DATABASE {backup} RENAME TO {database_of(site)}")
        return
    file = file_of(site)
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()
    shutil.copyfile(backup, file)


def _as_owner(site: Site, statement: str) -> None:
    with psycopg.connect(owner_of(site), autocommit=True) as connection:
        connection.execute(statement.encode())


ROWS = (
    Row(id="S9", title="the host rolls back, commits, is killed", run=host_commits),
    Row(id="S10", title="tables older or newer than the code", run=another_version),
    Row(id="S11", title="a restored backup, and hold-all", run=restored),
)
