"""Workers on two hosts share one PostgreSQL, and one host loses its network in the middle."""

import pytest

from envoi.core.delivery import State
from envoi.testing.relay import FaultyRelay
from tests.machines.cluster import Cluster
from tests.machines.network import BRIDGE_HOST, NETWORK, Network, why_not
from tests.processes.site import CONNECTIONS, Site, wait_until

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(240),
]


@pytest.fixture
def network():
    network = Network()
    for name in ("a", "b"):
        network.add(name)
    yield network
    network.close()


@pytest.fixture
def site(network, tmp_path):
    cluster = Cluster(BRIDGE_HOST, NETWORK, has_standby=False)
    with FaultyRelay(host=BRIDGE_HOST) as relay:
        smtp = {"host": BRIDGE_HOST, "tls": "none", "command_timeout_s": 5}
        site = Site(tmp_path, cluster.url, relay, {"smtp": smtp})
        yield site
        site.close()
    cluster.close()


def sent_by(process):
    return process.log.count(" sent: ")


def test_a_host_without_a_network_keeps_nothing_from_the_others(site, network):
    site.relay.messages.play(["slow_ack"] * 300)
    site.send(200, prefix="first-")
    cut_off = site.start("-m", "envoi", "work", before=network.words("a"))
    other = site.start("-m", "envoi", "work", before=network.words("b"))
    wait_until(lambda: sent_by(cut_off) and sent_by(other))

    site.send(1_800)
    network.cut("a")
    # Sent, or in doubt for good reason and sent again: nobody waits for the host that is gone.
    site.wait_for_states(sent=2_000, patience_s=150)
    assert len(site.copies) == 2_000
    # What host a's connections had under way when the network went (I2).
    assert site.duplicates <= CONNECTIONS
    before = dict(site.copies)

    network.mend("a")
    assert other.stop() == 0
    site.send(20, prefix="later-")
    site.wait_for_states(sent=2_020, patience_s=90)

    # The host that is back goes on. Its late verdicts changed nothing, and it sent nothing that
    # was no longer its own.
    assert {name: n for name, n in site.copies.items() if not name.startswith("later-")} == before
    assert site.states == {State.SENT: 2_020}
    assert cut_off.stop() == 0
    site.assert_copies_are_equal()
