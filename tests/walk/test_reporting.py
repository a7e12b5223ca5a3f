"""Errors become mail: to whom, from whom, under which subject, and never at the caller's cost."""

import re
import threading

import pytest

from envoi import Event, Request, Stored, keeper
from envoi.directory.records import UserDraft
from envoi.errors import OutboxUnavailableError
from envoi.outbox.explain import explain_event
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.outbox.incidents import incidents
from tests.desk import wait_until
from tests.walk.people import add_users

TO = ["ops@example.test", "dev@localhost"]
ERRORS = {"to": TO, "from": "Wiki Errors <errors@example.test>", "subject_prefix": "[wiki] Oops:"}
REQUEST = Request(method="POST", url="https://wiki.test/pages/7?draft=1", user="ann")


def crash(message="7 is gone"):
    with pytest.raises(LookupError) as caught:
        raise LookupError(message)
    return caught.value


@pytest.fixture
def reporter(make_mailer, faulty_relay):
    """Return `reporter(**errors)`: a mailer with these keys of `[errors]` changed."""

    def make(**errors):
        smtp = {"host": "127.0.0.1", "port": faulty_relay.port}
        return make_mailer(smtp=smtp, errors={**ERRORS, **errors}, application={"prefix": "[app]"})

    return make


def deliver(mailer):
    worker = mailer.make_worker()
    worker.run_until_idle()
    worker.drain()


def told(mailer):
    with mailer.outbox.reading() as tx:
        return [str(row.delivery.address) for row in deliveries(tx, Query())]


def test_each_address_gets_one_mail_from_and_with_the_words_of_the_settings(reporter, faulty_relay):
    mailer = reporter()

    mailer.report(crash(), REQUEST, release="5.6.10", wait_s=60)
    deliver(mailer)

    mails = [kept.message for kept in faulty_relay.kept]
    assert sorted(mail["To"] for mail in mails) == sorted(TO)
    assert {mail["From"] for mail in mails} == {"Wiki Errors <errors@example.test>"}
    assert {mail["Subject"] for mail in mails} == {
        "[wiki] Oops: LookupError: 7 is gone (POST /pages/7, NEW)"
    }
    assert {mail["X-Envoi-Notification-Type"] for mail in mails} == {"error_report"}
    assert all(mail["Date"] for mail in mails)
    assert len({mail["Message-ID"] for mail in mails}) == 2


def test_the_cause_stands_first_in_both_parts(reporter, faulty_relay):
    mailer = reporter()

    mailer.report(crash(), REQUEST, release="5.6.10", wait_s=60)
    deliver(mailer)

    mail = faulty_relay.kept[0].message
    text = mail.get_body(("plain",)).get_content().replace("\r\n", "\n")
    html = mail.get_body(("html",)).get_content()
    assert text.startswith("LookupError: 7 is gone\n")
    assert "raise LookupError(message)" in text
    assert "Request: POST https://wiki.test/pages/7?draft=1" in text
    assert "User: ann" in text
    assert "Version: 5.6.10" in text
    assert "tests/walk/test_reporting.py" in text
    assert html.index("<h1") < html.index("LookupError: 7 is gone</h1>") < html.index("<details")


def test_the_html_keeps_the_indents_of_the_source(reporter, faulty_relay):
    mailer = reporter()

    mailer.report(crash(), REQUEST, wait_s=60)
    deliver(mailer)

    html = faulty_relay.kept[0].message.get_body(("html",)).get_content().replace("\r\n", "\n")
    trace = html.partition("<details")[2].partition("<pre")[2].partition("</pre>")[0]
    assert "white-space: pre-wrap" in html
    assert re.search(r"\n  &gt; +\d+ {9}raise LookupError\(message\)\n", trace)


def test_what_python_keeps_in_a_module_is_no_variable(reporter, faulty_relay):
    mailer = reporter(dump_local_frames=True, dump_local_frames_count=1)

    try:
        exec("total = 7\nraise LookupError(total)", {"__name__": "weekly"})
    except LookupError as error:
        mailer.report(error, wait_s=60)
    deliver(mailer)

    text = faulty_relay.kept[0].message.get_body(("plain",)).get_content()
    assert "total = 7" in text
    assert "__builtins__ =" not in text


