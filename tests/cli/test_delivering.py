"""`envoi run`, `work` and `send-test`: mail on the real way, to a real SMTP server."""

import email
import json
import signal
import sqlite3
import time
from contextlib import closing, contextmanager

import pytest

from envoi.testing import FaultyRelay, RelayTraits
from tests.cli.conftest import BOUND_S


def send(home, *addresses: str) -> None:
    mails = [{"to": address, "subject": "Hi", "text": "Hello"} for address in addresses]
    ended = home.run("send", "--jsonl", "-", stdin="\n".join(json.dumps(mail) for mail in mails))
    assert ended.code == 0


def wait_until(is_so, what: str) -> None:
    until = time.monotonic() + BOUND_S
    while not is_so():
        assert time.monotonic() < until, what
        time.sleep(0.02)


@contextmanager
def running(home, *words: str):
    """A call that goes on until the test says so."""
    call = home.spawn(*words)
    try:
        yield call
    finally:
        if call.poll() is None:
            call.kill()
        call.communicate(timeout=BOUND_S)


def states(home) -> list[str]:
    return [one["state"] for one in reversed(home.run("outbox", "list", "--json").json)]


def test_work_once_delivers_what_is_due_and_ends(mail_home, relay):
    send(mail_home, "ann@example.org", "ben@example.org")

    ended = mail_home.run("work", "--once")

    assert ended.code == 0
    assert sorted(str(kept.recipient) for kept in relay.kept) == [
        "ann@example.org", "ben@example.org",
    ]  # fmt: skip
    assert states(mail_home) == ["sent", "sent"]
    (listed,) = mail_home.run("outbox", "list", "--to", "ann@example.org", "--json").json
    assert listed["last_reply"].startswith("250")
    assert listed["attempts"] == 1
    assert mail_home.run("outbox", "stats", "--json").json["workers"] == []


def test_work_once_on_postgresql(tmp_path, postgresql_url, relay):
    from tests.cli.conftest import Home

    home = Home(tmp_path)
    home.set(outbox={"url": postgresql_url},
             smtp={"host": "127.0.0.1", "port": relay.port, "tls": "none"})  # fmt: skip
    send(home, "ann@example.org")

    ended = home.run("work", "--once")

    assert ended.code == 0
    assert states(home) == ["sent"]
    assert len(relay.kept) == 1


def test_work_once_with_the_relay_down_says_so_and_ends_with_1(mail_home, relay):
    send(mail_home, "ann@example.org")
    relay.stop()

    ended = mail_home.run("work", "--once")

    assert ended.code == 1
    assert " ERROR " in ended.err
    assert "connection refused" in ended.err
    assert states(mail_home) == ["queued"]


def test_work_once_after_an_outage_ends_with_0(mail_home, relay):
    send(mail_home, "ann@example.org")
    relay.stop()
    mail_home.run("work", "--once")
    relay.start()

    ended = mail_home.run("work", "--once")

    assert ended.code == 0
    assert states(mail_home) == ["sent"]


def locked(home):
    """Nobody else can write the outbox, as on a full disk."""
    other = sqlite3.connect(home.folder / "envoi.db", isolation_level=None, timeout=BOUND_S)
    other.execute("BEGIN IMMEDIATE")
    return closing(other)


def set_impatient(home, relay) -> None:
    home.set(
        outbox={"url": f"sqlite:///{home.folder}/envoi.db", "busy_timeout_s": 0.1},
        delivery={"drain_s": 1},
        smtp={"host": "127.0.0.1", "port": relay.port, "tls": "none"},
    )


def test_work_once_on_an_outbox_that_cannot_be_written_ends_with_4(home, relay):
    set_impatient(home, relay)
    send(home, "ann@example.org")

    with locked(home):
        ended = home.run("work", "--once")

    assert ended.code == 4
    assert "error: nothing could be written down for 1 s: " in ended.err
    assert "locked" in ended.err.splitlines()[-1]
    assert states(home) == ["queued"]


def test_work_once_that_cannot_record_what_was_sent_tells_it_and_ends_with_4(home):
    with FaultyRelay(RelayTraits(slow_s=1)) as relay:
        set_impatient(home, relay)
        send(home, "ann@example.org")
        relay.messages.play(["slow_ack"])
        with running(home, "work", "--once") as call:
            wait_until(lambda: relay.kept, "the mail never reached the relay")
            with locked(home):
                _, err = call.communicate(timeout=BOUND_S)

    assert call.returncode == 4
    assert " delivery 1 to ann@example.org: not recorded: sent: 250 " in err
    assert "error: nothing could be written down for 1 s: " in err


