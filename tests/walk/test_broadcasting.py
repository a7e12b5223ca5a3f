"""A broadcast's walk: rehearsed, stored, found in steps, resumed by a worker, and frozen."""

from dataclasses import replace

import pytest

from envoi import broadcasting
from envoi.broadcasting import Broadcasting
from envoi.core.broadcast import Broadcast
from envoi.core.delivery import State
from envoi.core.people import Address
from envoi.core.routing import Selector
from envoi.directory.groups import add_group, add_members
from envoi.directory.people import change_user, remove_user
from envoi.directory.records import UserChange, UserDraft
from envoi.errors import RefusedError
from envoi.outbox import broadcast_report, broadcasts
from envoi.outbox.broadcasts import Order
from envoi.outbox.filters import Page, Query
from envoi.outbox.find import deliveries, message
from tests.kallithea.schema import KallitheaUser, make_kallithea_db
from tests.walk.people import add_users

EVERYONE = Selector.parse("everyone")
TYPED = Broadcast(subject="Sunday", body="The wiki moves.\n", recipients=(EVERYONE,))
TELLABLE = ["ann", "bob", "eva", "root"]


@pytest.fixture
def peopled(mailer, monkeypatch):
    """A mailer whose directory holds the usual six; people are found two at a time."""
    monkeypatch.setattr(broadcasting, "CHUNK_PEOPLE", 2)
    add_users(mailer)
    return mailer


def stored(mailer, typed=TYPED):
    """Store a broadcast and find all its people; its id."""
    claim = Broadcasting(mailer.parts).store(typed, "ops")
    finish(Broadcasting(mailer.parts).route(claim))
    return claim.event_id


def finish(steps):
    for _ in steps:
        pass


def told(mailer, event_id):
    """Addresses that a broadcast mails, without the domain."""
    with mailer.parts.outbox.reading() as tx:
        found = deliveries(tx, Query(event_id=event_id), Page(limit=1_000))
    return sorted(one.delivery.address.local for one in found)


def report_of(mailer, event_id):
    with mailer.parts.outbox.reading() as tx:
        return broadcast_report.report(tx, broadcasts.find(tx, event_id))


def deliver(mailer):
    worker = mailer.make_worker()
    worker.run_until_idle()
    worker.drain()


def add(mailer, *logins):
    add_users(mailer, *(
        UserDraft(login=login, addresses=(f"{login}@example.test",)) for login in logins
    ))  # fmt: skip


def test_everybody_active_is_told_and_the_others_are_passed_over_by_name(peopled):
    event_id = stored(peopled)

    report = report_of(peopled, event_id)
    assert told(peopled, event_id) == TELLABLE
    assert (report.inactive, report.no_address, report.audience) == (1, 1, 6)


def test_inactive_people_are_told_where_that_is_asked_for(peopled):
    event_id = stored(peopled, replace(TYPED, tells_inactive=True))

    assert told(peopled, event_id) == ["ann", "bob", "dan", "eva", "root"]


def test_an_inactive_person_is_not_told_because_a_group_was_named_too(peopled):
    with peopled.parts.outbox.transaction() as tx:
        add_group(tx, "main", "staff")
        add_members(tx, "main", "staff", ["ann", "dan"])
    both = (Selector.parse("group:staff"), Selector.parse("user:dan"))

    event_id = stored(peopled, replace(TYPED, recipients=both))

    assert told(peopled, event_id) == ["ann"]
    assert report_of(peopled, event_id).inactive == 1


def test_accounts_that_share_an_address_get_one_mail_also_across_steps(peopled):
    twin = UserDraft(login="twin", addresses=("ann@example.test",))
    add_users(peopled, twin)

    event_id = stored(peopled)

    assert told(peopled, event_id) == TELLABLE
    assert report_of(peopled, event_id).folded == 1


