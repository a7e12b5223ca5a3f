"""This room is many at once: a broadcast, much that waits, a large outbox (L1 to L3)."""

import json
import statistics
import time
from collections.abc import Callable
from contextlib import suppress

from envoi.core.delivery import State
from envoi.outbox.claim import ClaimOrder
from envoi.outbox.filters import Page, Query
from envoi.outbox.find import deliveries
from envoi.outbox.tables import delivery
from faults.process import Process
from faults.row import Row, Tally
from faults.site import CONNECTIONS, LEASE_S, Site
from faults.waiting import wait, wait_for

# What a worker may still send after a broadcast was cancelled: what it has in hand.
BATCH = 4 * CONNECTIONS
# How long the relay is away, and how often it may be knocked at meanwhile.
AWAY_S, KNOCK_S = 20.0, 4.0
# RELIABILITY's goals for a large outbox.
LONGEST_MS, MOST_MB = 100.0, 200.0


def broadcast(site: Site, seed: int) -> Tally:
    """Mail everybody, kill the service twice, cancel half-way."""
    count, dice = site.count(50_000, 1_000), site.dice(seed)
    people = site.folder / "users.csv"
    names = [f"u{number}@x.test" for number in range(count)]
    people.write_text("\n".join(["login,email", *(f"u{n},{a}" for n, a in enumerate(names))]))
    site.set()
    site.command("user", "import", str(people), timeout_s=300)
    event_id = str(json.loads(
        site.command("admin", "email", "--everyone", "--json", "Sunday", "Closed.", timeout_s=300)
    )["id"])  # fmt: skip
    site.accepted = names
    for part in (10, 5):
        process = site.work()
        site.relay.wait_for(dice.randrange(count // part, count // part + 50), 200)
        site.kill(process)
    process = site.work()
    site.relay.wait_for(count // 2, 200)
    # So slow that something is left to be cancelled when the command has started.
    site.relay.become(slow_s=0.3)
    site.relay.at_messages([], then="slow_ack")
    site.command("broadcast", "cancel", event_id, "--yes")
    kept = site.relay.evidence.kept
    site.wait_until_settled()
    site.relay.at_messages([])
    code = process.stop()
    found = site.tally(may_be=[State.CANCELLED])
    after = site.relay.evidence.kept - kept
    found.expect(code == 0, "the worker to end well")
    found.expect(after <= BATCH, f"at most {BATCH} mails after the cancel; got {after}")
    found.expect(State.CANCELLED in site.states, "the rest to be cancelled")
    return found


def long_outage(site: Site, _seed: int) -> Tally:
    """Much mail while the relay is away: nobody hammers, and it drains by itself."""
    count = site.count(10_000, 400)
    away_s = 6.0 if site.is_quick else AWAY_S
    site.set(delivery={"relay_retry_longest_s": int(KNOCK_S)})
    site.relay.at_connections([], then="greet_421")
    workers = [site.work(), site.work()]
    wait_for(lambda: len(site.live_workers) == len(workers), "both workers")
    site.enqueue(count, per_message=500)
    wait_for(lambda: site.relay.evidence.connected, "the first knock")
    before = len(site.relay.evidence.connected)
    wait(away_s)
    knocks = len(site.relay.evidence.connected) - before
    site.relay.at_connections([])
    site.wait_until_settled(100)
    codes = [process.stop() for process in workers]
    found = site.tally()
    # A second, doubling: one try more for each doubling, and each worker finds out for itself.
    most = int(away_s / KNOCK_S) + 3 + len(workers)
    found.expect(knocks <= most, f"at most {most} tries in {away_s:g} s; got {knocks}")
    found.expect(not any(codes), f"both to end well; got {codes}")
    found.expect(not found.duplicated_excused, "no copy too many: nothing was in doubt")
    most_open = site.relay.evidence.most_open
    found.expect(most_open <= CONNECTIONS, f"no herd: {CONNECTIONS} connections; got {most_open}")
    found.note(f"{knocks} tries in {away_s:g} s, and then it drained by itself")
    return found


def large_outbox(site: Site, _seed: int) -> Tally:
    """A claim and a list among a million rows."""
    rows = site.ground.messages or (20_000 if site.is_quick else 1_000_000)
    site.enqueue(1, "seed-")
    site.finish()
    began_ms = site.mailer.parts.clock()
    _multiply(site, rows)
    site.query = Query(since_ms=began_ms)
    site.accepted.clear()
    site.relay.evidence.copies.clear()
    process = site.work()
    names = site.enqueue(200)
    timed = {"claim": _median_ms(lambda: _claim(site))}
    for name, query in (
        ("list", Query()),
        ("list failed", Query(states=(State.FAILED,))),
        ("list to one", Query(address=names[0])),
    ):
        timed[name] = _median_ms(lambda q=query: _list(site, q))  # type: ignore[misc]
    site.relay.wait_for(len(names) + 1)
    wait_for(lambda: all(one.delivery.state is State.SENT for one in site.deliveries), "all sent")
    peak_mb = _peak_mb(process)
    process.stop()
    found = site.tally()
    for name, took_ms in timed.items():
        found.expect(took_ms < LONGEST_MS, f"{name} within {LONGEST_MS:g} ms; took {took_ms:.1f}")
    found.expect(peak_mb < MOST_MB, f"a worker below {MOST_MB:g} MB; took {peak_mb:.0f}")
    figures = ", ".join(f"{name} {took_ms:.1f} ms" for name, took_ms in timed.items())
    found.note(f"among {rows:,} rows: {figures}; the worker took {peak_mb:.0f} MB at most")
    return found


def _multiply(site: Site, rows: int) -> None:
    """Copy the one delivery that is there: half of them sent, a tenth failed, the rest to wait."""
    names = [column.name for column in delivery.columns if column.name != "id"]
    waits = "CASE WHEN n % 10 < 5 THEN 'sent' WHEN n % 10 < 6 THEN 'failed' ELSE 'queued' END"
    made = {
        "address": "'old' || n || '@x.test'",
        "state": waits,
        "created_at_ms": "d.created_at_ms - 1000000",
        "due_at_ms": "d.due_at_ms + 86400000 + n",
    }
    chosen = ", ".join(made.get(name, f"d.{name}") for name in names)
    series = (
        f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})"
        if site.engine == "sqlite"
        else f"WITH s(n) AS (SELECT generate_series(1, {rows}))"
    )
    insert = f"INSERT INTO envoi_delivery ({', '.join(names)})"
    with site.mailer.parts.outbox.transaction() as tx:
        origin = "FROM s, (SELECT * FROM envoi_delivery LIMIT 1) AS d"
        if site.engine == "sqlite":
            tx.execute(f"{insert} {series} SELECT {chosen} {origin}", {})
        else:
            tx.execute(f"{series} {insert} SELECT {chosen} {origin}", {})
    with site.mailer.parts.outbox.transaction() as tx:
        tx.execute("ANALYZE", {})


class _UndoneError(Exception):
    """Undoes a transaction that was only made to be measured."""


def _claim(site: Site) -> None:
    parts = site.mailer.parts
    order = ClaimOrder(worker="measured", limit=100, lease_ms=LEASE_S * 1000, transport="default")
    with suppress(_UndoneError), parts.outbox.transaction() as tx:
        parts.outbox.claim(tx, order, parts.clock())
        raise _UndoneError


def _list(site: Site, query: Query) -> None:
    with site.mailer.parts.outbox.reading() as tx:
        deliveries(tx, query, Page(limit=50))


def _median_ms(step: Callable[[], None], times: int = 15) -> float:
    took: list[float] = []
    for _ in range(times):
        began_s = time.perf_counter()
        step()
        took.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(took)


def _peak_mb(process: Process) -> float:
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:  # noqa: PTH123 # no file
        peak = next(line for line in status if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


ROWS = (
    Row(id="L1", title="a broadcast killed twice and cancelled", run=broadcast, limit_s=420),
    Row(id="L2", title="much mail while the relay is away", run=long_outage, limit_s=240),
    Row(id="L3", title="claim and list among a million rows", run=large_outbox, limit_s=420),
)
