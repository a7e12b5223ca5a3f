"""`envoi incidents`: what there is, and what somebody says of it."""

import pytest

from envoi.mailer import Mailer


@pytest.fixture
def site(home):
    """A folder whose application met one error three times and another one once."""
    home.set(errors={"to": ["ops@example.org"]})
    home.run("db", "upgrade")
    mailer = Mailer.from_file(home.config)
    for error in (LookupError("page 1"), LookupError("page 2"), LookupError("page 3"), OSError()):
        mailer.report(error, wait_s=60, release="5.9" if isinstance(error, LookupError) else "")
    mailer.close()
    return home


def listed(site, *words):
    return site.run("incidents", "list", "--json", *words).json


def name_of(site, error_type):
    return next(one["incident"] for one in listed(site) if one["error_type"] == error_type)


def test_the_list_counts_equal_errors_together(site):
    found = {one["error_type"]: one for one in listed(site)}

    assert {name: one["count"] for name, one in found.items()} == {"LookupError": 3, "OSError": 1}
    assert found["LookupError"]["message"] == "page 3"
    assert found["LookupError"]["not_mailed_yet"] == 1
    assert {one["standing"] for one in found.values()} == {"open"}


def test_the_list_can_be_read(site):
    ended = site.run("incidents", "list")

    assert ended.code == 0
    assert "LookupError: page 3" in ended.out


def test_without_errors_it_says_so(home):
    home.run("init")

    ended = home.run("incidents", "list")

    assert (ended.code, ended.out, ended.err) == (0, "", "no incidents\n")


@pytest.mark.parametrize(
    ("action", "standing"), [("mute", "muted"), ("resolve", "resolved"), ("unmute", "open")]
)
def test_what_somebody_says_of_one_stands(site, action, standing):
    name = name_of(site, "LookupError")

    ended = site.run("incidents", action, name[:8])

    assert ended.out == f"incident {name} is {standing}: LookupError: page 3\n"
    assert site.run("incidents", "show", name, "--json").json["standing"] == standing
    assert name in [one["incident"] for one in listed(site, "--standing", standing)]


def test_one_is_shown_with_all_that_is_known_of_it(site):
    shown = site.run("incidents", "show", name_of(site, "LookupError")).out

    assert "LookupError" in shown
    assert "page 3" in shown


@pytest.mark.parametrize("name", ["zz", "%", ""])
def test_one_that_is_not_there_is_named(site, name):
    ended = site.run("incidents", "show", name)

    assert ended.code == 3
    assert "expected the beginning of a fingerprint" in ended.err


def test_who_said_so_is_noted(site):
    name = name_of(site, "OSError")

    site.run("incidents", "mute", name)

    notes = site.run("admin", "audit", "--json").json
    assert [(one["action"], one["target"]) for one in notes] == [("incidents mute", name)]


def test_one_is_resolved_in_a_release_and_what_older_ones_do_is_expected(site):
    name = name_of(site, "LookupError")
    ended = site.run("incidents", "resolve", name, "--in-release", "5.10")
    site_reports(site, "5.9", "5.10")

    assert ended.out.startswith(f"incident {name} is resolved in 5.10: ")
    shown = site.run("incidents", "show", name, "--json").json
    assert (shown["standing"], shown["releases"], shown["count"]) == ("open", ["5.9", "5.10"], 5)
    # Three were there before: of the older release nothing is mailed.
    assert len(site.run("outbox", "list", "--json").json) == 3 + 1


def site_reports(site, *releases):
    mailer = Mailer.from_file(site.config)
    for release in releases:
        mailer.report(LookupError("page 4"), wait_s=60, release=release)
    mailer.close()


def test_one_is_resolved_in_the_next_release(site):
    name = name_of(site, "LookupError")
    form = site.run("incidents", "resolve", name, "--next-release", "--json").json
    site_reports(site, "5.9")

    assert (form["standing"], form["mended_in"]) == ("resolved", "*")
    shown = site.run("incidents", "show", name).out
    assert "resolved in the next release" in shown


def test_the_next_release_of_unnamed_ones_is_refused(site):
    ended = site.run("incidents", "resolve", name_of(site, "OSError"), "--next-release")

    assert ended.code == 2
    assert "expected errors that name their release" in ended.err


def test_both_releases_are_refused(site):
    name = name_of(site, "OSError")
    ended = site.run("incidents", "resolve", name, "--next-release", "--in-release", "5")

    assert ended.code == 2
    assert "expected one of them, got both" in ended.err


def test_a_mute_may_end(site):
    name = name_of(site, "LookupError")
    form = site.run("incidents", "mute", name, "--for", "7d", "--times", "2", "--json").json
    shown = site.run("incidents", "show", name).out
    site_reports(site, "5.9", "5.9")

    assert form["muted_until_count"] == 5
    assert form["muted_until_ms"] - form["latest_ms"] >= 7 * 86_400_000
    assert "or until it was seen 5 times" in shown
    assert site.run("incidents", "show", name, "--json").json["standing"] == "open"


@pytest.mark.parametrize("typed", ["7", "0h", "soon", "-1d"])
def test_how_long_is_a_number_and_a_unit(site, typed):
    ended = site.run("incidents", "mute", name_of(site, "OSError"), f"--for={typed}")

    assert ended.code == 2
    assert "--for: expected 90s, 30m, 2h or 7d" in ended.err
