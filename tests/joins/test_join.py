"""`notify` in the caller's transaction, the outbox in his own database."""

import logging
from contextlib import suppress
from dataclasses import replace

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession

from envoi import Event, InputError, NotStoredError, Stored, UnknownKindError
from envoi.core.delivery import State
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries, stats
from tests.joins.hosts import DjangoHost, HostError

SECRET = "Geheim4711"


def reset(mailer):
    """Mail to bob, with a secret in it, whose recipient is found at once."""
    kind = mailer.parts.catalogue.kind("password_reset")
    mailer.register(replace(kind, route_later=False))
    facts = {**mailer.parts.catalogue.sample("password_reset").facts}
    facts["reset_url"] = f"/reset?code={SECRET}"
    return Event(kind="password_reset", facts=facts, people={"user": ("bob",)})


def listed(mailer):
    with mailer.parts.outbox.reading() as tx:
        return deliveries(tx, Query())


def events(mailer):
    with mailer.parts.outbox.reading() as tx:
        return stats(tx, 0).events


def app_rows(mailer):
    with mailer.parts.outbox.reading() as tx:
        return sorted(row[0] for row in tx.execute("SELECT id FROM app_row", {}))


def told(caplog):
    """What was logged about mail without a relay."""
    words = "SMTP is not configured"
    return [r.getMessage() for r in caplog.records if words in r.getMessage()]


def break_directory(mailer):
    with mailer.parts.outbox.transaction() as tx:
        tx.execute("ALTER TABLE envoi_user RENAME TO gone", {})


def mend_directory(mailer):
    with mailer.parts.outbox.transaction() as tx:
        tx.execute("ALTER TABLE gone RENAME TO envoi_user", {})


def test_mail_is_stored_with_the_commit_and_told_of_after_it(host, mailer, caplog):
    receipts = []

    def work(tx):
        host.write(tx, 1)
        receipts.append(mailer.notify(reset(mailer), tx))
        assert told(caplog) == []

    host.transact(work)

    assert [(r.stored, r.deliveries) for r in receipts] == [(Stored.STORED, 1)]
    assert app_rows(mailer) == [1]
    assert [row.delivery.state for row in listed(mailer)] == [State.HELD]
    [line] = told(caplog)
    assert "bob@example.test" in line
    assert SECRET not in caplog.text


def test_a_rollback_leaves_nothing_and_nothing_is_told(host, mailer, caplog):
    caplog.set_level(logging.INFO)

    def work(tx):
        host.write(tx, 1)
        assert mailer.notify(reset(mailer), tx).stored is Stored.STORED

    host.transact(work, commits=False)
    host.transact(lambda tx: host.write(tx, 2))

    assert app_rows(mailer) == [2]
    assert (events(mailer), listed(mailer)) == (0, ())
    assert told(caplog) == []
    assert "stored" not in caplog.text


def test_an_error_inside_leaves_the_transaction_usable(host, mailer, caplog):
    break_directory(mailer)
    receipts = []

    def work(tx):
        host.write(tx, 1)
        receipts.append(mailer.notify(reset(mailer), tx))
        host.write(tx, 2)

    host.transact(work)

    mend_directory(mailer)
    [receipt] = receipts
    assert receipt.stored is Stored.NOT_STORED
    assert not receipt.is_kept
    assert "envoi_user" in receipt.because
    assert app_rows(mailer) == [1, 2]
    assert events(mailer) == 0
    [error] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "password_reset not stored" in error.getMessage()
    assert "********" in error.getMessage()
    assert SECRET not in caplog.text


def test_strict_raises_and_leaves_the_transaction_usable(host, mailer):
    break_directory(mailer)

    def work(tx):
        host.write(tx, 1)
        with pytest.raises(NotStoredError, match="envoi_user"):
            mailer.notify(reset(mailer), tx, strict=True)
        host.write(tx, 2)

    host.transact(work)

    mend_directory(mailer)
    assert app_rows(mailer) == [1, 2]
    assert events(mailer) == 0


def test_a_programmers_error_raises_before_anything_is_written(host, mailer):
    def work(tx):
        with pytest.raises(UnknownKindError):
            mailer.notify(Event(kind="nowhere"), tx)
        host.write(tx, 1)

    host.transact(work)

    assert app_rows(mailer) == [1]
    assert events(mailer) == 0


def test_a_key_stores_once_over_transactions(host, mailer):
    event = replace(reset(mailer), key="reset 1")
    stored: list[Stored] = []

    def work(tx):
        stored.extend(mailer.notify(event, tx).stored for _ in range(2))

    host.transact(work, commits=False)
    host.transact(work)
    host.transact(work)

    assert stored == [Stored.STORED, Stored.REPEATED] * 2 + [Stored.REPEATED] * 2
    assert len(listed(mailer)) == 1


def test_a_savepoint_that_rolls_back_takes_its_mail_and_its_words(host, mailer, caplog):
    if isinstance(host, DjangoHost):
        from django.db import transaction

        def inner(tx):
            return transaction.atomic(using=host.alias)
    else:

        def inner(tx):
            return tx.begin_nested()

    def work(tx):
        host.write(tx, 1)
        with suppress(HostError), inner(tx):
            host.write(tx, 2)
            mailer.notify(reset(mailer), tx)
            raise HostError

    host.transact(work)

    assert app_rows(mailer) == [1]
    assert (events(mailer), told(caplog)) == (0, [])


def test_an_async_session_handed_in_directly_shows_the_line_to_write(make_mailer, sqlite_url):
    mailer = make_mailer(sqlite_url)

    with pytest.raises(InputError, match=r"await session\.run_sync\(lambda tx: mailer\.notify"):
        mailer.notify(reset(mailer), AsyncSession())

    assert events(mailer) == 0


@pytest.mark.parametrize(
    "host", ["django-atomic sqlite", "django-atomic postgresql"], indirect=True
)
def test_djangos_autocommit_stores_at_once(host, mailer, caplog):
    receipt = mailer.notify(reset(mailer), host.alias)

    assert receipt.stored is Stored.STORED
    assert len(listed(mailer)) == 1
    assert len(told(caplog)) == 1


def test_a_transaction_that_already_failed_is_told_of_and_not_made_worse(
    postgresql_url, make_mailer
):
    """PostgreSQL refuses everything after an error; the caller's own rollback still works."""
    mailer = make_mailer(postgresql_url)
    engine = sqlalchemy.create_engine(mailer.parts.outbox.database.url)
    with engine.connect() as connection:
        with pytest.raises(sqlalchemy.exc.ProgrammingError):
            connection.execute(sqlalchemy.text("SELECT * FROM nowhere"))

        receipt = mailer.notify(reset(mailer), connection)

        connection.rollback()
        assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
    engine.dispose()
    assert receipt.stored is Stored.NOT_STORED
    assert "aborted" in receipt.because
