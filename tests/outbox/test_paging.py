"""Pages and counts are the same whichever way they are found, and go by the right indexes."""

import random
from itertools import product

import pytest

from envoi.core.delivery import State
from envoi.outbox import find, paging
from envoi.outbox.counting import stats
from envoi.outbox.filters import Page, Query, condition
from tests.outbox.samples import NOW, a_delivery, an_event, stored

STATES = tuple(State)
KINDS = ("note", "message", "registration")
TRANSPORTS = ("default", "bulk")
EVENTS = 12


@pytest.fixture
def mixed(outbox):
    """Events of all kinds, relays and applications, with deliveries in all states."""
    dice = random.Random(7)
    for number in range(EVENTS):
        kind, transport = KINDS[number % 3], TRANSPORTS[number % 4 == 1]
        application = "side" if number % 5 == 0 else "main"
        deliveries = [
            a_delivery(f"user{n % 4}x{number}@example.org", ordinal=n + 1, transport=transport)
            if n
            else a_delivery("Bob@example.org", transport=transport)
            for n in range(5)
        ]
        event_id = stored(
            outbox, deliveries, kind=kind, application=application, date_ms=NOW + number
        )
        with outbox.transaction() as tx:
            tx.execute(
                "UPDATE envoi_event SET application = :application WHERE id = :id",
                {"application": application, "id": event_id},
            )
    for number in range(EVENTS):
        # Messages without anybody, which must not crowd out the others.
        stored(outbox, [], kind=KINDS[number % 3], event=an_event(application="side"))
    with outbox.transaction() as tx:
        for [row_id] in tx.execute("SELECT id FROM envoi_delivery", {}):
            changed = {
                "id": row_id,
                "state": dice.choice(STATES),
                "due": NOW + dice.randrange(-5, 5),
            }
            tx.execute(
                "UPDATE envoi_delivery SET state = :state, due_at_ms = :due WHERE id = :id", changed
            )
    return outbox


QUERIES = (
    Query(),
    *(Query(states=(state,)) for state in STATES),
    Query(states=(State.FAILED, State.QUEUED, State.SENDING)),
    Query(states=(State.SENT, State.HELD)),
    *(Query(kind=kind) for kind in (*KINDS, "none")),
    Query(address="bob@EXAMPLE.org"),
    Query(address="nobody@example.org"),
    Query(event_id=4),
    Query(transport="bulk"),
    Query(transport="default"),
    Query(application="side"),
    Query(since_ms=NOW + 9),
    Query(since_ms=NOW + 3, kind="note", states=(State.FAILED, State.SENT)),
    Query(ids=(3, 7, 999)),
    Query(ids=(3, 7), kind="note"),
    Query(event_id=4, transport="bulk", states=(State.EXPIRED, State.UNCERTAIN)),
)


def brute(tx, query):
    """Ids that are meant, by going through all rows."""
    rows = tx.execute(
        """SELECT d.id, d.state, m.kind, d.address, d.event_id, d.transport, d.application,
            m.date_ms
        FROM envoi_delivery d JOIN envoi_message m ON m.id = d.message_id ORDER BY d.id DESC""",
        {},
    )
    return [
        row_id
        for row_id, state, kind, address, event_id, transport, application, date_ms in rows
        if (not query.ids or row_id in query.ids)
        and (not query.states or state in query.states)
        and query.kind in {"", kind}
        and query.address.lower() in {"", address.lower()}
        and query.event_id in {0, event_id}
        and query.transport in {"", transport}
        and query.application in {"", application}
        and date_ms >= query.since_ms
    ]


def pages(tx, query, limit):
    """Ids that are meant, page by page."""
    found, before_id = [], 0
    while True:
        page = find.deliveries(tx, query, Page(limit=limit, before_id=before_id))
        found += [item.delivery.id for item in page]
        if len(page) < limit:
            return found
        before_id = found[-1]


# Every row is among the newest, some are, or next to none; and few are few, or nothing is.
@pytest.mark.parametrize(
    ("window", "few"), [(1_000, 1_000), (20, 1_000), (1, 1_000), (1, 3), (1, 1)]
)
def test_a_page_is_the_same_whichever_way_it_is_found(mixed, monkeypatch, window, few):
    monkeypatch.setattr(paging, "WINDOW_ROWS", window)
    monkeypatch.setattr(paging, "FEW_ROWS", few)

    with mixed.reading() as tx:
        for query, limit in product(QUERIES, (3, 50)):
            assert pages(tx, query, limit) == brute(tx, query), (query, limit)


def test_the_counts_are_those_of_the_rows(mixed):
    with mixed.reading() as tx:
        rows = tx.execute(
            "SELECT transport, state, COUNT(*) FROM envoi_delivery GROUP BY transport, state", {}
        )
        counted = stats(tx, NOW)
        [[oldest]] = tx.execute(
            """SELECT MIN(due_at_ms) FROM envoi_delivery
            WHERE state IN ('queued', 'uncertain') AND due_at_ms <= :now_ms""",
            {"now_ms": NOW},
        )

    assert counted.counts == {(name, State(state)): count for name, state, count in rows}
    assert counted.total == EVENTS * 5
    assert (counted.events, counted.events_to_route) == (2 * EVENTS, 0)
    assert counted.oldest_due_ms == oldest


def test_nothing_is_counted_in_an_empty_outbox(outbox):
    with outbox.reading() as tx:
        counted = stats(tx, NOW)

    assert (counted.total, counted.oldest_due_ms, counted.events) == (0, 0, 0)
    assert set(counted.by_state) == set(State)


def plan(tx, statement, params):
    how = "EXPLAIN QUERY PLAN " if tx.dialect == "sqlite" else "EXPLAIN "
    if tx.dialect != "sqlite":
        # With so few rows it would go through all of them.
        tx.execute("SET LOCAL enable_seqscan = off", {})
    return "\n".join(str(row[-1]) for row in tx.execute(how + statement, params))


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(states=(State.FAILED,)), "envoi_delivery_aside"),
        (Query(states=(State.HELD, State.EXPIRED)), "envoi_delivery_aside"),
        (Query(states=(State.QUEUED,)), "envoi_delivery_waiting"),
        (Query(states=(State.SENDING,)), "envoi_delivery_leased"),
        (Query(transport="bulk"), "envoi_delivery_elsewhere"),
        (Query(kind="note"), "envoi_message_kind"),
        (Query(since_ms=NOW), "envoi_message_kind"),
        (Query(address="bob@example.org"), "envoi_delivery_address_low"),
        (Query(application="side"), "envoi_event_application_key"),
    ],
    ids=str,
)
def test_what_is_rare_is_found_by_an_index(outbox, query, index):
    if outbox.database.dialect == "sqlite" and query.application:
        index = "sqlite_autoindex_envoi_event"
    [source] = paging.sources(outbox.database.dialect, query)
    _, params = condition(outbox.database.dialect, query)

    with outbox.transaction() as tx:
        assert index in plan(tx, source.rows, params)
