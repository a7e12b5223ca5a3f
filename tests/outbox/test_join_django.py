"""A caller's transaction through Django, on both engines and both PostgreSQL drivers."""

# ruff: noqa: PT012 # the block of a transaction is what raises

import uuid

import django
import pytest
from django.conf import settings

from envoi.core.message import Composed
from envoi.errors import InputError, OutboxError
from envoi.journal import Fact, Journal
from envoi.outbox import open_outbox
from tests.outbox.samples import (
    ATTACHMENT,
    NOW,
    SEALED,
    a_message,
    an_event,
    claimed,
    count,
    listed,
    many,
)

if not settings.configured:
    settings.configure(DATABASES={}, USE_TZ=True)
    django.setup()

from django.db import connections, transaction  # Django reads its settings first


class HostError(Exception):
    """The application's own."""


@pytest.fixture
def make_alias(request):
    """Names databases in Django's settings for one test."""
    aliases = []

    def make(url, **options):
        alias = f"test_{uuid.uuid4().hex}"
        if url.startswith("sqlite"):
            place = {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}
        else:
            name, _, query = url.split("@/")[1].partition("?")
            host = query.removeprefix("host=")
            place = {"ENGINE": "django.db.backends.postgresql", "NAME": name, "HOST": host}
            place["USER"] = "postgres"
        connections.settings[alias] = connections.configure_settings(
            {"default": {}, alias: {**place, "OPTIONS": options}}
        )[alias]
        aliases.append(alias)
        return alias

    yield make
    for alias in aliases:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


@pytest.fixture
def host(outbox, outbox_url, make_alias):
    """(outbox, Django's connection), one database."""
    options = {"transaction_mode": "IMMEDIATE"} if outbox_url.startswith("sqlite") else {}
    connection = connections[make_alias(outbox_url, **options)]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE app_row (id INTEGER PRIMARY KEY)")
    return outbox, connection


def notify(outbox, tx):
    caller = outbox.join(tx)
    assert caller.is_our_database(outbox.database_id())
    with caller.savepoint():
        event_id = outbox.put_event(caller, an_event(key="100%s"), NOW).id
        message = a_message(event_id, text="100% ? :x", attachments=(ATTACHMENT,))
        outbox.put(caller, Composed(message=message, sealed=SEALED), many(3))
        assert outbox.put_event(caller, an_event(key="100%s"), NOW).id == event_id
    return caller


def write_own(connection):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO app_row (id) VALUES (1)")


def counts(outbox):
    return count(outbox, "app_row"), len(listed(outbox))


@pytest.mark.parametrize("kind", ["connection", "alias"])
def test_mail_is_stored_with_the_atomic_block(host, kind):
    outbox, connection = host

    with transaction.atomic(using=connection.alias):
        write_own(connection)
        caller = notify(outbox, connection if kind == "connection" else connection.alias)
        assert caller.is_in_transaction

    assert counts(outbox) == (1, 3)
    claims = claimed(outbox)
    with outbox.reading() as tx:
        [composed] = outbox.messages(tx, [claim.delivery.message_id for claim in claims]).values()
    assert (composed.message.attachments, composed.sealed) == ((ATTACHMENT,), SEALED)


def test_mail_goes_with_the_atomic_block(host):
    outbox, connection = host

    with pytest.raises(HostError), transaction.atomic(using=connection.alias):
        write_own(connection)
        notify(outbox, connection)
        raise HostError

    assert counts(outbox) == (0, 0)


def test_an_error_of_ours_leaves_the_atomic_block_usable(host):
    outbox, connection = host

    with transaction.atomic(using=connection.alias):
        caller = outbox.join(connection)
        with pytest.raises(OutboxError), caller.savepoint():
            outbox.put_event(caller, an_event(), NOW)
            caller.execute("SELECT * FROM envoi_nowhere", {})
        write_own(connection)
        notify(outbox, connection)

    assert counts(outbox) == (1, 3)
    assert count(outbox, "envoi_event") == 1


def test_autocommit_is_no_transaction_and_a_savepoint_there_is_a_whole_one(host):
    outbox, connection = host
    caller = outbox.join(connection)

    with pytest.raises(HostError), caller.savepoint():
        outbox.put_event(caller, an_event(), NOW)
        raise HostError

    assert not caller.is_in_transaction
    assert count(outbox, "envoi_event") == 0
    notify(outbox, connection)
    assert len(listed(outbox)) == 3


def test_callbacks_run_after_the_outermost_commit_and_stop_nobody(host):
    outbox, connection = host
    called = []

    def fail():
        raise ZeroDivisionError

    with transaction.atomic(using=connection.alias):
        outbox.join(connection).after_commit(fail)
        with transaction.atomic(using=connection.alias):
            outbox.join(connection).after_commit(lambda: called.append("kept"))
        with pytest.raises(HostError), transaction.atomic(using=connection.alias):
            outbox.join(connection).after_commit(lambda: called.append("lost"))
            raise HostError
        assert called == []

    assert called == ["kept"]


def test_the_module_transaction_means_the_default_database(host):
    outbox, connection = host
    connections.settings["default"] = connection.settings_dict

    caller = outbox.join(transaction)

    assert caller.connection.alias == "default"
    connections["default"].close()
    del connections["default"]
    del connections.settings["default"]


def test_an_alias_that_is_not_in_the_settings_is_refused(host):
    outbox, connection = host

    with pytest.raises(InputError, match=f"expected a database alias of .*{connection.alias}"):
        outbox.join("nowhere")


def test_many_rows_of_nothing_are_nothing(host):
    outbox, connection = host

    outbox.join(connection).execute_many("no statement", [])


@pytest.mark.parametrize(("options", "warnings"), [({}, 1), ({"transaction_mode": "IMMEDIATE"}, 0)])
def test_a_host_that_begins_deferred_is_warned_of_once(
    sqlite_url, make_alias, caplog, options, warnings
):
    journal = Journal()
    outbox = open_outbox(sqlite_url, journal=journal)
    alias = make_alias(sqlite_url, **options)

    for _ in range(2):
        with transaction.atomic(using=alias):
            notify(outbox, alias)

    assert journal.counts().get(Fact.SQLITE_DEFERRED, 0) == warnings
    assert ("'transaction_mode': 'IMMEDIATE'" in caplog.text) == bool(warnings)
    outbox.close()
