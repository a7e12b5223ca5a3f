"""Limits on real outboxes: exact over processes and transactions, and nothing dropped silently."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine

from envoi import Event, Stored
from envoi.outbox.explain import explain_event
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.testing import Recorder
from tests.walk.people import add_users

HOUR_MS = 3_600_000


def failed(name="root", **changes):
    facts = {"username": name, "client": "203.0.113.7", "at": 1_772_330_000_000}
    return Event(kind="failed_login", facts=facts, **changes)


@pytest.fixture
def server(make_mailer):
    """A mailer that tells of refused sign-ins, three an hour."""
    made = make_mailer(
        senders={"failed_login": {"enabled": True, "limit": {"count": 3}}},
        smtp={"host": "127.0.0.1", "port": 1},
    )
    add_users(made)
    return made


def listed(mailer):
    with mailer.parts.outbox.reading() as tx:
        return [row.delivery for row in deliveries(tx, Query())]


def later(mailer, by_ms):
    """Let time go on for the mailer alone."""
    clock = mailer.parts.clock
    mailer.parts.clock = lambda: clock() + by_ms


def delivered(mailer):
    recorder = Recorder()
    worker = mailer.make_worker(recorder.carrier())
    worker.run_until_idle()
    worker.drain()
    return list(recorder.messages)


def text_of(message):
    return message.get_body(("plain",)).get_content()


def test_what_is_beyond_the_limit_is_explained(server):
    receipts = [server.notify(failed()) for _ in range(5)]

    assert [receipt.deliveries for receipt in receipts] == [1, 1, 1, 0, 0]
    with server.parts.outbox.reading() as tx:
        skipped = explain_event(tx, str(receipts[-1].event_id)).skipped
    assert [str(one.because) for one in skipped] == ["is held back by the limit of 3 per 1 h"]


def test_the_next_mail_counts_what_was_held_back(server):
    for _ in range(8):
        server.notify(failed())
    delivered(server)
    later(server, HOUR_MS)

    server.notify(failed())

    assert "5 more like this" in text_of(delivered(server)[-1])


def test_a_closing_mail_counts_what_was_held_back_once(server):
    for _ in range(8):
        server.notify(failed())
    assert len(delivered(server)) == 3
    later(server, HOUR_MS)

    closing = delivered(server) + delivered(server)

    assert [mail["Subject"] for mail in closing] == ["Held back: 5 more of failed_login"]
    assert [mail["To"] for mail in closing] == ["root <root@example.test>"]


def test_a_window_in_which_nothing_was_held_back_ends_silently(server):
    server.notify(failed())
    delivered(server)
    later(server, HOUR_MS)

    assert delivered(server) == []


def test_an_unknown_login_name_mails_nobody(server):
    receipts = [server.notify(failed(name)) for name in ("nobody", "x@elsewhere.test", "ann")]

    assert [receipt.deliveries for receipt in receipts] == [0, 0, 1]


def test_an_address_in_the_role_is_no_user(server):
    receipt = server.notify(failed("nobody", people={"user": ("x@elsewhere.test",)}))

    assert receipt.deliveries == 0


def test_password_resets_have_no_limit(server):
    sample = server.parts.catalogue.sample("password_reset")
    for _ in range(30):
        server.notify(Event(kind="password_reset", facts=sample.facts, people={"user": ("ann",)}))
    worker = server.make_worker(Recorder().carrier())
    worker.run_until_idle()
    worker.drain()

    assert len(listed(server)) == 30


def test_a_rollback_takes_the_count_back(server, outbox_url):
    engine = create_engine(outbox_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection, connection.begin() as transaction:
        for _ in range(5):
            server.notify(failed(), connection)
        transaction.rollback()
    engine.dispose()

    assert [server.notify(failed()).deliveries for _ in range(4)] == [1, 1, 1, 0]


# On SQLite whoever writes is alone.
@pytest.mark.parametrize(
    "outbox_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
def test_an_event_that_cannot_be_counted_now_waits_for_the_worker(server):
    engine = create_engine(
        server.parts.settings.outbox.url.replace("postgresql:", "postgresql+psycopg:")
    )
    with engine.begin() as connection:
        first = server.notify(failed(), connection)
        second = server.notify(failed())  # another transaction: it must not wait for the first

        assert (first.stored, second.stored) == (Stored.STORED, Stored.ROUTING)
        delivered(server)
        assert listed(server) == []
    engine.dispose()
    later(server, 2_000)

    assert len(delivered(server)) == 2


NOTIFY = """
import sys
from pathlib import Path
from envoi import Event
from envoi.mailer import Mailer
from envoi.settings import from_mapping
mailer = Mailer.from_settings(from_mapping({
    "outbox": {"url": sys.argv[1], "busy_timeout_s": 30},
    "application": {"base_url": "https://code.example.test"},
    "senders": {"failed_login": {"enabled": True, "limit": {"count": 3}}},
    "smtp": {"host": "127.0.0.1", "port": 1},
}, Path(sys.argv[2])))
for _ in range(10):
    mailer.notify(Event(kind="failed_login", facts={"username": "root"}), strict=True)
mailer.close()
"""


def test_the_count_is_exact_over_processes(server, outbox_url, tmp_path):
    def run(_):
        command = [sys.executable, "-c", NOTIFY, outbox_url, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(run, range(3)))

    assert [one.stderr for one in done] == ["", "", ""]
    later(server, 2_000)
    assert len(delivered(server)) == 3
    later(server, HOUR_MS)
    assert [mail["Subject"] for mail in delivered(server)] == ["Held back: 27 more of failed_login"]
