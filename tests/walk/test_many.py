"""Many events and many mails at once: each wholly or not at all, and none for another's sake."""

from contextlib import suppress

import pytest

from envoi import Event
from envoi.core.people import Address, Mailbox
from envoi.core.ready import ReadyMail
from envoi.errors import EventError, InputError, NotStoredError, OutboxUnavailableError
from envoi.handover import OFFERS_PER_TRANSACTION
from envoi.mailer import Stored
from tests.walk.people import add_users, review


@pytest.fixture
def known(mailer):
    add_users(mailer)
    return mailer


def reviews(mailer, count, **changes):
    facts = mailer.parts.catalogue.sample("pull_request").facts
    return [review(facts, key=f"review-{number}", **changes) for number in range(count)]


def mails(count):
    ann = Mailbox(Address("ann", "example.test"))
    return [ReadyMail(to=(ann,), subject=f"Number {number}", text="Hi") for number in range(count)]


def kept(mailer):
    with mailer.outbox.reading() as tx:
        return int(str(tx.execute("SELECT COUNT(*) FROM envoi_event", {})[0][0]))


def test_many_events_are_told_as_one_by_one(known):
    receipts = known.notify_many(reviews(known, 3))

    alone = known.notify(review(known.parts.catalogue.sample("pull_request").facts))
    assert [receipt.stored for receipt in receipts] == [Stored.STORED] * 3
    assert {receipt.deliveries for receipt in receipts} == {alone.deliveries} == {1}
    assert kept(known) == 4


def test_more_than_a_hundred_take_more_than_one_transaction(mailer):
    count = OFFERS_PER_TRANSACTION + 1

    receipts = mailer.send_many(mails(count))

    assert len({receipt.event_id for receipt in receipts}) == count
    assert kept(mailer) == count


def test_a_key_that_comes_twice_is_stored_once(known):
    first, second = known.notify_many(reviews(known, 1) * 2)

    assert (first.stored, second.stored) == (Stored.STORED, Stored.REPEATED)
    assert first.event_id == second.event_id


def test_one_event_that_does_not_fit_refuses_all_before_anything_is_stored(known):
    misfit = Event(kind="pull_request", facts={"titel": "x"})

    with pytest.raises(EventError):
        known.notify_many([*reviews(known, 2), misfit])
    with pytest.raises(InputError):
        known.send_many([*mails(2), ReadyMail(subject="to nobody", text="x")])

    assert kept(known) == 0


def break_one(mailer, monkeypatch, number):
    """Make the outbox refuse the message of one mail, as often as it comes."""
    put = mailer.outbox.put

    def refuse(tx, composed, *args, **options):
        if composed.message.subject.endswith(f"Number {number}"):
            tx.execute("SELECT missing FROM nowhere", {})
        return put(tx, composed, *args, **options)

    monkeypatch.setattr(mailer.outbox, "put", refuse)


def test_one_that_cannot_be_stored_costs_the_others_nothing(mailer, monkeypatch):
    break_one(mailer, monkeypatch, 1)

    receipts = mailer.send_many(mails(3))

    stored = [receipt.stored for receipt in receipts]
    assert stored == [Stored.STORED, Stored.NOT_STORED, Stored.STORED]
    assert kept(mailer) == 2


def test_strict_undoes_the_hundred_of_one_that_cannot_be_stored(mailer, monkeypatch):
    break_one(mailer, monkeypatch, 1)

    with pytest.raises(NotStoredError):
        mailer.send_many(mails(3), strict=True)

    assert kept(mailer) == 0


def test_many_join_the_callers_transaction(mailer):
    with suppress(ZeroDivisionError), mailer.outbox.transaction() as tx:
        receipts = mailer.send_many(mails(2), tx)
        raise ZeroDivisionError

    assert [receipt.stored for receipt in receipts] == [Stored.STORED] * 2
    assert kept(mailer) == 0


def test_where_the_outbox_cannot_be_reached_each_lies_in_the_spool(mailer, monkeypatch):
    def away(**_options):
        raise OutboxUnavailableError("away")

    with monkeypatch.context() as context:
        context.setattr(mailer.outbox.database, "write", away)
        receipts = mailer.send_many(mails(2))

    assert [receipt.stored for receipt in receipts] == [Stored.SPOOLED] * 2
    worker = mailer.make_worker()
    worker.run_until_idle()
    worker.drain()
    assert kept(mailer) == 2
