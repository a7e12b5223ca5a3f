"""This room is what happens to processes (P1 to P9): killed, stopped, frozen, poisoned."""

import signal
import sqlite3
import time
from collections.abc import Generator
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager

import psycopg

from envoi.core.delivery import State
from faults.process import Process
from faults.row import Row, Tally
from faults.site import CONNECTIONS, Site
from faults.waiting import wait, wait_for

# What a supervisor waits before it kills, and what the catalogue allows.
DRAIN_S = 30.0
# A stale claim is taken back within this, whatever the lease.
RECOVERY_S = 60.0


def killed_before_mail(site: Site, _seed: int) -> Tally:
    """Kill a worker whose connections are open and have said nothing yet."""
    site.relay.at_connections(["hang_greet"] * CONNECTIONS)
    site.enqueue(site.count(100, 20))
    process = site.work()
    wait_for(lambda: site.relay.evidence.connected, "a connection")
    site.kill(process)
    site.relay.at_connections([])
    return _none_twice(site.finish())


def killed_inside_a_content(site: Site, _seed: int) -> Tally:
    """Kill a worker while the relay reads no further in each content."""
    site.relay.at_messages(["hang_in_data"] * CONNECTIONS)
    site.enqueue(site.count(100, 20))
    process = site.work()
    wait_for(lambda: len(site.begun) == CONNECTIONS, "a content on each connection")
    site.kill(process)
    site.relay.at_messages([])
    return _none_twice(site.finish())


def killed_behind_the_dot(site: Site, _seed: int) -> Tally:
    """Kill a worker when the relay has its mails and has not answered."""
    site.relay.at_messages(["hang_kept"] * CONNECTIONS)
    site.enqueue(site.count(100, 20))
    process = site.work()
    site.relay.wait_for(CONNECTIONS)
    site.kill(process)
    return _these_twice(site.finish(), CONNECTIONS)


def killed_before_the_note(site: Site, _seed: int) -> Tally:
    """Kill a worker that has heard 250 and cannot write it down."""
    site.set(outbox={"busy_timeout_s": 0.1})
    # Long enough for a busy machine to have the lock before the first answer.
    site.relay.become(slow_s=3.0)
    site.relay.at_messages(["slow_ack"] * CONNECTIONS)
    site.enqueue(site.count(100, 20))
    process = site.work()
    site.relay.wait_for(CONNECTIONS)
    with write_lock(site):
        heard = "all contents acknowledged"
        wait_for(lambda: len(_acknowledged(site)) >= CONNECTIONS, heard)
        wait(0.5)  # for the worker to read them
        site.kill(process)
    return _these_twice(site.finish(), CONNECTIONS)


@contextmanager
def write_lock(site: Site) -> Generator[None]:
    """Keep everybody from writing deliveries."""
    if site.engine == "sqlite":
        path = site.url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    with psycopg.connect(site.url) as other:
        other.execute("LOCK TABLE envoi_delivery IN EXCLUSIVE MODE")
        yield
        other.rollback()


def stale_claims(site: Site, _seed: int) -> Tally:
    """Kill a worker with the lease as it is shipped, and see when its claims go on."""
    site.set(delivery={"lease_s": 60})
    site.relay.at_messages(["hang_in_data"] * CONNECTIONS)
    site.enqueue(40)
    dead = site.work()
    wait_for(lambda: len(site.begun) == CONNECTIONS, "a content on each connection")
    alive = site.work()
    wait_for(lambda: len(site.live_workers) == 2, "a second worker")  # noqa: PLR2004 # the two
    began_s = time.monotonic()
    site.kill(dead)
    site.wait_until_settled(RECOVERY_S + 30)
    seconds = time.monotonic() - began_s
    found = _none_twice(site.tally())
    found.expect(seconds <= RECOVERY_S + 1, f"recovery within {RECOVERY_S:g} s; took {seconds:.1f}")
    found.expect(alive.stop() == 0, "the living worker to end well")
    found.note(f"with a lease of 60 s everything was sent {seconds:.0f} s after the kill")
    return found


