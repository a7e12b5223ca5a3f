"""`envoi notify` and `envoi send`: one and many."""

import base64
import json

import pytest

USERS = """\
login,email,admin,active
ann,ann@example.org,yes,yes
ben,ben@example.org,no,yes
cleo,,no,yes
dan,dan@example.org,no,no
"""


def states(home) -> dict[str, str]:
    listed = home.run("outbox", "list", "--json").json
    return {one["recipient"]["address"]: one["state"] for one in listed}


def test_a_sample_can_be_piped_into_notify(any_home):
    any_home.run("user", "import", "-", stdin=USERS)
    sample = any_home.run("kinds", "show", "pull_request", "--sample").out

    ended = any_home.run("notify", "pull_request", "--data", "-", "--json", stdin=sample)

    assert ended.code == 0
    assert ended.json["stored"] == "stored"
    assert states(any_home) == {"ben@example.org": "held"}


def test_an_event_of_flags_alone(home):
    home.run("user", "import", "-", stdin=USERS)

    ended = home.run(
        "notify", "password_reset", "--actor", "ann", "--to-role", "user=ben", "-f",
        "reset_url=/reset?t=s3cret", "-f", "valid_until=2026-05-31T08:00:00+00:00", "--key", "r-1",
    )  # fmt: skip

    assert ended.code == 0
    assert "event 1 (password_reset) stored; a worker finds its recipients\n" in ended.out
    assert "envoi explain 1" in ended.err
    assert "smtp.host is not set" in ended.err
    assert "s3cret" not in ended.out + ended.err
    assert "s3cret" not in str(home.run("work", "--once"))
    for words in (["outbox", "show", "1"], ["outbox", "show", "1", "--raw"], ["explain", "1"],
                  ["outbox", "show", "1", "--json"], ["explain", "1", "--json"]):  # fmt: skip
        assert "s3cret" not in home.run(*words).out


def test_a_reset_answers_alike_for_known_and_unknown_addresses(home, sqlite_url):
    home.set(outbox={"url": sqlite_url}, application={"base_url": "https://code.example.org"})
    home.run("user", "import", "-", stdin=USERS)

    known, unknown = (
        home.run("notify", "password_reset", "--to-role", f"user={name}@example.org",
                 "-f", "reset_url=/reset?t=s3cret")
        for name in ("ben", "zoe")
    )  # fmt: skip
    worked = home.run("work", "--once")

    assert (known.code, known.out, known.err) == (
        unknown.code,
        unknown.out.replace("event 2", "event 1"),
        unknown.err.replace("explain 2", "explain 1"),
    )
    assert "zoe" not in worked.out + worked.err
    assert states(home) == {"ben@example.org": "held"}


def test_an_event_that_nobody_hears_of_says_why(home):
    home.set(outbox={"url": f"sqlite:///{home.folder}/envoi.db"}, senders__oncall={
        "kind": "server_down", "recipients": ["everyone"],
    })  # fmt: skip

    ended = home.run("notify", "server_down")
    as_json = home.run("notify", "server_down", "--json")

    assert "0 deliveries, 0 skipped: nobody is found by sender oncall: everyone" in ended.out
    assert "nobody is found by" in as_json.json["because"]


def test_an_event_whose_recipients_cannot_be_determined_says_so(home):
    home.set(outbox={"url": f"sqlite:///{home.folder}/envoi.db"}, senders__oncall={
        "kind": "server_down", "recipients": ["admins"],
    })  # fmt: skip

    ended = home.run("notify", "server_down")
    explained = home.run("explain", "1")

    assert "0 deliveries, 0 skipped: its recipients cannot be determined" in ended.out
    assert "nobody is told of" in ended.err
    assert "no administrator has an address and application.fallback names none" in explained.out


def test_html_is_shown_as_its_reader_gets_it(home):
    home.run("user", "import", "-", stdin=USERS)
    home.run("notify", "password_reset", "--to-role", "user=ben", "-f", "reset_url=/r",
             "-f", "valid_until=2026-05-31T08:00:00+00:00")  # fmt: skip
    home.run("work", "--once")

    html = home.run("outbox", "show", "1", "--json").json["html"]

    assert "envoi:personal" not in html
    assert 'class="personal"' in html


def test_the_same_key_is_stored_once(home):
    home.run("user", "import", "-", stdin=USERS)
    words = ["notify", "server_down", "--key", "outage-17"]

    first, second = home.run(*words), home.run(*words)

    assert (first.code, second.code) == (0, 0)
    assert "was stored before under this key" in second.out


def test_an_event_for_many_is_left_to_a_worker(home):
    home.run("user", "import", "-", stdin=USERS)
    home.set(outbox={"url": "sqlite:///envoi.db", "route_at_once": 1}, senders__all={
        "kind": "server_down", "recipients": ["everyone"],
    })  # fmt: skip

    ended = home.run("notify", "server_down")
    explained = home.run("explain", "1")
    worked = home.run("work", "--once")

    assert "event 1 (server_down) stored; a worker finds its recipients" in ended.out
    assert "its recipients are still to be found by a worker" in explained.err
    assert worked.code == 0
    assert states(home) == {"ann@example.org": "held", "ben@example.org": "held"}


