"""`envoi broadcast`: how far it is, pause, resume, cancel; and a report that tells apart."""

import signal

import pytest

from envoi.cli import following
from envoi.cli.exits import ExitCode


def add_people(home, *addresses: str) -> None:
    for number, address in enumerate(addresses):
        home.run("user", "add", f"u{number}", "-e", address)


def store(home, *addresses: str) -> None:
    """Store a broadcast to these people."""
    add_people(home, *addresses)
    assert home.run("admin", "email", "--everyone", "Sunday", "The wiki moves.").code == 0


def states(home) -> list[str]:
    return [one["state"] for one in reversed(home.run("outbox", "list", "--json").json)]


def test_no_broadcasts_yet_says_how_one_is_sent(home):
    assert "envoi admin email --everyone" in home.run("broadcast", "list").err
    assert home.run("broadcast", "list", "--json").json == []
    assert "no broadcast is like that" in home.run("broadcast", "list", "--before", "9").err


def test_a_list_shows_each_with_its_counts(any_home):
    store(any_home, "a@x.test", "b@x.test")

    (listed,) = any_home.run("broadcast", "list", "--json").json
    shown = any_home.run("broadcast", "list", "--limit", "1")

    assert (listed["id"], listed["state"], listed["mails"]) == (1, "held", 2)
    assert listed["stored_at"].startswith("20")
    assert "Sunday" in shown.out
    assert "There may be more: --before 1" in shown.err


@pytest.mark.parametrize("command", ["show", "watch", "pause", "resume", "cancel"])
def test_a_broadcast_that_is_not_there_is_named(home, command):
    ended = home.run("broadcast", command, "77")

    assert ended.code == ExitCode.NOT_FOUND
    assert "broadcast 77: expected one of `envoi broadcast list`" in ended.err


def test_a_report_tells_apart_and_adds_up(mail_home):
    store(mail_home, "a@x.test", "b@x.test", "perm-c@x.test", "temp-d@x.test", "a@x.test")
    mail_home.run("work", "--once")

    found = mail_home.run("broadcast", "show", "1", "--json").json
    shown = mail_home.run("broadcast", "show", "1").out

    assert (found["sent"], found["refused"], found["waiting"], found["folded"]) == (2, 1, 1, 1)
    assert found["audience"] == 5
    assert found["mails"] == 4
    assert found["failed_list"][0]["address"] == "perm-c@x.test"
    assert "refused by the relay  1" in shown
    assert "550" in shown
    assert "u4                has the same address as u0, who is told" in shown


def test_long_lists_of_people_are_cut_and_say_so(mail_home, monkeypatch):
    monkeypatch.setattr(following, "MAX_NAMED", 1)
    store(mail_home, "perm-a@x.test", "perm-b@x.test")
    mail_home.run("work", "--once")

    ended = mail_home.run("broadcast", "show", "1")

    assert "perm-a@x.test" in ended.out
    assert "perm-b@x.test" not in ended.out
    assert "... and 1 more" in ended.err


def test_pause_resume_and_cancel_say_where_it_is_then(mail_home, relay):
    store(mail_home, "a@x.test", "b@x.test")

    paused = mail_home.run("broadcast", "pause", "1")
    mail_home.run("work", "--once")
    while_paused = (states(mail_home), len(relay.kept))
    shown = mail_home.run("broadcast", "show", "1")
    resumed = mail_home.run("broadcast", "resume", "1", "--json").json
    cancelled = mail_home.run("broadcast", "cancel", "1", "--yes")
    mail_home.run("work", "--once")

    assert "broadcast 1: paused: sent 0 of 2" in paused.out
    assert while_paused == (["held", "held"], 0)
    assert "paused: `envoi broadcast resume 1` goes on" in shown.err
    assert (resumed["state"], resumed["waiting"]) == ("sending", 2)
    assert "broadcast 1: cancelled" in cancelled.out
    assert states(mail_home) == ["cancelled", "cancelled"]
    assert relay.kept == []


def test_an_order_that_changes_nothing_is_refused(mail_home):
    store(mail_home, "a@x.test")

    ended = mail_home.run("broadcast", "resume", "1")

    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert "it is not paused" in ended.err


def test_resume_while_mail_is_switched_off_says_what_to_change(mail_home):
    store(mail_home, "a@x.test")
    mail_home.run("broadcast", "pause", "1")
    assert mail_home.run("config", "set", "delivery.enabled", "false").code == 0

    ended = mail_home.run("broadcast", "resume", "1")

    assert ended.code == ExitCode.FAILED
    assert "broadcast 1: delivery.enabled is false: change that first" in ended.err


def test_cancel_asks_first(mail_home):
    store(mail_home, "a@x.test")

    ended = mail_home.run("broadcast", "cancel", "1")

    assert ended.code == ExitCode.USAGE
    assert "Cancel 'Sunday', of which 1 mail is not sent yet?" in ended.err
    assert states(mail_home) == ["queued"]


def test_a_single_mail_that_is_held_says_why(mail_home):
    store(mail_home, "a@x.test")
    mail_home.run("broadcast", "pause", "1")

    shown = mail_home.run("outbox", "show", "1", "--json").json

    assert shown["held_because"] == "its broadcast is paused"


def test_watching_a_finished_one_ends_at_once(mail_home):
    store(mail_home, "a@x.test", "perm-b@x.test")
    mail_home.run("work", "--once")

    ended = mail_home.run("broadcast", "watch", "1")

    assert ended.code == ExitCode.FAILED
    assert ended.out == "done: sent 1 of 2, 1 failed, 0 waiting\n"


@pytest.mark.parametrize("wait", ["0", "0.2"])
def test_watching_ends_when_its_time_is_over_and_changes_nothing(mail_home, relay, wait):
    store(mail_home, "a@x.test")

    ended = mail_home.run("broadcast", "watch", "1", "--wait", wait, "--json")
    mail_home.run("work", "--once")

    assert ended.code == ExitCode.STILL_GOING
    assert ended.json["waiting"] == 1
    assert len(relay.kept) == 1


def test_a_log_gets_lines_while_it_goes_on(mail_home, monkeypatch):
    monkeypatch.setattr(following, "LINE_EVERY_S", 0.0)
    store(mail_home, "a@x.test")

    ended = mail_home.run("broadcast", "watch", "1", "--wait", "1.2")

    assert "sent 0 of 1, 0 failed, 1 waiting" in ended.err.splitlines()


def test_ctrl_c_ends_the_watching_alone(mail_home, relay):
    store(mail_home, "a@x.test")
    with mail_home.spawn("broadcast", "watch", "1") as watching:
        assert watching.stderr is not None
        # Its first words: it is watching now.
        assert "no worker is running" in watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
    mail_home.run("work", "--once")

    assert watching.returncode == ExitCode.INTERRUPTED
    assert "the broadcast goes on" in err
    assert len(relay.kept) == 1
