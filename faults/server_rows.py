"""This room is what happens to a PostgreSQL outbox: restarts, cuts, crowds, quarrels (S5, S7, S8).

The workers live through all of it and remember what the relay said, so no copy is excused here.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeAlias

import psycopg

from faults.process import Process
from faults.row import NotHereError, Row, Tally
from faults.site import Site
from faults.waiting import wait, wait_for
from tests.pooler import pooler, program

# Longer than any restart: a living worker loses nothing to the other one.
LEASE: dict[str, object] = {"lease_s": 20}

Connection: TypeAlias = psycopg.Connection[tuple[object, ...]]
# Ends every connection to a database but the one that asks.
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = '{}' AND pid <> pg_backend_pid()"
)

# Locks some deliveries after each other in the order that no sorted batch has.
QUARRELLER = """
import random, sys, time, psycopg
update = "UPDATE envoi_delivery SET name = name WHERE id = %s"
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    connection.execute("SET deadlock_timeout = '2s'")  # let the other one find out
    while True:
        found = connection.execute("SELECT id FROM envoi_delivery WHERE state = 'sending'")
        rows = [row[0] for row in found.fetchall()]
        ids = sorted(random.sample(rows, min(len(rows), 6)), reverse=True)
        try:
            with connection.transaction():
                for one in ids:
                    connection.execute(update, [one])
                    time.sleep(0.003)
        except psycopg.Error:
            pass
        time.sleep(0.01)
"""


def run_statement(site: Site, statement: str) -> None:
    """Run a statement as the server's owner, in the site's own database."""
    with psycopg.connect(site.url, autocommit=True) as connection:
        connection.execute(statement.encode())


def database_of(site: Site) -> str:
    """Return the name of the site's database."""
    return site.url.partition("?")[0].rpartition("/")[2]


def _begin(site: Site, count: int, workers: int) -> tuple[list[Process], list[Process]]:
    """Start workers, and two callers that hand in mail for so many people."""
    site.relay.become(slow_s=0.02)
    site.relay.at_messages(["", "slow_ack"] * count)
    names = [f"u{number}@x.test" for number in range(count)]
    callers = [site.start("-m", "faults.handing_in", *names[start::2]) for start in (0, 1)]
    site.accepted += names
    begun = [site.work() for _ in range(workers)]
    # A worker whose database is away when it starts says so and ends; its supervisor's business.
    wait_for(lambda: len(site.live_workers) == workers, "the workers to sign on")
    return begun, callers


def _end(site: Site, workers: list[Process], callers: list[Process]) -> Tally:
    """Wait for the callers, let everything be delivered, and check that all went on."""
    codes = [caller.wait(200) for caller in callers]
    found = site.finish()
    found.expect(codes == [0, 0], "every mail to be taken in the end")
    found.expect(all(worker.is_alive for worker in workers), "the workers to go on by themselves")
    ends = [worker.stop() for worker in workers]
    found.expect(not any(ends), f"the workers to end in order, got {ends}")
    said = sum("goes on" in process.log for process in workers)
    found.note(f"{said} of {len(workers)} workers met the fault")
    return found


def restarted(site: Site, seed: int) -> Tally:
    """The server ends at once and starts anew, again and again (S7)."""
    count = site.count(5_000, 400)
    restarts = 3 if site.is_quick else 20
    site.set(delivery=LEASE)
    workers, callers = _begin(site, count, 2)
    dice = site.dice(seed)
    for number in range(1, restarts + 1):
        moment = int(count * (number - dice.random()) / (restarts + 1))
        site.relay.wait_for(max(moment, number), 120)
        site.server.restart_at_once()
    return _end(site, workers, callers)


def cut(site: Site, seed: int) -> Tally:
    """Every connection is cut, again and again (S8)."""
    count = site.count(1_500, 300)
    site.set(delivery=LEASE)
    workers, callers = _begin(site, count, 2)
    dice = site.dice(seed)
    while any(caller.is_alive for caller in callers):
        wait(dice.uniform(0.05, 0.5))
        run_statement(site, CUT.format(database_of(site)))
    return _end(site, workers, callers)


def crowded(site: Site, _seed: int) -> Tally:
    """Others take every connection that the server gives (S8)."""
    site.set(delivery=LEASE)
    workers, callers = _begin(site, site.count(600, 200), 1)
    site.relay.wait_for(5)
    with psycopg.connect(owner_of(site), autocommit=True) as owner, ExitStack() as crowd:
        wait_for(lambda: _crowd_out(site, owner, crowd, workers[0]), "the worker to say so")
        wait(3.0)
    return _end(site, workers, callers)


