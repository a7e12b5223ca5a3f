"""`envoi outbox`, `explain` and `senders`: looking, and deciding by hand."""

import json

import pytest

from envoi.core.delivery import State

USERS = """\
login,email,active
ann,ann@example.org,yes
ben,ben@example.org,yes
cleo,,yes
dan,dan@example.org,no
"""


def send(home, *addresses: str) -> None:
    mails = [{"to": address, "subject": f"To {address}", "text": "Hello"} for address in addresses]
    home.run("send", "--jsonl", "-", stdin="\n".join(json.dumps(mail) for mail in mails))


def states(home) -> list[str]:
    return [one["state"] for one in reversed(home.run("outbox", "list", "--json").json)]


def test_a_list_is_one_object_per_delivery(any_home):
    send(any_home, "ann@example.org")

    (listed,) = any_home.run("outbox", "list", "--json").json

    assert listed["message"] == {"id": 1, "kind": "message", "subject": "To ann@example.org"}
    assert listed["recipient"]["address"] == "ann@example.org"
    assert listed["state"] == "held"
    assert listed["attempts"] == 0
    assert listed["last_reply"] is None
    assert listed["created_at"].startswith("20")
    assert isinstance(listed["created_at_ms"], int)


def test_held_mail_says_why_and_keeps_its_moment(any_home):
    send(any_home, "ann@example.org")
    before = any_home.run("outbox", "show", "1", "--json").json
    any_home.run("outbox", "release", "1")
    released = any_home.run("outbox", "show", "1", "--json").json
    any_home.run("outbox", "hold", "1")

    after = any_home.run("outbox", "show", "1").out

    assert before["held_because"] == "no relay was configured when it was stored"
    assert (released["held_because"], released["settled_at_ms"]) == (None, None)
    assert released["created_at_ms"] == before["created_at_ms"]
    assert "state:         held: by hand" in after


def test_lists_are_filtered_and_paged(home):
    send(home, "a@example.org", "b@example.org", "c@example.org")
    home.run("outbox", "cancel", "2")

    def ids(*words: str) -> list[int]:
        return [one["id"] for one in home.run("outbox", "list", "--json", *words).json]

    assert ids() == [3, 2, 1]
    assert ids("--state", "cancelled") == [2]
    assert ids("--state", "cancelled", "-s", "held") == [3, 2, 1]
    assert ids("--to", "a@EXAMPLE.org") == [1]
    assert ids("--event", "2") == [2]
    assert ids("--kind", "pull_request") == []
    assert ids("--application", "main") == [3, 2, 1]
    assert ids("--transport", "other") == []
    assert ids("--since", "1h") == [3, 2, 1]
    assert ids("--since", "2999-01-01") == []
    assert ids("--limit", "1", "--before", "3") == [2]


def test_no_deliveries_yet_says_what_to_try(home):
    first = home.run("outbox", "list")
    narrow = home.run("outbox", "list", "--state", "failed")

    assert "no deliveries yet: try `envoi send-test`" in first.err
    assert "no delivery is like that" in narrow.err


def test_verbs_move_deliveries_and_say_what_happened_to_each(any_home):
    send(any_home, "a@example.org", "b@example.org")

    released = any_home.run("outbox", "release", "1", "2")
    held = any_home.run("outbox", "hold", "1")
    cancelled = any_home.run("outbox", "cancel", "2", "--json")
    retried = any_home.run("outbox", "retry", "2")

    assert released.out == "1: held -> queued\n2: held -> queued\n"
    assert held.out == "1: queued -> held\n"
    assert cancelled.json["deliveries"] == [
        {"id": 2, "before": "queued", "after": "cancelled", "refused_because": None}
    ]
    assert retried.out == "2: cancelled -> queued\n"
    assert states(any_home) == ["held", "queued"]


def test_a_refusal_has_its_reason_and_ends_with_1(home):
    send(home, "a@example.org", "b@example.org")
    home.run("outbox", "cancel", "1")

    ended = home.run("outbox", "cancel", "1", "2")

    assert ended.code == 1
    assert ended.out.splitlines() == [
        "1: refused: it is cancelled; cancel is possible from queued, uncertain, held",
        "2: held -> cancelled",
    ]


def test_an_id_that_is_not_there_ends_with_3(home):
    send(home, "a@example.org")

    ended = home.run("outbox", "hold", "99")

    assert (ended.code, ended.out) == (3, "99: refused: there is no such delivery\n")


def test_all_with_conditions_asks_before_it_acts(home):
    send(home, "a@example.org", "b@example.org", "c@example.org")
    home.run("outbox", "cancel", "1")

    asked = home.run("outbox", "cancel", "--all", "--to", "b@example.org")
    done = home.run("outbox", "cancel", "--all", "--to", "b@example.org", "--yes")
    rest = home.run("outbox", "cancel", "--all", "-y", "--json")

    assert asked.code == 2
    assert "Cancel 1 delivery? Without a terminal nobody can be asked: add --yes" in asked.err
    assert done.out == "2: held -> cancelled\n"
    assert [one["id"] for one in rest.json["deliveries"]] == [3]


