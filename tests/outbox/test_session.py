"""Sessions on PostgreSQL: ours, and those that a pooler lends for a transaction."""

from pathlib import Path

import pytest

from envoi.outbox import open_outbox
from tests.outbox.samples import claimed, stored
from tests.pooler import pooler, program

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(not program(), reason="there is no pgbouncer on this machine"),
]
# psycopg prepares a statement when it runs for the sixth time.
OFTEN = 12


@pytest.fixture
def lent(postgresql_url, postgres_server, tmp_path):
    """An outbox behind a pooler."""
    database = postgresql_url.partition("?")[0].rpartition("/")[2]
    socket = postgresql_url.partition("host=")[2]
    with pooler(tmp_path, Path(socket)) as place:
        outbox = open_outbox(f"postgresql://postgres@{place}/{database}")
        yield outbox
        outbox.close()


def settings_of(outbox):
    with outbox.transaction() as tx:
        return tx.execute(
            "SELECT current_setting('lock_timeout'), current_setting('transaction_isolation'),"
            " current_setting('idle_in_transaction_session_timeout')",
            {},
        )[0]


def test_statements_work_in_whichever_session_a_pooler_lends(lent):
    """Prepared in one session, a statement is unknown in the next."""
    for number in range(OFTEN):
        stored(lent)
        with lent.transaction() as first, lent.transaction() as second:
            counts = [tx.execute("SELECT COUNT(*) FROM envoi_event", {}) for tx in (first, second)]
        assert [rows[0][0] for rows in counts] == [number + 1] * 2

    assert len(claimed(lent)) == OFTEN


def test_a_lent_session_has_our_patience_for_a_transaction_and_keeps_nothing(
    lent, postgresql_url, postgres_server
):
    name = postgresql_url.partition("?")[0].rpartition("/")[2]
    postgres_server.run(
        f"ALTER DATABASE {name} SET default_transaction_isolation TO 'serializable'"
    )
    assert settings_of(lent) == ("2s", "read committed", "1min")

    with lent.database.engine().connect() as other:  # nothing of ours begins this one
        left = other.exec_driver_sql("SHOW lock_timeout").scalar()
    assert left == "0"


def test_a_session_of_our_own_is_set_up_once(postgresql_url):
    outbox = open_outbox(postgresql_url)
    first, second = settings_of(outbox), settings_of(outbox)
    with outbox.database.engine().connect() as same:
        kept = same.exec_driver_sql("SHOW lock_timeout").scalar()
    outbox.close()

    assert first == second == ("2s", "read committed", "1min")
    assert kept == "2s"


def test_a_pooler_that_starts_anew_is_no_trouble(postgresql_url, tmp_path):
    """Its clients' connections died while nobody used them."""
    database = postgresql_url.partition("?")[0].rpartition("/")[2]
    socket = Path(postgresql_url.partition("host=")[2])
    with pooler(tmp_path, socket) as place:
        outbox = open_outbox(f"postgresql://postgres@{place}/{database}")
        stored(outbox)
    with pooler(tmp_path, socket, place=place):
        stored(outbox)

        assert len(claimed(outbox)) == 2
        outbox.close()