def _crowd_out(site: Site, owner: Connection, crowd: ExitStack, worker: Process) -> bool:
    # What is cut here is free for a moment, and whoever comes first has it.
    owner.execute(CUT.format(database_of(site)).encode())
    with suppress(psycopg.OperationalError):
        while True:
            crowd.enter_context(psycopg.connect(owner_of(site)))
    return "too many clients" in worker.log


def owner_of(site: Site) -> str:
    """Return how the server's owner is connected, to a database that no row uses."""
    return f"{site.url.partition('?')[2]} user=postgres dbname=postgres"


def isolated(level: str) -> Callable[[Site, int], Tally]:
    """Return the row in which every transaction has an isolation level of its owner's choice."""

    def run(site: Site, _seed: int) -> Tally:
        setting = f"ALTER DATABASE {database_of(site)} SET default_transaction_isolation"
        run_statement(site, f"{setting} TO '{level}'")
        site.set(delivery=LEASE)
        workers, callers = _begin(site, site.count(600, 200), 3)
        return _end(site, workers, callers)

    return run


def quarrel(site: Site, _seed: int) -> Tally:
    """Somebody locks the same rows in another order, so that transactions are ended (S8)."""
    setting = f"ALTER DATABASE {database_of(site)} SET deadlock_timeout TO '50ms'"
    run_statement(site, setting)
    # Who may not write for a whole lease has lost it; the others hold their locks for less.
    site.set(delivery={"lease_s": 60})
    quarrellers = [site.start("-c", QUARRELLER, site.url) for _ in range(2)]
    workers, callers = _begin(site, site.count(600, 200), 2)
    for caller in callers:
        caller.wait(200)
    # A few rows that somebody locks without end are nobody's any more.
    are_alive = all(one.is_alive for one in quarrellers)
    for one in quarrellers:
        one.kill()
    found = _end(site, workers, callers)
    found.expect(are_alive, "the others to quarrel to the end")
    return found


def pooled(site: Site, _seed: int) -> Tally:
    """A pooler gives each transaction another session; LISTEN is never heard (S8)."""
    if not program():
        raise NotHereError("there is no pgbouncer (apt-get install pgbouncer)")
    direct, socket = site.url, site.url.partition("?")[2].removeprefix("host=")
    with pooler(site.folder, Path(socket)) as place:
        site.url = f"postgresql://postgres@{place}/{database_of(site)}"
        site.set(outbox={"url": site.url}, delivery=LEASE)
        workers, callers = _begin(site, site.count(600, 200), 2)
        found = _end(site, workers, callers)
        site.mailer.close()
    site.url = direct
    return found


def read_only(site: Site, _seed: int) -> Tally:
    """The server takes no writes for a while (S5)."""
    count = site.count(400, 150)
    site.set(delivery=LEASE)
    site.relay.become(slow_s=0.05)
    site.relay.at_messages([], then="slow_ack")
    site.enqueue(count)
    worker = site.work()
    site.relay.wait_for(count // 10)
    name = database_of(site)
    run_statement(site, f"ALTER DATABASE {name} SET default_transaction_read_only TO on")
    run_statement(site, CUT.format(name))
    wait_for(lambda: "read-only" in worker.log, "the worker to say so")
    wait(1.0)
    frozen = site.relay.evidence.kept
    wait(2.0)
    more = site.relay.evidence.kept - frozen
    with psycopg.connect(owner_of(site), autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
    run_statement(site, CUT.format(name))
    found = site.finish()
    found.expect(more == 0, f"no content while nothing can be noted, got {more}")
    found.expect(worker.is_alive, "the worker to go on by itself")
    return found


def _postgresql(
    row_id: str,
    title: str,
    run: Callable[[Site, int], Tally],
    *,
    limit_s: float = 150,
    is_quick: bool = False,
    has_own_server: bool = False,
) -> Row:
    return Row(
        id=row_id,
        title=title,
        run=run,
        engines=("postgresql",),
        limit_s=limit_s,
        is_quick=is_quick,
        has_own_server=has_own_server,
    )


ROWS = (
    _postgresql("S5p", "a server that takes no writes", read_only),
    _postgresql(
        "S7", "the server restarts at once", restarted, limit_s=300, is_quick=True,
        has_own_server=True,
    ),
    _postgresql("S8c", "connections cut", cut),
    _postgresql("S8m", "too many clients", crowded, has_own_server=True),
    _postgresql("S8r", "repeatable read by default", isolated("repeatable read")),
    _postgresql("S8s", "serializable by default", isolated("serializable")),
    _postgresql("S8d", "deadlocks with somebody else", quarrel),
    _postgresql("S8p", "a pooler in transaction mode", pooled),
)  # fmt: skip
