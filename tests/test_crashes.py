"""The pages of `examples/crashes` fail behind real servers, and their mail reaches a real relay."""

import re
import signal
import socket
import subprocess
import sys
import threading
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from envoi.outbox.incidents import incidents
from tests.desk import SETTINGS, open_desk, wait_until

ERRORS = """
[errors]
to = ["ops@example.org"]
from = "Wiki <errors@example.org>"
not_found = true
dump_request = true
"""
GUNICORN = ("gunicorn", "--bind=127.0.0.1:0", "--worker-tmp-dir=/tmp", "--no-control-socket",
            "--workers=2")  # fmt: skip
UVICORN = ("uvicorn", "--host=127.0.0.1", "--port=0")
LISTENS = re.compile(r"(?:Listening at|running on):? (http://127\.0\.0\.1:\d+)")
SORRY = "Sorry, that is our fault.\n"

SERVERS = {
    "wsgi": (*GUNICORN, "examples.crashes.wsgi_app:application"),
    "asgi": (*UVICORN, "examples.crashes.asgi_app:application"),
    "django": (*GUNICORN, "examples.crashes.django_app:application"),
    "django-asgi": (*UVICORN, "examples.crashes.django_app:asgi_application"),
    "flask": (*GUNICORN, "examples.crashes.flask_app:create_app()"),
}


class Program:
    """A server or a worker.

    Args:
        desk: Where it runs.
        words: The module and its arguments.
        env: What it finds in its environment beside the desk's.
    """

    def __init__(self, desk, *words, **env) -> None:
        self.said = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=desk.folder,
            env={**desk.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, pattern: re.Pattern[str]) -> str:
        wait_until(lambda: pattern.search(self.said) or self._process.poll() is not None)
        found = pattern.search(self.said)
        assert found, self.said
        return found[found.re.groups]

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said += line


@pytest.fixture
def start():
    """Return `start(desk, *words)`: a program that is stopped at the end."""
    started = []

    def start(desk, *words, **env) -> Program:
        program = Program(desk, *words, **env)
        started.append(program)
        return program

    yield start
    for program in started:
        program.stop()


@pytest.fixture
def desk(tmp_path, sqlite_template):
    """A folder with settings, outbox and a relay."""
    with open_desk(tmp_path, sqlite_template, SETTINGS + ERRORS) as desk:
        yield desk


@pytest.fixture
def hung_relay():
    """A port that takes connections and never says a word; yields those it took."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            try:
                while True:
                    taken.append(listener.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=take)
        thread.start()
        yield listener.getsockname()[1], taken
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urlopen(Request(url, headers=headers), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as err:
        with err:
            return err.code, err.read().decode()


def subjects(desk) -> list[str]:
    return sorted(str(mail["Subject"]) for mail in desk.mails())


@pytest.mark.parametrize("framework", SERVERS)
def test_a_crash_shows_the_own_page_and_is_mailed_once(desk, start, framework):
    url = start(desk, *SERVERS[framework]).wait_for(LISTENS)

    well = get(f"{url}/")
    found = get(f"{url}/crash?token=s3cretvalue", Cookie="session=c00kievalue")
    wait_until(desk.mails)

    [mail] = desk.mails()
    text = mail.get_body(("plain",)).get_content()
    assert well == (200, "All is well.\n")
    assert found == (500, SORRY)
    assert mail["Subject"] == "Error: KeyError: 'weekly' (GET /crash, NEW)"
    assert (mail["To"], mail["From"]) == ("ops@example.org", "Wiki <errors@example.org>")
    assert "examples/crashes/" in text
    assert "Version: 1.0" in text
    assert "127.0.0.1" in text
    assert "s3cretvalue" not in str(mail)
    assert "c00kievalue" not in str(mail)


@pytest.mark.parametrize("framework", SERVERS)
def test_a_broken_link_is_mailed_and_a_scanner_is_not(desk, start, framework):
    url = start(desk, *SERVERS[framework]).wait_for(LISTENS)

    codes = [
        get(f"{url}/gone", Referer=f"{url}/start", **{"User-Agent": "Browser/1"})[0],
        get(f"{url}/typed")[0],
        get(f"{url}/wp-login.php", Referer=f"{url}/")[0],
    ]
    wait_until(desk.mails)

    [mail] = desk.mails()
    host = url.removeprefix("http://")
    assert codes == [404] * 3
    assert mail["Subject"] == f"Error: Broken INTERNAL link on {host}"
    assert f"Requested URL: {url}/gone" in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize("framework", SERVERS)
def test_a_relay_that_hangs_keeps_no_visitor_waiting(
    tmp_path, sqlite_template, start, hung_relay, framework
):
    port, taken = hung_relay
    settings = SETTINGS.replace("{port}", str(port)) + ERRORS
    with open_desk(tmp_path, sqlite_template, settings) as desk:
        url = start(desk, *SERVERS[framework]).wait_for(LISTENS)
        get(f"{url}/crash")
        wait_until(lambda: taken)

        # The relay holds its connection all the while, and has not said a word.
        assert [get(f"{url}/crash") for _ in range(20)] == [(500, SORRY)] * 20

        def count() -> int:
            with desk.mailer.outbox.reading() as tx:
                return sum(one.count for one in incidents(tx, "main"))

        wait_until(lambda: count() == 21)
        assert desk.mails() == []


def test_a_task_that_fails_for_good_is_mailed(desk, start):
    folder = {"CELERY_FOLDER": str(desk.folder / "celery")}
    module = "examples.crashes.celery_app"
    words = ("celery", "--app", module, "worker", "--concurrency=1", "--loglevel=INFO",
             "--without-gossip", "--without-mingle", "--without-heartbeat")  # fmt: skip
    start(desk, *words, **folder).wait_for(re.compile(r"(ready)\."))
    start(desk, module, **folder)

    wait_until(desk.deliver)

    [mail] = desk.mails()
    text = mail.get_body(("plain",)).get_content()
    assert mail["Subject"] == "Error: KeyError: 'start' (task reports.weekly, NEW)"
    assert "args: ['start']" in text
    assert "token: ********" in text
    assert "not for a mail" not in str(mail)


def test_a_failing_asynchronous_view_of_django_is_mailed(desk, start):
    url = start(desk, *SERVERS["django-asgi"]).wait_for(LISTENS)

    assert get(f"{url}/crash/later") == (500, SORRY)

    wait_until(desk.mails)
    assert subjects(desk) == ["Error: KeyError: 'daily' (GET /crash/later, NEW)"]