def test_work_once_with_only_held_mail_says_how_it_leaves(home):
    send(home, "ann@example.org")

    ended = home.run("work", "--once")

    assert ended.code == 0
    assert "1 delivery is held until you decide" in ended.err
    assert "envoi outbox release" in ended.err


def test_an_option_without_its_value_points_to_its_command(home):
    ended = home.run("run", "--capture")

    assert ended.code == 2
    assert "See `envoi run --help`." in ended.err


def test_sigterm_stops_work_once_too(home):
    with FaultyRelay(RelayTraits(slow_s=0.5)) as relay:
        home.set(outbox={"url": "sqlite:///envoi.db"}, smtp={
            "host": "127.0.0.1", "port": relay.port, "tls": "none", "connections": 1,
        })  # fmt: skip
        send(home, *(f"u{n}@example.org" for n in range(40)))
        relay.messages.play(["slow_ack"] * 40)
        with running(home, "work", "--once") as call:
            wait_until(lambda: relay.kept, "the mail never reached the relay")
            call.send_signal(signal.SIGTERM)
            call.communicate(timeout=BOUND_S)

    assert call.returncode == 0
    assert set(states(home)) == {"sent", "queued"}


def test_a_refused_mail_is_shown_with_the_relays_words(mail_home, relay):
    send(mail_home, "ann@example.org")
    relay.messages.play(["rcpt_550"])

    mail_home.run("work", "--once")
    shown = mail_home.run("outbox", "show", "1")

    assert states(mail_home) == ["failed"]
    assert "last reply:    550 " in shown.out
    assert "ATTEMPT" in shown.out


def test_mail_that_the_relay_cannot_carry_says_why_it_is_held(home):
    with FaultyRelay(RelayTraits(extensions=("PIPELINING",))) as relay:
        home.set(outbox={"url": "sqlite:///envoi.db"}, smtp={
            "host": "127.0.0.1", "port": relay.port, "tls": "none",
        })  # fmt: skip
        send(home, "zoë@example.org")
        home.run("work", "--once")

    shown = home.run("outbox", "show", "1", "--json").json

    assert shown["state"] == "held"
    assert shown["held_because"] == shown["last_reply"]
    assert "SMTPUTF8" in shown["held_because"]


def test_run_delivers_until_sigterm_and_ends_with_0(mail_home, relay):
    with running(mail_home, "run") as call:
        send(mail_home, "ann@example.org")
        wait_until(lambda: states(mail_home) == ["sent"], "the mail was not delivered")
        working = mail_home.run("outbox", "stats", "--json").json["workers"]
        call.send_signal(signal.SIGTERM)
        out, err = call.communicate(timeout=BOUND_S)

    assert (call.returncode, out) == (0, "")
    assert len(relay.kept) == 1
    assert working[0]["pid"] == call.pid
    assert "INFO    worker" in err
    assert "SIGTERM: finishing what is under way" in err
    assert "stopped" in err.splitlines()[-1]


def test_ctrl_c_ends_a_worker_with_0_as_well(mail_home):
    with running(mail_home, "work") as call:
        wait_until(lambda: mail_home.run("outbox", "stats", "--json").json["workers"], "no worker")
        call.send_signal(signal.SIGINT)
        _, err = call.communicate(timeout=BOUND_S)

    assert call.returncode == 0
    assert "Traceback" not in err


def test_sigterm_lets_a_slow_relay_finish_what_is_under_way(home):
    with FaultyRelay(RelayTraits(slow_s=1.5)) as relay:
        home.set(outbox={"url": "sqlite:///envoi.db"},
                 smtp={"host": "127.0.0.1", "port": relay.port, "tls": "none"})  # fmt: skip
        send(home, "ann@example.org")
        relay.messages.play(["slow_ack"])
        with running(home, "work") as call:
            wait_until(lambda: relay.kept, "the mail never reached the relay")
            under_way = states(home)
            call.send_signal(signal.SIGTERM)
            call.communicate(timeout=BOUND_S)

    assert (under_way, states(home)) == (["sending"], ["sent"])
    assert call.returncode == 0


