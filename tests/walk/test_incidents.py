"""Equal errors are one incident: counted exactly, mailed seldom, closed by a number."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from envoi import Stored
from envoi.core.recurrence import WINDOW_MS, Standing
from envoi.outbox import incidents
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from tests.walk.test_reporting import REQUEST, crash

TO = "ops@example.test"
HOUR_MS = 3_600_000


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mailer(make_mailer, clock):
    mailer = make_mailer(errors={"to": [TO], "subject_prefix": "Oops:"})
    mailer.parts.clock = clock
    return mailer


def look(mailer):
    """Do what is due, as the worker does; send nothing."""
    mailer._incidents.look(mailer.parts.clock())


def subjects(mailer):
    with mailer.outbox.reading() as tx:
        rows = deliveries(tx, Query())
    return [row.subject for row in sorted(rows, key=lambda row: row.delivery.id)]


def known(mailer, **changes):
    with mailer.outbox.reading() as tx:
        return incidents.incidents(tx, "main", **changes)


def stand(mailer, standing):
    [incident] = known(mailer)
    with mailer.outbox.transaction() as tx:
        incidents.keep(tx, replace(incident, standing=standing))


def test_the_first_says_that_it_is_new_and_later_ones_how_many(mailer):
    for number in range(10):
        mailer.report(crash(f"page {number} is gone"), REQUEST, wait_s=60)

    assert subjects(mailer) == [
        "Oops: LookupError: page 0 is gone (POST /pages/7, NEW)",
        "Oops: LookupError: page 1 is gone (POST /pages/7, 2 times)",
        "Oops: LookupError: page 3 is gone (POST /pages/7, 4 times)",
        "Oops: LookupError: page 7 is gone (POST /pages/7, 8 times)",
    ]
    [incident] = known(mailer)
    assert (incident.count, incident.held_back, incident.message) == (10, 2, "page 9 is gone")


def test_one_that_is_not_mailed_is_counted_and_leaves_nothing_else(mailer):
    for _ in range(2):
        mailer.report(crash(), wait_s=60)

    receipt = mailer.report(crash(), wait_s=60)

    assert (receipt.stored, receipt.event_id, receipt.deliveries) == (Stored.STORED, 0, 0)
    assert "number 3 of its window is counted" in receipt.because
    with mailer.outbox.reading() as tx:
        assert tx.execute("SELECT COUNT(*) FROM envoi_event", {})[0][0] == 2


def test_at_the_end_of_its_window_one_mail_counts_the_rest(mailer, clock):
    for _ in range(7):
        mailer.report(crash("page 7 is gone"), wait_s=60)
    look(mailer)
    before = len(subjects(mailer))

    clock.now_ms += WINDOW_MS
    look(mailer)
    look(mailer)

    assert before == 3
    assert subjects(mailer)[before:] == ["Oops: LookupError: page 7 is gone (3 more)"]


def test_a_window_in_which_all_were_mailed_ends_without_a_word(mailer, clock):
    mailer.report(crash(), wait_s=60)

    clock.now_ms += WINDOW_MS
    look(mailer)

    assert len(subjects(mailer)) == 1
    assert known(mailer)[0].window_ends_at_ms == 0


def test_closing_mail_stands_in_the_incidents_thread(mailer, clock):
    for _ in range(3):
        mailer.report(crash(), wait_s=60)
    clock.now_ms += WINDOW_MS
    look(mailer)

    with mailer.outbox.reading() as tx:
        threads = {row[0] for row in tx.execute("SELECT thread FROM envoi_message", {})}
    assert len(threads) == 1


def test_what_was_resolved_and_comes_back_says_so(mailer):
    mailer.report(crash(), wait_s=60)
    stand(mailer, Standing.RESOLVED)

    mailer.report(crash(), wait_s=60)

    assert subjects(mailer)[-1] == "Oops: LookupError: 7 is gone (REGRESSED)"
    assert known(mailer)[0].standing is Standing.OPEN


def test_what_is_muted_is_never_mailed_and_its_window_ends_silently(mailer, clock):
    mailer.report(crash(), wait_s=60)
    stand(mailer, Standing.MUTED)

    receipts = [mailer.report(crash(), wait_s=60) for _ in range(5)]
    clock.now_ms += WINDOW_MS
    look(mailer)

    assert {receipt.because.rpartition(" ")[2] for receipt in receipts} == {"muted"}
    assert len(subjects(mailer)) == 1
    assert known(mailer)[0].count == 6


def test_very_many_different_errors_are_mailed_to_a_limit_and_all_are_counted(mailer):
    for number in range(30):
        mailer.report(crash(f"{chr(97 + number % 26) * (number + 3)} is gone"), wait_s=60)

    assert len(subjects(mailer)) == 20
    assert len(known(mailer)) == 30


def test_many_threads_count_exactly(mailer):
    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda _: mailer.report(crash(), wait_s=60), range(64)))

    assert {receipt.stored for receipt in receipts} <= {Stored.STORED, Stored.ROUTING}
    [incident] = known(mailer)
    assert incident.count == 64
    # At most the 1st, 2nd, 4th, 8th, 16th, 32nd and 64th: what waits together is told together.
    told = subjects(mailer)
    assert len(told) <= 7
    assert told[-1].endswith("64 times)")


def test_a_report_that_cannot_be_stored_is_not_counted(mailer, monkeypatch):
    monkeypatch.setattr(mailer.walk, "_put_event", lambda *_, **__: 1 // 0)

    receipt = mailer.report(crash(), wait_s=60)

    assert receipt.stored is Stored.NOT_STORED
    assert known(mailer) == ()