@pytest.mark.parametrize(
    "typed",
    [
        TYPED,
        replace(TYPED, tells_inactive=True),
        replace(TYPED, recipients=(Selector.parse("user:dan"), Selector.parse("x@y.test"))),
        replace(TYPED, recipients=(EVERYONE, Selector.parse("ann@example.test"))),
    ],
    ids=["everyone", "inactive too", "named", "named twice"],
)
def test_a_rehearsal_tells_exactly_what_is_then_done(peopled, typed):
    add_users(peopled, UserDraft(login="twin", addresses=("ann@example.test",)))
    rehearsed = Broadcasting(peopled.parts).rehearse(typed)

    event_id = stored(peopled, typed)

    with peopled.parts.outbox.reading() as tx:
        kept = broadcasts.find(tx, event_id)
        passed_over = broadcast_report.skipped(tx, kept, 100)
    assert sorted(one.address.local for one in rehearsed.recipients) == told(peopled, event_id)
    assert [(one.person.label, str(one.because)) for one in rehearsed.skipped] == [
        (one.name, one.because) for one in passed_over
    ]


def test_a_rehearsal_stores_nothing(peopled):
    Broadcasting(peopled.parts).rehearse(TYPED)

    with peopled.parts.outbox.reading() as tx:
        assert broadcasts.listed(tx) == []
        assert deliveries(tx, Query()) == ()


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_worker_goes_on_where_the_storer_died(peopled, faulty_relay, steps):
    claim = Broadcasting(peopled.parts).store(TYPED, "ops")
    found = Broadcasting(peopled.parts).route(claim)
    for _ in range(steps):
        next(found)
    # Who comes now is not reached, whoever finds the rest.
    add(peopled, "late")
    Broadcasting(peopled.parts).give_back(claim)

    deliver(peopled)

    assert sorted(kept.recipient for kept in faulty_relay.kept) == [
        f"{login}@example.test" for login in TELLABLE
    ]


def test_whoever_is_named_by_no_selector_when_he_comes_is_not_reached(peopled):
    """A directory without anybody has an end as well."""
    with peopled.parts.outbox.transaction() as tx:
        for login in ("ann", "bob", "cat", "dan", "eva", "root"):
            remove_user(tx, "main", login)
    claim = Broadcasting(peopled.parts).store(TYPED, "ops")
    add(peopled, "late", "later", "latest")

    finish(Broadcasting(peopled.parts).route(claim))

    assert told(peopled, claim.event_id) == []


def test_a_person_is_mailed_where_he_is_when_his_step_comes(peopled):
    claim = Broadcasting(peopled.parts).store(TYPED, "ops")
    steps = Broadcasting(peopled.parts).route(claim)
    next(steps)
    with peopled.parts.outbox.transaction() as tx:
        change_user(tx, "main", "eva", UserChange(addresses=("new@example.test",)))
        remove_user(tx, "main", "root")

    finish(steps)

    assert told(peopled, claim.event_id) == ["ann", "bob", "new"]


def test_who_lost_the_search_to_another_adds_nobody(peopled):
    claim = Broadcasting(peopled.parts).store(TYPED, "ops")
    steps = Broadcasting(peopled.parts).route(claim)
    next(steps)
    Broadcasting(peopled.parts).give_back(claim)
    heir = peopled.parts.outbox.claim_event(peopled.parts.clock() + 1, 60_000)

    with pytest.raises(RefusedError, match="lease was lost"):
        finish(steps)
    finish(Broadcasting(peopled.parts).route(heir))

    assert told(peopled, claim.event_id) == TELLABLE


def test_the_mail_says_whose_announcement_it_is_and_why_it_came(peopled, faulty_relay):
    stored(peopled, replace(TYPED, recipients=(Selector.parse("user:ann"),)))
    deliver(peopled)

    (mail,) = faulty_relay.kept
    text = mail.content.decode()
    assert "\r\n\r\nThe wiki moves.\r\n-- \r\n" in text
    assert "This is an announcement by the administrators." in text
    assert "your account ann is on the list of recipients" in text
    assert "X-Envoi-Notification-Type: broadcast" in text


def test_html_words_go_out_with_a_plain_part_and_the_block_in_both(peopled, faulty_relay):
    html = "<p>The <b>wiki</b> moves.</p>"
    stored(peopled, replace(TYPED, body=html, is_html=True, recipients=(EVERYONE,)))
    deliver(peopled)

    text = faulty_relay.kept[0].content.decode()
    assert "multipart/alternative" in text
    assert "The wiki moves." in text
    assert text.count("This is an announcement by the administrators.") == 2


