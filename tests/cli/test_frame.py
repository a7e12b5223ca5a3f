"""What holds for every command: help, errors, exit codes, escaping, signals, pipes."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from envoi.cli import main
from envoi.cli.exits import MEANINGS, ExitCode
from envoi.cli.reference import helps, reference

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
HELPS = dict(helps())


def test_the_reference_is_written_from_the_commands():
    assert REFERENCE.read_text("utf-8") == reference()


@pytest.mark.parametrize("command", HELPS)
def test_every_command_teaches_by_an_example(command):
    assert "Example" in HELPS[command]


@pytest.mark.parametrize("command", HELPS)
def test_every_command_says_its_help_and_ends_well(command, home):
    ended = home.run(*command.split()[1:], "--help")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: {command}")


def test_every_exit_code_is_documented():
    assert set(MEANINGS) == set(ExitCode)


def test_the_promised_commands_are_there():
    promised = {
        "init", "run", "work", "check", "notify", "send", "send-test", "user", "group", "senders",
        "outbox", "explain", "preview", "db", "kinds", "config", "admin", "broadcast", "obj",
        "incidents", "links", "prune", "relay", "report",
    }  # fmt: skip

    assert promised == {name.split()[1] for name in HELPS if " " in name}


def test_version(home):
    ended = home.run("--version")

    assert ended.code == 0
    assert ended.out.startswith("envoi ")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "error: Missing command."),
        (["usr"], "error: No such command 'usr'. Did you mean 'user'?"),
        (["user", "set"], "error: Missing argument 'USER'."),
        (["user", "list", "--limit", "0"], "error: Invalid value for '--limit'"),
        (
            ["outbox", "list", "--state", "lost"],
            "error: Invalid value for '--state' / '-s': 'lost' is not one of 'queued', 'sending',",
        ),
        (["outbox", "list", "--nope"], "error: No such option: --nope"),
        (["outbox", "show", "seven"], "error: Invalid value for 'ID'"),
        (["--log-level", "loud", "db", "status"], "error: Invalid value for '--log-level'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_in_words_and_ends_with_2(home, words, part):
    ended = home.run(*words)

    assert ended.code == 2
    assert part in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_nothing_typed_at_all_shows_the_help(capsys):
    code = main([])

    assert code == 2
    assert capsys.readouterr().err.startswith("Usage: envoi")


def test_every_problem_of_the_settings_is_told_at_once(empty_home):
    empty_home.set(smtp={"port": 70000, "hots": "x"})

    ended = empty_home.run("outbox", "list")

    assert ended.code == 2
    assert ended.err.startswith("error: 2 things do not fit\n")
    assert "smtp.port: expected" in ended.err
    assert "smtp.hots: expected a known key" in ended.err


def test_settings_that_are_named_and_missing(empty_home):
    ended = empty_home.run("outbox", "list")

    assert ended.code == 2
    assert ended.err.startswith("error: ")


@pytest.mark.parametrize(
    "words",
    [
        ["outbox", "list"],
        ["outbox", "stats"],
        ["user", "list"],
        ["group", "list"],
        ["senders", "list"],
        ["explain", "1"],
        ["send", "--to", "ann@example.org", "-s", "Hi", "Hello"],
        ["notify", "server_up"],
        ["send-test", "ann@example.org"],
        ["work", "--once"],
    ],
    ids=" ".join,
)
def test_without_an_outbox_every_command_says_how_to_make_one(empty_home, words):
    empty_home.set(outbox={"url": "sqlite:///missing.db"})

    ended = empty_home.run(*words)

    assert ended.code == 4
    assert "error: there is no outbox at " in ended.err
    assert "`envoi init`" in ended.err
    assert not (empty_home.folder / "missing.db").exists()


def test_a_database_without_tables_names_the_command_that_makes_them(empty_home):
    empty_home.set(outbox={"url": "sqlite:///empty.db"})
    (empty_home.folder / "empty.db").touch()

    ended = empty_home.run("run")

    assert ended.code == 4
    assert "`envoi db upgrade`" in ended.err


def test_a_database_that_cannot_be_reached_ends_with_4(empty_home):
    empty_home.set(outbox={"url": "postgresql://ann:hunter2@127.0.0.1:1/mail"})

    ended = empty_home.run("outbox", "list")

    assert ended.code == 4
    assert ended.err.startswith("error: ")
    assert "hunter2" not in ended.err


def test_control_characters_of_data_never_reach_the_terminal(home):
    home.run("send", "--to", "ann@example.org", "-s", "x", stdin="bell\x07 \x1b[2J \u202e end")

    listed = home.run("outbox", "show", "1")
    as_json = home.run("outbox", "show", "1", "--json")

    for text in (listed.out, as_json.out, home.run("outbox", "show", "1", "--raw").out):
        assert not set(text) & {"\x07", "\x1b", "\u202e"}
    assert "bell" in as_json.json["text"]


def test_what_was_typed_wrong_is_escaped_too(home):
    ended = home.run("user", "show", "\x1b[2Jann")

    assert ended.code == 3
    assert "\x1b" not in ended.err


def test_a_reader_that_leaves_early_is_no_error(home):
    home.run("user", "import", "-", stdin="login\n" + "\n".join(f"user{n}" for n in range(3000)))

    listing = home.spawn("user", "list", "--limit", "3000")
    listing.stdout.readline()
    listing.stdout.close()

    assert listing.wait(30) == ExitCode.PIPE_CLOSED
    assert listing.stderr.read() == ""
    listing.stderr.close()


def test_ctrl_c_ends_quietly_with_130(home):
    call = home.spawn("send", "--to", "ann@example.org", "-s", "x", stdin=subprocess.PIPE)
    call.stdin.write("begun")
    call.stdin.flush()
    # It reads standard input once all else is loaded: Python shows that by sleeping in read.
    wait_until_asleep(call.pid)

    call.send_signal(signal.SIGINT)
    out, err = call.communicate(timeout=30)

    assert (call.returncode, out, err) == (130, "", "")


def wait_until_asleep(pid: int) -> None:
    import time

    until = time.monotonic() + 30
    while time.monotonic() < until:
        wchan = Path(f"/proc/{pid}/wchan").read_text()
        fd0 = Path(f"/proc/{pid}/syscall").read_text().split()
        if "pipe" in wchan or fd0[:2] == ["0", "0x0"]:
            return
        time.sleep(0.02)
    raise AssertionError("the call never read its standard input")


def test_colours_only_on_a_terminal_and_never_with_no_color(home):
    home.run("user", "add", "ann", "email=ann@example.org")

    assert "\x1b[" in on_a_terminal(home, "user", "list")
    assert "\x1b[3" not in on_a_terminal(home, "user", "list", NO_COLOR="1")
    assert "\x1b[" not in home.run("user", "list").out


def on_a_terminal(home, *words: str, **env: str) -> str:
    ours, theirs = pty.openpty()
    call = home.spawn(*words, stdout=theirs, stdin=theirs, env={"TERM": "xterm-256color", **env})
    os.close(theirs)
    read = b""
    try:
        while chunk := os.read(ours, 4096):
            read += chunk
    except OSError:  # Linux says so when the other end closes
        pass
    os.close(ours)
    call.stderr.close()
    assert call.wait(30) == 0
    return read.decode()


def test_python_dash_m_is_the_same_program(home):
    ended = subprocess.run(
        [sys.executable, "-m", "envoi", "--version"], capture_output=True, text=True, check=True
    )

    assert ended.stdout == home.run("--version").out


def test_the_environment_names_settings_file_and_log_level(home, monkeypatch):
    monkeypatch.setenv("ENVOI_CONFIG", str(home.config))
    monkeypatch.setenv("ENVOI_LOG_LEVEL", "error")

    call = subprocess.run(
        [sys.executable, "-m", "envoi", "send", "--to", "ann@example.org", "-s", "x", "y"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert call.returncode == 0
    assert "WARNING" not in call.stderr


def test_log_lines_have_time_zone_and_level(home):
    ended = home.run("--log-level", "info", "send", "--to", "ann@example.org", "-s", "x", "y")

    first = ended.err.splitlines()[0]
    assert " INFO " in first
    assert first[:4].isdigit()
    assert "event 1 (message) stored" in first


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["outbox", "show", "9" * 30], 2),
        (["outbox", "cancel", "9" * 30], 3),
        (["outbox", "list", "--event", "9" * 30], 2),
        (["outbox", "list", "--before", "9" * 30], 2),
        (["user", "list", "--after", "9" * 30], 2),
        (["user", "show", "9" * 30], 3),
        (["explain", "9" * 30], 3),
        (["explain", "9" * 5000], 3),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_numbers_that_no_database_holds_are_no_surprise(any_home, words, code):
    ended = any_home.run(*words)

    assert ended.code == code
    assert "unforeseen" not in ended.err


def test_words_that_are_not_utf8_are_refused(home):
    ended = home.run("explain", "\udcff")

    assert ended.code == 2
    assert "expected UTF-8" in ended.err


def test_input_without_end_is_refused(home, monkeypatch):
    monkeypatch.setattr("envoi.cli.inputs.MAX_INPUT_BYTES", 1000)

    ended = home.run("send", "--to", "ann@example.org", "-s", "x", stdin="y\n" * 1000)

    assert ended.code == 2
    assert "text: expected at most 1000 bytes, got more" in ended.err


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("user list >&-", 0),
        ("user list --json 2>&-", 0),
        ("send --to ann@example.org -s x <&-", 2),
        ("kinds list --json > /dev/full", 1),
        ("--help > /dev/full", 1),
        ("outbox list --help > /dev/full", 1),
        ("--version > /dev/full", 1),
    ],
)
def test_closed_and_full_streams_are_no_surprise(home, shell, code):
    ended = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m envoi --config {home.config} {shell}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    assert "unforeseen" not in ended.stderr


@pytest.mark.parametrize("words", ["--help", "outbox show -h"])
def test_help_that_cannot_be_written_says_why(words):
    ended = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m envoi {words} > /dev/full"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 1
    assert ended.stderr == "error: the result cannot be written: No space left on device\n"


def test_the_shell_can_complete_commands(home):
    ended = subprocess.run(
        [sys.executable, "-m", "envoi"], capture_output=True, text=True, check=False,
        env={**os.environ, "_ENVOI_COMPLETE": "complete_bash", "COMP_WORDS": "envoi ou",
             "COMP_CWORD": "1"},
    )  # fmt: skip

    assert ended.stdout.strip() == "outbox"
