"""Another system's database: read and never written, with nobody kept waiting."""

import os
import socket
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing, contextmanager
from threading import Thread

import pytest

from envoi.directory.foreign import ForeignDatabase
from envoi.directory.kallithea import kallithea_database
from envoi.errors import DirectoryError
from envoi.outbox import open_outbox
from tests.directory.conftest import as_kallithea
from tests.kallithea.schema import KallitheaUser, make_kallithea_db

NAMES = "SELECT username FROM users WHERE username <> 'default' ORDER BY user_id"


def names(tx):
    return [row[0] for row in tx.execute(NAMES, {})]


@contextmanager
def opened_outbox(url):
    outbox = open_outbox(url)
    outbox.upgrade()
    try:
        yield outbox
    finally:
        outbox.close()


@pytest.fixture
def ann_url(empty_url) -> str:
    """A Kallithea's database in which ann is, once per engine."""
    make_kallithea_db(empty_url, [KallitheaUser("ann", "ann@example.org")])
    return empty_url


@pytest.fixture
def ann(ann_url):
    database = kallithea_database(ann_url)
    yield database
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET admin = TRUE",
        "INSERT INTO user_email_map (user_id, email) VALUES (2, 'x@y.test')",
        "DELETE FROM users",
        "CREATE TABLE more (id INTEGER)",
        "DROP TABLE users_groups_members",
    ],
)
def test_nothing_can_be_written_on_a_connection_of_our_own(ann, statement):
    with pytest.raises(DirectoryError, match=r"read-?only"), ann.alone() as tx:
        tx.execute(statement, {})
    with ann.alone() as tx:
        assert names(tx) == ["ann"]


def test_many_rows_cannot_be_written_either(ann):
    with ann.alone() as tx, pytest.raises(NotImplementedError, match="only read"):
        tx.execute_many("INSERT INTO users_groups VALUES (:id)", [{"id": 1}])


def test_a_file_that_is_not_there_is_not_made(tmp_path, elsewhere):
    path = tmp_path / "kallithea.db"
    database = kallithea_database(f"sqlite:///{path}")

    with pytest.raises(DirectoryError, match="check that the file is there"):
        database.reading(elsewhere).__enter__()
    database.close()

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_came_back_is_read_at_once(tmp_path, elsewhere):
    url = f"sqlite:///{tmp_path / 'kallithea.db'}"
    database = kallithea_database(url)
    with pytest.raises(DirectoryError):
        database.reading(elsewhere).__enter__()
    make_kallithea_db(url, [KallitheaUser("ann")])

    with database.reading(elsewhere) as tx:
        found = names(tx)
    database.close()

    assert found == ["ann"]


@pytest.mark.parametrize("name", ["a b%41.db", "\u00fc#.db", "x&mode=rwc.db"])
def test_every_name_of_a_file_is_taken_as_it_is(tmp_path, elsewhere, name):
    url = f"sqlite:///{tmp_path / name}"
    make_kallithea_db(url, [KallitheaUser("ann")])
    database = kallithea_database(url)

    with database.reading(elsewhere) as tx:
        found = names(tx)
    database.close()

    assert found == ["ann"]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:s3cret@localhost/kallithea",
        "sqlite://",
        "sqlite:///:memory:",
        "s3cret",
        "postgresql://u:s3cret@h:s3cret/x",
        "",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(url):
    with pytest.raises(DirectoryError, match=r"directory\.url: expected sqlite:///PATH") as refused:
        ForeignDatabase(url, witness="users")

    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_no_password_stands_in_what_is_said(elsewhere):
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    database = kallithea_database(f"postgresql://kal:s3cret@127.0.0.1:{port}/kallithea")

    with pytest.raises(DirectoryError, match="and that the database runs") as refused:
        database.reading(elsewhere).__enter__()
    database.close()

    assert "s3cret" not in f"{refused.value}{database!r}"
    assert "127.0.0.1" in repr(database)


def test_a_server_that_says_nothing_is_waited_for_once(elsewhere):
    calls = []

    def answer_nobody(listener):
        with listener:
            while True:
                try:
                    calls.append(listener.accept()[0])
                except OSError:
                    return

    listener = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=answer_nobody, args=(listener,))
    thread.start()
    port = listener.getsockname()[1]
    database = kallithea_database(f"postgresql://kal@127.0.0.1:{port}/kallithea")
    try:
        with pytest.raises(DirectoryError):
            database.reading(elsewhere).__enter__()
        many = len(calls)
        with pytest.raises(DirectoryError, match="not tried again for 10 s"):
            database.reading(elsewhere).__enter__()
    finally:
        database.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in calls:
            connection.close()

    assert many > 0
    assert len(calls) == many


