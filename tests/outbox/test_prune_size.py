"""The database does not grow for ever: what is removed makes room for what comes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from envoi.core.message import Composed
from envoi.core.retention import DAY_MS, Cut
from envoi.outbox import Outbox, open_outbox
from tests.outbox.samples import NOW, a_delivery, a_message, an_event, count
from tests.outbox.test_prune import Rounds

PER_DAY, DAYS, KEPT_DAYS = 60, 20, 4
LONG = "Wörter, die Platz brauchen. " * 80


@pytest.fixture
def file(sqlite_url):
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def small(sqlite_url):
    outbox = open_outbox(sqlite_url)
    yield outbox
    outbox.close()


def a_day(outbox: Outbox, day: int) -> None:
    """Mail of a day, all of it sent the same day."""

    at_ms = NOW + day * DAY_MS
    with outbox.transaction() as tx:
        for number in range(PER_DAY):
            event_id = outbox.put_event(tx, an_event(key=f"{day}-{number}"), at_ms).id
            message = a_message(event_id, text=LONG, html=LONG)
            outbox.put(tx, Composed(message=message), [a_delivery()])
        tx.execute(
            """UPDATE envoi_delivery SET state = 'sent', settled_at_ms = :at_ms
            WHERE state = 'queued'""",
            {"at_ms": at_ms},
        )


def size(file: Path) -> int:
    """Bytes of the database, whether they lie in the file or still in the log beside it.

    The log itself has a size of its own that it is written over in.
    """
    with closing(sqlite3.connect(file)) as connection:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        [page_bytes] = connection.execute("PRAGMA page_size").fetchone()
    return pages * page_bytes


@pytest.mark.parametrize("is_pruned", [True, False])
def test_a_file_with_steady_traffic_stays_as_large_as_what_is_kept(small, file, is_pruned):
    rounds, sizes = Rounds(small), []
    for day in range(DAYS):
        a_day(small, day)
        if is_pruned:
            kept_ms = NOW + (day - KEPT_DAYS) * DAY_MS
            rounds.prune(Cut(content_before_ms=kept_ms + 2 * DAY_MS, rows_before_ms=kept_ms))
        sizes.append(size(file))

    settled, last = sizes[KEPT_DAYS + 2], sizes[-1]
    assert (last <= 1.25 * settled) is is_pruned
    assert count(small, "envoi_event") == PER_DAY * ((KEPT_DAYS + 1) if is_pruned else DAYS)