def test_what_was_taken_back_is_retried_only_when_asked_for_by_name(home):
    send(home, "a@example.org")
    home.run("outbox", "cancel", "1")

    all_there_is = home.run("outbox", "retry", "--all", "--yes")
    named = home.run("outbox", "retry", "--all", "--state", "cancelled", "--yes")

    assert all_there_is.out == ""
    assert named.out == "1: cancelled -> queued\n"


def test_a_key_that_is_a_long_number_is_explained(any_home):
    key = "20261120153000000000001"
    any_home.run("notify", "server_down", "--key", key)

    ended = any_home.run("explain", key, "--json")

    assert (ended.code, ended.json["event"]["key"]) == (0, key)


def test_all_of_nothing_changes_nothing_and_is_no_error(home):
    ended = home.run("outbox", "release", "--all")

    assert (ended.code, ended.out) == (0, "")
    assert "0 changed, 0 refused" in ended.err


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["cancel"], 2, "expected ids, or --all"),
        (["cancel", "--state", "held"], 2, "expected ids, or --all"),
        (["cancel", "1", "--all"], 2, "got both"),
        (["cancel", "1", "--state", "held"], 2, "got both"),
        (["release", "--all", "--state", "sent"], 2, "--state: expected one of held"),
        (["list", "--since", "yesterday"], 2, "--since: expected 90s, 30m, 2h, 7d"),
        (["show", "99"], 3, "delivery 99: expected a row of the outbox, found none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_about_the_outbox(home, words, code, part):
    send(home, "a@example.org")

    ended = home.run("outbox", *words)

    assert (ended.code, ended.out) == (code, "")
    assert part in ended.err
    assert states(home) == ["held"]


def test_a_verb_names_the_worker_that_is_missing(mail_home):
    send(mail_home, "a@example.org")
    mail_home.run("outbox", "hold", "1")

    ended = mail_home.run("outbox", "release", "1")

    assert "no worker is running" in ended.err


def test_what_is_released_without_a_relay_is_told_to_wait(home):
    send(home, "a@example.org")

    ended = home.run("outbox", "release", "1")

    assert "note: smtp.host is not set, so mail waits until that changes" in ended.err


def test_statistics_add_up(any_home):
    send(any_home, "a@example.org", "b@example.org", "c@example.org")
    any_home.run("outbox", "cancel", "1")

    counted = any_home.run("outbox", "stats", "--json").json
    shown = any_home.run("outbox", "stats").out

    assert set(counted["deliveries"]) == {state.value for state in State}
    assert counted["total"] == sum(counted["deliveries"].values()) == 3
    assert counted["transports"] == {"default": {"held": 2, "cancelled": 1}}
    assert (counted["events"], counted["workers"], counted["relays_down"]) == (3, [], [])
    assert "workers:       none: start `envoi run`" in shown


def test_statistics_tell_of_a_relay_in_trouble(mail_home, relay):
    relay.stop()
    send(mail_home, "a@example.org")
    mail_home.run("work", "--once")

    counted = mail_home.run("outbox", "stats", "--json").json
    shown = mail_home.run("outbox", "stats")

    assert counted["relays_down"][0]["relay"] == "default"
    assert counted["oldest_due_ms"]
    assert "relay default cannot be used since 20" in shown.err
    assert "connection refused" in shown.err


def test_an_event_is_explained_person_by_person(any_home):
    any_home.run("user", "import", "-", stdin=USERS)
    sample = any_home.run("kinds", "show", "pull_request", "--sample").out
    event = json.loads(sample) | {
        "actor": "ann", "people": {"reviewers": ["ann", "ben", "cleo", "dan", "nobody"]},
        "key": "pr-7", "subject": "docs/pull/7",
    }  # fmt: skip
    any_home.run("notify", "pull_request", "-d", "-", stdin=json.dumps(event))

    explained = any_home.run("explain", "pr-7", "--json").json
    shown = any_home.run("explain", "1").out

    because = {
        one["name"] or one["address"]: (one["is_chosen"], one["because"])
        for one in explained["decisions"]
    }
    assert because["ann"] == (False, "did it and is not told of it")
    assert because["cleo"] == (False, "has no address")
    assert because["dan"] == (False, "is inactive")
    assert because["nobody"] == (False, "is not in the directory")
    chosen = [one for one in explained["decisions"] if one["is_chosen"]]
    assert [(one["address"], one["because"], one["state"]) for one in chosen] == [
        ("ben@example.org", "is named by the event as reviewers", "held")
    ]
    assert "docs/pull/7" in shown
    assert "skipped" in shown


def test_a_person_is_explained_by_login_and_by_address(home):
    home.run("user", "import", "-", stdin=USERS)
    for key, reviewer in (("a", "ben"), ("b", "dan")):
        sample = json.loads(home.run("kinds", "show", "pull_request", "--sample").out)
        sample |= {"key": key, "people": {"reviewers": [reviewer]}}
        home.run("notify", "pull_request", "-d", "-", stdin=json.dumps(sample))

    by_login = home.run("explain", "ben", "--json").json["decisions"]
    by_address = home.run("explain", "ben@example.org", "--json").json["decisions"]
    skipped = home.run("explain", "dan").out

    assert by_login == by_address
    assert [one["event"] for one in by_login] == [1]
    assert "is inactive" in skipped


def test_an_address_of_several_users_is_explained_as_an_address(home):
    home.run("user", "import", "-", stdin="login,email\nann,t@example.org\nben,t@example.org\n")
    send(home, "t@example.org")

    ended = home.run("explain", "t@EXAMPLE.org", "--json")

    assert [one["address"] for one in ended.json["decisions"]] == ["t@example.org"]


def test_what_nobody_knows_cannot_be_explained(home):
    ended = home.run("explain", "nobody")

    assert ended.code == 3
    assert "'nobody': no event, and no decision about anybody called so" in ended.err


def test_an_event_that_nobody_listens_to_says_so(home):
    home.run("senders", "off", "registration")
    sample = home.run("kinds", "show", "registration", "--sample").out
    home.run("notify", "registration", "-d", "-", stdin=sample)

    ended = home.run("explain", "1")

    assert "no sender that is on speaks for it" in ended.err


def test_a_switch_wins_over_the_file_and_says_who_and_when(any_home, monkeypatch):
    monkeypatch.setenv("LOGNAME", "olga")

    off = any_home.run("senders", "off", "registration")
    listed = any_home.run("senders", "list").out
    form = any_home.run("senders", "show", "registration", "--json").json
    on = any_home.run("senders", "on", "server_up")
    reset = any_home.run("senders", "reset", "registration")

    assert off.out == "off registration, by olga\n"
    assert "switched off by olga at 20" in listed
    assert (form["is_on"], form["file_says"]) == (False, "on")
    assert on.out == "on server_up, by olga\n"
    assert reset.out == "on registration: the file decides\n"
    assert any_home.run("senders", "reset", "registration").out.endswith("already\n")


@pytest.mark.parametrize("verb", ["show", "on", "off", "reset"])
def test_a_sender_that_is_not_there(home, verb):
    ended = home.run("senders", verb, "registratoin")

    assert (ended.code, ended.out) == (3, "")
    assert "did you mean registration?" in ended.err


def test_a_sender_of_the_file_is_listed_and_shown(home):
    home.set(outbox={"url": "sqlite:///envoi.db"}, senders__ops={
        "kind": "server_down", "recipients": ["ops@example.org"], "tells_actor": True,
    })  # fmt: skip

    shown = home.run("senders", "show", "ops")

    assert "address:ops@example.org" in shown.out
    assert "is told" in shown.out


def test_a_sender_that_does_not_fit_is_named_and_left_out(home):
    home.set(outbox={"url": "sqlite:///envoi.db"}, senders__ops={"kind": "sevrer_down"})

    listed = home.run("senders", "list")
    as_json = home.run("senders", "list", "--json")

    assert (listed.code, as_json.code) == (1, 1)
    assert "left out: senders.ops.kind" in listed.err
    assert as_json.json["problems"][0]["where"] == "senders.ops.kind"


def test_an_address_typed_in_capitals_finds_the_one_in_small_letters(any_home):
    any_home.run("send", "--to", "ann@example.org", "-s", "x", "y")
    any_home.run("send", "--to", "Ben@example.org", "-s", "x", "y")

    listed = {
        typed: [
            one["recipient"]["address"]
            for one in any_home.run("outbox", "list", "--to", typed, "--json").json
        ]
        for typed in ("ANN@Example.ORG", "ann@example.org", "Ben@example.org")
    }
    explained = any_home.run("explain", "ANN@example.org")

    assert listed == {
        "ANN@Example.ORG": ["ann@example.org"],
        "ann@example.org": ["ann@example.org"],
        "Ben@example.org": ["Ben@example.org"],
    }
    assert explained.code == 0
    assert "ann@example.org" in explained.out


def test_hold_all_holds_events_without_recipients_too_until_they_are_let_go(home):
    home.run("user", "import", "-", stdin=USERS)
    event = {"people": {"user": ["ann"]}, "facts": {"reset_url": "/r"}}
    home.run("notify", "password_reset", "--data", "-", stdin=json.dumps(event))

    held = home.run("outbox", "hold-all", "--yes", "--json").json
    home.run("work", "--once")

    assert held == {"deliveries": 0, "in_doubt": 0, "events": 1}
    assert home.run("outbox", "stats", "--json").json["events_to_route"] == 1
    assert "held by hand" in home.run("explain", "1").err
    assert home.run("outbox", "release", "--all", "--yes", "--json").json["events"] == 1
    home.run("work", "--once")
    assert home.run("outbox", "stats", "--json").json["events_to_route"] == 0
