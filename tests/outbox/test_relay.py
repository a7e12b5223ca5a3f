"""What workers share: who is alive, which relay is paused, and the switches."""

from dataclasses import replace

import pytest

from envoi.outbox import relay, switches
from envoi.outbox.switches import Switch
from tests.outbox.samples import MINUTE, NOW


def beat(outbox, name, now_ms=NOW, transport="default"):
    return outbox.heartbeat(name, transport, now_ms, MINUTE)


def forget_time(outbox, name):
    """Make a worker's last heartbeat older than a lease, by the clock that counts."""
    with outbox.transaction() as tx:
        statement = "UPDATE envoi_worker SET seen_at_ms = seen_at_ms - :ms WHERE id = :id"
        tx.execute(statement, {"ms": MINUTE + 5_000, "id": name})


def test_live_workers_know_one_another_in_one_order(outbox):
    beat(outbox, "a")
    beat(outbox, "c", transport="bulk")
    beat(outbox, "b")

    assert set(beat(outbox, "a")) == {"a", "b"}
    assert beat(outbox, "a") == beat(outbox, "b")
    with outbox.reading() as tx:
        shown = {worker.name: worker for worker in relay.workers(tx)}
    assert set(shown) == {"a", "b", "c"}
    assert shown["c"].transport == "bulk"
    assert shown["a"].pid > 0
    assert shown["a"].host


def test_a_worker_that_was_not_seen_for_a_lease_is_dead(outbox):
    beat(outbox, "dead")
    forget_time(outbox, "dead")

    assert beat(outbox, "b") == ("b",)


def test_a_worker_that_signs_off_is_gone_at_once(outbox):
    beat(outbox, "a")
    beat(outbox, "b")

    outbox.sign_off("a")

    assert beat(outbox, "b") == ("b",)


def test_mail_is_captured_while_a_live_worker_captures(outbox):
    def is_captured():
        with outbox.reading() as tx:
            return outbox.is_captured(tx, NOW)

    beat(outbox, "a")
    assert not is_captured()
    beat(outbox, "c", transport=relay.CAPTURE)
    assert is_captured()
    forget_time(outbox, "c")
    assert not is_captured()


def paused(name, since_ms, until_ms):
    return relay.Pause(
        relay=name, because="refused", advice="", down_since_ms=since_ms, paused_until_ms=until_ms
    )


def test_one_worker_tells_of_an_outage_and_one_of_its_end(outbox):
    first = relay.Pause(
        relay="smtp", because="connection refused", advice="start it",
        down_since_ms=NOW, paused_until_ms=NOW + 10,
    )  # fmt: skip
    later: dict = {"because": "535 no", "paused_until_ms": NOW + 20, "needs_operator": True}

    assert outbox.relay_down(first)
    assert not outbox.relay_down(replace(first, down_since_ms=NOW + 5, **later))
    with outbox.reading() as tx:
        assert list(relay.relays_down(tx)) == [replace(first, **later)]

    assert outbox.relay_back("smtp")
    assert not outbox.relay_back("smtp")


def test_a_paused_relay_is_tried_by_one_worker_per_interval(outbox):
    outbox.relay_down(paused("smtp", NOW, NOW + 10))

    assert [outbox.may_try("smtp", NOW + 9, 50), outbox.may_try("smtp", NOW + 10, 50)] == [
        False,
        True,
    ]
    assert not outbox.may_try("smtp", NOW + 59, 50)
    assert outbox.may_try("smtp", NOW + 60, 50)


def test_a_relay_that_is_well_may_be_tried(outbox):
    assert outbox.may_try("smtp", NOW, 50)


@pytest.fixture
def change(outbox):
    def set_to(name, value, **how):
        with outbox.transaction() as tx:
            switches.set_switch(tx, Switch(name=name, value=value, **how))

    return set_to


def seen(outbox):
    with outbox.reading() as tx:
        return outbox.switches_version(tx), outbox.switches(tx)


def test_every_change_of_a_switch_counts_the_version_up(outbox, change):
    assert seen(outbox) == (1, {})

    change("sender.x", "off", changed_at_ms=NOW, changed_by="ann")
    change("sender.x", "on")
    change("sender.y", "off")

    assert seen(outbox) == (4, {"sender.x": "on", "sender.y": "off"})


def test_a_removed_switch_lets_the_file_decide_again(outbox, change):
    change("sender.x", "off", changed_at_ms=NOW, changed_by="ann")
    with outbox.transaction() as tx:
        [switch] = switches.switch_list(tx)
        assert switch == Switch(name="sender.x", value="off", changed_at_ms=NOW, changed_by="ann")
        assert switches.clear_switch(tx, "sender.x")
        assert not switches.clear_switch(tx, "sender.x")

    assert seen(outbox) == (3, {})


def test_a_lost_version_reads_as_none(outbox):
    with outbox.transaction() as tx:
        tx.execute("DELETE FROM envoi_meta WHERE name = 'version'", {})

    assert seen(outbox) == (0, {})
