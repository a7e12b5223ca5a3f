"""`envoi admin email`: the options, answers and exit codes that OMERO's people know."""

import json

import pytest

from envoi.broadcasting import Broadcasting
from envoi.cli.admin import _CODES
from envoi.cli.exits import ExitCode
from envoi.core.broadcast import MAX_BODY_CHARS, Refusal
from envoi.errors import DirectoryError, RefusedError

USERS = """\
login,email,active,admin
root,root@example.org,yes,yes
ann,ann@example.org,yes,no
ben,ben@example.org,yes,no
cleo,,yes,no
dan,dan@example.org,no,no
old,old@example.org,no,yes
"""


def people(home):
    (home.folder / "users.csv").write_text(USERS)
    assert home.run("user", "import", str(home.folder / "users.csv")).code == 0
    home.run("group", "add", "staff")
    home.run("group", "add-member", "staff", "ann", "dan")
    return home


@pytest.fixture
def staffed(home):
    """Six people and a group, no relay."""
    return people(home)


@pytest.fixture
def mail_staffed(mail_home):
    """The same with a relay."""
    return people(mail_home)


def email(home, *words: str, stdin: str | bytes = ""):
    return home.run("admin", "email", *words, stdin=stdin)


def broadcasts(home):
    return home.run("broadcast", "list", "--json").json


def told(home) -> list[str]:
    listed = home.run("outbox", "list", "--json").json
    return sorted(one["recipient"]["address"].partition("@")[0] for one in listed)


def text_of(home) -> str:
    return home.run("outbox", "show", "1", "--json").json["text"]


def test_everybody_active_with_an_address_is_told(staffed):
    ended = email(staffed, "--everyone", "Sunday", "The", "wiki", "moves.")

    assert ended.code == 0
    assert told(staffed) == ["ann", "ben", "root"]
    assert "broadcast 1 stored: 3 mails, 3 people passed over" in ended.out
    assert "(2 inactive, 1 without an address)" in ended.out
    assert "envoi broadcast resume 1" in ended.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--user-name", "ann"], ["ann"]),
        (["--user-name", "ANN", "--user-id", "2"], ["ann"]),
        (["--user-id", "3"], ["ben"]),
        (["--group-name", "staff"], ["ann"]),
        (["--group-id", "1"], ["ann"]),
        (["--group-id", "1", "--inactive"], ["ann", "dan"]),
        (["--group-name", "staff", "--user-name", "dan"], ["ann"]),
        (["--user-name", "dan"], []),
        (["--user-name", "dan", "--inactive"], ["dan"]),
        (["--everyone", "--inactive"], ["ann", "ben", "dan", "old", "root"]),
        (["--extra", "x@example.org"], ["x"]),
        (["--user-name", "ben", "--group-name", "staff", "--extra", "x@example.org"],
         ["ann", "ben", "x"]),
        (["--extra", "ann@example.org", "--user-name", "ann"], ["ann"]),
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_selectors_combine_with_the_brackets_where_they_belong(staffed, options, expected):
    rehearsed = email(staffed, *options, "--dry-run", "--json", "S", "text").json

    assert email(staffed, *options, "S", "text").code == 0

    assert told(staffed) == expected
    assert sorted(one["address"].partition("@")[0] for one in rehearsed["recipients"]) == expected


@pytest.mark.parametrize(
    ("words", "stdin", "text"),
    [
        (["several", "words", "here"], "", "several words here\n"),
        ([], "from stdin\n\n", "from stdin\n\n"),
        (["-"], " kept  as it is", " kept  as it is\n"),
        (["-", "more"], "not read", "- more\n"),
        (["{{ name }} 100 %"], "", "{{ name }} 100 %\n"),
    ],
    ids=["joined", "stdin", "dash", "dash and more", "no template"],
)
def test_the_text_is_what_was_typed(staffed, words, stdin, text):
    assert email(staffed, "--user-name", "ann", "S", *words, stdin=stdin).code == 0

    assert text_of(staffed).startswith(text + "-- \n")


