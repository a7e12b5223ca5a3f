"""A caller's transaction through SQLAlchemy, with every driver that DESIGN 4.11 names."""

# ruff: noqa: PT012 # the block of a transaction is what raises

import asyncio
import contextlib
import sys

import pytest
import sqlalchemy
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from envoi.core.message import Composed
from envoi.errors import InputError, OutboxError
from envoi.journal import Fact, Journal
from envoi.outbox import open_outbox
from envoi.outbox.tx import identity_seen
from tests.outbox.samples import NOW, SEALED, a_message, an_event, count, listed, many

DRIVERS = ["pysqlite", "psycopg", "psycopg2"]
ASYNC_DRIVERS = ["aiosqlite", "asyncpg"]


class HostError(Exception):
    """The application's own."""


def driver_url(request, driver):
    """A fresh outbox in the application's own database, as the application's driver opens it."""
    if driver in {"pysqlite", "aiosqlite"}:
        url = request.getfixturevalue("sqlite_url")
        return url, url.replace("sqlite:", f"sqlite+{driver}:")
    url = request.getfixturevalue("postgresql_url")
    if driver == "asyncpg":
        return url, url.replace("postgresql:", "postgresql+asyncpg:")
    return url, url.replace("postgresql:", f"postgresql+{driver}:")


def begin_immediate(engine):
    """How DESIGN 4.13 asks a host to open SQLite."""

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@pytest.fixture(params=DRIVERS)
def host(request):
    """(outbox, engine of the application), one database."""
    url, hosts_url = driver_url(request, request.param)
    outbox = open_outbox(url)
    options = {"connect_args": {"isolation_level": None}} if request.param == "pysqlite" else {}
    engine = create_engine(hosts_url, **options)
    if request.param == "pysqlite":
        begin_immediate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE app_row (id INTEGER PRIMARY KEY)")
    yield outbox, engine
    engine.dispose()
    outbox.close()


def notify(outbox, tx):
    """What the mailer does inside a caller's transaction."""
    caller = outbox.join(tx)
    assert caller.is_our_database(outbox.database_id())
    assert caller.is_in_transaction
    with caller.savepoint():
        event_id = outbox.put_event(caller, an_event(key="k%s"), NOW).id
        composed = Composed(message=a_message(event_id, text="100% ? :x"), sealed=SEALED)
        outbox.put(caller, composed, many(3))
        assert outbox.put_event(caller, an_event(key="k%s"), NOW).id == event_id
        assert len(outbox.told(caller, event_id, ["user00001@example.org"])) == 1
    return caller


def write_own(connection):
    connection.execute(sqlalchemy.text("INSERT INTO app_row (id) VALUES (1)"))


def counts(outbox):
    return count(outbox, "app_row"), len(listed(outbox))


def test_mail_is_stored_with_the_callers_commit(host):
    outbox, engine = host

    with engine.begin() as connection:
        write_own(connection)
        notify(outbox, connection)

    assert counts(outbox) == (1, 3)
    assert listed(outbox)[0].delivery.due_at_ms == NOW


def test_mail_goes_with_the_callers_rollback(host):
    outbox, engine = host

    with pytest.raises(HostError), engine.begin() as connection:
        write_own(connection)
        notify(outbox, connection)
        raise HostError

    assert counts(outbox) == (0, 0)


def test_a_session_commits_and_rolls_back_mail_with_its_own(host):
    outbox, engine = host

    with Session(engine) as session:
        notify(outbox, session)
        session.rollback()
        assert counts(outbox) == (0, 0)
        write_own(session)
        notify(outbox, session)
        session.commit()

    assert counts(outbox) == (1, 3)


def test_a_scoped_session_is_its_session(host):
    outbox, engine = host
    sessions = scoped_session(sessionmaker(engine))

    notify(outbox, sessions)
    sessions.commit()
    sessions.remove()

    assert counts(outbox) == (0, 3)


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM envoi_nowhere", "INSERT INTO app_row VALUES (1)"]
)
def test_an_error_of_ours_leaves_the_callers_transaction_usable(host, statement):
    outbox, engine = host

    with engine.begin() as connection:
        write_own(connection)
        caller = outbox.join(connection)
        with pytest.raises(OutboxError), caller.savepoint():
            outbox.put_event(caller, an_event(), NOW)
            caller.execute(statement, {})
        notify(outbox, connection)

    assert counts(outbox) == (1, 3)
    assert count(outbox, "envoi_event") == 1