def test_a_second_signal_ends_at_once(mail_home, relay):
    send(mail_home, "ann@example.org")
    relay.messages.play(["hang_kept"])
    with running(mail_home, "work") as call:
        wait_until(lambda: len(relay.kept) == 1, "the mail never reached the relay")
        call.send_signal(signal.SIGTERM)
        wait_until(lambda: "SIGTERM" in call.stderr.readline(), "the first signal was not heard")
        before = time.monotonic()
        call.send_signal(signal.SIGTERM)
        call.wait(timeout=BOUND_S)

    # The drain time is 30 seconds.
    assert call.returncode == -signal.SIGTERM
    assert time.monotonic() - before < 10


def test_run_makes_the_first_outbox(empty_home, relay):
    empty_home.set(outbox={"url": "sqlite:///envoi.db"},
                   smtp={"host": "127.0.0.1", "port": relay.port, "tls": "none"})  # fmt: skip
    with running(empty_home, "run") as call:
        wait_until((empty_home.folder / "envoi.db").exists, "no outbox was made")
        wait_until(lambda: empty_home.run("db", "status").code == 0, "no tables were made")
        send(empty_home, "ann@example.org")
        wait_until(lambda: states(empty_home) == ["sent"], "the mail was not delivered")
        call.send_signal(signal.SIGTERM)
        _, err = call.communicate(timeout=BOUND_S)

    assert call.returncode == 0
    assert f"made the outbox {empty_home.folder / 'envoi.db'}" in err


def test_capture_puts_mail_into_a_folder_and_sends_nothing(mail_home, relay):
    folder = mail_home.folder / "caught"
    send(mail_home, "ann@example.org")

    ended = mail_home.run("work", "--once", "--capture", str(folder))

    (path,) = folder.iterdir()
    mail = email.message_from_bytes(path.read_bytes())
    assert ended.code == 0
    assert "nothing is sent: mail goes to the folder" in ended.err
    assert (path.suffix, mail["To"], relay.kept) == (".eml", "ann@example.org", [])
    assert (
        mail_home.run("outbox", "list", "--json").json[0]["last_reply"].startswith("250 captured")
    )


def test_a_folder_that_cannot_be_is_no_trouble_of_the_relay(mail_home):
    send(mail_home, "ann@example.org")
    (mail_home.folder / "file").write_text("")

    ended = mail_home.run("work", "--once", "--capture", str(mail_home.folder / "file"))

    assert ended.code == 2
    assert "error: --capture: expected a folder, got" in ended.err
    assert mail_home.run("outbox", "stats", "--json").json["relays_down"] == []


def test_an_outage_that_is_older_than_work_once_ends_it_with_1(mail_home, relay):
    send(mail_home, "ann@example.org", "ben@example.org")
    relay.connections.play(["greet_421"], then="greet_421")
    mail_home.run("work", "--once")
    relay.connections.play([""], then="greet_421")
    relay.messages.play([], then="mail_421")

    ended = mail_home.run("work", "--once")

    assert ended.code == 1


def test_the_guard_is_warned_of_at_the_start(mail_home, relay):
    mail_home.set(outbox={"url": "sqlite:///envoi.db"}, smtp={
        "host": "127.0.0.1", "port": relay.port, "tls": "none",
    }, guard={"allow": ["@example.org"], "redirect": "staging@example.org"})  # fmt: skip

    ended = mail_home.run("work", "--once")

    assert "all mail goes to staging@example.org instead" in ended.err
    assert "only addresses that guard.allow names receive mail" in ended.err


def test_a_redirected_mail_says_where_it_went(mail_home, relay):
    send(mail_home, "ann@example.org")
    mail_home.set(outbox={"url": "sqlite:///envoi.db"}, smtp={
        "host": "127.0.0.1", "port": relay.port, "tls": "none",
    }, guard={"redirect": "staging@example.org"})  # fmt: skip
    mail_home.run("work", "--once")

    shown = mail_home.run("outbox", "show", "1")
    (attempt,) = mail_home.run("outbox", "show", "1", "--json").json["attempt_list"]

    assert "(to staging@example.org, by guard.redirect) 2" in shown.out
    assert attempt["sent_to"] == "staging@example.org"