@pytest.mark.parametrize(
    ("words", "stdin", "code", "said"),
    [
        (["--as", "ann", "", ""], "", 13, "You have no permissions to send email."),
        (["--as", "nobody", "--everyone", "S", "x"], "", 13, "no permissions"),
        (["--as", "old", "--everyone", "S", "x"], "", 13, "no permissions"),
        (["", ""], "", 12, "No recipients specified."),
        (["--user-name", "nobody", "S", "x"], "", 12, "No recipients specified."),
        (["--extra", "no address", "S", "x"], "", 12, "No recipients specified."),
        (["--everyone", " ", ""], "", 13, "Email must contain subject."),
        (["--everyone", "S"], "", 12, "Email must contain body."),
        (["--everyone", "S"], " \n\t\n", 12, "Email must contain body."),
        (["--everyone", "S", " "], "", 12, "Email must contain body."),
        (["--everyone", "--html", "S", "<p></p>"], "", 12, "Email must contain body."),
        (["--everyone"], "", 2, "SUBJECT"),
        (["--everyone", "a\nBcc: x@y.test", "x"], "", 2, "subject: expected one line"),
        (["--everyone", "S"], "x" * (MAX_BODY_CHARS + 1), 2, "text: expected at most"),
        (["--everyone", "S"], b"\xff", 2, "expected UTF-8"),
        (["--everyone", "--application", "other", "S", "x"], "", 3, "application"),
        (["--everyone", "--test-to", "me", "S", "x"], "", 2, "e-mail address"),
        (["--everyone", "--wait", "soon", "S", "x"], "", 2, "--wait"),
    ],
    ids=[
        "permission first", "unknown login", "inactive admin", "nobody named", "only unknown names",
        "only a bad address", "no subject", "empty stdin", "blank stdin", "blank text",
        "no words in html", "subject missing", "subject of two lines", "too long", "not text",
        "no such application", "bad test address", "bad wait",
    ],
)  # fmt: skip
def test_a_refusal_names_its_reason_ends_with_its_code_and_stores_nothing(
    staffed, words, stdin, code, said
):
    ended = email(staffed, *words, stdin=stdin)

    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert broadcasts(staffed) == []


def test_every_refusal_has_the_code_that_scripts_know():
    assert {refusal: int(_CODES[refusal]) for refusal in Refusal} == {
        Refusal.PERMISSION: 13,
        Refusal.RECIPIENTS: 12,
        Refusal.SENDER: 13,
        Refusal.SUBJECT: 13,
        Refusal.BODY: 12,
    }


def test_unknown_names_are_told_and_the_others_are_served(staffed):
    ended = email(
        staffed, "--user-name", "nobody", "--group-name", "none", "--user-id", "99",
        "--user-id", "x1", "--group-id", "7", "--extra", "a@b@c", "--user-name", "ann", "S", "x",
    )  # fmt: skip

    assert ended.code == 0
    assert told(staffed) == ["ann"]
    assert [line for line in ended.err.splitlines() if "nknown" in line or "Not a" in line][:5] == [
        "Not a valid user ID: 99",
        "Not a valid user ID: x1",
        "Not a valid group ID: 7",
        "Unknown user: nobody",
        "Unknown group: none",
    ]
    assert "Not a valid address: a@b@c" in ended.err


@pytest.mark.parametrize(
    ("options", "is_warned"),
    [(["--user-name", "ann"], True), (["--group-id", "1"], True), (["--user-name", "xx"], False),
     (["--extra", "x@y.test"], False)],
    ids=["a user", "a group", "nobody known", "an address"],
)  # fmt: skip
def test_everyone_ignores_users_and_groups_and_says_so(staffed, options, is_warned):
    ended = email(staffed, "--everyone", *options, "S", "x")

    assert ended.code == 0
    assert ("Warning: users and groups ignored" in ended.err) is is_warned
    assert {"ann", "ben", "root"} <= set(told(staffed))


def test_who_shares_an_address_with_somebody_is_counted_apart(staffed):
    staffed.run("user", "add", "twin", "-e", "ann@example.org")

    ended = email(staffed, "--user-name", "ann", "--user-name", "twin", "S", "x")

    assert "1 mail, 1 person passed over (1 sharing an address)" in ended.out


def test_an_administrator_may_send_as_himself_and_is_named(staffed):
    assert email(staffed, "--as", "root", "--everyone", "S", "x").code == 0

    assert broadcasts(staffed)[0]["author"] == "root"


def test_uses_and_refusals_are_noted(staffed):
    email(staffed, "--as", "ann", "--everyone", "Secret plans", "x")
    email(staffed, "--as", "root", "--everyone", "S", "x")
    staffed.run("broadcast", "cancel", "1", "--yes")

    noted = staffed.run("admin", "audit", "--json").json
    shown = staffed.run("admin", "audit").out

    assert [(one["login"], one["action"], one["target"], one["outcome"]) for one in noted] == [
        (None, "broadcast cancel", "1", "allowed"),
        ("root", "admin email", "S", "allowed"),
        ("ann", "admin email", "Secret plans", "refused"),
    ]
    assert "refused" in shown


def test_an_audit_without_notes_says_what_will_be_there(staffed):
    assert "envoi admin email" in staffed.run("admin", "audit").err
    assert staffed.run("admin", "audit", "--json").json == []


def test_a_refused_login_costs_no_connection(mail_staffed, relay):
    email(mail_staffed, "--as", "ann", "--everyone", "S", "x")

    mail_staffed.run("work", "--once")

    assert relay.kept == []


def test_a_rehearsal_names_who_gets_nothing_and_stores_nothing(staffed):
    ended = email(staffed, "--everyone", "--dry-run", "S", "x")

    assert ended.code == 0
    assert "mails:         3" in ended.out
    assert "inactive: 2" in ended.out
    assert "dan               is inactive" in ended.out
    assert broadcasts(staffed) == []
    assert staffed.run("admin", "audit", "--json").json == []