def test_a_writer_that_does_not_end_is_not_waited_for_either(tmp_path, elsewhere):
    path = tmp_path / "kallithea.db"
    make_kallithea_db(f"sqlite:///{path}", [KallitheaUser("ann")])
    database = kallithea_database(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")

        with (
            pytest.raises(DirectoryError, match="another process writes"),
            database.reading(elsewhere) as tx,
        ):
            names(tx)
    database.close()


@pytest.mark.postgresql
def test_a_table_that_somebody_locked_is_not_waited_for_either(postgres_server, elsewhere):
    with postgres_server.database(template="template0") as name:
        url = postgres_server.url(name)
        make_kallithea_db(url, [KallitheaUser("ann")])
        database = kallithea_database(url)
        with as_kallithea(url) as writer:
            writer.exec_driver_sql("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")

            with (
                pytest.raises(DirectoryError, match="timeout"),
                database.reading(elsewhere) as tx,
            ):
                names(tx)
        database.close()


def test_a_transaction_that_sees_the_same_tables_is_used(ann_url, ann):
    with opened_outbox(ann_url) as outbox, outbox.transaction() as tx, ann.reading(tx) as read:
        assert read is tx


def test_a_transaction_on_another_database_is_not_used(ann, tmp_path):
    with (
        opened_outbox(f"sqlite:///{tmp_path / 'other.db'}") as outbox,
        outbox.transaction() as tx,
        ann.reading(tx) as read,
    ):
        assert read is not tx
        assert names(read) == ["ann"]


def test_the_same_file_under_another_name_is_the_same_database(tmp_path):
    path = tmp_path / "kallithea.db"
    make_kallithea_db(f"sqlite:///{path}", [KallitheaUser("ann")])
    (tmp_path / "link.db").symlink_to(path)
    database = kallithea_database(f"sqlite:///{tmp_path / 'link.db'}")

    with (
        opened_outbox(f"sqlite:///{path}") as outbox,
        outbox.transaction() as tx,
        database.reading(tx) as read,
    ):
        is_used = read is tx
    database.close()

    assert is_used


@pytest.mark.postgresql
class TestOnPostgresql:
    """What one server's databases, search paths and roles make of "the same tables"."""

    @pytest.fixture
    def url(self, postgresql_url):
        make_kallithea_db(postgresql_url, [KallitheaUser("ann")])
        return postgresql_url

    @pytest.fixture
    def kallithea(self, url):
        database = kallithea_database(url)
        yield database
        database.close()

    @pytest.fixture
    def outbox(self, url):
        with opened_outbox(url) as outbox:
            yield outbox

    def test_another_database_of_the_server_is_not_used(self, postgres_server, kallithea):
        with (
            postgres_server.database() as name,
            opened_outbox(postgres_server.url(name)) as outbox,
            outbox.transaction() as tx,
            kallithea.reading(tx) as read,
        ):
            assert read is not tx
            assert names(read) == ["ann"]

    def test_another_table_of_that_name_is_not_used(self, outbox, kallithea):
        with outbox.transaction() as tx:
            tx.execute("CREATE SCHEMA shop", {})
            tx.execute("CREATE TABLE shop.users (username TEXT)", {})
            tx.execute("SET LOCAL search_path = shop", {})
            with kallithea.reading(tx) as read:
                assert read is not tx
                assert names(read) == ["ann"]

    def test_a_transaction_that_may_not_read_the_users_is_not_used(
        self, postgres_server, outbox, kallithea
    ):
        role = f"guest_{uuid.uuid4().hex}"
        postgres_server.run(f"CREATE ROLE {role}")
        try:
            with outbox.transaction() as tx:
                tx.execute(f"SET LOCAL ROLE {role}", {})
                with kallithea.reading(tx) as read:
                    assert read is not tx
                    assert names(read) == ["ann"]
        finally:
            postgres_server.run(f"DROP ROLE {role}")

    def test_an_error_leaves_the_transaction_usable(self, outbox, kallithea):
        with outbox.transaction() as tx:
            tx.execute("DROP TABLE user_email_map", {})
            with (
                pytest.raises(DirectoryError, match="these are not its tables"),
                kallithea.reading(tx) as read,
            ):
                read.execute("SELECT email FROM user_email_map", {})

            assert names(tx) == ["ann"]

    def test_an_error_of_somebody_else_leaves_it_usable_too(self, outbox, kallithea):
        with outbox.transaction() as tx:
            with pytest.raises(LookupError), kallithea.reading(tx):
                raise LookupError

            assert names(tx) == ["ann"]

    def test_nothing_stays_set_for_whom_a_pooler_gives_the_connection_next(self, kallithea):
        shows = "SELECT current_setting('{0}')"
        names = ("default_transaction_read_only", "statement_timeout", "lock_timeout")
        with kallithea.alone() as tx:
            inside = tx.execute(shows.format("transaction_read_only"), {})[0][0]
        with kallithea._own_engine().connect() as connection:
            raw = connection.connection.driver_connection
            raw.rollback()
            after = [raw.execute(shows.format(name)).fetchone()[0] for name in names]

        assert (inside, after) == ("on", ["off", "0", "0"])

    def test_a_connection_that_the_server_ended_is_made_again(self, kallithea, postgres_server):
        with kallithea.alone() as tx:
            names(tx)
            [[pid]] = tx.execute("SELECT pg_backend_pid()", {})
        postgres_server.run(f"SELECT pg_terminate_backend({pid})")

        with kallithea.alone() as tx:
            assert names(tx) == ["ann"]


FORKING = """
import os, sys
from envoi.directory.kallithea import kallithea_database

def count(database):
    with database.alone() as tx:
        return len(tx.execute("SELECT 1 FROM users", {}))

database = kallithea_database(sys.argv[1])
counts = [count(database)]
with database.alone() as held:  # open while the process forks
    child = os.fork()
    if child == 0:
        os._exit(count(database))
    counts.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    counts.append(len(held.execute("SELECT 1 FROM users", {})))
counts.append(count(database))
database.close()
print(*counts)
"""


def test_parent_and_child_read_after_a_fork(ann_url):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, ann_url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("2 2 2 2\n", "")
