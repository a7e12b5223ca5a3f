"""RELIABILITY F11 and F12: what a hostile relay says is cut, scrubbed and stays on one line."""

import logging

import pytest

from envoi import forms
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries, show
from envoi.testing import Fault, FaultyRelay, RelayTraits
from envoi.testing.faults import AT_END, AT_RCPT
from tests.hostile.house import make_house

# What the relay says behind its code: what must not be seen of it anywhere.
SAID = {
    "F11 second line": ("550 no\r\n550 fake\nINFO admin logged in", "\nINFO"),
    "F11 terminal": ("550 \x1b[2J\x1b]0;owned\x07 gone", "\x1b"),
    "F11 bidi": ("550 \u202eexe.gpj \u2028 \x85 \x9b2J", "\u202e"),
    "F11 nul": ("550 a\0b", "\0"),
    "F11 format": ("550 {because} %s %(x)s", "\n"),
    "E8": ("550 <img src=x onerror=alert(1)>", "\n"),
    "F12 long": ("550 " + "x" * 7_000, "x" * 513),
    "F12 password": ("550 user code hunter2-S3CRET aHVudGVyMi1TM0NSRVQ=", "hunter2-S3CRET"),
    "F12 base64": ("550 AHUAaHVudGVyMi1TM0NSRVQ= code", "aHVudGVyMi1TM0NSRVQ"),
}
ENDLESS = {
    "F12 one megabyte": "550 " + "x" * 1_000_000,
    "F12 many lines": "".join(f"550-line {number}\r\n" for number in range(20_000)) + "550 end",
}


@pytest.fixture
def open_house(outbox_url, tmp_path):
    made = []

    def open_at(relay):
        house = make_house(
            outbox_url, tmp_path, relay,
            smtp={"username": "u", "password": "hunter2-S3CRET", "command_timeout_s": 5},
        )  # fmt: skip
        made.append(house)
        for to in ("bad@ok.test", "good@ok.test"):
            house.mailer.send(forms.read_mail({"to": to, "subject": "s", "text": "t"}))
        return house

    yield open_at
    for house in made:
        house.mailer.close()


@pytest.fixture
def relay():
    with FaultyRelay(RelayTraits(username="u", password="hunter2-S3CRET")) as relay:
        yield relay


def everything_told(house, caplog) -> list[str]:
    """Every log line, and every text that the lists and `show` have of every delivery."""
    told = [record.getMessage() for record in caplog.records]
    with house.mailer.parts.outbox.reading() as tx:
        for row in deliveries(tx, Query()):
            told.append(row.last_reply)
            told += [attempt.reply for attempt in show(tx, row.delivery.id).attempts]
    return told


@pytest.mark.parametrize("answers", [AT_RCPT, AT_END], ids=["recipient", "content"])
@pytest.mark.parametrize("case", SAID)
def test_a_reply_is_told_on_one_line_cut_and_scrubbed(
    open_house, relay, caplog, monkeypatch, answers, case
):
    said, hidden = SAID[case]
    fault = Fault.RCPT_550 if answers is AT_RCPT else Fault.END_554
    monkeypatch.setitem(answers, fault, said.split("\r\n550")[0])
    caplog.set_level(logging.DEBUG)
    relay.messages.play([fault])
    house = open_house(relay)

    house.expected.append("good@ok.test" if relay.kept == [] else "")
    house.deliver()

    told = everything_told(house, caplog)
    assert any(text.startswith("550 ") for text in told)
    assert not [text for text in told if hidden in text]
    assert all(len(text.splitlines()) <= 1 for text in told)
    assert all("S3CRET" not in text for text in told)
    assert max(len(text) for text in told) < 1_000


@pytest.mark.parametrize("case", ENDLESS)
def test_a_reply_without_end_costs_no_memory_and_nobody_his_mail(
    open_house, relay, caplog, monkeypatch, case
):
    monkeypatch.setitem(AT_RCPT, Fault.RCPT_550, ENDLESS[case])
    relay.messages.play([Fault.RCPT_550])
    caplog.set_level(logging.DEBUG)
    house = open_house(relay)

    worker = house.mailer.make_worker()
    worker.run_until_idle()
    worker.drain()

    told = everything_told(house, caplog)
    assert all(len(text.splitlines()) <= 1 for text in told)
    assert max(len(text) for text in told) < 1_000
    assert "good@ok.test" in [kept.recipient for kept in relay.kept]


def test_f12_a_refused_password_is_told_nowhere(open_house, relay, caplog):
    relay.connections.play([], then="auth_535")
    caplog.set_level(logging.DEBUG)
    house = open_house(relay)

    worker = house.mailer.make_worker()
    worker.run_until_idle()
    worker.drain()

    told = everything_told(house, caplog)
    down = house.execute("SELECT because, advice FROM envoi_relay")
    assert any("535" in text for text in told)
    assert "S3CRET" not in str([told, down, caplog.text])
    assert relay.kept == []