def test_flags_win_over_data(home):
    ended = home.run("notify", "pull_request", "--data", "-", "--actor", "ben", "--json",
                     stdin=home.run("kinds", "show", "pull_request", "--sample").out)  # fmt: skip

    explained = home.run("explain", str(ended.json["event"]), "--json").json

    assert explained["event"]["actor"] == "ben"


@pytest.mark.parametrize(
    ("words", "stdin", "code", "part"),
    [
        (["pull_reqest"], "", 3, "did you mean pull_request"),
        (["pull_request"], "", 2, "facts."),
        (
            ["pull_request", "--data", "-"],
            "{",
            2,
            "--data: -: expected JSON, got no name in double quotes at column 2",
        ),
        (
            ["pull_request", "--data", "-"],
            '{"key":\n nonsense}\n',
            2,
            "got no value at line 2, column 2",
        ),
        (
            ["pull_request", "--data", "-"],
            "{} {}",
            2,
            "got more behind the end of the value at column 4",
        ),
        (["pull_request", "--data", "-"], "", 2, "--data: -: expected JSON, got nothing"),
        (["pull_request", "--data", "-"], "[1]", 2, "event: expected a JSON object, got list"),
        (["pull_request", "--data", "-"], '{"facts": {"x": NaN}}', 2, "NaN, which is no JSON"),
        (["pull_request", "--data", "-"], "[" * 100_000, 2, "nested too deeply"),
        (["pull_request", "--data", "-"], '{"fact": {}}', 2, "fact: expected one of kind"),
        (["pull_request", "--data", "nowhere.json"], "", 2, "cannot read 'nowhere.json'"),
        (["pull_request", "-f", "titel=x"], "", 2, "--fact: expected NAME=VALUE with one of"),
        (["server_up", "--to-role", "ann"], "", 2, "--to-role: expected ROLE=LOGIN"),
        (["server_up", "--to-role", "boss=ann"], "", 2, "people.boss: expected one of"),
        (["server_up", "-A", "wiki"], "", 2, "application: expected one of main"),
        (["server_up", "--jsonl", "-", "--key", "k"], "", 2, "--jsonl: expected alone"),
        (["server_up", "--jsonl", "-", "--key", ""], "", 2, "--jsonl: expected alone"),
        (["server_up", "--key", ""], "", 2, "--key: expected a text, got nothing"),
        (["server_up", "--jsonl", "nowhere"], "", 2, "--jsonl: cannot read 'nowhere'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_input_of_notify(home, words, stdin, code, part):
    ended = home.run("notify", *words, stdin=stdin)

    assert (ended.code, ended.out) == (code, "")
    assert part in ended.err
    assert home.run("outbox", "stats", "--json").json["events"] == 0


def test_a_secret_that_does_not_fit_is_not_shown(home):
    ended = home.run("notify", "password_reset", "-d", "-",
                     stdin='{"facts": {"reset_url": ["s3cret"]}}')  # fmt: skip

    assert ended.code == 2
    assert "facts.reset_url" in ended.err
    assert "s3cret" not in ended.err


def test_many_events_are_stored_and_the_wrong_lines_named(any_home):
    any_home.run("user", "import", "-", stdin=USERS)
    good = {"people": {"user": "ben"}, "facts": {"reset_url": "/r"}}
    lines = [json.dumps({**good, "key": f"k{n}"}) for n in range(250)]
    lines[10] = '{"facts": {}}'
    lines[120] = "nonsense"
    lines[130] = ""
    lines[140] = lines[139]

    ended = any_home.run(
        "notify", "password_reset", "--jsonl", "-", "--json", stdin="\n".join(lines)
    )

    assert ended.code == 2
    assert ended.json["stored"] == 246
    assert ended.json["repeated"] == 1
    assert [one["line"] for one in ended.json["refused"]] == [11, 121]
    assert "line 11: not stored: facts.reset_url: expected" in ended.err
    any_home.run("work", "--once")
    assert any_home.run("outbox", "stats", "--json").json["total"] == 246


def test_lines_are_utf8(home):
    ended = home.run("notify", "server_up", "--jsonl", "-", stdin=b'{"key": "\xff"}\n{}\n')

    assert ended.code == 2
    assert "line 1: not stored: line: expected UTF-8, got byte 0xff" in ended.err
    assert "1 event stored" in ended.out


def test_a_mail_of_words_with_everything(home):
    (home.folder / "note.html").write_text("<p>Hello <b>there</b></p>")
    (home.folder / "report.pdf").write_bytes(b"%PDF-1.7")

    ended = home.run(
        "send", "--to", "Ann Lee <ann@example.org>", "--to", "ben@example.org", "--cc",
        "cc@example.org", "--bcc", "hidden@example.org", "--subject", "Über alles", "--html",
        str(home.folder / "note.html"), "--header", "X-Build: 17", "--attach",
        str(home.folder / "report.pdf"), "--from", "Wiki <wiki@example.org>", "--reply-to",
        "answers@example.org", "--class", "report", "--key", "m-1", "Hello", "there.",
    )  # fmt: skip

    raw = home.run("outbox", "show", "1", "--raw").out
    shown = home.run("outbox", "show", "1").out
    assert ended.code == 0
    assert set(states(home)) == {
        "ann@example.org", "ben@example.org", "cc@example.org", "hidden@example.org",
    }  # fmt: skip
    assert "X-Build: 17" in raw
    assert "Reply-To: answers@example.org" in raw
    assert "Hello there." in raw
    assert "hidden@example.org" not in raw
    assert "report.pdf (application/pdf, 8 bytes)" in shown


def test_text_comes_from_standard_input_without_words(home):
    home.run("send", "--to", "ann@example.org", "-s", "Disks", stdin="Filesystem 93%\n")

    assert home.run("outbox", "show", "1", "--json").json["text"] == "Filesystem 93%\n"


def test_html_from_standard_input_alone_makes_its_text(home):
    home.run(
        "send", "--to", "a@example.org", "-s", "x", "--html", "-", stdin="<p>Tom &amp; Ann</p>"
    )

    shown = home.run("outbox", "show", "1", "--json").json

    assert shown["text"].strip() == "Tom & Ann"
    assert "<p>" in shown["html"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["-s", "x", "y"], "to: expected at least one recipient, got none"),
        (["--to", "a@example.org", "y"], "subject: expected a line of text, got nothing"),
        (["--to", "a@example.org", "-s", "x"], "text: expected some text or HTML, got nothing"),
        (["--to", "nowhere", "-s", "x", "y"], "to: expected name@host"),
        (["--to", "a@b.org, c@d.org", "-s", "x", "y"], "to: expected name@host"),
        (["--to", "a@example.org", "-s", "x\nBcc: y@z.org", "y"], "subject: expected one line"),
        (["--to", "a@b.org", "-s", "x", "--header", "Bcc: c@d.org", "y"], "headers: expected"),
        (["--to", "a@b.org", "-s", "x", "--header", "nonsense", "y"], "--header: expected 'Name"),
        (["--to", "a@b.org", "-s", "x", "--attach", "nowhere", "y"], "--attach: cannot read"),
        (["--to", "a@b.org", "-s", "x", "--html", "nowhere"], "--html: cannot read"),
        (["--to", "a@b.org", "-s", "x", "--class", "loud", "y"], "Invalid value for '--class'"),
        (["--to", "a@b.org", "-s", "x", "-A", "wiki", "y"], "application: expected one of main"),
        (["--to", "a@b.org", "--jsonl", "-"], "--jsonl: expected alone"),
        (["--to", "a@b.org", "-s", "x", "--key", "", "y"], "--key: expected a text, got nothing"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_input_of_send(home, words, part):
    ended = home.run("send", *words)

    assert (ended.code, ended.out) == (2, "")
    assert part in ended.err
    assert home.run("outbox", "list", "--json").json == []


def test_many_mails_with_attachments(any_home):
    file = {"name": "a.txt", "content": base64.b64encode(b"hi").decode()}
    mails = [
        {"to": f"u{n}@example.org", "subject": "Hi", "text": "Hello", "attachments": [file]}
        for n in range(120)
    ]
    mails[7]["to"] = "nowhere"

    ended = any_home.run(
        "send", "--jsonl", "-", stdin="\n".join(json.dumps(mail) for mail in mails)
    )

    assert ended.code == 2
    assert "119 mails stored, 0 stored before, 1 not stored; 119 deliveries" in ended.out
    assert "line 8: not stored: to: expected name@host" in ended.err


def test_a_thousand_wrong_lines_are_counted_and_few_are_shown(home):
    ended = home.run("send", "--jsonl", "-", stdin="{}\n" * 1000)

    assert ended.code == 2
    assert "1000 not stored" in ended.out
    assert ended.err.count("not stored: ") == 20
    assert "... and 980 more" in ended.err


def test_an_outbox_that_fails_in_the_middle_says_from_which_line_on(home):
    with home.parts() as parts, parts.outbox.transaction() as tx:
        tx.execute("""CREATE TRIGGER full BEFORE INSERT ON envoi_message
            WHEN (SELECT COUNT(*) FROM envoi_message) >= 150
            BEGIN SELECT RAISE(ABORT, 'no room'); END""", {})  # fmt: skip
    mail = json.dumps({"to": "ann@example.org", "subject": "Hi", "text": "Hello"})

    ended = home.run("send", "--jsonl", "-", "--json", stdin=f"{mail}\n" * 300)

    assert ended.code == 4
    assert ended.json["stored"] == 100
    assert ended.json["stopped"]["line"] == 101
    assert home.run("outbox", "stats", "--json").json["total"] == 100
