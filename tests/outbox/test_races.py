"""Several workers at once, in threads and processes, killed and frozen: nothing twice or lost."""

# ruff: noqa: PT012 # the block of a transaction is what raises

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest

from envoi.core.delivery import Sent, State
from envoi.errors import OutboxUnavailableError
from envoi.outbox import open_outbox
from envoi.outbox.claim import Settlement
from tests.outbox.samples import (
    MINUTE,
    NOW,
    SEALED,
    claimed,
    count,
    listed,
    many,
    settled,
    states,
    stored,
)
from tests.postgres import PostgresServer

SENT = Sent(because="250 ok")

# A worker in a process of its own: claims in small batches and prints what it got.
WORKER = """
import sys
from tests.outbox.samples import claimed
from envoi.outbox import open_outbox
outbox = open_outbox(sys.argv[1], busy_timeout_ms=30_000)
while claims := claimed(outbox, 7, worker=sys.argv[2]):
    print(*(claim.id for claim in claims), flush=True)
outbox.close()
"""

# A worker that claims, begins some, says so, and is killed.
DOOMED = """
import sys
from tests.outbox.samples import claimed
from envoi.outbox import open_outbox
outbox = open_outbox(sys.argv[1])
claims = claimed(outbox, 10, worker="doomed", lease_ms=int(sys.argv[2]))
with outbox.transaction(is_synced=False) as tx:
    outbox.begin(tx, claims[:3])
open_transaction = outbox.transaction()
tx = open_transaction.__enter__()
tx.execute("UPDATE envoi_delivery SET state = 'sent'", {})
print("ready", flush=True)
sys.stdin.read()
"""


def run(program, *arguments, **how):
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, **how
    )


def test_workers_in_processes_share_what_is_there(outbox, outbox_url):
    stored(outbox, many(300))

    workers = [run(WORKER, outbox_url, f"w{n}") for n in range(4)]
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]

    ids = Counter(int(word) for output in outputs for word in output.split())
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
    assert (len(ids), set(ids.values())) == (300, {1})


def test_workers_in_threads_settle_everything_once(outbox_url):
    outbox = open_outbox(outbox_url, busy_timeout_ms=30_000)
    stored(outbox, many(300), sealed=SEALED)
    lost = []

    def work(name):
        while claims := claimed(outbox, 7, worker=name):
            lost.extend(settled(outbox, [Settlement(claim=c, verdict=SENT) for c in claims]))

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert lost == []
    assert Counter(states(outbox)) == {State.SENT: 300}
    assert count(outbox, "envoi_attempt") == 300
    # Whoever settled last deleted the secrets, however close the race was.
    assert count(outbox, "envoi_sealed") == 0
    outbox.close()


def test_two_workers_that_settle_the_last_two_leave_no_secret(outbox):
    for _ in range(20):
        stored(outbox, many(2), sealed=SEALED)
        claims = claimed(outbox)
        barrier = threading.Barrier(2)

        def settle(claim, barrier=barrier):
            barrier.wait()
            settled(outbox, [Settlement(claim=claim, verdict=SENT)])

        threads = [threading.Thread(target=settle, args=(claim,)) for claim in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert count(outbox, "envoi_sealed") == 0


@pytest.mark.parametrize("lease_ms", [-1, MINUTE], ids=["lease over", "lease runs"])
def test_kill_9_between_claim_and_settle_loses_nothing(outbox, outbox_url, lease_ms):
    stored(outbox, many(20))
    worker = run(DOOMED, outbox_url, str(lease_ms), stdin=subprocess.PIPE)
    assert worker.stdout.readline() == "ready\n"

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()
    heirs = claimed(outbox, worker="heir")

    # Three were begun: in doubt. What the open transaction wrote is gone.
    begun, held, fresh = (3, 7, 10)
    found = Counter((item.delivery.state, item.worker) for item in listed(outbox))
    if lease_ms < 0:
        # The lease was as long as the wait after doubt, so all of them go again at once.
        assert len(heirs) == begun + held + fresh
        assert found == {(State.SENDING, "heir"): begun + held + fresh}
        with outbox.reading() as tx:
            doubted = tx.execute("SELECT 1 FROM envoi_attempt WHERE outcome = 'uncertain'", {})
        assert len(doubted) == begun
    else:
        assert len(heirs) == fresh
        assert found == {(State.SENDING, "heir"): fresh, (State.SENDING, "doomed"): held + begun}


def test_a_frozen_worker_that_wakes_up_changes_nothing(outbox):
    """SIGSTOP for longer than the lease, then SIGCONT (P5), as the database sees it."""
    stored(outbox, many(5))
    zombies = claimed(outbox, worker="frozen", lease_ms=-1)
    heirs = claimed(outbox, worker="heir")
    settled(outbox, [Settlement(claim=claim, verdict=SENT) for claim in heirs[:2]])

    lost = settled(outbox, [Settlement(claim=claim, verdict=SENT) for claim in zombies])
    with outbox.transaction() as tx:
        not_begun = outbox.begin(tx, zombies)

    assert set(lost) == set(not_begun) == {claim.id for claim in zombies}
    assert Counter(states(outbox)) == {State.SENT: 2, State.SENDING: 3}


def test_a_server_that_restarts_at_once_keeps_what_was_committed():
    """`pg_ctl restart -m immediate` before a verdict is committed (S7): marks are kept too."""
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="envoi-pg-restart-")))
    try:
        with server.database() as name:
            outbox = open_outbox(server.url(name))
            stored(outbox, many(10))
            claims = claimed(outbox, 4)
            with pytest.raises(OutboxUnavailableError), outbox.transaction() as tx:
                settled_in_vain = [Settlement(claim=claim, verdict=SENT) for claim in claims]
                outbox.settle(tx, settled_in_vain, NOW)
                server.restart_at_once()
            assert Counter(states(outbox)) == {State.SENDING: 4, State.QUEUED: 6}
            assert settled(outbox, [Settlement(claim=c, verdict=SENT) for c in claims]) == ()
            assert Counter(states(outbox)) == {State.SENT: 4, State.QUEUED: 6}
            outbox.close()
    finally:
        server.stop()
