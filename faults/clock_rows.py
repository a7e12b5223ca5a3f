"""This room is clocks that are wrong (K1, K2)."""

from faults.clock import Clock
from faults.row import Row, Tally
from faults.site import CONNECTIONS, LEASE_S, Site
from faults.waiting import wait, wait_for

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# The two jumps back are far larger than any wait that the settings here know.
JUMPS = {"+1 day": DAY_MS, "-1 day": -DAY_MS, "-1 hour": -HOUR_MS}


def moved_while_waiting(site: Site, _seed: int) -> Tally:
    """Move the clock while mail waits for its next try and while contents are under way."""
    clock = Clock(site.folder)
    promises = Tally()
    for name, by_ms in JUMPS.items():
        _move(site, clock, by_ms, name)
        clock.move_ms(-by_ms)
    found = site.finish()
    found.broken += promises.broken
    found.expect(not found.duplicated_excused, "no copy too many: nobody was in doubt")
    return found


def _move(site: Site, clock: Clock, by_ms: int, name: str) -> None:
    count = site.count(60, 20)
    kept = site.relay.evidence.kept
    site.relay.become(slow_s=1.5)
    site.relay.at_messages([*["slow_ack"] * CONNECTIONS, *["rcpt_450"] * 8])
    # Two of them: nobody may take the other for dead because the clock went ahead of its lease.
    crew = [clock.work(site), clock.work(site)]
    wait_for(lambda: len(site.live_workers) == len(crew), "both workers")
    wait(2.5)  # until both have a share of the connections
    site.enqueue(count)
    site.relay.wait_for(kept + CONNECTIONS)
    clock.move_ms(by_ms)
    what = f"all sent although the clock went {name}"
    wait_for(lambda: site.relay.evidence.kept >= kept + count, what)
    site.wait_until_settled()
    for process in crew:
        process.stop()


def two_hosts(site: Site, _seed: int) -> Tally:
    """Two hosts ten minutes apart: neither takes the other's claims for stale."""
    slow, fast = Clock(site.folder, "slow"), Clock(site.folder, "fast")
    fast.move_ms(10 * 60_000)
    site.set(smtp={"connections": 2 * CONNECTIONS})
    site.relay.become(slow_s=2.0 * LEASE_S)
    site.relay.at_messages([], then="slow_ack")
    crew = [slow.work(site), fast.work(site)]
    wait_for(lambda: len(site.live_workers) == len(crew), "both workers")
    wait(2.5)  # until both have a share of the connections
    site.enqueue(site.count(40, 20))
    site.relay.wait_for(2 * CONNECTIONS)
    wait(LEASE_S)
    site.relay.at_messages([])
    site.wait_until_settled()
    codes = [process.stop() for process in crew]
    found = site.tally()
    found.expect(not any(codes), f"both to end well; got {codes}")
    found.expect(all(process.sent for process in crew), "both to have a share")
    found.expect(not found.duplicated_excused, "nobody to take a living worker's claims")
    lost = [process for process in crew if "lease lost" in process.log]
    found.expect(not lost, "no lease lost")
    return found


ROWS = (
    Row(
        id="K1", title="the clock moved by a day, back, by an hour", run=moved_while_waiting,
        limit_s=240,
    ),
    Row(id="K2", title="two hosts ten minutes apart", run=two_hosts, engines=("postgresql",)),
)  # fmt: skip
