"""The example of docs/how-to/own-transport.md against an HTTP API on loopback, by the real CLI."""

import json
import re
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from envoi.core.delivery import Doubtful, Reply, Stage, Unreachable
from envoi.settings import Settings
from envoi.transport.courier import CourierCarrier
from examples.http_transport import HttpApi
from tests.cli.conftest import Home, logging_restored
from tests.desk import ROOT
from tests.transport.rounds import carry, parcel

__all__ = ["logging_restored"]


@dataclass
class Api:
    """A mail service that speaks HTTP.

    Args:
        status: What it answers; 202 takes the mail.
    """

    status: int = 202
    words: str = "taken as 4711"
    key: str = "secret"
    took: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def api(monkeypatch):
    """The service, its address and key in the environment."""
    api = Api()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            is_known = self.headers["Authorization"] == f"Bearer {api.key}"
            status = api.status if is_known else 401
            if status == 202:
                api.took.append((dict(self.headers), content))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(api.words.encode())

        def log_message(self, *_words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("MAIL_API_URL", f"http://127.0.0.1:{server.server_port}/mail")
    monkeypatch.setenv("MAIL_API_KEY", "secret")
    yield api
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path, sqlite_url):
    """Settings that name the example, and no relay."""
    home = Home(tmp_path)
    home.set(
        outbox={"url": sqlite_url},
        application={"from": "Wiki <wiki@example.org>", "admins": ["root@example.org"]},
        transport={"default": "examples.http_transport:HttpApi"},
    )
    return home


def test_the_program_in_the_page_is_the_example():
    page = (ROOT / "docs/how-to/own-transport.md").read_text("utf-8")
    block = re.search(r"program: (\S+) -->\n```python\n(.*?)```", page, re.DOTALL)
    assert block is not None

    program = (ROOT / block[1]).read_text("utf-8")

    assert program.partition('"""\n\n')[2] == block[2]


def test_a_test_mail_goes_to_the_service_and_its_answer_is_told(api, home):
    ended = home.run("send-test", "ann@example.org", "--json")

    assert ended.code == 0, ended.err
    assert "taken as 4711" in ended.out
    [(headers, content)] = api.took
    assert headers["X-Envelope-To"] == "ann@example.org"
    assert headers["X-Envelope-From"] == "wiki@example.org"
    mail = message_from_bytes(content)
    assert mail["To"] == "ann@example.org"
    assert "examples.http_transport:HttpApi" in str(mail.get_payload())


def test_mail_to_administrators_goes_there_too(api, home):
    facts = {"username": "eve", "full_name": "Eve", "email": "eve@example.org", "url": "/eve"}
    event = json.dumps({"facts": facts})
    assert home.run("notify", "registration", "--data", "-", stdin=event).code == 0

    ended = home.run("work", "--once")

    assert ended.code == 0, ended.err
    assert [headers["X-Envelope-To"] for headers, _ in api.took] == ["root@example.org"]


def test_check_says_what_carries_the_mail(api, home):
    ended = home.run("check")

    assert ended.code == 0, ended.out
    assert "all mail goes by examples.http_transport:HttpApi" in ended.out + ended.err
    assert api.took == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("examples.http_transport:HttpApo", "examples.http_transport has no HttpApo"),
        ("postbox", "transport.default: expected one of smtp"),
    ],
)
def test_check_names_the_key_of_an_unknown_one(home, name, told):
    home.config.write_text(f'[transport]\ndefault = "{name}"\n')

    ended = home.run("check")

    assert ended.code == 1
    assert told in ended.out + ended.err


def test_check_tells_of_a_transport_that_cannot_be_made(home, monkeypatch):
    monkeypatch.delenv("MAIL_API_URL", raising=False)

    ended = home.run("check")

    assert ended.code == 1
    assert "MAIL_API_URL" in ended.out + ended.err


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (202, Reply(stage=Stage.CONTENT, code=250, text="taken as 4711")),
        (429, Reply(stage=Stage.CONTENT, code=451, text="429 taken as 4711")),
        (422, Reply(stage=Stage.CONTENT, code=554, text="422 taken as 4711")),
        (401, Unreachable(stage=Stage.AUTH, because="401 taken as 4711")),
        (503, Unreachable(stage=Stage.CONNECT, because="503 taken as 4711")),
        (500, None),
    ],
)
def test_what_the_service_answers_decides(api, status, outcome):
    api.status = status
    carrier = CourierCarrier(HttpApi(Settings()), name="api", calls=1, timeout_s=20)

    found = carry(carrier, [parcel(1)]).outcomes[1]
    carrier.close(5)

    assert found == outcome if outcome else isinstance(found, Doubtful)


def test_a_service_that_is_not_there_is_down(monkeypatch):
    monkeypatch.setenv("MAIL_API_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("MAIL_API_KEY", "secret")
    carrier = CourierCarrier(HttpApi(Settings()), name="api", calls=1, timeout_s=20)

    result = carry(carrier, [parcel(1)])
    carrier.close(5)

    assert "Connection refused" in result.troubles[0].because