def test_a_savepoint_of_the_caller_takes_mail_with_it(host):
    outbox, engine = host

    with engine.begin() as connection:
        write_own(connection)
        with pytest.raises(HostError), connection.begin_nested():
            notify(outbox, connection)
            raise HostError

    assert counts(outbox) == (1, 0)


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_an_async_session_takes_part_through_run_sync(request, driver, commits):
    url, hosts_url = driver_url(request, driver)
    outbox = open_outbox(url)
    called = []

    async def application():
        engine = create_async_engine(hosts_url)
        async with AsyncSession(engine) as session:

            def hand_over(tx):
                caller = notify(outbox, tx)
                with pytest.raises(OutboxError), caller.savepoint():
                    caller.execute("SELECT * FROM envoi_nowhere", {})
                caller.after_commit(lambda: called.append(1))

            await session.run_sync(hand_over)
            await (session.commit() if commits else session.rollback())
        await engine.dispose()

    asyncio.run(application())

    assert len(listed(outbox)) == (3 if commits else 0)
    assert called == ([1] if commits else [])
    outbox.close()


def test_an_async_session_handed_in_directly_shows_the_line_to_write(outbox):
    session = AsyncSession()

    with pytest.raises(InputError, match=r"session\.run_sync\(lambda tx: mailer\.notify"):
        outbox.join(session)


@pytest.mark.parametrize("thing", [object(), 5, "nowhere"])
def test_something_without_a_transaction_is_refused(outbox, thing):
    with pytest.raises(InputError, match="tx: expected a"):
        outbox.join(thing)


@pytest.mark.parametrize(
    "absent", ["sqlalchemy", "sqlalchemy.orm", "sqlalchemy.ext.asyncio", "django.db"]
)
def test_toolkits_that_are_not_loaded_are_not_loaded(sqlite_url, monkeypatch, absent):
    """Who hands in a Session has imported it; nobody else pays for the import."""
    outbox = open_outbox(sqlite_url)
    monkeypatch.delitem(sys.modules, absent, raising=False)

    with pytest.raises(InputError, match="got object"):
        outbox.join(object())

    assert absent not in sys.modules
    outbox.close()


def test_a_session_without_an_engine_of_its_own_is_refused(outbox):
    with Session() as session, pytest.raises(InputError, match="bound per mapper"):
        outbox.join(session)


