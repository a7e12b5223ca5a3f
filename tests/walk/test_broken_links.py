"""Broken links: counted for every process, told at once and then by the hour."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from envoi import Request, Stored
from envoi.broken_links import FORGET_MS, BrokenLinks
from envoi.core.broken_link import WINDOW_MS, found
from envoi.errors import OutboxUnavailableError
from envoi.outbox import broken_links as kept
from tests.desk import wait_until
from tests.walk.test_incidents import Clock

TO = "ops@example.test"
OMERO_PREFIX = "[OMERO.web]"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(make_mailer, clock):
    """Return `make(**errors)`: a mailer that tells of broken links, with these keys changed."""

    def make(**errors):
        wanted = {"to": [TO], "not_found": True, "subject_prefix": OMERO_PREFIX, **errors}
        mailer = make_mailer(errors=wanted)
        mailer.parts.clock = clock
        return mailer

    return make


def asked(path="/gone", referrer="https://wiki.test/start", **headers):
    named = {"Referer": referrer, "User-Agent": "Browser/1", **headers}
    return Request(url=f"https://wiki.test{path}", client="192.0.2.7", headers=tuple(named.items()))


def follow(mailer, *requests):
    receipts = [mailer.not_found(request) for request in requests]
    mailer.close()  # what waits is written
    return receipts


def mails(mailer):
    with mailer.outbox.reading() as tx:
        rows = tx.execute("SELECT subject, text, from_address FROM envoi_message ORDER BY id", {})
    return [(str(subject), str(text)) for subject, text, _ in rows]


def links(mailer):
    with mailer.outbox.reading() as tx:
        return kept.links(tx, "main")


def look(mailer):
    return BrokenLinks(mailer.parts, mailer.walk.store).look(mailer.parts.clock())


def test_the_first_one_is_told_at_once_as_omero_tells_it(make):
    mailer = make()

    follow(mailer, asked())

    [(subject, text)] = mails(mailer)
    assert subject == "[OMERO.web] Broken INTERNAL link on wiki.test"
    assert text.splitlines()[:4] == [
        "Referrer: https://wiki.test/start",
        "Requested URL: https://wiki.test/gone",
        "User agent: Browser/1",
        "IP address: 192.0.2.7",
    ]


def test_a_link_of_somebody_else_says_so(make):
    mailer = make()

    follow(mailer, asked(referrer="https://blog.test/"))

    assert [subject for subject, _ in mails(mailer)] == ["[OMERO.web] Broken link on wiki.test"]


def test_what_an_hour_brings_is_one_mail(make, clock):
    mailer = make()
    follow(mailer, asked())
    follow(mailer, *[asked(f"/gone/{number % 3}") for number in range(9)], asked())
    look(mailer)
    before = len(mails(mailer))

    clock.now_ms += WINDOW_MS
    look(mailer)
    look(mailer)

    assert before == 1
    [(subject, text)] = mails(mailer)[1:]
    assert subject == "[OMERO.web] Broken INTERNAL link on wiki.test (10 times)"
    assert text.count("Requested URL:") == 4
    assert text.count("Followed: 3 times") == 3
    assert sorted(tally.count for tally in links(mailer)) == [2, 3, 3, 3]


def test_a_quiet_hour_ends_without_a_word_and_the_next_one_is_told_at_once(make, clock):
    mailer = make()
    follow(mailer, asked())
    clock.now_ms += WINDOW_MS
    look(mailer)
    quiet = len(mails(mailer))

    follow(mailer, asked())

    assert (quiet, len(mails(mailer))) == (1, 2)


@pytest.mark.parametrize(
    ("errors", "request_", "because"),
    [
        pytest.param({"not_found": False}, asked(), "errors.not_found is false", id="not asked"),
        pytest.param({"enabled": False}, asked(), "errors.enabled is false", id="debugging"),
        pytest.param({"to": []}, asked(), "errors.to names nobody", id="nobody"),
        pytest.param({}, asked(referrer=""), "nobody linked to it", id="no referrer"),
        pytest.param({}, asked("/wp-login.php?token=x"), "nobody linked to it", id="scanner"),
        pytest.param({}, asked("/favicon.ico"), "nobody linked to it", id="browser"),
        pytest.param({"not_found_ignored": ["^/go"]}, asked(), "nobody linked to it", id="ignored"),
    ],
)
def test_what_nobody_asked_for_is_not_counted(make, errors, request_, because):
    mailer = make(**errors)

    [receipt] = follow(mailer, request_)

    assert (receipt.stored, receipt.because) == (Stored.NOT_WANTED, because)
    assert links(mailer) == ()


def test_a_list_of_ones_own_replaces_the_shipped_one(make, tmp_path):
    (tmp_path / "ignored.txt").write_text("# nothing but this\n\n^/old/\n", "utf-8")
    mailer = make(not_found_list="ignored.txt")

    follow(mailer, asked("/favicon.ico"), asked("/old/page"))

    assert [tally.link.url for tally in links(mailer)] == ["https://wiki.test/favicon.ico"]


def test_a_storm_is_bounded_in_memory_in_the_outbox_and_in_the_mail(make, clock, monkeypatch):
    monkeypatch.setattr(kept, "MAX_KEPT", 20)
    mailer = make()

    follow(mailer, asked("/first"))
    for turn in range(3):
        follow(mailer, *[asked(f"/{turn}/{number}?token=s3cret{number}") for number in range(50)])
    clock.now_ms += WINDOW_MS
    look(mailer)

    assert len(links(mailer)) <= 20
    [_, (subject, text)] = mails(mailer)
    assert subject == "[OMERO.web] Broken INTERNAL link on wiki.test (150 times)"
    assert "s3cret" not in text
    assert "Others, not listed here:" in text


def test_links_that_were_told_make_room_for_new_ones(make, clock, monkeypatch):
    monkeypatch.setattr(kept, "MAX_KEPT", 3)
    mailer = make()
    for number in range(3):
        follow(mailer, asked(f"/{number}"))
    clock.now_ms += WINDOW_MS
    look(mailer)

    follow(mailer, asked("/new"))

    assert "https://wiki.test/new" in {tally.link.url for tally in links(mailer)}


def test_what_nobody_follows_any_more_is_forgotten(make, clock):
    mailer = make()
    follow(mailer, asked("/old"))
    clock.now_ms += FORGET_MS
    look(mailer)
    follow(mailer, asked("/new"))
    clock.now_ms += WINDOW_MS + 1
    look(mailer)

    assert [tally.link.url for tally in links(mailer)] == ["https://wiki.test/new"]


def test_an_outbox_that_is_away_loses_no_count(make):
    mailer = make()
    opened, tried = mailer.parts.outbox.database.write, []

    def away(**_):
        tried.append(1)
        mailer.parts.outbox.database.write = opened
        raise OutboxUnavailableError("no way")

    mailer.parts.outbox.database.write = away
    mailer.not_found(asked())
    wait_until(lambda: tried)
    follow(mailer, asked())

    assert [tally.count for tally in links(mailer)] == [2]


def test_many_threads_and_mailers_count_exactly(make):
    mailers = [make() for _ in range(3)]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: mailers[number % 3].not_found(asked()), range(90)))
    for mailer in mailers:
        mailer.close()

    assert [tally.count for tally in links(mailers[0])] == [90]


def test_each_application_has_its_own(make_mailer, clock):
    mailer = make_mailer(
        errors={"to": [TO], "not_found": True},
        application={"second": {"prefix": "[second]"}},
    )
    mailer.parts.clock = clock

    mailer.not_found(asked(), application="second")
    receipt = mailer.not_found(asked(), application="third")
    mailer.close()

    assert receipt.stored is Stored.NOT_STORED
    link = found(asked(), application="second")
    with mailer.outbox.reading() as tx:
        assert [tally.link for tally in kept.links(tx, "second")] == [link]
        assert kept.links(tx, "main") == ()


def test_a_link_that_was_told_of_is_known_by_its_latest_address(make):
    mailer = make()

    follow(mailer, asked("/gone?page=1"), asked("/gone?page=2"))

    [tally] = links(mailer)
    assert tally.link == found(asked("/gone?page=2"))
    assert tally.count == 2
