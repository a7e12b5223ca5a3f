"""The database itself in trouble: full, read-only, locked, gone, damaged, cut off, forked."""

# ruff: noqa: PT012 # the block of a transaction is what raises

import os
import shutil
import socket
import sqlite3
import threading
import warnings
from contextlib import closing
from pathlib import Path

import pytest

from envoi.core.delivery import Sent
from envoi.core.message import Composed
from envoi.errors import InputError, OutboxError, OutboxUnavailableError, SchemaError
from envoi.outbox import Database, open_outbox
from envoi.outbox.claim import Settlement
from tests.outbox.samples import (
    NOW,
    a_message,
    an_event,
    claimed,
    count,
    listed,
    many,
    settled,
    states,
    stored,
)


@pytest.fixture
def file(sqlite_url):
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def sqlite(sqlite_url):
    outbox = open_outbox(sqlite_url, busy_timeout_ms=50)
    yield outbox
    outbox.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x", "mysql://"),
        ("nonsense", "expected sqlite:///PATH or postgresql://"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("postgresql://u:hunter2@h:port/d", "expected"),
    ],
)
def test_an_address_that_does_not_fit_is_refused_without_its_password(url, words):
    with pytest.raises(InputError, match=words) as caught:
        open_outbox(url)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://h/d", "postgresql+psycopg"),
        ("postgres://h/d", "postgresql+psycopg"),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2"),
        ("sqlite:///x.db", "sqlite"),
    ],
)
def test_postgresql_is_spoken_by_psycopg_3_unless_said_otherwise(url, driver):
    assert Database(url).url.drivername == driver


@pytest.mark.parametrize("schema", ["Mail", "a b", 'x"; DROP', "1a"])
def test_a_schema_name_must_need_no_quotes(schema):
    with pytest.raises(InputError, match=r"outbox\.schema"):
        open_outbox("postgresql://h/d", schema=schema)


def test_sqlite_has_no_schemas():
    with pytest.raises(InputError, match="leave it empty"):
        open_outbox("sqlite:///x.db", schema="mail")


def test_a_password_is_never_shown():
    assert "hunter2" not in repr(Database("postgresql://u:hunter2@h/d"))


def test_sqlite_is_opened_for_durability_and_company(sqlite):
    def pragmas(tx):
        names = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        return [tx.execute(f"PRAGMA {name}", {})[0][0] for name in names]

    with sqlite.transaction() as tx:
        assert pragmas(tx) == ["wal", 1, 2, 50]  # 2 is FULL
    with sqlite.transaction(is_synced=False) as tx:
        assert pragmas(tx) == ["wal", 1, 1, 50]  # 1 is NORMAL


def test_postgresql_syncs_marks_as_well(postgresql_url):
    """An asynchronous commit would be lost with the server, and mail would be sent again."""
    outbox = open_outbox(postgresql_url)

    with outbox.transaction(is_synced=False) as tx:
        assert tx.execute("SHOW synchronous_commit", {})[0][0] == "on"
    outbox.close()


@pytest.mark.postgresql
def test_the_owner_of_a_database_does_not_choose_our_isolation(postgresql_url, postgres_server):
    """Serializable by default would end most claims that meet another worker's."""
    database = Database(postgresql_url)
    name = database.url.database
    postgres_server.run(
        f"ALTER DATABASE {name} SET default_transaction_isolation TO 'serializable'"
    )
    with database.write() as tx:
        found = tx.execute("SELECT current_setting('transaction_isolation')", {})
    database.close()

    assert found[0][0] == "read committed"


def test_a_locked_database_is_unavailable_after_its_time_out(sqlite, file):
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(OutboxUnavailableError, match=r"locked.*another process writes; try"):
            stored(sqlite)
        other.execute("ROLLBACK")

    stored(sqlite)
    assert len(listed(sqlite)) == 1


def test_a_write_waits_for_another_process_for_its_time_out(sqlite_url, file):
    outbox = open_outbox(sqlite_url, busy_timeout_ms=10_000)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.1, other.execute, ["COMMIT"]).start()

    stored(outbox)

    assert len(listed(outbox)) == 1
    other.close()
    outbox.close()


def test_a_read_is_not_blocked_by_a_writer(sqlite):
    stored(sqlite)

    with sqlite.transaction() as tx:
        sqlite.put_event(tx, an_event(), NOW)
        assert len(listed(sqlite)) == 1
        assert count(sqlite, "envoi_event") == 1


def test_a_full_disk_stores_nothing_and_says_so(sqlite, file):
    with closing(sqlite3.connect(file)) as raw:
        pages = raw.execute("PRAGMA page_count").fetchone()[0]

    with (
        pytest.raises(OutboxUnavailableError, match=r"full.*free space"),
        sqlite.transaction() as tx,
    ):
        tx.execute(f"PRAGMA max_page_count = {pages}", {})
        event_id = sqlite.put_event(tx, an_event(), NOW).id
        sqlite.put(tx, Composed(message=a_message(event_id, text="x" * 100_000)), many(500))

    assert (count(sqlite, "envoi_event"), listed(sqlite)) == (0, [])