def test_equal_errors_stand_in_one_thread_and_others_do_not(reporter, faulty_relay):
    mailer = reporter(to=["ops@example.test"])

    for message in ("page 7 is gone", "page 8 is gone", "no such user"):
        mailer.report(crash(message), wait_s=60)
    deliver(mailer)

    mails = [kept.message for kept in faulty_relay.kept]
    threads = {mail["Subject"].split(": ")[-1].split(" (")[0]: mail["References"] for mail in mails}
    assert threads["page 7 is gone"] == threads["page 8 is gone"] != threads["no such user"]


def test_without_a_sender_of_its_own_it_comes_from_the_application(make_mailer, faulty_relay):
    smtp = {"host": "127.0.0.1", "port": faulty_relay.port}
    mailer = make_mailer(smtp=smtp, errors={"to": ["ops@example.test"]})

    mailer.report(crash(), wait_s=60)
    deliver(mailer)

    assert faulty_relay.kept[0].message["From"] == "Code <noreply@example.test>"


@pytest.mark.parametrize(
    ("errors", "because"),
    [
        pytest.param({"enabled": False}, "errors.enabled is false", id="debugging"),
        pytest.param({"to": []}, "errors.to names nobody", id="nobody"),
    ],
)
def test_what_the_settings_want_nobody_to_read_is_not_stored(reporter, errors, because):
    mailer = reporter(**errors)

    receipt = mailer.report(crash(), wait_s=60)

    assert (receipt.stored, receipt.because) == (Stored.NOT_WANTED, because)
    assert told(mailer) == []


def test_a_switch_stops_error_mail_like_any_other(make_mailer):
    mailer = make_mailer(errors=ERRORS, senders={"error_report": {"enabled": False}})

    receipt = mailer.report(crash(), wait_s=60)

    assert receipt.because == "no sender that is enabled speaks for it"
    assert told(mailer) == []


def test_an_address_is_told_as_it_stands_though_its_user_is_inactive(reporter):
    mailer = reporter(to=["ann@example.test"])
    add_users(mailer, UserDraft(login="ann", addresses=("ann@example.test",), is_active=False))

    mailer.report(crash(), wait_s=60)

    assert told(mailer) == ["ann@example.test"]


def test_further_recipients_may_stand_beside_them(make_mailer):
    recipients = ["role:recipients", "user:ann"]
    mailer = make_mailer(errors=ERRORS, senders={"error_report": {"recipients": recipients}})
    add_users(mailer)

    mailer.report(crash(), wait_s=60)

    assert sorted(told(mailer)) == sorted([*TO, "ann@example.test"])


def test_the_addresses_wait_for_no_directory(make_mailer, tmp_path):
    mailer = make_mailer(
        errors=ERRORS,
        directory={"kind": "kallithea", "url": f"sqlite:///{tmp_path / 'missing.db'}"},
        senders={"error_report": {"recipients": ["role:recipients", "admins"]}},
    )

    receipt = mailer.report(crash(), wait_s=60)

    assert (receipt.stored, receipt.deliveries) == (Stored.STORED, 2)


def test_explain_says_why_they_are_told(reporter):
    mailer = reporter()

    receipt = mailer.report(crash(), wait_s=60)

    with mailer.outbox.reading() as tx:
        explained = explain_event(tx, str(receipt.event_id))
    assert {str(one.because) for one in explained.chosen} == {"is named by the event as recipients"}


def test_an_event_of_the_kind_is_a_report_whoever_hands_it_over(reporter, faulty_relay):
    mailer = reporter()

    mailer.notify(
        Event(
            kind="error_report",
            people={"recipients": ("ops@example.test", "not an address")},
            facts={"error_type": "TypeError"},
        )
    )
    deliver(mailer)

    assert [kept.message["Subject"] for kept in faulty_relay.kept] == [
        "[wiki] Oops: TypeError (NEW)"
    ]


class Strange(Exception):  # noqa: N818 # its name is in a subject
    """An exception that does something when it is asked what it says."""

    def __init__(self, mailer=None):
        super().__init__()
        self.mailer = mailer

    def __str__(self):
        if self.mailer is not None:
            self.mailer.report(crash("within"), wait_s=60)
        raise OSError("no words")