def test_another_database_is_not_ours_and_asking_spoils_nothing(request, host, tmp_path):
    _, engine = host
    elsewhere = open_outbox(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    elsewhere.upgrade()

    with engine.begin() as connection:
        write_own(connection)
        assert not elsewhere.join(connection).is_our_database(elsewhere.database_id())
        write_own_again = sqlalchemy.text("INSERT INTO app_row (id) VALUES (2)")
        connection.execute(write_own_again)
        # the answer is remembered per engine
        assert not elsewhere.join(connection).is_our_database(elsewhere.database_id())
    elsewhere.close()


def test_a_database_without_our_tables_is_not_ours_until_it_has_them(outbox, empty_url):
    engine = create_engine(empty_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        assert not outbox.join(connection).is_our_database(outbox.database_id())
    engine.dispose()


def test_a_database_that_holds_no_outboxes_is_not_ours(outbox):
    class Somewhere:
        dialect = "oracle"

    assert identity_seen(Somewhere(), "") is None  # type: ignore[arg-type] # it is not asked more


def test_an_outbox_in_a_schema_is_seen_and_joined(postgres_server):
    with postgres_server.database(template="template0") as name:
        outbox = open_outbox(postgres_server.url(name), schema="mail")
        outbox.upgrade()
        engine = create_engine(postgres_server.url(name, "psycopg2"))
        with engine.begin() as connection:
            notify(outbox, connection)
        assert len(listed(outbox)) == 3
        engine.dispose()
        outbox.close()


class TestAfterCommit:
    """Callbacks run once, after the outermost commit, and never after a rollback."""

    @pytest.fixture
    def called(self):
        return []

    @pytest.fixture
    def remember(self, host, called):
        """Register a callback that notes how many rows other connections see."""
        outbox, _ = host

        def register(tx, name="x"):
            caller = outbox.join(tx)
            caller.after_commit(lambda: called.append((name, count(outbox, "app_row"))))

        return register

    def test_a_connections_callback_runs_after_the_commit(self, host, called, remember):
        with host[1].begin() as connection:
            write_own(connection)
            remember(connection, "a")
            remember(connection, "b")
            assert called == []

        assert called == [("a", 1), ("b", 1)]

    def test_a_session_calls_back_as_soon_as_it_has_committed(self, host, called, remember):
        with Session(host[1]) as session:
            write_own(session)
            remember(session)
            with session.begin_nested():
                remember(session, "inner")
            assert called == []
            session.commit()
            assert called == [("x", 1), ("inner", 1)]
            remember(session, "again")
            session.commit()
            session.commit()

        assert called == [("x", 1), ("inner", 1), ("again", 1)]

    def test_a_connection_that_goes_on_calls_back_when_it_begins_again(
        self, host, called, remember
    ):
        with host[1].connect() as connection:
            write_own(connection)
            remember(connection)
            connection.commit()
            connection.execute(sqlalchemy.text("SELECT 1"))
            assert called == [("x", 1)]

        assert called == [("x", 1)]

    @pytest.mark.parametrize("kind", ["connection", "session", "closed"])
    def test_a_rollback_forgets(self, host, called, remember, kind):
        _, engine = host
        with contextlib.ExitStack() as stack:
            opened = Session(engine) if kind == "session" else engine.connect()
            tx = stack.enter_context(opened)
            write_own(tx)
            remember(tx)
            if kind != "closed":
                tx.rollback()
                tx.execute(sqlalchemy.text("SELECT 1"))
                tx.commit()

        assert called == []

    def test_a_savepoint_that_rolls_back_takes_its_callbacks(self, host, called, remember):
        with host[1].begin() as connection:
            write_own(connection)
            remember(connection, "before")
            with connection.begin_nested():
                remember(connection, "kept")
            with pytest.raises(HostError), connection.begin_nested():
                remember(connection, "lost")
                with connection.begin_nested():
                    remember(connection, "lost too")
                raise HostError
            remember(connection, "after")

        assert [name for name, _ in called] == ["before", "kept", "after"]

    def test_a_session_that_lives_long_is_watched_once_at_a_time(self, host, called, remember):
        with Session(host[1]) as session:
            for _ in range(3):
                remember(session)
                session.commit()
            assert len(session.dispatch.after_commit) == 0

        assert len(called) == 3

    def test_a_pooled_connection_starts_with_nothing(self, host, called, remember):
        _, engine = host
        for _ in range(2):
            with engine.begin() as connection:
                remember(connection)
        with engine.begin() as connection:
            write_own(connection)

        assert len(called) == 2


def test_autocommit_is_no_transaction(host):
    outbox, engine = host

    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        caller = outbox.join(connection)
        assert not caller.is_in_transaction


@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_a_sqlite_connection_as_it_comes_keeps_its_promise(sqlite_url, commits):
    """Its driver begins no transaction before the first change, and a savepoint is none."""
    journal = Journal()
    outbox = open_outbox(sqlite_url, journal=journal)
    engine = create_engine(sqlite_url)

    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
        notify(outbox, connection)
        notify_again = outbox.join(connection)
        with notify_again.savepoint():
            outbox.put_event(notify_again, an_event(), NOW)
        connection.commit() if commits else connection.rollback()

    assert len(listed(outbox)) == (3 if commits else 0)
    assert count(outbox, "envoi_event") == (2 if commits else 0)
    # What we begin for it begins the right way, so there is nothing to warn of.
    assert journal.counts().get(Fact.SQLITE_DEFERRED, 0) == 0
    engine.dispose()
    outbox.close()


@pytest.mark.parametrize(("begin", "warnings"), [("BEGIN", 1), ("BEGIN IMMEDIATE", 0)])
def test_a_host_that_begins_deferred_is_warned_of_once(sqlite_url, caplog, begin, warnings):
    journal = Journal()
    outbox = open_outbox(sqlite_url, journal=journal)
    engine = create_engine(sqlite_url, connect_args={"isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))

    for _ in range(2):
        with engine.connect() as connection:
            notify(outbox, connection)

    assert journal.counts().get(Fact.SQLITE_DEFERRED, 0) == warnings
    assert ("send BEGIN IMMEDIATE from SQLAlchemy's `begin` event" in caplog.text) == bool(warnings)
    engine.dispose()
    outbox.close()
