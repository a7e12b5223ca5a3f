"""Servers on real outboxes: up once, down once, whatever becomes of their processes."""

import os
import signal
import subprocess
import sys

import pytest

from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.serving import Server, is_alive
from envoi.testing import Recorder
from tests.walk.people import add_users

ON = {"server_up": {"enabled": True}, "server_down": {"enabled": True}}

# A process of a server: says when it serves, and ends as it is told.
SERVE = """
import sys
from pathlib import Path
from envoi.mailer import Mailer
from envoi.serving import Server
from envoi.settings import from_mapping
mailer = Mailer.from_settings(from_mapping({
    "outbox": {"url": sys.argv[1], "busy_timeout_s": 30},
    "application": {"base_url": "https://code.example.test"},
    "senders": {"server_up": {"enabled": True}, "server_down": {"enabled": True}},
}, Path(sys.argv[2])))
server = Server(mailer, grace_s=float(sys.argv[3]))
server.start()
print("serving", flush=True)
sys.stdin.read()
server.stop()
mailer.close()
"""


@pytest.fixture
def mailer(make_mailer):
    made = make_mailer(senders=ON)
    add_users(made)
    return made


@pytest.fixture
def serve(outbox_url, tmp_path):
    """Return `serve(grace_s)`: a process that serves until its input ends."""
    started = []

    def begin(grace_s=0):
        command = [sys.executable, "-c", SERVE, outbox_url, str(tmp_path), str(grace_s)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def end(process):
    process.communicate(timeout=60)
    assert process.returncode == 0


def crash(process):
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)


def subjects(mailer):
    with mailer.parts.outbox.reading() as tx:
        return [row.subject for row in reversed(deliveries(tx, Query()))]


def look(mailer, after_ms=0):
    """Let a worker see what time made due."""
    clock = mailer.parts.clock
    mailer.parts.clock = lambda: clock() + after_ms
    worker = mailer.make_worker(Recorder().carrier())
    worker.run_until_idle()
    worker.drain()


def test_a_server_of_several_processes_starts_and_ends_once(mailer, serve):
    processes = [serve() for _ in range(3)]
    for process in processes:
        end(process)

    assert subjects(mailer) == ["Server started", "Server shutdown"]


def test_a_killed_process_of_several_tells_nothing(mailer, serve):
    first, second = serve(), serve()

    crash(first)
    end(second)

    assert subjects(mailer) == ["Server started", "Server shutdown"]


def test_a_server_that_crashed_and_comes_back_is_told_to_be_up(mailer, serve):
    crash(serve())
    serve()

    assert subjects(mailer) == ["Server started", "Server started"]
    with mailer.parts.outbox.reading() as tx:
        rows = tx.execute("SELECT text FROM envoi_message ORDER BY id", {})
    assert ["not shut down in order" in str(text) for (text,) in rows] == [False, True]


def test_a_process_that_is_replaced_within_the_grace_is_neither(mailer, serve):
    end(serve(grace_s=60))
    serve(grace_s=60)
    look(mailer)

    assert subjects(mailer) == ["Server started"]


def test_a_process_that_nobody_replaces_ends_the_server_when_it_left(mailer, serve):
    end(serve(grace_s=60))
    assert subjects(mailer) == ["Server started"]

    look(mailer, after_ms=60_000)

    assert subjects(mailer) == ["Server started", "Server shutdown"]
    with mailer.parts.outbox.reading() as tx:
        rows = tx.execute("SELECT occurred_at_ms, stored_at_ms FROM envoi_event ORDER BY id", {})
    occurred_at_ms, stored_at_ms = rows[-1]
    assert stored_at_ms - occurred_at_ms >= 60_000


def test_a_server_is_told_to_be_down_before_it_is_delivered(make_mailer, faulty_relay):
    mailer = make_mailer(senders=ON, smtp={"host": "127.0.0.1", "port": faulty_relay.port})
    add_users(mailer)

    with Server(mailer):
        pass

    assert [kept.message["Subject"] for kept in faulty_relay.kept] == [
        "Server started", "Server shutdown",
    ]  # fmt: skip


def test_what_a_shutdown_cannot_deliver_is_kept(make_mailer):
    mailer = make_mailer(senders=ON, smtp={"host": "127.0.0.1", "port": 1})
    add_users(mailer)

    with Server(mailer):
        pass

    assert subjects(mailer) == ["Server started", "Server shutdown"]


def test_an_outbox_that_cannot_be_used_does_not_stop_a_server(make_mailer, tmp_path):
    mailer = make_mailer(senders=ON, outbox={"url": f"sqlite:///{tmp_path}/none/envoi.db"})

    with Server(mailer) as server:
        assert server is not None


def test_servers_that_are_off_mail_nobody(make_mailer):
    mailer = make_mailer()
    add_users(mailer)

    with Server(mailer):
        pass

    assert subjects(mailer) == []


def test_a_killed_process_that_nobody_waited_for_does_not_live():
    process = subprocess.Popen(["sleep", "60"])
    lived = is_alive(process.pid)

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays unreaped
    found = is_alive(process.pid)
    process.wait()

    assert (lived, found) == (True, False)
