"""Who is told when recipients cannot be determined, and when the directory cannot be asked."""

import logging
from dataclasses import replace

import pytest

from envoi import Event, Fact, FactType, Kind
from envoi.core.delivery import State
from envoi.core.reason import Why
from envoi.directory.people import add_user
from envoi.directory.records import UserDraft
from envoi.journal import Fact as Noted
from envoi.mailer import Stored
from envoi.outbox.explain import explain_event
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.reach import fallback_recipients
from envoi.walk import DIRECTORY_TRIES
from tests.kallithea.schema import KallitheaUser, make_kallithea_db
from tests.walk.people import add_users

KIND = Kind(
    name="note",
    facts={"title": Fact(type=FactType.LINE)},
    roles=("readers", "owner"),
    description="A note",
)
SENDERS = {"readers": {"kind": "note", "recipients": ["role:readers"]}}
GHOST = Event(kind="note", facts={"title": "Hello"}, people={"readers": ("ghost",)})


@pytest.fixture
def make(make_mailer):
    """Return `make(**sections)`: a mailer that knows notes for readers."""

    def make(**sections):
        sections = {"senders": SENDERS, **sections}
        mailer = make_mailer(**sections)
        mailer.register(KIND)
        return mailer

    return make


def explained(mailer, receipt):
    with mailer.parts.outbox.reading() as tx:
        return explain_event(tx, str(receipt.event_id))


def told(mailer, receipt):
    return [chosen.address for chosen in explained(mailer, receipt).chosen]


def levels(caplog):
    """What was logged about recipients: a note has no template, and there is no relay."""
    noted = [(record.levelname, record.getMessage()) for record in caplog.records]
    return [(level, line) for level, line in noted if "told" in line]


