"""Step 8: what is handed in is stored once, whole, and comes back as it was."""

# ruff: noqa: PT012 # the block of a transaction is what raises

import threading
from dataclasses import replace

import pytest

from envoi.core.delivery import State
from envoi.core.message import Composed
from envoi.core.people import Address, Mailbox, Person
from envoi.core.routing import Because, Skipped, Why
from envoi.errors import OutboxError, OutboxUnavailableError
from envoi.outbox import explain, open_outbox, put
from envoi.outbox.put import fresh_uid
from tests.outbox.samples import (
    ATTACHMENT,
    NOW,
    SEALED,
    a_delivery,
    a_message,
    an_event,
    claimed,
    count,
    listed,
    many,
    stored,
)


def test_an_event_comes_back_as_it_was(outbox):
    event = an_event(key="k1", subject="docs/7", occurred_at_ms=NOW - 5, application="wiki")

    with outbox.transaction() as tx:
        receipt = outbox.put_event(tx, event, NOW)
    with outbox.reading() as tx:
        found = explain.explain_event(tx, receipt.uid)

    assert receipt.is_new
    assert (found.event_id, found.event, found.stored_at_ms) == (receipt.id, event, NOW)


def test_a_message_comes_back_as_it_was(outbox):
    with outbox.transaction() as tx:
        event_id = outbox.put_event(tx, an_event(), NOW).id
        message = a_message(
            event_id,
            reply_to=Mailbox(Address("team", "example.org"), "Team"),
            to=(Mailbox(Address("bob", "example.org"), "Bob"),),
            cc=(Mailbox(Address("üni", "example.org")),),
            attachments=(ATTACHMENT, replace(ATTACHMENT, name="second", content=b"")),
            expires_at_ms=NOW + 1,
            is_sealed=True,
        )
        message_id = outbox.put(tx, Composed(message=message, sealed=SEALED), [])
        found = outbox.messages(tx, [message_id, message_id])

    assert found == {message_id: Composed(message=replace(message, id=message_id), sealed=SEALED)}


def test_a_delivery_comes_back_as_it_was(outbox):
    delivery = a_delivery(transport="bulk", expires_at_ms=NOW + 9, state=State.HELD, ordinal=4)
    event_id = stored(outbox, [delivery])

    [item] = listed(outbox)
    stored_ids = {"id": item.delivery.id, "message_id": item.delivery.message_id}
    assert item.delivery == replace(delivery, event_id=event_id, **stored_ids)
    assert (item.kind, item.subject, item.attempts) == ("note", "Something happened", 0)


def test_a_delivery_is_stored_alone_as_among_others(outbox):
    because = Because(Why.GROUP, "ops")
    twin = a_delivery("twin@x.test", transport="bulk", expires_at_ms=NOW + 9, because=because)
    other = a_delivery("other@x.test", ordinal=2)
    for deliveries in ([twin], [twin, other]):
        stored(outbox, deliveries)

    alone, among = (i.delivery for i in listed(outbox) if str(i.delivery.address) == "twin@x.test")
    mine = {"id": among.id, "message_id": among.message_id, "event_id": among.event_id}
    assert replace(alone, **mine) == among
    assert alone.because == because


def test_nobody_asks_for_no_messages(outbox):
    with outbox.reading() as tx:
        assert outbox.messages(tx, []) == {}


def test_a_repeated_key_is_answered_with_the_first_event(outbox):
    with outbox.transaction() as tx:
        first = outbox.put_event(tx, an_event(key="k"), NOW)
        other = outbox.put_event(tx, an_event(key="k", application="wiki"), NOW)
    with outbox.transaction() as tx:
        again = outbox.put_event(tx, an_event(key="k"), NOW + 1)

    assert (again.id, again.uid, again.is_new) == (first.id, first.uid, False)
    assert other.is_new
    assert count(outbox, "envoi_event") == 2


def test_events_without_a_key_are_all_stored(outbox):
    with outbox.transaction() as tx:
        ids = {outbox.put_event(tx, an_event(), NOW).id for _ in range(3)}

    assert len(ids) == 3


def test_a_unique_id_that_comes_twice_is_one_event(outbox):
    with outbox.transaction() as tx:
        first = outbox.put_event(tx, an_event(), NOW, uid="f" * 32)
        again = outbox.put_event(tx, an_event(), NOW, uid="f" * 32)

    assert (again.id, again.is_new) == (first.id, False)


