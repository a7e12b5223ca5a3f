"""This room breaks whole machines: a database server that is replaced, a host without a network.

The servers and the hosts are real ones, on this machine; they are the test suite's own.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from faults.process import Process
from faults.row import NotHereError, Row, Tally
from faults.site import CONNECTIONS, Site
from faults.waiting import wait_for
from tests.machines.cluster import Cluster
from tests.machines.network import BRIDGE_HOST, NETWORK, Network, why_not

# A row that the server ends for a host that is gone is free after a minute.
ABANDONED_S = 120.0


def fail_over(site: Site, seed: int) -> Tally:
    """A synchronous standby takes the primary's place in the middle of a broadcast."""
    cluster = Cluster()
    try:
        return _fail_over(site, cluster, site.dice(seed).randrange(50, 200))
    finally:
        cluster.close()


def _fail_over(site: Site, cluster: Cluster, moment: int) -> Tally:
    site.url = cluster.url
    site.set()
    site.relay.at_messages(["slow_ack"] * 40)
    site.enqueue(site.count(1_000, 400))
    wait_for(lambda: cluster.is_synchronous, "a standby that has every commit")
    workers = [site.work(), site.work()]
    site.relay.wait_for(moment)
    cluster.fail_over()
    site.wait_until_settled()
    found = site.tally()
    found.expect(all(worker.stop() == 0 for worker in workers), "the workers end in order")
    return found


def cut_off(site: Site, _seed: int) -> Tally:
    """One of two hosts loses its network with mail under way, and has it back later."""
    if because := why_not():
        raise NotHereError(because)
    with _hosts() as network:
        cluster = Cluster(BRIDGE_HOST, NETWORK, has_standby=False)
        try:
            return _cut_off(site, cluster, network)
        finally:
            cluster.close()


def _cut_off(site: Site, cluster: Cluster, network: Network) -> Tally:
    site.url, site.relay_host = cluster.url, BRIDGE_HOST
    site.set(smtp={"host": BRIDGE_HOST, "tls": "none", "command_timeout_s": 5})
    site.relay.at_messages(["slow_ack"] * 300)
    site.enqueue(200)
    lonely, other = (_work_on(site, network, host) for host in ("a", "b"))
    wait_for(lambda: lonely.sent and other.sent, "both hosts at work")
    site.enqueue(site.count(2_000, 300))
    began_at_s = time.monotonic()
    network.cut("a")
    site.wait_until_settled(ABANDONED_S)
    site.disrupt("a host without a network", CONNECTIONS, began_at_s)
    network.mend("a")
    other.stop()
    site.enqueue(20)
    site.wait_until_settled(ABANDONED_S)
    found = site.tally()
    found.expect(lonely.stop() == 0, "the host that is back ends in order")
    return found


def _work_on(site: Site, network: Network, host: str) -> Process:
    ip, *rest = network.words(host)
    return site.start(str(shutil.which(ip)), *rest, sys.executable, "-m", "envoi", "work")


@contextmanager
def _hosts() -> Iterator[Network]:
    network = Network()
    try:
        for name in ("a", "b"):
            network.add(name)
        yield network
    finally:
        network.close()


ROWS = (
    Row(
        id="M1",
        title="a standby is promoted in the middle",
        run=fail_over,
        engines=("postgresql",),
        limit_s=180,
    ),
    Row(
        id="M2",
        title="a host loses its network",
        run=cut_off,
        engines=("postgresql",),
        limit_s=300,
    ),
)
