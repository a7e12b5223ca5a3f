"""Equal errors are one incident: counted exactly, mailed seldom, closed by a number."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from envoi import Event, Stored
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


def words(number):
    """A word of its own for each number: numbers themselves are left out of a fingerprint."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


def many_different(mailer, numbers):
    for number in numbers:
        mailer.report(crash(f"{words(number)} is gone"), REQUEST, wait_s=60)


def bodies(mailer, kind):
    with mailer.outbox.reading() as tx:
        found = {"kind": kind}
        return tx.execute("SELECT text, html FROM envoi_message WHERE kind = :kind", found)


def test_very_many_different_errors_are_mailed_to_a_limit_and_the_rest_in_one_digest(mailer, clock):
    many_different(mailer, range(30))
    for _ in range(6):
        mailer.report(crash(f"{words(25)} is gone"), REQUEST, wait_s=60)
    look(mailer)
    before = subjects(mailer)
    told = {one.message: one.held_back for one in known(mailer)}

    clock.now_ms += HOUR_MS
    for _ in range(2):
        look(mailer)
        mailer.make_worker().run_until_idle()

    assert len(before) == 20
    assert len(told) == 30
    assert subjects(mailer)[20:] == ["Oops: 16 more errors, 10 different ones"]
    [[text, html]] = bodies(mailer, "error_digest")
    assert f"7x LookupError: {words(25)} is gone" in text
    assert f"1x LookupError: {words(29)} is gone" in text
    assert f"{words(19)} is gone" not in text + html
    assert all(one.fingerprint in html for one in known(mailer) if told[one.message])
    assert {one.held_back for one in known(mailer)} == {0}


def test_a_digest_lists_fifty_and_counts_the_others(mailer, clock):
    many_different(mailer, range(80))
    clock.now_ms += HOUR_MS
    look(mailer)

    [[text, _]] = bodies(mailer, "error_digest")
    assert text.count("1x ") == 50
    assert "Others, not listed here: 10" in text


def test_what_a_digest_waits_for_is_told_by_its_own_mail_where_one_comes_first(mailer, clock):
    many_different(mailer, range(21))
    clock.now_ms += HOUR_MS
    many_different(mailer, [20])

    look(mailer)

    assert subjects(mailer)[20:] == ["Oops: LookupError: ca is gone (POST /pages/7, 2 times)"]


def test_what_is_muted_stands_in_no_digest(mailer, clock):
    many_different(mailer, range(21))
    [last] = [one for one in known(mailer) if one.held_back]
    with mailer.outbox.transaction() as tx:
        incidents.keep(tx, replace(last, standing=Standing.MUTED))
    clock.now_ms += HOUR_MS
    look(mailer)

    assert len(subjects(mailer)) == 20
    assert sum(one.held_back for one in known(mailer)) == 1


def test_an_error_of_somebody_elses_making_is_an_incident_as_well(mailer):
    for _ in range(3):
        mailer.notify(
            Event(
                kind="error_report",
                facts={"error_type": "DiskFull", "message": "no room"},
                people={"recipients": (TO,)},
            )
        )

    assert [one.count for one in known(mailer)] == [3]
    assert len(subjects(mailer)) == 2


def release_of(mailer, release):
    return mailer.report(crash(), wait_s=60, release=release)


def test_what_comes_back_in_a_newer_release_says_so_once(mailer):
    for release in ("5.9.0", "5.10.0", "5.10.0", "5.9.0", "5.10.0"):
        release_of(mailer, release)

    assert [one.rpartition("(")[2] for one in subjects(mailer)] == [
        "NEW)",
        "REGRESSED)",
        "4 times)",
    ]
    assert known(mailer)[0].releases == ("5.9.0", "5.10.0")


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