class TestUndetermined:
    def test_administrators_and_fallback_addresses_get_one_mail_each(self, make, caplog):
        mailer = make(application={"fallback": ["ops@x.test", "ROOT@example.test", "ops@x.test"]})
        add_users(mailer)

        receipt = mailer.notify(GHOST)

        found = explained(mailer, receipt)
        assert [(c.address, c.because.why) for c in found.chosen] == [
            ("root@example.test", Why.FALLBACK),
            ("ops@x.test", Why.FALLBACK),
        ]
        assert {(s.name, str(s.because)) for s in found.skipped} == {
            ("ghost", "is not in the directory"),
            ("role:readers", "could not be determined"),
        }
        [(level, line)] = levels(caplog)
        assert level == "WARNING"
        assert "A note" in line
        assert "root@example.test, ops@x.test" in line

    def test_the_mail_says_why_they_read_it(self, make):
        mailer = make()
        add_users(mailer, UserDraft(login="r", addresses=("r@x.test",), is_admin=True, locale="de"))

        mailer.notify(GHOST)

        with mailer.parts.outbox.reading() as tx:
            [(blocks,)] = tx.execute("SELECT blocks FROM envoi_message", {})
        assert "weil ihre Empfänger nicht festgestellt werden konnten" in str(blocks)

    def test_without_anybody_an_error_is_logged_and_the_event_is_kept(self, make, caplog):
        mailer = make()

        receipt = mailer.notify(GHOST)

        assert (receipt.stored, receipt.deliveries) == (Stored.STORED, 0)
        assert "cannot be determined" in receipt.because
        assert ("fallback", Why.NO_FALLBACK) in [
            (s.name, s.because.why) for s in explained(mailer, receipt).skipped
        ]
        [(level, line)] = levels(caplog)
        assert level == "ERROR"
        assert "nobody is told of 'A note'" in line

    @pytest.mark.parametrize(
        "draft",
        [
            UserDraft(login="root", is_admin=True),
            UserDraft(login="root", addresses=("r@x.test",), is_admin=True, is_active=False),
        ],
        ids=["no address", "inactive"],
    )
    def test_an_administrator_who_cannot_be_told_is_none(self, make, draft, caplog):
        mailer = make(
            application={"fallback": ["ops@x.test"]},
            senders={"admins": {"kind": "note", "recipients": ["admins"]}},
        )
        add_users(mailer, draft)

        receipt = mailer.notify(replace(GHOST, people={}))

        assert told(mailer, receipt) == ["ops@x.test"]
        assert [level for level, _ in levels(caplog)] == ["WARNING"]

    @pytest.mark.parametrize(
        "people",
        [
            {},
            {"readers": ()},
            {"readers": ("dan",)},
            {"readers": ("cat",)},
            {"readers": ("ann",)},
            {"readers": ("bob",), "may_not_read": ("bob",)},
            {"owner": ("ghost",)},
        ],
        ids=["no role", "an empty one", "inactive", "no address", "the actor", "may not read",
             "a role that no sender asks for"],
    )  # fmt: skip
    def test_nobody_concerned_is_no_reason_to_tell_others(self, make, people, caplog):
        mailer = make(application={"fallback": ["ops@x.test"]})
        add_users(mailer)

        receipt = mailer.notify(replace(GHOST, actor="ann", people=people))

        assert told(mailer, receipt) == []
        assert levels(caplog) == []

    def test_one_who_was_found_is_enough(self, make, caplog):
        mailer = make(application={"fallback": ["ops@x.test"]})
        add_users(mailer)

        receipt = mailer.notify(replace(GHOST, people={"readers": ("ghost", "bob")}))

        assert told(mailer, receipt) == ["bob@example.test"]
        assert levels(caplog) == []

    @pytest.mark.parametrize("rule", [{"fallback": False}, {"class": "security"}])
    def test_a_sender_may_tell_nobody_else(self, make, rule, caplog):
        sender = {**SENDERS["readers"], **rule}
        mailer = make(application={"fallback": ["ops@x.test"]}, senders={"readers": sender})
        add_users(mailer)

        receipt = mailer.notify(GHOST)

        assert told(mailer, receipt) == []
        assert levels(caplog) == []

    def test_two_senders_that_fall_back_tell_everybody_once(self, make):
        owner = {"kind": "note", "recipients": ["role:owner"]}
        mailer = make(senders={**SENDERS, "owner": owner})
        add_users(mailer)

        people = {"readers": ("ghost",), "owner": ("ghost",)}
        receipt = mailer.notify(replace(GHOST, people=people))

        assert told(mailer, receipt) == ["root@example.test"]

    def test_an_event_that_the_worker_routes_falls_back_as_well(self, make, caplog):
        mailer = make(outbox={"route_at_once": 1}, senders={
            **SENDERS, "all": {"kind": "note", "recipients": ["everyone"]},
        })  # fmt: skip
        add_users(mailer)

        receipt = mailer.notify(GHOST)
        route(mailer)

        assert receipt.stored is Stored.ROUTING
        by_sender = {(c.sender, c.address) for c in explained(mailer, receipt).chosen}
        assert ("readers", "root@example.test") in by_sender or (
            "all", "root@example.test") in by_sender  # fmt: skip
        assert any("recipients of 'A note' cannot be determined" in m for _, m in levels(caplog))

    def test_others_may_ask_for_it(self, make):
        mailer = make(application={"fallback": ["ops@x.test"]})
        add_users(mailer)

        with mailer.parts.outbox.reading() as tx:
            found = fallback_recipients(mailer.parts, tx, "main", "mine", told=("OPS@x.test",))

        assert [(str(r.address), r.sender, r.because.why) for r in found] == [
            ("root@example.test", "mine", Why.FALLBACK)
        ]


def route(mailer, times=1):
    """Let the worker claim the next event and route it."""
    for _ in range(times):
        claim = mailer.parts.outbox.claim_event(mailer.parts.clock(), 60_000)
        for _ in mailer.walk.route(claim):
            pass


