"""Spooled events that cannot be stored: tried again, then set aside, and never in others' way."""

import pytest

from envoi import InputError, NotStoredError
from envoi.chores import MAX_SPOOL_TRIES, Intake
from envoi.errors import OutboxUnavailableError, SchemaError
from envoi.journal import Fact
from tests.joins.test_join import listed, reset
from tests.walk.people import add_users

HOUR_MS = 3_600_000


@pytest.fixture
def mailer(make_mailer, sqlite_url):
    mailer = make_mailer(sqlite_url)
    add_users(mailer)
    return mailer


@pytest.fixture
def spool(mailer):
    return mailer.parts.spool


class Storage:
    """Stores entries, but not the ones that are named `bad`.

    Args:
        cause: What storing those meets.
    """

    def __init__(self, cause: Exception) -> None:
        self.cause = cause
        self.tried: list[object] = []

    def take_in(self, form, _uid) -> None:
        self.tried.append(form["name"])
        if form["name"] == "bad":
            raise NotStoredError(f"note: {self.cause}") from self.cause


def endings(spool):
    return sorted(path.suffix for path in spool.folder.iterdir())


def test_one_that_always_fails_blocks_no_other(mailer, spool):
    spool.keep({"name": "bad"})
    spool.keep({"name": "good"})
    storage = Storage(ValueError("broken"))

    Intake(mailer.parts, storage.take_in).look(0)

    assert storage.tried == ["bad", "good"]
    assert endings(spool) == [".json"]
    assert mailer.parts.journal.counts()[Fact.EVENT_UNSPOOLED] == 1


def test_one_that_always_fails_is_set_aside_with_an_error(mailer, spool, caplog):
    spool.keep({"name": "bad"})
    storage = Storage(ValueError("broken"))

    for hour in range(MAX_SPOOL_TRIES + 3):
        # Each look by a worker of its own: a restart forgets nothing.
        Intake(mailer.parts, storage.take_in).look(hour * HOUR_MS)

    assert len(storage.tried) == MAX_SPOOL_TRIES
    assert endings(spool) == [".because", ".broken"]
    [told] = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "set aside: note: broken" in told.getMessage()


def test_between_its_tries_it_waits_ever_longer(mailer, spool):
    spool.keep({"name": "bad"})
    storage = Storage(ValueError("broken"))
    intake = Intake(mailer.parts, storage.take_in)

    for second in range(16):
        intake.look(second * 1000)

    assert len(storage.tried) == 5  # at 0, 1, 3, 7 and 15 s


@pytest.mark.parametrize("cause", [OutboxUnavailableError("locked"), SchemaError("older")], ids=str)
def test_an_outbox_in_trouble_costs_no_try(mailer, spool, cause):
    spool.keep({"name": "bad"})
    intake = Intake(mailer.parts, Storage(cause).take_in)

    for second in range(MAX_SPOOL_TRIES + 1):
        with pytest.raises(NotStoredError):
            intake.look(second * 1000)

    assert [entry.tries for entry in spool.take()] == [0]


def test_what_does_not_fit_is_set_aside_at_once(mailer, spool, caplog):
    spool.keep({"name": "bad"})

    def refuse(_form, _uid):
        raise InputError("event.kind: expected a text")

    Intake(mailer.parts, refuse).look(0)

    assert endings(spool) == [".because", ".broken"]
    assert "set aside: event.kind" in caplog.text


def test_one_that_failed_before_is_stored_once_when_it_can_be(mailer, spool):
    failing, event = Storage(ValueError("broken")), reset(mailer)
    spool.keep({"name": "bad"})
    Intake(mailer.parts, failing.take_in).look(0)

    def store(_form, uid):
        mailer.notify(event, strict=True)
        assert len(uid) == 32

    Intake(mailer.parts, store).look(0)

    assert endings(spool) == []
    assert len(listed(mailer)) == 1
