"""`envoi prune`, and what the other commands say of what is not there any more."""

import pytest

from envoi.assembly import now_ms
from envoi.cli.exits import ExitCode
from envoi.core.retention import DAY_MS
from envoi.outbox import audit, chore
from envoi.retention import CHORE, LEASE_MS
from tests.outbox.samples import a_delivery, an_event, count, listed, stored


@pytest.fixture
def old(any_home):
    """Return `old(days, state)`: an event that ended so long ago; its id."""

    def make(days, state="sent", **event):
        at_ms = now_ms() - days * DAY_MS
        with any_home.parts() as parts:
            event_id = stored(parts.outbox, [a_delivery()], event=an_event(**event))
            with parts.outbox.transaction() as tx:
                moved = {"at_ms": at_ms, "state": state, "id": event_id}
                tx.execute("UPDATE envoi_event SET stored_at_ms = :at_ms WHERE id = :id", moved)
                tx.execute(
                    """UPDATE envoi_delivery SET state = :state, settled_at_ms = :at_ms
                    WHERE event_id = :id""",
                    moved,
                )
        return event_id

    return make


def removed(ended):
    return {name: ended.json[name] for name in ("contents", "events", "deliveries")}


def left(home):
    with home.parts() as parts:
        return [item.delivery.event_id for item in listed(parts.outbox)]


def test_what_the_settings_do_not_keep_is_removed(any_home, old):
    ids = [old(days) for days in (100, 50, 10)]

    ended = any_home.run("prune", "--json")

    assert ended.code == 0
    assert removed(ended) == {"contents": 2, "events": 1, "deliveries": 1}
    assert left(any_home) == ids[1:]


def test_a_trial_says_the_same_and_removes_nothing(any_home, old):
    ids = [old(days) for days in (100, 50, 10)]

    ended = any_home.run("prune", "--dry-run", "--json")

    assert removed(ended) == {"contents": 2, "events": 1, "deliveries": 1}
    assert left(any_home) == ids
    assert any_home.run("prune", "-n").out.startswith("would remove: the content of 2 events, 1 ")


def test_what_is_kept_for_ever_stays(any_home, old):
    with any_home.config.open("a") as file:
        file.write("[retention]\ncontent_days = 0\nrows_days = 0\n")
    old(3_000)

    assert removed(any_home.run("prune", "--json")) == {"contents": 0, "events": 0, "deliveries": 0}


def test_an_age_and_a_state_may_be_asked_for(any_home, old):
    sent, failed, held = old(8), old(8, "failed"), old(8, "held")
    fresh = old(1)

    ended = any_home.run("prune", "--older-than", "7d", "--state", "sent", "--yes", "--json")
    assert removed(ended) == {"contents": 1, "events": 1, "deliveries": 1}
    assert sorted(left(any_home)) == sorted([failed, held, fresh])
    assert sent not in left(any_home)

    any_home.run("prune", "--older-than", "7d", "--yes")
    assert sorted(left(any_home)) == sorted([held, fresh])


def test_only_the_content_may_be_asked_for(any_home, old):
    event_id = old(8)

    ended = any_home.run("prune", "--older-than", "7d", "--content", "--yes", "--json")

    assert removed(ended) == {"contents": 1, "events": 0, "deliveries": 0}
    assert left(any_home) == [event_id]


def test_an_age_of_one_s_own_is_asked_for_twice_and_noted(any_home, old):
    event_id = old(8)

    refused = any_home.run("prune", "--older-than", "7d")
    assert refused.code == ExitCode.USAGE
    assert "--yes" in refused.err
    assert left(any_home) == [event_id]

    any_home.run("prune", "--older-than", "7d", "--yes")
    with any_home.parts() as parts, parts.outbox.reading() as tx:
        [note] = audit.notes(tx)
    assert (note.action, note.target[:24]) == ("prune", "Remove every event that ")


@pytest.mark.parametrize("state", ["queued", "held", "uncertain", "sending"])
def test_what_is_not_at_its_end_cannot_be_asked_for(any_home, state):
    ended = any_home.run("prune", "--older-than", "7d", "--state", state, "--yes")

    assert ended.code == ExitCode.USAGE
    assert f"got {state}: what is not at its end is never removed" in ended.err


def test_a_state_that_does_not_exist_is_told_with_those_that_may_be_asked_for(any_home):
    ended = any_home.run("prune", "--state", "bogus")

    assert ended.code == ExitCode.USAGE
    assert ended.err.splitlines()[0] == (
        "error: --state: expected one of sent, failed, suppressed, cancelled, expired, got bogus"
    )