def test_while_somebody_captures_mail_is_not_held(home):
    folder = home.folder / "caught"
    with running(home, "run", "--capture", str(folder)) as call:
        wait_until(lambda: home.run("outbox", "stats", "--json").json["workers"], "no worker")
        send(home, "ann@example.org")
        wait_until(lambda: states(home) == ["sent"], "the mail was not captured")
        call.send_signal(signal.SIGTERM)
        call.communicate(timeout=BOUND_S)

    assert call.returncode == 0
    assert len(list(folder.iterdir())) == 1


def test_the_warnings_of_the_settings_are_told_at_the_start(home):
    home.set(outbox={"url": "sqlite:///envoi.db"}, smtp={"host": "127.0.0.1", "port": 1,
             "tls": "starttls", "verify": False})  # fmt: skip

    ended = home.run("work", "--once")

    assert "WARNING smtp.verify: expected true" in ended.err


def test_a_test_mail_is_delivered_here_when_nobody_else_does(mail_home, relay):
    ended = mail_home.run("send-test", "ann@example.org")

    assert ended.code == 0
    assert ended.out.startswith("sent to ann@example.org; the relay said: 250")
    assert [str(kept.recipient) for kept in relay.kept] == ["ann@example.org"]


def test_a_test_mail_is_left_to_the_worker_that_runs(mail_home, relay):
    with running(mail_home, "work") as call:
        wait_until(lambda: mail_home.run("outbox", "stats", "--json").json["workers"], "no worker")
        ended = mail_home.run("send-test", "ann@example.org", "--json")
        call.send_signal(signal.SIGTERM)
        call.communicate(timeout=BOUND_S)

    assert ended.code == 0
    assert (ended.json["state"], ended.json["because_not_sent"]) == ("sent", None)
    assert ended.json["last_reply"].startswith("250")
    assert len(relay.kept) == 1


def test_a_test_mail_without_address_goes_to_the_first_admin(mail_home, relay):
    mail_home.set(
        outbox={"url": "sqlite:///envoi.db"},
        smtp={"host": "127.0.0.1", "port": relay.port, "tls": "none"},
        application={"admins": ["root@example.org"]},
    )

    assert mail_home.run("send-test").code == 0
    assert [str(kept.recipient) for kept in relay.kept] == ["root@example.org"]


@pytest.mark.parametrize(
    ("fault", "state", "part"),
    [("rcpt_550", "failed", "550"), ("rcpt_450", "queued", "450")],
)
def test_a_refused_test_mail_is_never_called_a_success(mail_home, relay, fault, state, part):
    relay.messages.play([fault])

    ended = mail_home.run("send-test", "ann@example.org")

    assert ended.code == 1
    assert ended.out.startswith(f"{state} to ann@example.org: {part}")
    assert "sent" not in ended.out
    assert relay.kept == []


def test_a_test_mail_with_the_relay_down_says_why_and_what_to_do(mail_home, relay):
    relay.stop()

    ended = mail_home.run("send-test", "ann@example.org", "--wait", "2", "--json")

    assert ended.code == 1
    assert ended.json["state"] == "queued"
    assert "connection refused" in ended.json["because_not_sent"]
    assert "smtp.port" in ended.json["advice"]


def test_a_test_mail_without_a_relay_is_held(home):
    ended = home.run("send-test", "ann@example.org")

    assert ended.code == 1
    assert ended.out.startswith("held to ann@example.org: smtp.host is not set")
    assert "advice: set smtp.host" in ended.err


def test_a_test_mail_may_be_stored_only(mail_home, relay):
    ended = mail_home.run("send-test", "ann@example.org", "--wait", "0")

    assert ended.code == 1
    assert ended.out.startswith("queued to ann@example.org: no answer yet")
    assert "following" not in ended.err
    assert ended.err.count("envoi outbox show 1") == 1
    assert "start `envoi run`" in ended.err
    assert relay.kept == []


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ([], 2, "ADDRESS: expected an address"),
        (["nowhere"], 2, "is not a usable e-mail address"),
        (["ann@example.org", "--wait", "-1"], 2, "Invalid value for '--wait'"),
        (["ann@example.org", "-A", "wiki"], 3, "application: expected one of main"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_of_send_test(home, words, code, part):
    ended = home.run("send-test", *words)

    assert (ended.code, ended.out) == (code, "")
    assert part in ended.err