def test_an_error_without_words_is_reported_all_the_same(reporter):
    mailer = reporter(to=["ops@example.test"])

    receipt = mailer.report(Strange(), wait_s=60)

    assert receipt.stored is Stored.STORED


def test_a_report_that_fails_is_logged_and_not_reported(reporter, caplog):
    mailer = reporter()
    mailer.parts.clock = lambda: 1 // 0

    receipt = mailer.report(crash("s3cret"), wait_s=60)

    assert receipt.stored is Stored.NOT_STORED
    assert "ZeroDivisionError" in receipt.because
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "error_report not stored" in record.getMessage()
    assert "s3cret" not in record.getMessage()


def test_an_outbox_that_cannot_be_reached_leaves_the_report_in_the_spool(make_mailer, tmp_path):
    mailer = make_mailer(errors=ERRORS, outbox={"url": f"sqlite:///{tmp_path / 'no' / 'such.db'}"})

    receipt = mailer.report(crash(), wait_s=60)

    assert receipt.stored is Stored.SPOOLED


def test_a_request_does_not_wait_for_a_busy_outbox(reporter):
    mailer = reporter()
    mailer.parts.outbox.database.write = blocked = Blocked(mailer.parts.outbox.database.write)

    receipt = mailer.report(crash(), wait_s=0)

    assert (receipt.stored, receipt.is_kept) == (Stored.UNDER_WAY, True)
    blocked.free.set()
    mailer.close()
    assert sorted(told(mailer)) == sorted(TO)


def test_equal_errors_that_wait_are_counted_together(reporter):
    mailer = reporter()
    mailer.parts.outbox.database.write = blocked = Blocked(mailer.parts.outbox.database.write)

    receipts = [mailer.report(crash(f"page {number} is gone"), wait_s=0) for number in range(50)]
    blocked.free.set()
    mailer.close()

    assert {receipt.stored for receipt in receipts} == {Stored.UNDER_WAY}
    assert blocked.count < 10
    with mailer.outbox.reading() as tx:
        assert [one.count for one in incidents(tx, "main")] == [50]


def test_what_finds_no_room_is_counted_as_an_error_of_its_own(reporter, monkeypatch):
    monkeypatch.setattr(keeper, "MAX_WAITING", 3)
    mailer = reporter()
    mailer.parts.outbox.database.write = blocked = Blocked(mailer.parts.outbox.database.write)

    mailer.report(crash("first"), wait_s=0)
    wait_until(lambda: blocked.count)
    receipts = [mailer.report(crash(word), wait_s=0) for word in "abcdef"]
    blocked.free.set()
    mailer.close()

    stored = [receipt.stored for receipt in receipts]
    assert stored == [Stored.UNDER_WAY] * 3 + [Stored.NOT_STORED] * 3
    with mailer.outbox.reading() as tx:
        counts = {one.error_type: one.count for one in incidents(tx, "main")}
    assert counts == {"LookupError": 1, "ReportsLost": 3}


def test_an_outbox_that_is_away_is_not_asked_for_each_and_the_spool_takes_the_rest(
    reporter, monkeypatch
):
    monkeypatch.setattr(keeper, "DOWN_S", 3_600)
    mailer = reporter()
    asked = []

    def away(**_):
        asked.append(1)
        raise OutboxUnavailableError("no way")

    opened = mailer.parts.outbox.database.write
    mailer.parts.outbox.database.write = away
    receipts = [mailer.report(crash(word), wait_s=60) for word in ("one", "two", "three")]
    mailer.parts.outbox.database.write = opened
    deliver(mailer)

    assert [receipt.stored for receipt in receipts] == [Stored.SPOOLED] * 3
    assert len(asked) == 1
    with mailer.outbox.reading() as tx:
        assert sorted(one.message for one in incidents(tx, "main")) == ["one", "three", "two"]


class Blocked:
    """An outbox whose transactions begin when a test says so."""

    def __init__(self, transaction):
        self.free = threading.Event()
        self._transaction = transaction
        self.count = 0

    def __call__(self, **how):
        self.count += 1
        self.free.wait(60)
        return self._transaction(**how)
