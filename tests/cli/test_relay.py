"""`envoi relay`, and what else of the command line knows that there are several relays."""

import pytest

from envoi.core.delivery import State
from envoi.outbox import find
from envoi.testing import FaultyRelay


@pytest.fixture
def backup():
    with FaultyRelay() as relay:
        yield relay


@pytest.fixture
def two(home, relay, backup, sqlite_url):
    """Two relays, of which the second stands in for the first."""
    home.set(
        application={"from": "no@example.test", "admins": ["ann@example.org"]},
        smtp={"host": "127.0.0.1", "port": relay.port, "failover": ["backup"]},
        relays__backup={"host": "127.0.0.1", "port": backup.port},
        outbox={"url": sqlite_url},
    )
    return home


def listed(home):
    ended = home.run("relay", "list", "--json")
    assert ended.code == 0
    return {one["name"]: one for one in ended.json}


def sent_one(home, *more):
    words = ("--to", "ann@example.org", "--subject", "Hi", *more)
    assert home.run("send", *words, stdin="Hello").code == 0


def states(home):
    with home.parts() as parts, parts.outbox.reading() as tx:
        by_state = find.stats(tx, parts.clock()).by_state
    return {state: count for state, count in by_state.items() if count}


def test_the_list_names_each_relay_with_its_place_and_who_stands_in(two, relay, backup):
    found = listed(two)

    assert list(found) == ["default", "backup"]
    assert found["default"]["at"] == f"127.0.0.1:{relay.port}"
    assert found["default"]["failover"] == ["backup"]
    assert (found["backup"]["state"], found["backup"]["waiting"]) == ("well", 0)
    shown = two.run("relay", "list").out
    assert f"127.0.0.1:{backup.port}" in shown


def test_a_relay_in_trouble_is_listed_with_its_reason(two, relay):
    relay.stop()
    sent_one(two)
    ended = two.run("work", "--once", "--relay", "default")

    found = listed(two)["default"]

    assert ended.code == 1
    assert (found["state"], found["waiting"]) == ("in_trouble", 1)
    assert "connection refused" in found["because"]
    assert found["down_since_ms"] > 0
    assert "check smtp.host" in two.run("relay", "list").err


def test_advice_names_the_keys_of_the_relay_that_it_is_about(two, backup):
    backup.stop()
    ended = two.run("relay", "test", "backup")

    assert ended.code == 1
    assert "check relays.backup.host and relays.backup.port" in ended.out


def test_a_run_with_the_relay_down_is_a_success_where_another_one_stood_in(two, relay, backup):
    relay.stop()
    sent_one(two)

    ended = two.run("work", "--once")

    assert ended.code == 0
    assert states(two) == {State.SENT: 1}
    assert len(backup.kept) == 1
    assert "relay backup carries the mail of relay default" in ended.err


def test_who_carried_a_mail_is_shown_and_explained(two, relay):
    relay.stop()
    sent_one(two)
    two.run("work", "--once")

    shown = two.run("outbox", "show", "1")
    as_json = two.run("outbox", "show", "1", "--json").json
    explained = two.run("explain", "1")
    explained_json = two.run("explain", "1", "--json").json

    assert "default, carried by backup" in shown.out
    assert "by backup: 250" in shown.out
    assert (as_json["transport"], as_json["relay"]) == ("default", "backup")
    assert as_json["attempt_list"][-1]["relay"] == "backup"
    assert "by backup: 250" in explained.out
    assert explained_json["decisions"][0]["relay"] == "backup"


def test_a_worker_serves_the_relays_that_are_named(two, relay, backup):
    sent_one(two)

    ended = two.run("work", "--once", "--relay", "backup")

    assert ended.code == 0
    assert states(two) == {State.QUEUED: 1}
    assert (relay.kept, backup.kept) == ([], [])


def test_a_worker_of_a_relay_that_is_unknown_does_not_start(two):
    ended = two.run("work", "--once", "--relay", "bakcup")

    assert ended.code == 3
    assert "relay 'bakcup': expected one of default, backup" in ended.err


