"""Real servers that go up and down: gunicorn with its workers, and `envoi run`."""

import os
import signal
from pathlib import Path

from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from tests.processes.site import ON_ONE_ENGINE, wait_until

ON = {"server_up": {"enabled": True}, "server_down": {"enabled": True}}
ROOT = {"admins": ["root@x.test"]}

HOOKS = """
import os
from envoi import Mailer
from envoi.integrations.wsgi import ArbiterHooks
when_ready, on_exit = ArbiterHooks(Mailer.from_file(os.environ["ENVOI_CONFIG"]))
"""


def children(pid):
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def stored(site):
    """What was to be told; who is killed may have told it twice."""
    with site.mailer.parts.outbox.reading() as tx:
        return [row.subject for row in reversed(deliveries(tx, Query()))]


def subjects(site):
    return [kept.message["Subject"] for kept in site.relay.kept]


@ON_ONE_ENGINE
def test_gunicorn_is_up_and_down_once_whatever_its_workers_do(make_site):
    site = make_site(senders=ON, application=ROOT)
    (site.folder / "conf.py").write_text(HOOKS)
    server = site.start(
        "-m", "gunicorn", "--config=conf.py", "--bind=127.0.0.1:0", "--workers=2",
        "--worker-tmp-dir=/tmp", "--no-control-socket", "tests.processes.wsgi_app:app",
    )  # fmt: skip
    wait_until(lambda: len(children(server.pid)) == 2 and subjects(site))
    before = children(server.pid)
    os.kill(min(before), signal.SIGKILL)
    wait_until(lambda: len(children(server.pid) - before) == 1)

    server.stop()

    assert stored(site) == ["Server started", "Server shutdown"]
    # What the killed worker had in its hands may leave again, beside it.
    assert subjects(site).count("Server shutdown") == 1


@ON_ONE_ENGINE
def test_envoi_run_tells_that_it_is_up_and_delivers_that_it_goes_down(make_site):
    site = make_site(senders=ON, application=ROOT)
    server = site.start("-m", "envoi", "run")
    wait_until(lambda: subjects(site))

    assert server.stop() == 0
    assert subjects(site) == ["Server started", "Server shutdown"]


@ON_ONE_ENGINE
def test_envoi_run_that_was_killed_says_so_at_its_next_start(make_site):
    site = make_site(senders=ON, application=ROOT)
    first = site.start("-m", "envoi", "run")
    wait_until(lambda: "sent: 250" in first.log)
    first.kill()

    site.start("-m", "envoi", "run")

    wait_until(lambda: len(subjects(site)) == 2)
    assert subjects(site) == ["Server started", "Server started"]
    last = site.relay.kept[-1].message.get_body(("plain",)).get_content()
    assert "not shut down in order" in last
