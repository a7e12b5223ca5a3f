"""The example applications do what they say, against a real relay."""

import signal
import subprocess
import sys
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.desk import Desk, open_desk, wait_until

SERVE_WSGI = """\
from wsgiref.simple_server import make_server
from examples.{module} import {name}
with make_server("127.0.0.1", 0, {name}{call}) as server:
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
"""


@pytest.fixture
def desk(tmp_path, sqlite_template):
    """A folder with settings, outbox, people and a relay."""
    with open_desk(tmp_path, sqlite_template) as desk:
        yield desk


@pytest.fixture
def serve(desk):
    """Return `serve(module, name)`: the address at which an example answers."""
    started = []

    def start(module: str, name: str, call: str = "") -> str:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE_WSGI.format(module=module, name=name, call=call)],
            cwd=desk.folder,
            env=desk.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return f"http://127.0.0.1:{int(process.stdout.readline())}"

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def post(url: str, **form: str) -> str:
    with urlopen(url, urlencode(form).encode(), timeout=60) as answer:
        return answer.read().decode()


def get(url: str) -> str:
    with urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def subjects(desk: Desk) -> list[str]:
    return [str(mail["Subject"]) for mail in desk.mails()]


def test_first_program_tells_ann(desk):
    printed = desk.run("-m", "examples.first_program")

    assert printed == "stored 1\n"
    assert [mail["To"] for mail in desk.deliver()] == ["Ann Lee <ann@example.org>"]


def test_an_order_that_is_rolled_back_tells_nobody(desk):
    printed = desk.run("-m", "examples.sqlalchemy_app")
    desk.deliver()

    assert printed == "kept: stored\ntried: stored\n"
    assert subjects(desk) == ["Order 1: A lamp"]


def test_a_django_view_tells_of_what_it_kept(desk, serve):
    url = serve("django_app", "application")

    answer = post(f"{url}/comment", comment="Sharp!")
    desk.deliver()

    assert answer == '{"stored": "stored", "deliveries": 1}'
    assert subjects(desk) == ["New comment"]


def test_a_django_view_that_rolls_back_tells_nobody(desk, serve):
    url = serve("django_app", "application")

    with pytest.raises(HTTPError, match="400") as refused:
        post(f"{url}/comment", comment="buy spam")
    refused.value.close()

    assert desk.deliver() == []


def test_a_wsgi_application_delivers_by_itself(desk, serve):
    url = serve("wsgi_app", "application")

    answer = post(f"{url}/comment", to="ben", comment="Sharp!", key="comment-1")
    again = post(f"{url}/comment", to="ben", comment="Sharp!", key="comment-1")
    wait_until(lambda: "sent: 1" in get(url))

    assert answer == "stored: 1 deliveries\n"
    assert again.startswith("repeated")
    assert [mail["To"] for mail in desk.mails()] == ["Ben Ito <ben@example.org>"]


def test_a_flask_application_delivers_by_itself(desk, serve):
    url = serve("flask_app", "create_app", "()")

    post(f"{url}/comment", comment="Sharp!")
    wait_until(desk.mails)

    assert subjects(desk) == ["New comment"]