def test_a_paused_relay_carries_nothing_until_it_is_resumed(two, relay, backup):
    paused = two.run("relay", "pause", "default")
    sent_one(two)
    two.run("work", "--once")
    by_backup = len(backup.kept)
    found = listed(two)["default"]
    resumed = two.run("relay", "resume", "default")
    sent_one(two)
    two.run("work", "--once")

    assert paused.out == (
        "relay default is paused: its mail goes by backup until `envoi relay resume default`\n"
    )
    assert found["state"] == "paused"
    assert found["paused_by"]
    assert resumed.out == "relay default is resumed\n"
    assert (by_backup, len(backup.kept), len(relay.kept)) == (1, 1, 1)
    actions = [note["action"] for note in two.run("admin", "audit", "--json").json]
    assert {"relay pause", "relay resume"} <= set(actions)


def test_a_relay_that_was_not_paused_is_not_resumed(two):
    ended = two.run("relay", "resume", "backup")

    assert ended.out == "relay backup was not paused by hand: nothing was changed\n"


@pytest.mark.parametrize("verb", ["pause", "resume", "test"])
def test_a_relay_that_is_unknown_is_told_with_those_there_are(two, verb):
    ended = two.run("relay", verb, "bakcup")

    assert ended.code == 3
    assert "relay 'bakcup': expected one of default, backup, found none" in ended.err


def test_all_relays_are_walked_to(two, relay, backup):
    ended = two.run("relay", "test")
    checked = two.run("check", "--connect", "--json")

    assert ended.code == 0
    assert {relay.ledger.connections, backup.ledger.connections} == {2}
    assert {"relay", "relay backup"} <= {one["about"] for one in checked.json["findings"]}


def test_a_sender_names_the_relay_of_its_mail(two, relay, backup):
    text = two.config.read_text()
    two.config.write_text(f"{text}\n[senders.new]\ntransport = 'bakcup'\n{_RULE}")
    checked = two.run("check")
    two.config.write_text(f"{text}\n[senders.new]\ntransport = 'backup'\n{_RULE}")
    notified = two.run("notify", "message", "--fact", "title=Hi", "--fact", "body=Hello")

    assert "senders.new.transport: expected one of default, backup, got 'bakcup'" in checked.out
    assert notified.code == 0, notified.err
    two.run("work", "--once")
    assert (len(relay.kept), len(backup.kept)) == (0, 1)


_RULE = "kind = 'message'\nrecipients = ['admins']\n"


def test_an_application_names_the_relay_of_its_mail(two, relay, backup):
    text = two.config.read_text().replace("[application]", "[application]\nrelay = 'backup'")
    two.config.write_text(text)
    sent_one(two)

    two.run("work", "--once")

    assert (len(relay.kept), len(backup.kept)) == (0, 1)


def test_mail_for_a_relay_that_left_the_settings_is_told_of(two):
    text = two.config.read_text()
    two.config.write_text(text.replace("[application]", "[application]\nrelay = 'backup'"))
    sent_one(two)
    lone = text.replace(', "failover": ["backup"]', "").partition("[relays.backup]")
    two.config.write_text(lone[0].replace('failover = ["backup"]', "") + "[outbox]" +
                          lone[2].partition("[outbox]")[2])  # fmt: skip

    ended = two.run("check")

    assert ended.code == 1
    assert "relay backup: 1 deliveries wait for it" in ended.out
    assert "`envoi outbox cancel --transport backup`" in ended.out
    assert listed(two)["backup"]["state"] == "unset"


def test_captured_mail_is_that_of_all_relays(two, relay, backup):
    sent_one(two)
    text = two.config.read_text().replace("[application]", "[application]\nrelay = 'backup'")
    two.config.write_text(text)
    sent_one(two)

    two.run("work", "--once", "--capture", str(two.folder / "mail"))

    assert len(list((two.folder / "mail").glob("**/*.eml"))) == 2
    assert (relay.kept, backup.kept) == ([], [])