class TestDirectoryThatCannotBeAsked:
    @pytest.fixture
    def place(self, tmp_path):
        return tmp_path / "kallithea.db"

    @pytest.fixture
    def mailer(self, make, place):
        return make(
            directory={"kind": "kallithea", "url": f"sqlite:///{place}"},
            application={"admins": ["boss@x.test"], "fallback": ["ops@x.test"]},
        )

    def test_the_application_goes_on_and_the_event_waits(self, mailer, place):
        receipt = mailer.notify(replace(GHOST, people={"readers": ("ann",)}))
        make_kallithea_db(f"sqlite:///{place}", [KallitheaUser("ann", "ann@x.test")])
        route(mailer)

        assert receipt.stored is Stored.ROUTING
        assert "the directory cannot be asked now" in receipt.because
        assert told(mailer, receipt) == ["ann@x.test"]

    def test_after_some_tries_the_plain_addresses_are_told(self, mailer, caplog):
        caplog.set_level(logging.WARNING)
        clock = Clock(mailer.parts)
        receipt = mailer.notify(GHOST)

        for attempt in range(1, DIRECTORY_TRIES + 1):
            assert told(mailer, receipt) == [], f"told at try {attempt}"
            work(mailer)
            clock.pass_minutes(1)

        assert told(mailer, receipt) == ["boss@x.test", "ops@x.test"]
        assert explained(mailer, receipt).is_routed
        assert mailer.parts.journal.counts()[Noted.ROUTING_BROKEN] == DIRECTORY_TRIES - 1
        assert mailer.parts.journal.counts()[Noted.RECIPIENTS_UNDETERMINED] == 1

    def test_security_mail_waits_for_as_long_as_it_is_worth_anything(self, mailer, place):
        clock = Clock(mailer.parts)
        sample = mailer.parts.catalogue.sample("password_reset")
        receipt = mailer.notify(replace(sample, actor="", people={"user": ("ann",)}))

        for _ in range(DIRECTORY_TRIES + 3):
            work(mailer)
            clock.pass_minutes(1)
        assert not explained(mailer, receipt).is_routed
        make_kallithea_db(f"sqlite:///{place}", [KallitheaUser("ann", "ann@x.test")])
        work(mailer)

        assert told(mailer, receipt) == ["ann@x.test"]

    def test_security_mail_that_is_worth_nothing_any_more_is_told_to_nobody(self, mailer):
        clock = Clock(mailer.parts)
        sample = mailer.parts.catalogue.sample("password_reset")
        receipt = mailer.notify(replace(sample, actor="", people={"user": ("ann",)}))

        clock.pass_minutes(24 * 60)
        work(mailer)

        assert explained(mailer, receipt).is_routed
        assert told(mailer, receipt) == []


class Clock:
    """A clock that goes on when told to."""

    def __init__(self, parts):
        self._now_ms = parts.clock()
        parts.clock = lambda: self._now_ms

    def pass_minutes(self, minutes):
        self._now_ms += minutes * 60_000 + 1


def work(mailer):
    worker = mailer.make_worker()
    worker.run_until_idle()
    worker.drain()


class TestTurns:
    def test_a_small_event_overtakes_a_large_one(self, make):
        """The large one needs two steps, and the small one is routed within the first turn."""
        mailer = make(outbox={"route_at_once": 1}, senders={
            "all": {"kind": "note", "recipients": ["everyone"], "when": {"title": "All"}},
            "readers": {"kind": "note", "recipients": ["role:readers"], "when": {"title": "You"}},
        })  # fmt: skip
        with mailer.parts.outbox.transaction() as tx:
            for n in range(1_001):
                draft = UserDraft(login=f"u{n}", addresses=(f"u{n}@x.test",))
                add_user(tx, "main", draft, now_ms=1)
        mailer.notify(replace(GHOST, facts={"title": "All"}))
        people = {"readers": ("u7", "u8")}
        mailer.notify(replace(GHOST, facts={"title": "You"}, people=people))
        worker = mailer.make_worker()

        worker.turn()

        with mailer.parts.outbox.reading() as tx:
            rows = deliveries(tx, Query(states=(State.HELD,)))
        senders = {row.delivery.sender for row in rows if row.delivery.due_at_ms < FAR_MS}
        worker.drain()
        assert senders == {"readers"}


FAR_MS = 10**14
