"""`mailer.start()` in an application that a prefork server runs (DESIGN 4.12)."""

import json
import re
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from envoi.core.delivery import State
from tests.processes.site import CONNECTIONS, ON_ONE_ENGINE, wait_until

WORKERS = 2
_LISTENS = re.compile(r"Listening at: (http://127\.0\.0\.1:\d+)")


class Server:
    """A running gunicorn.

    Args:
        site: Its settings, outbox and relay.
        words: Further options.
    """

    def __init__(self, site, *words) -> None:
        self.process = site.start(
            "-m",
            "gunicorn",
            "--bind=127.0.0.1:0",
            f"--workers={WORKERS}",
            "--worker-tmp-dir=/tmp",
            "--no-control-socket",
            *words,
            "tests.processes.wsgi_app:app",
        )
        wait_until(lambda: _LISTENS.search(self.process.log) or self.process.popen.poll())
        [self.url] = _LISTENS.findall(self.process.log)

    def post(self, recipient):
        """Hand over a mail; the process that took it."""
        with urllib.request.urlopen(f"{self.url}/{recipient}", timeout=30) as answer:
            receipt = json.load(answer)
        assert receipt["stored"] == "stored"
        return receipt["pid"]

    @property
    def children(self):
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return {int(pid) for pid in Path(path).read_text().split()}

    @property
    def master_threads(self):
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))


@pytest.mark.parametrize("words", [(), ("--preload",)], ids=["prefork", "preload"])
def test_mail_leaves_from_the_workers_once_and_the_master_only_forks(site, words):
    server = Server(site, *words)
    # The relay is asked by the children alone, and their worker begins by itself.
    wait_until(lambda: len(server.children) == WORKERS)
    wait_until(lambda: set(site.live_workers) == server.children)
    site.relay.messages.play(["slow_ack"] * 30)

    takers = Counter(server.post(f"u{n}@x.test") for n in range(40))
    site.wait_for_states(sent=40)

    assert takers.keys() <= server.children
    assert server.master_threads == 1
    assert site.ledger.most_open <= CONNECTIONS
    assert len(site.copies) == 40
    assert site.duplicates == 0
    assert server.process.stop() == 0
    assert site.live_workers == {}


@pytest.mark.parametrize("words", [(), ("--preload",)], ids=["prefork", "preload"])
def test_a_stop_under_load_gives_back_what_was_not_sent(site, words):
    site.relay.messages.play([], then="slow_ack")
    server = Server(site, *words)
    for number in range(60):
        server.post(f"u{number}@x.test")
    site.ledger.wait_for(5)

    assert server.process.stop() == 0

    assert State.SENDING not in site.states
    assert State.UNCERTAIN not in site.states
    assert site.states[State.SENT] == len(site.ledger.kept)
    site.relay.messages.play([])
    site.work_here()
    assert site.states == {State.SENT: 60}
    assert site.duplicates == 0


@ON_ONE_ENGINE
def test_an_event_in_the_first_moment_after_the_fork_is_delivered(site):
    """The first event does not wait for the worker to begin by itself."""
    server = Server(site, "--preload")

    server.post("first@x.test")
    site.wait_for_states(sent=1)

    assert server.process.stop() == 0
    assert site.copies == {"first@x.test": 1}