def killed_while_storing(site: Site, seed: int) -> Tally:
    """Kill the program that hands over mail, again and again, and let it begin anew."""
    dice = site.dice(seed)
    count, kills = site.count(300, 60), 3 if site.is_quick else 12
    names = [f"u{number}@x.test" for number in range(count)]
    told: set[str] = set()
    promises = Tally()
    for number in range(kills):
        process = site.start("-m", "faults.enqueue", str(count))
        target = len(told) + dice.randrange(1, max(2, count // kills))
        wait_for(lambda p=process, t=target: _stored(p, t), f"{target} mails stored")  # type: ignore[misc]
        wait(dice.uniform(0, 0.02))
        process.kill()
        told |= set(process.log.split())
        rows = [str(listed.delivery.address) for listed in site.deliveries]
        promises.expect(len(rows) == len(set(rows)), f"each stored once after kill {number}")
        promises.expect(told <= set(rows), f"what was confirmed to be there after kill {number}")
    promises.expect(site.start("-m", "faults.enqueue", str(count)).wait() == 0, "an end at last")
    site.accepted = names
    found = _none_twice(site.finish())
    found.broken += promises.broken
    return found


def _stored(process: Process, count: int) -> bool:
    return len(process.log.split()) >= count or not process.is_alive


def random_kills(site: Site, seed: int) -> Tally:
    """Kill all workers at moments of chance while the queue goes down."""
    dice = site.dice(seed)
    count = site.count(5_000, 300)
    kills = 3 if site.is_quick else 100
    site.relay.become(slow_s=0.01)
    site.relay.at_messages([], then="slow_ack")
    site.enqueue(count, per_message=100)
    step = max(1, count // (kills + 1))
    longest_s, most_in_doubt = 0.0, 0
    left: AbstractSet[str] = frozenset()
    for number in range(kills):
        target = number * step + dice.randrange(1, step + 1)
        began_s = time.monotonic()
        workers = [site.work() for _ in range(1 + number % 2)]
        site.relay.wait_for(target, RECOVERY_S)
        longest_s = max(longest_s, time.monotonic() - began_s)
        site.kill(*workers[1:], excuses=0)
        site.kill(workers[0])
        # What an earlier kill left stays in doubt until its lease is over.
        begun = site.begun
        most_in_doubt, left = max(most_in_doubt, len(begun - left)), begun
    site.relay.at_messages([])
    found = site.finish()
    found.expect(
        most_in_doubt <= CONNECTIONS,
        f"at most one in doubt per connection after a kill; got {most_in_doubt}",
    )
    found.note(
        f"{kills} kills; at most {most_in_doubt} in doubt after one; at most {longest_s:.1f} s "
        "until mail went on"
    )
    return found


def stopped_gently(site: Site, _seed: int) -> Tally:
    """SIGTERM under load, then with a relay that never answers, then twice."""
    site.relay.at_messages([], then="slow_ack")
    site.enqueue(site.count(200, 60))
    process = site.work()
    site.relay.wait_for(10)
    promises = Tally()
    seconds, code = _stop(process)
    promises.expect(code == 0 and seconds <= DRAIN_S, f"exit 0 in 30 s; {code} in {seconds:.1f} s")
    told = sum(1 for listed in site.deliveries if listed.delivery.state is State.SENT)
    promises.expect(told == site.relay.evidence.kept, "a gentle stop to leave nothing in doubt")
    _stop_with_a_hung_relay(site, promises)
    _stop_twice(site, promises)
    site.relay.at_messages([])
    found = site.finish()
    found.broken += promises.broken
    return found


def _stop_with_a_hung_relay(site: Site, promises: Tally) -> None:
    site.set(delivery={"drain_s": 2})
    kept = site.relay.evidence.kept
    site.relay.at_messages(["hang_kept"] * CONNECTIONS)
    process = site.work()
    site.relay.wait_for(kept + CONNECTIONS)
    seconds, code = _stop(process)
    promises.expect(code == 0 and seconds <= DRAIN_S, f"exit 0 in 30 s; {code} in {seconds:.1f} s")
    in_doubt = site.states.get(State.UNCERTAIN, 0)
    promises.expect(
        in_doubt == CONNECTIONS, f"{CONNECTIONS} told as uncertain after the drain; got {in_doubt}"
    )


def _stop_twice(site: Site, promises: Tally) -> None:
    site.set(delivery={"drain_s": 60})
    kept = site.relay.evidence.kept
    site.relay.at_messages(["hang_kept"] * CONNECTIONS)
    process = site.work()
    site.relay.wait_for(kept + CONNECTIONS)
    process.signal(signal.SIGTERM)
    wait_for(lambda: "stops" in process.log, "the first signal told")
    site.disrupt("SIGTERM twice", CONNECTIONS)
    process.signal(signal.SIGTERM)
    code = process.wait(10)
    promises.expect(code == -signal.SIGTERM, f"the second SIGTERM to end it at once; got {code}")


def _stop(process: Process) -> tuple[float, int]:
    began_s = time.monotonic()
    code = process.stop(DRAIN_S + 10)
    return time.monotonic() - began_s, code


def frozen_longer_than_its_lease(site: Site, _seed: int) -> Tally:
    """Freeze a worker, let another take over, and wake the first one with a refusal to tell.

    The other one has the same deliveries in hand at that moment: their state alone would let the
    refusal in, and only the number of the claim keeps it out.
    """
    site.relay.become(slow_s=3.0)
    site.relay.at_messages(["slow_554"] * CONNECTIONS, then="hang_kept")
    contested = set(site.enqueue(CONNECTIONS))
    frozen = site.work()
    wait_for(lambda: site.begun == contested, "a content on each connection")
    frozen.signal(signal.SIGSTOP)
    wait_for(lambda: site.relay.evidence.refused == contested, "refusals that nobody hears yet")
    other = site.work()
    site.relay.wait_for(CONNECTIONS)
    frozen.signal(signal.SIGCONT)
    in_hand = {State.SENDING: CONNECTIONS}
    wait_for(lambda: _lost(frozen) >= CONNECTIONS or site.states != in_hand, "the zombie's say")
    promises = Tally()
    promises.expect(site.states == in_hand, f"the zombie to change nothing; got {site.states}")
    site.relay.at_messages([])
    site.relay.cut()
    count = CONNECTIONS + len(site.enqueue(site.count(200, 40)))
    site.wait_until_settled()
    codes = frozen.stop(), other.stop()
    # What the other one was cut off from was never acknowledged; the zombie's was never kept.
    found = _these_twice(site.tally(), CONNECTIONS)
    found.broken += promises.broken
    found.expect(codes == (0, 0), f"both to end well; got {codes}")
    found.expect(site.states == {State.SENT: count}, f"everything sent; got {site.states}")
    return found


def _lost(process: Process) -> int:
    return process.log.count("lease lost")


def many_workers(site: Site, _seed: int) -> Tally:
    """Eight workers on one queue: nobody claims what another one has."""
    count = site.count(10_000, 400)
    workers = 3 if site.is_quick else 8
    site.set(smtp={"connections": workers})
    crew = [site.work() for _ in range(workers)]
    wait_for(lambda: len(site.live_workers) == workers, "all workers", 120)
    site.enqueue(count, per_message=500)
    site.wait_until_settled(240)
    codes = [process.stop() for process in crew]
    found = _none_twice(site.tally())
    found.expect(not any(codes), f"all to end well; got {codes}")
    shares = [process.sent for process in crew]
    everybody = [number for share in shares for number in share]
    found.expect(len(everybody) == len(set(everybody)) == count, "each sent by one worker, once")
    most = site.relay.evidence.most_open
    found.expect(most <= workers, f"at most {workers} connections together; got {most}")
    at_work = sum(1 for share in shares if share)
    found.note(f"{at_work} of {workers} workers had a share")
    return found


def thread_that_dies(site: Site, _seed: int) -> Tally:
    """Raise inside the worker thread of an application: it is begun again."""
    count = site.count(100, 20)
    site.enqueue(count)
    site.set(transport={"default": "faults.poison:raising_once"})
    process = site.start("-m", "faults.application")
    site.wait_until_settled()
    found = _none_twice(site.tally())
    found.expect("worker in-process" in process.log, "the crash in the log")
    found.expect(process.stop() == 0, "the application to end well")
    return found


def poison(site: Site, _seed: int) -> Tally:
    """A mail that kills its worker before it is begun, each time: set aside, the others go."""
    count = site.count(60, 20)
    first = site.enqueue(count // 2)
    bad = site.enqueue(1, "poison-")
    rest = site.enqueue(count - len(first) - 1)
    site.set(transport={"default": "faults.poison:deadly"})
    deaths = _supervise(site, [*first, *rest])
    states = {str(one.delivery.address): one.delivery.state for one in site.deliveries}
    found = site.tally()
    found.expect(deaths, "the poison to kill")
    found.expect(states[bad[0]] is State.HELD, f"the poison to be held; got {states[bad[0]]}")
    well = all(states[address] is State.SENT for address in (*first, *rest))
    found.expect(well, "the others to be sent")
    found.note(f"it killed {deaths} workers before it was set aside")
    return found


def _supervise(site: Site, others: list[str]) -> int:
    """Start a new worker whenever one dies, until nothing is left but what is held."""
    deaths = 0
    deadline_s = time.monotonic() + 100
    process = site.work()
    while site.states != {State.SENT: len(others), State.HELD: 1}:
        if time.monotonic() > deadline_s:
            break
        if not process.is_alive:
            deaths += 1
            site.disrupt("poison", CONNECTIONS)
            process = site.work()
        wait(0.05)
    process.stop()
    return deaths


def stale_files(site: Site, _seed: int) -> Tally:
    """Whatever files a killed worker leaves, the next one starts and sends."""
    site.relay.at_messages(["hang_in_data"] * CONNECTIONS)
    site.enqueue(site.count(100, 20))
    process = site.work()
    wait_for(lambda: len(site.begun) == CONNECTIONS, "a content on each connection")
    site.kill(process)
    found = _none_twice(site.finish(RECOVERY_S))
    names = {path.name for path in site.folder.iterdir()}
    leftovers = {name for name in names if name.endswith((".pid", ".lock"))}
    found.expect(not leftovers, f"no pid and no lock files at all; got {leftovers}")
    return found


def _acknowledged(site: Site) -> list[str]:
    copies = site.relay.evidence.copies.values()
    return [copy.recipient for each in copies for copy in each if copy.is_acknowledged]


def _none_twice(found: Tally) -> Tally:
    found.expect(not found.duplicated_excused, "no copy too many: nothing was in doubt")
    return found


def _these_twice(found: Tally, count: int) -> Tally:
    found.expect(
        found.duplicated_excused == count,
        f"one copy more of each of the {count} in doubt; got {found.duplicated_excused}",
    )
    return found


ROWS = (
    Row(id="P1a", title="kill -9 before MAIL", run=killed_before_mail),
    Row(id="P1b", title="kill -9 inside a content", run=killed_inside_a_content),
    Row(id="P1c", title="kill -9 behind the final dot", run=killed_behind_the_dot),
    Row(
        id="P1d", title="kill -9 behind 250, before the commit", run=killed_before_the_note,
        is_quick=True,
    ),
    Row(id="P1e", title="stale claims with the shipped lease", run=stale_claims, limit_s=150),
    Row(id="P2", title="kill -9 while mail is handed over", run=killed_while_storing),
    Row(
        id="P3", title="kill -9 of all workers, again and again", run=random_kills, is_quick=True,
        limit_s=600,
    ),
    Row(id="P4", title="SIGTERM; with a hung relay; twice", run=stopped_gently),
    Row(id="P5", title="frozen longer than the lease, then back", run=frozen_longer_than_its_lease),
    Row(id="P6", title="eight workers, one queue", run=many_workers, limit_s=300),
    Row(id="P7", title="the worker thread of an application dies", run=thread_that_dies),
    Row(id="P8", title="a mail that kills its worker", run=poison, limit_s=150),
    Row(id="P9", title="what a killed worker leaves on the disk", run=stale_files),
)  # fmt: skip