def test_a_disk_that_fills_up_before_a_verdict_is_noted_keeps_the_claim(sqlite, file):
    """The worker notes the 250 again when there is room, without sending again (S4)."""
    stored(sqlite, many(50))
    claims = claimed(sqlite)
    reply = Sent(because="250 " + "x" * 20_000)
    settlements = [Settlement(claim=claim, verdict=reply) for claim in claims]

    with pytest.raises(OutboxUnavailableError, match="full"), sqlite.transaction() as tx:
        pages = tx.execute("PRAGMA page_count", {})[0][0]
        tx.execute(f"PRAGMA max_page_count = {pages}", {})
        sqlite.settle(tx, settlements, NOW)
    with sqlite.transaction() as tx:
        tx.execute("PRAGMA max_page_count = 1000000", {})

    assert settled(sqlite, settlements) == ()
    assert set(states(sqlite)) == {"sent"}


def test_a_read_only_file_says_so(sqlite_url, file):
    shutil.copyfile(file, file.with_name("ro.db"))
    url = f"sqlite:///file:{file.with_name('ro.db')}?mode=ro&uri=true"
    outbox = open_outbox(url)

    with pytest.raises(OutboxUnavailableError, match=r"readonly.*not writable"):
        stored(outbox)
    outbox.close()


def test_a_folder_that_is_not_there_says_so(tmp_path):
    outbox = open_outbox(f"sqlite:///{tmp_path / 'no' / 'envoi.db'}")

    with pytest.raises(OutboxUnavailableError, match=r"unable to open.*folder exists"):
        outbox.upgrade()
    outbox.close()


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5_000]
)
def test_a_damaged_file_is_loud(tmp_path, content):
    path = tmp_path / "damaged.db"
    path.write_bytes(content)
    outbox = open_outbox(f"sqlite:///{path}")

    with pytest.raises(OutboxUnavailableError, match=r"no SQLite database|damaged"):
        outbox.database.state()
    assert path.read_bytes() == content
    outbox.close()


def test_a_file_that_must_exist_is_not_made(tmp_path):
    outbox = open_outbox(f"sqlite:///{tmp_path / 'envoi.db'}", must_exist=True)

    with pytest.raises(OutboxUnavailableError, match="is not there"):
        claimed(outbox)
    assert list(tmp_path.iterdir()) == []
    outbox.close()


def test_a_file_that_goes_away_is_not_silently_made_anew(sqlite, file):
    stored(sqlite)
    file.rename(file.with_suffix(".gone"))

    with pytest.raises(OutboxUnavailableError, match="is not there"):
        stored(sqlite)
    assert not file.exists()

    file.with_suffix(".gone").rename(file)
    stored(sqlite)
    assert len(listed(sqlite)) == 2


def test_a_file_put_in_its_place_is_opened_anew(sqlite, file):
    with sqlite.reading() as tx:
        before = tx.execute("SELECT 1", {})
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    restored = open_outbox(f"sqlite:///{file.with_name('backup.db')}")
    restored.upgrade()
    stored(restored, many(2))
    restored.close()
    file.with_name("backup.db").replace(file)

    assert len(listed(sqlite)) == 2
    assert before


def test_nothing_stays_open_of_a_file_that_was_exchanged(sqlite, file):
    """The look at the file renews the connections while a transaction already has its engine."""
    stored(sqlite)
    shutil.copyfile(file, file.with_name("backup.db"))
    file.with_name("backup.db").replace(file)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)

    engine = sqlite.database.engine()
    count(sqlite, "envoi_event")
    sqlite.close()

    assert engine is sqlite.database.engine()
    opened = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [path for path in opened if path.startswith(str(file))] == []


def test_tables_that_are_missing_name_the_command(empty_url):
    outbox = open_outbox(empty_url)

    with pytest.raises(SchemaError, match="envoi db upgrade"):
        stored(outbox)
    with pytest.raises(SchemaError, match="envoi db upgrade"):
        outbox.database_id()
    outbox.close()


def test_columns_that_are_missing_name_the_command(outbox):
    with outbox.transaction() as tx:
        tx.execute("ALTER TABLE envoi_message DROP COLUMN locale", {})

    with pytest.raises(SchemaError, match="envoi db upgrade"):
        stored(outbox)


def test_an_outbox_that_lost_its_identity_says_so(outbox):
    with outbox.transaction() as tx:
        tx.execute("DELETE FROM envoi_meta", {})

    with pytest.raises(SchemaError, match="identity"):
        outbox.database_id()


def test_the_identity_is_read_once(outbox):
    first = outbox.database_id()
    with outbox.transaction() as tx:
        tx.execute("DELETE FROM envoi_meta", {})

    assert outbox.database_id() == first


def test_a_server_that_cannot_be_reached_is_unavailable():
    outbox = open_outbox("postgresql://nobody:hunter2@127.0.0.1:1/nowhere")

    with pytest.raises(OutboxUnavailableError) as caught:
        stored(outbox)
    assert "hunter2" not in str(caught.value)
    outbox.close()


