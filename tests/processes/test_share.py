"""Several worker processes on one outbox: each delivery once, and one relay's limit for all."""

import re

from tests.processes.site import CONNECTIONS, ON_ONE_ENGINE, wait_until


def sent_by(process):
    """Which deliveries a worker says it has sent."""
    return re.findall(r"delivery (\d+) to \S+ sent", process.log)


def test_two_workers_share_what_there_is_and_send_nothing_twice(site):
    count = 5_000 if site.url.startswith("postgresql") else 1_000
    site.relay.messages.play(["slow_ack"] * 100)
    site.send(100, prefix="first-")
    workers = [site.work(), site.work()]
    wait_until(lambda: all(sent_by(worker) for worker in workers))

    site.send(count - 100)
    site.wait_for_states(sent=count)

    assert [worker.stop() for worker in workers] == [0, 0]
    shares = [sent_by(worker) for worker in workers]
    assert min(len(share) for share in shares) > 0
    assert len({*shares[0], *shares[1]}) == sum(len(share) for share in shares) == count
    assert len(site.copies) == count
    assert site.duplicates == 0


def test_a_worker_that_joins_leaves_the_relay_its_limit(site):
    site.relay.messages.play([], then="slow_ack")
    site.send(150)
    first = site.work()
    wait_until(lambda: site.ledger.open == CONNECTIONS)

    second = site.work()
    wait_until(lambda: sent_by(second))

    assert site.ledger.most_open == CONNECTIONS
    assert (first.stop(), second.stop()) == (0, 0)


@ON_ONE_ENGINE
def test_more_workers_than_connections_stand_by_and_take_over(make_site):
    site = make_site(smtp={"connections": 1})
    first = site.work()
    wait_until(lambda: first.pid in site.live_workers)
    second = site.work()
    wait_until(lambda: second.pid in site.live_workers)
    site.send(20)
    site.wait_for_states(sent=20)
    assert sent_by(second) == []

    assert first.stop() == 0
    site.send(20, prefix="later-")
    site.wait_for_states(sent=40)

    assert len(sent_by(second)) == 20
    assert site.ledger.most_open == 1