def test_without_a_relay_it_is_held_and_goes_on_once_there_is_one(make_mailer, faulty_relay):
    without = make_mailer()
    add_users(without)
    event_id = stored(without)
    held = report_of(without, event_id).held

    with pytest.raises(RefusedError, match=r"smtp\.host is not set"):
        Broadcasting(without.parts).order(event_id, Order.GOING, "ops")
    mailer = make_mailer(smtp={"host": "127.0.0.1", "port": faulty_relay.port})
    Broadcasting(mailer.parts).order(event_id, Order.GOING, "ops")
    Broadcasting(mailer.parts).sweep(event_id)
    deliver(mailer)

    assert held == 4
    assert report_of(mailer, event_id).sent == 4


def test_an_order_that_changes_nothing_is_refused_with_the_reason(peopled):
    us = Broadcasting(peopled.parts)
    event_id = stored(peopled)

    with pytest.raises(RefusedError, match="it is not paused"):
        us.order(event_id, Order.GOING, "ops")
    us.order(event_id, Order.PAUSED, "ops")
    with pytest.raises(RefusedError, match="it is paused already"):
        us.order(event_id, Order.PAUSED, "ops")
    us.sweep(event_id)
    us.order(event_id, Order.GOING, "ops")
    us.sweep(event_id)
    deliver(peopled)
    with pytest.raises(RefusedError, match="nothing of it is left"):
        us.order(event_id, Order.CANCELLED, "ops")


@pytest.mark.parametrize(
    ("wanted", "expected"), [(Order.PAUSED, State.HELD), (Order.CANCELLED, State.CANCELLED)]
)
def test_a_worker_carries_out_an_order_whose_giver_died(peopled, faulty_relay, wanted, expected):
    event_id = stored(peopled)
    Broadcasting(peopled.parts).order(event_id, wanted, "ops")

    deliver(peopled)

    with peopled.parts.outbox.reading() as tx:
        found = {one.delivery.state for one in deliveries(tx, Query(event_id=event_id))}
        assert broadcasts.unswept(tx) == 0
    assert found == {expected}
    assert faulty_relay.kept == []


def test_a_worker_sweeps_one_after_the_other_some_steps_at_a_look(peopled, monkeypatch):
    monkeypatch.setattr(broadcasting, "STEPS_PER_LOOK", 1)
    monkeypatch.setattr(broadcasts, "BATCH_ROWS", 3)
    us = Broadcasting(peopled.parts)
    ids = [stored(peopled), stored(peopled)]
    for event_id in ids:
        us.order(event_id, Order.CANCELLED, "ops")
    sweeper = us.sweeper()

    left = []
    for _ in range(5):
        sweeper.look()
        with peopled.parts.outbox.reading() as tx:
            left.append(broadcasts.unswept(tx))

    # Four people are two steps, so two looks for each; the fifth finds nothing.
    assert left == [ids[0], ids[1], ids[1], 0, 0]


def test_a_test_mail_goes_to_one_address_alone_and_says_what_it_is(peopled, faulty_relay):
    event_id = Broadcasting(peopled.parts).store_test(TYPED, Address("me", "x.test"), "ops")
    deliver(peopled)

    with peopled.parts.outbox.reading() as tx:
        (one,) = deliveries(tx, Query(event_id=event_id))
        assert message(tx, one.delivery.message_id).subject == "[Test] Sunday"
        assert broadcasts.listed(tx) == []
    assert [kept.recipient for kept in faulty_relay.kept] == ["me@x.test"]


def test_the_users_of_a_kallithea_are_told_too(make_mailer, tmp_path):
    url = f"sqlite:///{tmp_path / 'kallithea.db'}"
    make_kallithea_db(url, [KallitheaUser("kim", "kim@example.test")])
    mailer = make_mailer(directory={"kind": "kallithea", "url": url})

    event_id = stored(mailer)

    # The row that stands for whoever is not signed in is nobody.
    assert told(mailer, event_id) == ["kim"]
