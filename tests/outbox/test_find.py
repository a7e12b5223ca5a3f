"""Lists, one delivery, counts that add up, and why somebody was told or not."""

import pytest

from envoi.core.delivery import Retry, Sent, State
from envoi.core.people import Person
from envoi.core.routing import Because, Skipped, Why
from envoi.errors import NotFoundError
from envoi.outbox import explain, find
from envoi.outbox.claim import Settlement
from envoi.outbox.filters import MAX_LIMIT, Page, Query, condition
from tests.outbox.samples import (
    ATTACHMENT,
    NOW,
    SEALED,
    a_delivery,
    an_event,
    claimed,
    listed,
    many,
    settled,
    stored,
)


def page(outbox, **how):
    with outbox.reading() as tx:
        return [item.delivery.id for item in find.deliveries(tx, Query(), Page(**how))]


def test_lists_come_newest_first_in_pages(outbox):
    stored(outbox, many(5))

    assert page(outbox, limit=2) == [5, 4]
    assert page(outbox, limit=2, before_id=4) == [3, 2]
    assert page(outbox, limit=2, offset=3) == [2, 1]
    assert page(outbox, limit=-1) == []
    assert page(outbox, limit=10**9, offset=-1) == [5, 4, 3, 2, 1]
    assert MAX_LIMIT == 1_000


def test_what_looks_like_sql_is_only_looked_for(outbox):
    stored(outbox)

    with outbox.reading() as tx:
        assert find.deliveries(tx, Query(address="'; DROP TABLE envoi_delivery;--")) == ()
        assert len(find.deliveries(tx, Query())) == 1


def test_one_delivery_is_shown_with_its_message_and_attempts(outbox):
    stored(outbox, sealed=SEALED, text="masked", attachments=(ATTACHMENT,))
    retry = Retry(because="451 later", due_at_ms=NOW, is_refusal=True)
    for verdict in (retry, Sent(because="250 ok")):
        [claim] = claimed(outbox)
        settled(outbox, [Settlement(claim=claim, verdict=verdict)])

    with outbox.reading() as tx:
        shown = find.show(tx, claim.id)

    assert shown.message.text == "masked"
    assert shown.message.attachments == (ATTACHMENT,)
    assert [(a.outcome, a.reply) for a in shown.attempts] == [
        ("retry", "451 later"),
        ("sent", "250 ok"),
    ]
    assert (shown.listed.last_reply, shown.listed.attempts) == ("250 ok", 2)
    assert shown.listed.settled_at_ms == NOW


def test_what_is_not_there_is_said_to_be_missing(outbox):
    with outbox.reading() as tx:
        with pytest.raises(NotFoundError, match="delivery 7"):
            find.show(tx, 7)
        with pytest.raises(NotFoundError, match="message 7"):
            find.message(tx, 7)
        for name in ("7", "nowhere"):
            with pytest.raises(NotFoundError, match=name):
                explain.explain_event(tx, name)


def test_counts_add_up(outbox):
    stored(outbox, [*many(3, due_at_ms=NOW - 7), a_delivery(transport="bulk", state=State.HELD)])
    [claim, _] = claimed(outbox, 2)
    settled(outbox, [Settlement(claim=claim, verdict=Sent(because="250"))])
    with outbox.transaction() as tx:
        outbox.put_event(tx, an_event(), NOW, to_route={})

    with outbox.reading() as tx:
        stats = find.stats(tx, NOW)
        early = find.stats(tx, NOW - 8)

    assert stats.counts == {
        ("default", State.SENT): 1,
        ("default", State.SENDING): 1,
        ("default", State.QUEUED): 1,
        ("bulk", State.HELD): 1,
    }
    assert stats.total == 4 == sum(stats.by_state.values())
    assert stats.by_state[State.FAILED] == 0
    assert (stats.events, stats.events_to_route) == (2, 1)
    assert (stats.oldest_due_ms, early.oldest_due_ms) == (NOW - 7, 0)


def test_an_empty_outbox_counts_nothing(outbox):
    with outbox.reading() as tx:
        stats = find.stats(tx, NOW)

    assert (stats.total, stats.events, stats.events_to_route, stats.oldest_due_ms) == (0, 0, 0, 0)


