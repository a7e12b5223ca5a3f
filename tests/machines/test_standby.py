"""A synchronous standby is promoted in the middle: nothing that was told of is lost or repeated."""

import threading
import time

import pytest

from envoi import Mailbox, ReadyMail
from envoi.addresses import parse_address
from envoi.errors import EnvoiError
from tests.machines.cluster import Cluster
from tests.processes.site import PATIENCE_S, Site, wait_until

pytestmark = pytest.mark.postgresql


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.close()


def test_a_standby_promoted_while_mail_goes_loses_and_repeats_nothing(cluster, site):
    site.relay.messages.play(["slow_ack"] * 40)
    site.send(1_000)
    wait_until(lambda: cluster.is_synchronous)
    workers = [site.work(), site.work()]
    wait_until(lambda: len(site.ledger.kept) >= 100)

    cluster.fail_over()
    site.wait_for_states(sent=1_000)

    assert [worker.stop() for worker in workers] == [0, 0]
    assert len(site.copies) == 1_000
    assert site.duplicates == 0
    assert site.ledger.violations == []
    assert cluster.primary is cluster.servers[1]


def test_what_was_stored_before_and_after_a_promotion_arrives_once(cluster, site):
    """The caller repeats what failed under the same key, as it would after any error."""
    wait_until(lambda: cluster.is_synchronous)
    worker = site.work()
    caller = Caller(site)
    caller.start()
    wait_until(lambda: caller.stored > 20)

    cluster.fail_over()
    after = caller.stored
    wait_until(lambda: caller.stored > after + 20)
    caller.stop()
    site.wait_for_states(sent=caller.stored)

    assert worker.stop() == 0
    assert set(site.copies) == caller.told
    assert site.duplicates == 0


def test_who_only_looks_may_look_at_the_standby(cluster, site):
    site.send(3)
    one, two = cluster.servers
    site.config.write_text(site.config.read_text().replace(f"{one.host}:{one.port},", ""))
    assert str(two.port) in site.config.read_text()
    lines = []
    # Read-write is asked for only where there are several to choose from.
    for words in ("outbox list --json", "outbox stats", "explain u1@x.test"):
        process = site.start("-m", "envoi", *words.split())
        assert process.popen.wait(PATIENCE_S) == 0, process.log
        lines.append(process.log)

    assert lines[0].count("@x.test") >= 3


class Caller(threading.Thread):
    """An application that hands in one mail after the other, each until it is stored."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.told: set[str] = set()
        self._site = site
        self._is_stopped = threading.Event()

    @property
    def stored(self) -> int:
        return len(self.told)

    def run(self) -> None:
        while not self._is_stopped.is_set():
            self._store(f"u{self.stored}@x.test")

    def stop(self) -> None:
        self._is_stopped.set()
        self.join(PATIENCE_S)

    def _store(self, address: str) -> None:
        to = Mailbox(parse_address(address))
        mail = ReadyMail(to=(to,), subject="Hi", text="Hello", key=address)
        while True:
            try:
                self._site.mailer.send(mail, strict=True)
            except EnvoiError:
                time.sleep(0.05)
            else:
                self.told.add(address)
                return
