"""Of many equal errors few are mailed, and all are counted."""

from dataclasses import replace

import pytest

from envoi.core.recurrence import NEXT, WINDOW_MS, Incident, News, Standing, closed, seen

FRESH = Incident(application="main", fingerprint="f", error_type="OSError")
NOW = 1_000_000


def storm(incident, many, now_ms=NOW):
    """Let an incident happen so often at one moment; return it with the numbers that were told."""
    told = []
    for number in range(1, many + 1):
        incident, news = seen(incident, now_ms)
        if news.is_told:
            told.append(number)
    return incident, told


def test_the_first_second_fourth_and_eighth_are_told():
    assert storm(FRESH, 20)[1] == [1, 2, 4, 8, 16]


def test_a_storm_of_ten_thousand_is_told_thirteen_times_before_its_end():
    after, told = storm(FRESH, 10_000)

    assert len(told) == 13
    assert (after.count, after.held_back) == (10_000, 10_000 - 4_096)


def test_every_error_is_counted_in_a_mail_or_held_back():
    incident, counted = FRESH, 0
    for _ in range(100):
        before = incident
        incident, news = seen(incident, NOW)
        counted += before.held_back + 1 if news.is_told else 0

    assert counted + incident.held_back == 100


def test_the_very_first_is_new_and_the_next_ones_are_not():
    first, news = seen(FRESH, NOW)

    assert news is News.NEW
    assert seen(first, NOW)[1] is News.AGAIN
    assert (first.first_at_ms, first.last_at_ms) == (NOW, NOW)


def test_after_its_window_it_is_told_again_and_is_no_news():
    known, _ = storm(FRESH, 3)

    after, news = seen(known, NOW + WINDOW_MS)

    assert news is News.AGAIN
    assert (after.window_count, after.count, after.held_back) == (1, 4, 0)


def test_within_its_window_it_does_not_begin_anew():
    known, _ = storm(FRESH, 2)

    after, news = seen(known, NOW + WINDOW_MS - 1)

    assert news is News.COUNTED
    assert after.window_ends_at_ms == NOW + WINDOW_MS


@pytest.mark.parametrize("many", [1, 3, 100])
def test_what_comes_back_after_it_was_resolved_is_a_regression(many):
    known = replace(storm(FRESH, many)[0], standing=Standing.RESOLVED)

    after, news = seen(known, NOW)

    assert news is News.REGRESSED
    assert (after.standing, after.window_count, after.held_back) == (Standing.OPEN, 1, 0)


def test_what_is_muted_is_counted_and_never_told():
    known, told = storm(replace(FRESH, standing=Standing.MUTED), 10)

    assert told == []
    assert (known.standing, known.count, known.held_back) == (Standing.MUTED, 10, 10)


def test_a_closed_window_leaves_nothing_to_tell():
    known, _ = storm(FRESH, 3)

    after = closed(known)

    assert (after.window_ends_at_ms, after.held_back, after.count) == (0, 0, 3)
    assert seen(after, NOW)[1] is News.AGAIN


def lived(*releases, **changes):
    """An incident that was seen once in each of these releases, long ago."""
    known = FRESH
    for release in releases:
        known, _ = seen(known, NOW - 10 * WINDOW_MS, release=release)
    return replace(closed(known), **changes)


@pytest.mark.parametrize(
    ("known", "release", "news"),
    [
        (["5.9"], "5.10", News.REGRESSED),
        (["5.10"], "5.9", News.AGAIN),
        (["5.10"], "5.10", News.AGAIN),
        (["5.10"], "5.10.0", News.AGAIN),
        (["5.10rc1"], "5.10", News.REGRESSED),
        (["a94a8f"], "d41d8c", News.REGRESSED),
        (["a94a8f", "d41d8c"], "a94a8f", News.AGAIN),
        (["5.9"], "", News.AGAIN),
        ([""], "5.9", News.AGAIN),
    ],
)
def test_a_newer_release_that_has_it_is_a_regression(known, release, news):
    assert seen(lived(*known), NOW, release=release)[1] is news


def test_releases_without_end_are_no_more_mail_than_a_storm():
    incident, told = FRESH, 0
    for number in range(1, 10_001):
        incident, news = seen(incident, NOW, release=f"1.{number}")
        told += news.is_told

    assert told == 13
    assert (incident.count, incident.held_back) == (10_000, 10_000 - 13)
    assert len(incident.releases) == 20


@pytest.mark.parametrize(
    ("mended_in", "release", "news"),
    [
        ("", "5.9", News.REGRESSED),
        ("5.10", "5.9", News.EXPECTED),
        ("5.10", "5.10", News.REGRESSED),
        ("5.10", "5.11", News.REGRESSED),
        ("5.10", "5.8", News.EXPECTED),
        ("5.10", "", News.REGRESSED),
        (NEXT, "5.9", News.EXPECTED),
        (NEXT, "5.8", News.EXPECTED),
        (NEXT, "5.9.1", News.REGRESSED),
    ],
)
def test_what_is_resolved_in_a_release_is_expected_in_older_ones(mended_in, release, news):
    known = lived("5.9", standing=Standing.RESOLVED, mended_in=mended_in)

    after, found = seen(known, NOW, release=release)

    assert found is news
    assert (after.standing is Standing.OPEN) == (news is News.REGRESSED)
    assert after.held_back == (news is News.EXPECTED)
    assert bool(after.mended_in) == (news is News.EXPECTED)


def test_a_mute_ends_by_its_time():
    muted = lived("1", standing=Standing.MUTED, muted_until_ms=NOW)

    assert seen(muted, NOW - 1)[1] is News.MUTED
    after, news = seen(muted, NOW)

    assert (news, after.standing, after.muted_until_ms) == (News.AGAIN, Standing.OPEN, 0)


def test_a_mute_ends_by_its_count():
    muted = lived("1", standing=Standing.MUTED, muted_until_count=4)

    told = []
    for _ in range(4):
        muted, news = seen(muted, NOW)
        told.append(news)

    assert told == [News.MUTED, News.MUTED, News.AGAIN, News.AGAIN]
    assert muted.standing is Standing.OPEN


def test_what_was_muted_in_a_storm_keeps_its_count_when_the_window_ends():
    known, _ = storm(FRESH, 3)
    muted, _ = seen(replace(known, standing=Standing.MUTED), NOW)

    assert closed(muted).held_back == 2