def test_waiting_mail_is_told_of_in_pages(outbox):
    stored(outbox, [*many(3), a_delivery(due_at_ms=NOW + 1), a_delivery("x@x.test", transport="b")])

    first = outbox.waiting("default", NOW, limit=2)
    rest = outbox.waiting("default", NOW, after_id=first[-1].id)

    assert [waiting.id for waiting in (*first, *rest)] == [1, 2, 3]
    assert first[0].address == "user00000@example.org"
    assert first[0].subject == "Something happened"
    assert first[0].text == "Hello\n"


def skip(outbox, event_id, name, because):
    person = Person(id=f"user:{name}", login=name)
    with outbox.transaction() as tx:
        outbox.put_decisions(
            tx, event_id, [Skipped(person=person, sender="notes", because=because)]
        )


@pytest.mark.parametrize("name", ["id", "uid", "key"])
def test_an_event_is_explained_by_any_of_its_names(outbox, name):
    event_id = stored(outbox, event=an_event(key="the key"))
    skip(outbox, event_id, "eve", Because(Why.ACTOR))
    with outbox.reading() as tx:
        uid = explain.explain_event(tx, str(event_id)).uid

        names = {"id": str(event_id), "uid": uid, "key": "the key"}
        found = explain.explain_event(tx, names[name])

    assert [(c.address, str(c.because), c.state) for c in found.chosen] == [
        ("bob@example.org", "is named by the event as reviewers", State.QUEUED)
    ]
    assert [(s.name, str(s.because)) for s in found.skipped] == [
        ("eve", "did it and is not told of it")
    ]
    assert (found.is_routed, found.problem, found.event.actor) == (True, "", "ann")


def test_a_key_belongs_to_its_application(outbox):
    stored(outbox, event=an_event(key="77", application="wiki"))

    with outbox.reading() as tx:
        assert explain.explain_event(tx, "77", "wiki").event.key == "77"
        with pytest.raises(NotFoundError):
            explain.explain_event(tx, "77")


def test_a_person_is_explained_by_the_latest_decisions(outbox):
    for number in range(3):
        event_id = stored(outbox)
        skip(outbox, event_id, "eve", Because(Why.EXCLUDED, f"user:{number}"))

    with outbox.reading() as tx:
        told, _ = explain.explain_person(tx, "bob@example.org", limit=2)
        _, skipped = explain.explain_person(tx, "eve", limit=2)
        nobody = explain.explain_person(tx, "nobody")

    assert [chosen.event_id for chosen in told] == [3, 2]
    assert [item.because.detail for item in skipped] == ["user:2", "user:1"]
    assert nobody == ((), ())


@pytest.mark.parametrize(
    "typed", ["Ann.Lee@example.org", "ann.lee@example.org", "ANN.LEE@example.org"]
)
def test_an_address_is_found_whatever_its_capitals(outbox, typed):
    stored(outbox, [a_delivery("Ann.Lee@example.org"), a_delivery("bob@example.org")])

    with outbox.reading() as tx:
        told, _ = explain.explain_person(tx, typed)

    assert [item.delivery.id for item in listed(outbox, address=typed)] == [1]
    assert [chosen.delivery_id for chosen in told] == [1]


def test_an_address_is_found_by_an_index(outbox):
    stored(outbox, many(50))
    is_sqlite = outbox.database.dialect == "sqlite"
    where, params = condition(outbox.database.dialect, Query(address="ann@example.org"))

    with outbox.transaction() as tx:
        if not is_sqlite:
            tx.execute("SET LOCAL enable_seqscan = off", {})
        words = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        plan = tx.execute(f"{words} SELECT d.id FROM envoi_delivery d WHERE {where}", params)

    assert "envoi_delivery_address_low" in " ".join(str(tuple(row)) for row in plan)


def test_a_redirected_attempt_says_where_it_went(outbox):
    stored(outbox, many(2))
    first, second = claimed(outbox)
    sent = Sent(because="250 ok")
    settled(
        outbox,
        [
            Settlement(claim=first, verdict=sent, sent_to="staging@example.org"),
            Settlement(claim=second, verdict=sent),
        ],
    )

    with outbox.reading() as tx:
        shown = [find.show(tx, claim.id).attempts[0].sent_to for claim in (first, second)]

    assert shown == ["staging@example.org", ""]