@pytest.fixture
def silent_server():
    """Address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_server_that_does_not_answer_is_given_up(silent_server, driver):
    """Left to themselves the drivers wait 130 s or for ever, longer than a test may take."""
    outbox = open_outbox(f"postgresql+{driver}://u@{silent_server}/d", busy_timeout_ms=50)

    with pytest.raises(OutboxUnavailableError, match="timeout"):
        stored(outbox)
    outbox.close()


def test_what_the_address_says_of_waiting_wins():
    database = Database("postgresql://h/d?connect_timeout=9", busy_timeout_ms=2_500)

    said = database.socket_patience()
    assert "connect_timeout" not in said
    unsaid = Database("postgresql://h/d", busy_timeout_ms=2_500).socket_patience()
    assert unsaid["connect_timeout"] == 3
    assert said["tcp_user_timeout"] == unsaid["tcp_user_timeout"] == 2_500


@pytest.mark.postgresql
def test_a_server_that_takes_no_writes_any_more_is_left(postgresql_url, postgres_server):
    """After a fail-over the old primary answers and refuses; another may take writes by now."""
    outbox = open_outbox(postgresql_url)
    name = outbox.database.url.database
    stored(outbox)
    with outbox.transaction() as tx:
        before = tx.execute("SELECT pg_backend_pid()", {})
    postgres_server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    postgres_server.run(f"{cut} WHERE datname = '{name}'")

    with pytest.raises(OutboxUnavailableError, match="takes no writes"):
        stored(outbox)
    postgres_server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = off")

    stored(outbox)
    with outbox.transaction() as tx:
        assert tx.execute("SELECT pg_backend_pid()", {}) != before
    outbox.close()


@pytest.mark.postgresql
def test_a_transaction_that_nobody_continues_is_ended_by_the_server(postgresql_url):
    outbox = open_outbox(postgresql_url)
    with outbox.transaction() as tx:
        rows = tx.execute("SHOW idle_in_transaction_session_timeout", {})
    outbox.close()

    assert rows == [("1min",)]


def test_connections_that_were_cut_are_made_anew(postgresql_url, postgres_server):
    outbox = open_outbox(postgresql_url)
    stored(outbox)
    with pytest.raises(OutboxUnavailableError), outbox.transaction() as tx:
        [[pid]] = tx.execute("SELECT pg_backend_pid()", {})
        postgres_server.run(f"SELECT pg_terminate_backend({pid}, 5000)")
        outbox.put_event(tx, an_event(), NOW)

    stored(outbox)
    assert count(outbox, "envoi_event") == 2
    outbox.close()


def test_what_the_engine_refuses_names_no_words(outbox):
    with pytest.raises(OutboxError) as caught, outbox.transaction() as tx:
        stored_id = outbox.put_event(tx, an_event(), NOW).id
        message = a_message(stored_id, text="s3cret")
        outbox.put(tx, Composed(message=message), [])
        outbox.put(tx, Composed(message=message), [])

    assert "s3cret" not in str(caught.value)


def test_a_child_makes_connections_of_its_own(outbox):
    stored(outbox)
    lock = outbox.database._lock
    with lock:  # as if another thread were inside when the process forks
        child = os.fork()
    if child == 0:
        try:
            # The parent's connections are dropped here, not closed, and drivers warn of that.
            warnings.simplefilter("ignore", ResourceWarning)
            stored(outbox)
            claims = claimed(outbox, 1, worker="child")
            outbox.close()
            os._exit(0 if len(claims) == 1 else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert len(claimed(outbox)) == 1
    assert len(listed(outbox)) == 2


def test_another_process_id_means_new_connections(sqlite):
    """What a child sees after a fork, in a process whose lines can be counted."""
    stored(sqlite)
    before = sqlite.database.engine().pool
    sqlite.database._pid = -1

    assert len(listed(sqlite)) == 1
    assert sqlite.database.engine().pool is not before
    before.dispose()


def test_many_rows_that_are_refused_are_an_error_of_ours(outbox):
    statement = "INSERT INTO envoi_membership (group_id, user_id) VALUES (:a, :b)"
    with pytest.raises(OutboxError), outbox.transaction() as tx:
        tx.execute_many(statement, [{"a": 77, "b": 77}])
        # PostgreSQL and SQLite look at foreign keys at the latest when the transaction ends.


def test_a_savepoint_that_cannot_be_released_is_an_error_of_ours(outbox):
    with pytest.raises(OutboxError), outbox.transaction() as tx, tx.savepoint():
        tx.execute("ROLLBACK", {})


def test_a_savepoint_of_ours_undoes_what_is_inside(outbox):
    with outbox.transaction() as tx:
        outbox.put_event(tx, an_event(), NOW)
        with pytest.raises(ZeroDivisionError), tx.savepoint():
            outbox.put_event(tx, an_event(), NOW)
            raise ZeroDivisionError

    assert count(outbox, "envoi_event") == 1


def test_renewed_connections_work(outbox):
    stored(outbox)

    outbox.database.renew()

    assert len(listed(outbox)) == 1


def test_a_new_sqlite_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "new.db"
    outbox = open_outbox(f"sqlite:///{path}")

    outbox.upgrade()

    assert path.stat().st_mode & 0o777 == 0o600
    outbox.close()
