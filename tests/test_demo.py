"""What `make run` shows, and what it refuses."""

import os
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from envoi.core.delivery import State
from envoi.mailer import Mailer
from envoi.outbox.filters import Page, Query
from envoi.outbox.find import deliveries
from examples import demo
from examples.smtp_sink import open_sink
from tests.desk import PATIENCE_S, ROOT

KINDS = {
    "broken_links",
    "cs_comment",
    "error_digest",
    "error_report",
    "failed_login",
    "held_back",
    "message",
    "new_comment",
    "new_user",
    "object_changed",
    "password_changed",
    "password_external",
    "password_reset",
    "pull_request",
    "pull_request_comment",
    "registration",
    "server_down",
    "server_up",
}
ROW = re.compile(r"│ (\w+) +│ (\S+@\S+) +│ (.+?) +│ (.+?) +│ (250 .+?) +│")


@pytest.fixture
def start_demo(tmp_path):
    """Return `start(*words)`: the demo as a process of its own, in an empty home."""
    started = []

    def start(*words: str) -> subprocess.Popen[str]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.demo", "--folder", tmp_path / "demo", *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def lines_until(process, words):
    """Read what a demo prints until a line holds the words."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines) + process.stderr.read())


def test_once_prints_one_row_per_delivery_and_leaves_each_mail_as_a_file(start_demo, tmp_path):
    process = start_demo("--once")
    printed, complaints = process.communicate(timeout=PATIENCE_S)
    rows = ROW.findall(printed)

    assert process.returncode == 0, complaints
    assert complaints == ""
    assert {kind for kind, *_ in rows} == KINDS
    assert all("queued as" in reply for *_, reply in rows)
    assert len(rows) == len(list((tmp_path / "demo" / "mail").glob("*.eml")))
    assert f"{len(rows)} deliveries sent" in printed


@pytest.mark.parametrize(
    "reason", ["did it and is not told of it", "is inactive", "has no address"]
)
def test_people_who_are_not_told_stand_there_with_the_reason(tmp_path, capsys, reason):
    assert demo.main(["--once", "--folder", str(tmp_path / "demo")]) == 0

    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_it_serves_until_it_is_told_to_stop(start_demo, tmp_path, number):
    process = start_demo()
    lines_until(process, "Stop with Ctrl-C")
    mailer = Mailer.from_file(tmp_path / "demo" / "envoi.toml")

    mailer.notify(mailer.parts.catalogue.sample("password_reset"), strict=True)
    mailer.close()
    for line in process.stderr:  # it tells of what it delivers
        if "to ann@example.org sent: 250" in line:
            break
    process.send_signal(number)

    assert process.wait(PATIENCE_S) == 0


def test_a_second_demo_does_not_take_the_folder_from_the_first(start_demo):
    lines_until(start_demo(), "Stop with Ctrl-C")

    second = start_demo("--once")
    _, complaints = second.communicate(timeout=PATIENCE_S)

    assert second.returncode == 1
    assert "another demo serves from" in complaints


def test_every_start_is_a_fresh_one(tmp_path, capsys):
    folder = tmp_path / "demo"
    arguments = ["--once", "--folder", str(folder)]

    assert demo.main(arguments) == 0
    first = len(list((folder / "mail").iterdir()))
    assert demo.main(arguments) == 0

    assert len(list((folder / "mail").iterdir())) == first


def test_a_folder_that_is_not_a_demos_is_left_alone(tmp_path, capsys):
    mine = tmp_path / "thesis.txt"
    mine.write_text("years of work")

    assert demo.main(["--once", "--folder", str(tmp_path)]) == 1

    assert "is not empty and not a demo's" in capsys.readouterr().err
    assert mine.read_text() == "years of work"


def test_a_refused_delivery_is_told_of_and_ends_in_failure(tmp_path, capsys):
    refused = frozenset({"cleo@example.org"})
    with open_sink(tmp_path / "mail", refused) as sink:
        code = demo.serve(tmp_path, sink, Console(width=200), is_once=True)

    mailer = Mailer.from_file(tmp_path / "envoi.toml")
    with mailer.parts.outbox.reading() as tx:
        listed = deliveries(tx, Query(address="cleo@example.org"), Page())
    mailer.close()
    assert code == 1
    assert {row.delivery.state for row in listed} == {State.FAILED}
    assert "to cleo@example.org is failed: 550 5.1.1" in capsys.readouterr().out


def test_help_says_what_it_does(capsys):
    with pytest.raises(SystemExit) as ended:
        demo.main(["--help"])

    assert ended.value.code == 0
    assert "--once" in capsys.readouterr().out