def test_two_do_not_remove_at_once(any_home, old):
    old(100)
    with any_home.parts() as parts, parts.outbox.transaction() as tx:
        chore.claim(tx, CHORE, now_ms(), LEASE_MS)

    ended = any_home.run("prune")

    assert ended.code == ExitCode.FAILED
    assert "a worker removes what is old at this moment" in ended.err
    assert any_home.run("prune", "--dry-run").code == 0


def test_a_round_by_hand_leaves_the_next_one_free(any_home, old):
    any_home.run("prune")
    old(100)

    assert removed(any_home.run("prune", "--json"))["events"] == 1


def test_notes_incidents_and_servers_go_by_their_own_age(any_home):
    at_ms = now_ms() - 400 * DAY_MS
    with any_home.parts() as parts, parts.outbox.transaction() as tx:
        for age, standing in ((at_ms, "open"), (at_ms, "muted"), (now_ms(), "open")):
            tx.execute("INSERT INTO envoi_audit (at_ms) VALUES (:at_ms)", {"at_ms": age})
            tx.execute(
                """INSERT INTO envoi_incident (application, fingerprint, standing, last_at_ms)
                VALUES ('main', :name, :standing, :at_ms)""",
                {"name": f"{standing}{age}", "standing": standing, "at_ms": age},
            )
            tx.execute(
                """INSERT INTO envoi_server (application, name, seen_at_ms)
                VALUES ('main', :name, :at_ms)""",
                {"name": f"{standing}{age}", "at_ms": age},
            )

    ended = any_home.run("prune", "--json")

    told = [ended.json[name] for name in ("notes_of_use", "incidents", "servers")]
    assert told == [2, 1, 2]
    with any_home.parts() as parts:
        tables = ("envoi_audit", "envoi_incident", "envoi_server")
        assert [count(parts.outbox, table) for table in tables] == [1, 2, 1]


@pytest.fixture
def emptied(any_home, old):
    """Id of a delivery that failed, and whose content is gone."""
    old(50, "failed", key="comment-4711")
    any_home.run("prune")
    with any_home.parts() as parts:
        return str(listed(parts.outbox)[0].delivery.id)


GONE = "its content was removed on "


def test_lists_and_a_delivery_say_that_its_content_is_gone(any_home, emptied):
    assert "(removed)" in any_home.run("outbox", "list").out
    shown = any_home.run("outbox", "show", emptied)
    assert GONE in shown.out + shown.err
    assert any_home.run("outbox", "show", emptied, "--json").json["content_removed_at_ms"] > 0


def test_content_that_was_removed_by_hand_is_not_put_down_to_the_settings_alone(any_home, old):
    old(8, key="comment-1")
    any_home.run("prune", "--content", "--older-than", "7d", "--yes")

    shown = any_home.run("outbox", "show", "1", "--raw")

    assert shown.err.rstrip().endswith("(retention.content_days or envoi prune)")
    assert (
        "(retention.content_days or envoi prune), its" in any_home.run("explain", "comment-1").err
    )


def test_what_is_gone_is_not_shown_raw(any_home, emptied):
    ended = any_home.run("outbox", "show", emptied, "--raw")

    assert ended.code == ExitCode.FAILED
    assert GONE in ended.err
    assert not ended.out


@pytest.mark.parametrize("words", [("ID",), ("--all", "--state", "failed", "--yes")])
def test_what_is_gone_cannot_be_sent_again(any_home, emptied, words):
    ended = any_home.run(
        "outbox", "retry", *(emptied if word == "ID" else word for word in words), "--json"
    )

    [answer] = ended.json["deliveries"]
    assert ended.code == ExitCode.FAILED
    assert answer["refused_because"].startswith(GONE)
    assert answer["after"] == "failed"


def test_an_event_explains_that_its_content_is_gone(any_home, emptied):
    ended = any_home.run("explain", "comment-4711")

    assert GONE in ended.err
    assert "bob@example.org" in ended.out
    assert any_home.run("explain", "comment-4711", "--json").json["event"]["facts"] == {}


@pytest.mark.parametrize(
    "words", [("explain", "comment-1"), ("outbox", "show", "1")], ids=["event", "delivery"]
)
def test_what_was_removed_is_not_found_and_the_reason_is_told(any_home, old, words):
    before = any_home.run(*words)
    assert "removed" not in before.err

    old(100, key="comment-1")
    any_home.run("prune")

    ended = any_home.run(*words)
    assert ended.code == ExitCode.NOT_FOUND
    assert "; what ended before 20" in ended.err
    assert "may have been removed (retention.rows_days, envoi prune)" in ended.err