def test_a_rehearsal_says_so_when_it_does_not_name_all(staffed, monkeypatch):
    monkeypatch.setattr("envoi.cli.rehearsal.MAX_NAMED", 1)

    assert "and 2 more" in email(staffed, "--everyone", "--dry-run", "S", "x").err


def test_a_test_mail_goes_to_one_address_and_needs_no_others(mail_staffed, relay):
    ended = email(mail_staffed, "--test-to", "me@example.org", "S", "x")
    as_json = email(mail_staffed, "--everyone", "--test-to", "me@example.org", "--json", "S", "x")
    mail_staffed.run("work", "--once")

    assert ended.code == 0
    assert as_json.json == {"event": 2, "to": "me@example.org", "test": True}
    assert [kept.recipient for kept in relay.kept] == ["me@example.org"] * 2
    assert all(b"Subject: [Test] S" in kept.content for kept in relay.kept)
    assert broadcasts(mail_staffed) == []


@pytest.mark.parametrize(
    ("err", "code"),
    [(KeyboardInterrupt(), 130), (DirectoryError("it is down"), 0)],
    ids=["Ctrl-C", "directory down"],
)
def test_a_search_that_ends_early_is_gone_on_with_by_a_worker(
    mail_staffed, relay, monkeypatch, err, code
):
    def broken(self, claim):
        raise err

    with monkeypatch.context() as patched:
        patched.setattr(Broadcasting, "route", broken)
        ended = email(mail_staffed, "--everyone", "S", "x")
    mail_staffed.run("work", "--once")

    assert ended.code == code
    assert "broadcast 1 is stored; a worker finds the rest of its people" in ended.err
    assert len(relay.kept) == 3


def test_a_search_that_a_worker_took_over_is_no_error(staffed, monkeypatch):
    def lost(self, claim):
        raise RefusedError("the lease was lost")

    monkeypatch.setattr(Broadcasting, "route", lost)

    assert email(staffed, "--everyone", "S", "x").code == 0
    assert broadcasts(staffed)[0]["state"] == "finding"


def test_html_is_sent_with_a_plain_part(staffed):
    email(staffed, "--user-name", "ann", "--html", "S", stdin="<p>The <b>wiki</b> moves.</p>")

    shown = staffed.run("outbox", "show", "1", "--json").json
    assert "<p>The <b>wiki</b> moves.</p>" in shown["html"]
    assert shown["text"].startswith("The wiki moves.\n")


def test_json_is_the_report(staffed):
    found = email(staffed, "--everyone", "--json", "S", "x").json

    assert (found["id"], found["state"], found["subject"]) == (1, "held", "S")
    # 3 mails held for want of a relay, 2 inactive, 1 without an address.
    assert (found["audience"], found["held"], found["inactive"]) == (6, 3, 2)
    assert {one["name"] for one in found["skipped_list"]} == {"cleo", "dan", "old"}


def test_nobody_left_is_no_error_but_is_said(staffed):
    ended = email(staffed, "--user-name", "dan", "S", "x")

    assert ended.code == 0
    assert "nobody gets a mail" in ended.out


def test_waiting_in_vain_ends_with_its_own_code_and_cancels_nothing(mail_staffed, relay):
    ended = email(mail_staffed, "--everyone", "--wait", "0.2", "S", "x")
    mail_staffed.run("work", "--once")

    assert ended.code == ExitCode.STILL_GOING
    assert "not over after 0.2 s, and it goes on: sent 0 of 3" in ended.out
    assert "no worker is running" in ended.err
    assert len(relay.kept) == 3


def test_waiting_for_what_is_held_ends_at_once(staffed):
    ended = email(staffed, "--everyone", "--wait", "-1", "S", "x")

    assert ended.code == ExitCode.FAILED
    assert "3 held" in ended.out


@pytest.mark.parametrize(
    ("extra", "code", "said"),
    [
        ("x@example.org", 0, "Successfully sent 2 of 2 emails"),
        ("perm-x@example.org", 1, "1 failed for good: 1 refused by the relay, 0 given up"),
    ],
    ids=["all sent", "one refused"],
)
def test_waiting_to_the_end_ends_well_only_when_nothing_failed(mail_staffed, extra, code, said):
    with mail_staffed.spawn("work") as worker:
        try:
            ended = email(
                mail_staffed, "--user-name", "ann", "--extra", extra, "--wait", "-1", "S", "x"
            )
        finally:
            worker.terminate()

    assert ended.code == code
    assert said in ended.out


def test_waiting_and_json_end_with_the_last_report(mail_staffed):
    with mail_staffed.spawn("work") as worker:
        try:
            ended = email(
                mail_staffed, "--extra", "perm-x@example.org", "--wait", "-1", "--json", "S", "x"
            )
        finally:
            worker.terminate()

    assert ended.code == 1
    found = json.loads(ended.out)
    assert (found["state"], found["refused"]) == ("done", 1)
    assert found["replies"][0]["count"] == 1
    assert found["failed_list"][0]["address"] == "perm-x@example.org"