def test_twenty_threads_with_one_key_store_one_event(outbox):
    barrier = threading.Barrier(20)
    answers = []

    def hand_in():
        barrier.wait()
        with outbox.transaction() as tx:
            answers.append(outbox.put_event(tx, an_event(key="same"), NOW))

    threads = [threading.Thread(target=hand_in) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(answer.is_new for answer in answers) == 1
    assert len({(answer.id, answer.uid) for answer in answers}) == 1
    assert len(answers) == 20
    assert count(outbox, "envoi_event") == 1


def test_a_key_that_the_isolation_level_hides_says_try_again(outbox, outbox_url):
    class Blind:
        """A transaction whose snapshot is older than the event that holds the key."""

        dialect = outbox.database.dialect

        def execute(self, sql, params):
            return ()

        def execute_many(self, sql, params):
            raise AssertionError

    with pytest.raises(OutboxUnavailableError, match="hand it in again"):
        put.put_event(Blind(), an_event(key="k"), NOW)


def test_one_event_never_mails_one_address_twice(outbox):
    with outbox.transaction() as tx:
        event_id = outbox.put_event(tx, an_event(), NOW).id
        for sender in ("first", "second"):
            composed = Composed(message=a_message(event_id))
            other = a_delivery(f"{sender}@x.test", sender=sender)
            outbox.put(tx, composed, [a_delivery(sender=sender), other])

    assert [(str(i.delivery.address), i.delivery.sender) for i in listed(outbox)] == [
        ("bob@example.org", "first"),
        ("first@x.test", "first"),
        ("second@x.test", "second"),
    ]


def test_a_lone_recipient_who_is_mailed_already_is_passed_over(outbox):
    with outbox.transaction() as tx:
        event_id = outbox.put_event(tx, an_event(), NOW).id
        for sender in ("first", "second"):
            outbox.put(tx, Composed(message=a_message(event_id)), [a_delivery(sender=sender)])

    assert [i.delivery.sender for i in listed(outbox)] == ["first"]


def test_who_is_told_already_is_known_by_address(outbox):
    event_id = stored(
        outbox, [a_delivery("bob@example.org"), a_delivery("eve@example.org", name="")]
    )

    with outbox.reading() as tx:
        found = outbox.told(tx, event_id, ["bob@example.org", "eve@example.org", "no@example.org"])
        nothing = outbox.told(tx, event_id, [])
        elsewhere = outbox.told(tx, event_id + 1, ["bob@example.org"])

    assert found == {"bob@example.org": "Bob", "eve@example.org": "eve@example.org"}
    assert (nothing, elsewhere) == ({}, {})


def test_who_was_skipped_is_kept_with_the_reason(outbox):
    event_id = stored(outbox)
    because = Because(Why.TOLD, "other sender")
    with outbox.transaction() as tx:
        outbox.put_decisions(tx, event_id, [])
        person = Person(id="user:1", login="eve")
        outbox.put_decisions(
            tx, event_id, [Skipped(person=person, sender="notes", because=because)]
        )

    with outbox.reading() as tx:
        [skipped] = explain.explain_event(tx, str(event_id)).skipped
    assert (skipped.name, skipped.person, skipped.sender) == ("eve", "user:1", "notes")
    assert skipped.because == because


def test_a_transaction_that_fails_leaves_nothing(outbox):
    with pytest.raises(ZeroDivisionError), outbox.transaction() as tx:
        event_id = outbox.put_event(tx, an_event(), NOW).id
        outbox.put(tx, Composed(message=a_message(event_id), sealed=SEALED), many(3))
        raise ZeroDivisionError

    tables = ("envoi_event", "envoi_message", "envoi_delivery", "envoi_sealed")
    assert [count(outbox, table) for table in tables] == [0, 0, 0, 0]


def test_what_the_database_refuses_is_an_error_of_ours_without_the_words(outbox):
    with pytest.raises(OutboxError) as caught, outbox.transaction() as tx:
        outbox.put(tx, Composed(message=a_message(999_999, text="s3cret")), [])

    assert "s3cret" not in str(caught.value)
    assert "foreign key" in str(caught.value).lower()


def test_thousands_of_deliveries_keep_their_order(outbox):
    stored(outbox, many(2_500))

    claims = claimed(outbox, 2_500)
    assert [claim.delivery.ordinal for claim in claims] == list(range(1, 2_501))


def test_another_process_sees_what_was_committed(outbox, outbox_url):
    stored(outbox)
    other = open_outbox(outbox_url, must_exist=True)

    assert len(listed(other)) == 1
    other.close()


def test_uids_lie_in_the_order_of_their_time_and_no_two_are_equal():
    uids = [fresh_uid(NOW + number // 2) for number in range(1_000)]

    assert [uid[:12] for uid in uids] == sorted(uid[:12] for uid in uids)
    assert len(set(uids)) == 1_000
    assert {len(uid) for uid in uids} == {32}
