"""The one PostgreSQL of many workers is restarted under them, again and again."""

import pytest

from tests.machines.cluster import Cluster
from tests.processes.site import wait_until

pytestmark = pytest.mark.postgresql

WORKERS = 3


@pytest.fixture
def cluster():
    cluster = Cluster(has_standby=False)
    yield cluster
    cluster.close()


def test_a_database_that_crashes_again_and_again_loses_and_repeats_nothing(cluster, site):
    site.relay.messages.play(["slow_ack"] * 60)
    site.send(800)
    workers = [site.work() for _ in range(WORKERS)]
    for arrived in (50, 200, 400):
        wait_until(lambda: len(site.ledger.kept) >= arrived)  # noqa: B023 # waited for at once
        cluster.primary.restart_at_once()
    site.wait_for_states(sent=800)

    assert [worker.stop() for worker in workers] == [0] * WORKERS
    assert len(site.copies) == 800
    assert site.duplicates == 0
    site.assert_copies_are_equal()
