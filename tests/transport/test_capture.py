"""Carriers that keep mail instead of sending it, with the same contract as a relay's."""

import threading
import time

import pytest

from envoi.core.delivery import Reply, Stage, Unreachable
from envoi.seams import Parcel, Ready, RelayTrouble, RelayWell
from envoi.transport.capture import CaptureCarrier, MemoryShelf, folder_carrier
from tests.transport.rounds import carry, parcel, reason, told


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "inbox"


def test_each_mail_becomes_a_file_in_order(folder):
    carrier = folder_carrier(folder, iter(range(1_700_000_000_000, 1_700_000_001_000)).__next__)

    result = carry(carrier, [parcel(number, f"user{number}") for number in range(1, 13)])

    names = [path.name for path in sorted(folder.iterdir())]
    assert [name.split("-")[-1] for name in names] == [
        f"user{number}@example.org.eml" for number in range(1, 13)
    ]
    assert names[0].startswith("20231114T221320.000Z-")
    assert reason(result.outcomes[1]) == f"250 captured as {names[0]}"
    assert result.wells == [RelayWell(relay=str(folder))]


def test_a_file_shows_the_envelope_and_then_the_mail_unchanged(folder):
    carrier = folder_carrier(folder, lambda: 0)

    carry(carrier, [parcel(1, content=b"Subject: x\r\n\r\n.dot\r\n")])

    (path,) = folder.iterdir()
    assert path.read_bytes() == (
        b"Return-Path: <noreply@example.org>\r\nDelivered-To: ann@example.org\r\n"
        b"Subject: x\r\n\r\n.dot\r\n"
    )
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("local", ["a/b", "/etc/passwd", "a/x/y/z", "ünï", "x" * 64, "a|b`c"])
def test_no_recipient_leads_out_of_the_folder(folder, local):
    carry(folder_carrier(folder, lambda: 0), [parcel(1, local)])

    (path,) = folder.iterdir()
    assert path.parent == folder
    assert path.name.isascii()
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_that_is_in_the_way_is_trouble_and_loses_nothing(tmp_path):
    place = tmp_path / "inbox"
    place.write_text("a file")
    carrier = folder_carrier(place, lambda: 0)
    carrier.load(parcel(1))
    carrier.load(parcel(2))

    carrier.turn(0)
    carrier.permit([1])
    events = carrier.turn(0)

    assert any(isinstance(event, RelayTrouble) for event in events)
    assert set(told(events)) == {1, 2}
    assert all(isinstance(outcome, Unreachable) for outcome in told(events).values())
    assert carrier.room() == 0

    place.unlink()
    carrier.retry_now()
    assert isinstance(carry(carrier, [parcel(1)]).outcomes[1], Reply)


def test_nothing_is_kept_without_permit():
    shelf = MemoryShelf()
    carrier = CaptureCarrier(shelf)
    carrier.load(parcel(1))
    carrier.load(parcel(2))

    assert [e.delivery_id for e in carrier.turn(0) if isinstance(e, Ready)] == [1, 2]
    carrier.permit([2, 99])
    carrier.withdraw([99])
    closing = told([*carrier.turn(0), *carrier.close(1)])

    assert [caught.delivery_id for caught in shelf.all()] == [2]
    assert closing[1] == Unreachable(stage=Stage.CONNECT, because="the worker stops")
    assert carrier.room() == 0


def test_a_withdrawn_parcel_is_neither_kept_nor_told_of():
    shelf = MemoryShelf()
    carrier = CaptureCarrier(shelf)
    carrier.load(parcel(1))
    carrier.withdraw([1])
    carrier.permit([1])

    assert [type(event) for event in carrier.turn(0)] == [RelayWell]
    assert carrier.close(1) == []
    assert shelf.all() == ()


def test_a_mail_that_cannot_be_made_stops_nobody_else():
    def broken(_):
        raise ValueError("a part is missing")

    bad = Parcel(delivery_id=1, mail_from=None, recipient=parcel(1).recipient, wire=broken)

    result = carry(CaptureCarrier(MemoryShelf()), [bad, parcel(2)])

    assert "a part is missing" in reason(result.outcomes[1])
    assert isinstance(result.outcomes[2], Reply)


def test_wake_ends_a_turn_from_another_thread():
    carrier = CaptureCarrier(MemoryShelf())
    waker = threading.Timer(0.05, carrier.wake)
    waker.start()
    began = time.monotonic()

    carrier.turn(10)

    waker.join()
    assert time.monotonic() - began < 5


def test_what_was_recorded_can_be_looked_at(envoi_recorder):
    carrier = envoi_recorder.carrier()
    content = (
        "From: a@example.org\r\nTo: everybody@example.org\r\n"
        "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "schön\r\n"
    ).encode()

    carry(carrier, [parcel(1, content=content), parcel(2, "bob", content)])

    sent = envoi_recorder.only_to("ann@example.org")
    assert (sent.subject, sent.text, sent.html) == ("grüße", "schön\n", "")
    assert envoi_recorder.subjects == ("grüße", "grüße")
    assert envoi_recorder.raw == (content, content)
    assert envoi_recorder.messages[0]["To"] == "everybody@example.org"
    with pytest.raises(AssertionError, match=r"expected one mail to cy@example\.org, got 0"):
        envoi_recorder.only_to("cy@example.org")
    envoi_recorder.clear()
    assert envoi_recorder.sent == ()
