import logging
from dataclasses import replace

import pytest

from envoi import (
    Event,
    EventError,
    Fact,
    FactType,
    InputError,
    Kind,
    Mailbox,
    ReadyMail,
    Stored,
    UnknownKindError,
)
from envoi.addresses import parse_address
from envoi.core.delivery import Move, State
from envoi.directory.people import add_user
from envoi.directory.records import UserDraft
from envoi.outbox.explain import explain_event
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries, show, stats
from tests.walk.people import add_users, review

KIND = Kind(
    name="note",
    facts={"title": Fact(type=FactType.LINE)},
    roles=("readers",),
    description="A note",
)


def facts_of(mailer, kind):
    return mailer.parts.catalogue.sample(kind).facts


def notify_review(mailer, **changes):
    return mailer.notify(review(facts_of(mailer, "pull_request"), **changes))


def listed(mailer):
    with mailer.parts.outbox.reading() as tx:
        return deliveries(tx, Query())


def states(mailer):
    return {str(row.delivery.address): row.delivery.state for row in listed(mailer)}


def explained(mailer, receipt):
    with mailer.parts.outbox.reading() as tx:
        return explain_event(tx, str(receipt.event_id))


def deliver(mailer, carrier=None):
    worker = mailer.make_worker(carrier)
    worker.run_until_idle()
    worker.drain()


def route(mailer):
    """Let the worker find people; nothing is sent."""
    claim = mailer.parts.outbox.claim_event(mailer.parts.clock(), 60_000)
    for _ in mailer.walk.route(claim):
        pass


class TestRouting:
    def test_every_reviewer_gets_a_reason_chosen_or_not(self, mailer):
        add_users(mailer)

        receipt = notify_review(mailer)

        found = explained(mailer, receipt)
        assert {c.address: str(c.because) for c in found.chosen} == {
            "bob@example.test": "is named by the event as reviewers"
        }
        assert {s.name: str(s.because) for s in found.skipped} == {
            "ann": "did it and is not told of it",
            "cat": "has no address",
            "dan": "is inactive",
        }
        assert (receipt.deliveries, receipt.skipped) == (1, len(found.skipped))

    def test_unknown_people_are_named_as_unknown_and_the_others_are_told(self, mailer):
        add_users(mailer)

        receipt = notify_review(mailer, people={"reviewers": ("bob", "nobody")})

        found = explained(mailer, receipt)
        assert [c.address for c in found.chosen] == ["bob@example.test"]
        assert ("nobody", "is not in the directory") in [
            (s.name, str(s.because)) for s in found.skipped
        ]

    def test_two_users_with_one_address_get_one_copy(self, mailer):
        shared = ("team@example.test",)
        add_users(
            mailer,
            UserDraft(login="kim", addresses=shared),
            UserDraft(login="lou", addresses=shared),
        )

        receipt = notify_review(mailer, actor="", people={"reviewers": ("kim", "lou")})

        found = explained(mailer, receipt)
        assert [c.address for c in found.chosen] == ["team@example.test"]
        assert [str(s.because) for s in found.skipped] == [
            "has the same address as kim, who is told"
        ]

    def test_large_audience_is_routed_by_the_worker_in_chunks(self, make_mailer, envoi_recorder):
        mailer = make_mailer(
            smtp={"host": "127.0.0.1", "port": 9},
            outbox={"route_at_once": 10},
            senders={"all": {"kind": "note", "recipients": ["everyone"]}},
        )
        mailer.register(KIND)
        users = [UserDraft(login=f"u{n}", addresses=(f"u{n}@x.test",)) for n in range(1_205)]
        add_users(mailer, *users, UserDraft(login="again", addresses=("U7@X.TEST", "u8@x.test")))

        receipt = mailer.notify(Event(kind="note", facts={"title": "Hello"}))
        deliver(mailer, envoi_recorder.carrier())

        assert receipt.stored is Stored.ROUTING
        assert len({sent.recipient for sent in envoi_recorder.sent}) == 1_206
        assert len(envoi_recorder.sent) == 1_206

    def test_password_reset_does_not_wait_until_a_large_audience_is_routed(
        self, make_mailer, envoi_recorder
    ):
        mailer = make_mailer(
            smtp={"host": "127.0.0.1", "port": 9},
            outbox={"route_at_once": 10},
            senders={"all": {"kind": "note", "recipients": ["everyone"]}},
        )
        mailer.register(KIND)
        users = [UserDraft(login=f"u{n}", addresses=(f"u{n}@x.test",)) for n in range(3_000)]
        add_users(mailer, *users)
        facts = facts_of(mailer, "password_reset")
        mailer.notify(Event(kind="note", facts={"title": "Hello"}))
        mailer.notify(Event(kind="password_reset", facts=facts, people={"user": ("u9",)}))
        worker = mailer.make_worker(envoi_recorder.carrier())

        for _ in range(3):
            worker.turn()

        assert [sent.recipient for sent in envoi_recorder.sent] == ["u9@x.test"]
        worker.drain()

    def test_event_of_an_application_that_left_the_settings_stops_no_other(
        self, make_mailer, envoi_recorder, caplog
    ):
        sections = {
            "smtp": {"host": "127.0.0.1", "port": 9},
            "outbox": {"route_at_once": 1},
        }
        shop = make_mailer(application={"shop": {"from": "shop@x.test"}}, **sections)
        with shop.outbox.transaction() as tx:
            for login in ("kim", "lou", "max"):
                draft = UserDraft(login=login, addresses=(f"{login}@x.test",))
                add_user(tx, "shop", draft, now_ms=1)
        people = {"reviewers": ("kim", "lou", "max")}
        notify_review(shop, application="shop", actor="", people=people)
        mailer = make_mailer(**sections)
        add_users(mailer)

        notify_review(mailer, people={"reviewers": ("bob", "eva")})
        deliver(mailer, envoi_recorder.carrier())

        assert {sent.recipient for sent in envoi_recorder.sent} == {
            "bob@example.test",
            "eva@example.test",
        }
        assert "cannot be routed" in caplog.text


class TestInput:
    def test_unknown_kind_raises_and_names_the_nearest(self, mailer):
        with pytest.raises(UnknownKindError, match="pull_request"):
            mailer.notify(Event(kind="pull_requests"))

        assert listed(mailer) == ()

    def test_every_misfit_is_named_and_nothing_is_stored(self, mailer):
        with pytest.raises(EventError) as caught:
            mailer.notify(
                Event(kind="registration", facts={"usrname": "x"}, people={"boss": ("x",)})
            )

        assert "facts.usrname" in str(caught.value)
        assert "people.boss" in str(caught.value)
        with mailer.parts.outbox.reading() as tx:
            assert tx.execute("SELECT COUNT(*) FROM envoi_event", {})[0][0] == 0

    def test_unknown_application_raises(self, mailer):
        with pytest.raises(EventError, match=r"application\.shop"):
            notify_review(mailer, application="shop")

    def test_transaction_of_no_known_sort_raises(self, mailer):
        with pytest.raises(InputError, match="SQLAlchemy"):
            mailer.notify(review(facts_of(mailer, "pull_request")), tx=object())

    def test_same_key_is_stored_once(self, mailer):
        add_users(mailer)

        first = notify_review(mailer, key="pr-7-opened")
        second = notify_review(mailer, key="pr-7-opened")

        assert (first.stored, second.stored) == (Stored.STORED, Stored.REPEATED)
        assert second.event_id == first.event_id
        assert len(listed(mailer)) == 1


class TestDelivery:
    def test_mail_arrives_with_the_recipients_reason_language_and_thread(
        self, mailer, faulty_relay
    ):
        add_users(mailer)

        notify_review(mailer, people={"reviewers": ("bob", "eva")})
        deliver(mailer)

        kept = {mail.recipient: mail.message for mail in faulty_relay.ledger.kept}
        bob, eva = kept["bob@example.test"], kept["eva@example.test"]
        assert bob["From"] == '"Ann Lee (no-reply)" <noreply@example.test>'
        assert bob["To"] == "Bob Ray <bob@example.test>"
        assert bob["References"] == eva["References"] == "<docs/pull/7@code.example.test>"
        assert bob["X-Envoi-Notification-Type"] == "pull_request"
        assert bob["Auto-Submitted"] == "auto-generated"
        assert bob["Message-ID"] != eva["Message-ID"]
        assert "Begutachtung" in eva.get_body(("plain",)).get_content()
        assert states(mailer) == {
            "bob@example.test": State.SENT,
            "eva@example.test": State.SENT,
        }

    def test_stats_add_up(self, mailer):
        add_users(mailer)
        notify_review(mailer, people={"reviewers": ("bob", "eva")})
        deliver(mailer)
        notify_review(mailer)

        with mailer.parts.outbox.reading() as tx:
            found = stats(tx, mailer.parts.clock())

        assert found.total == 3
        assert sum(found.by_state.values()) == 3
        assert found.by_state[State.SENT] == 2

    def test_each_recipient_has_its_own_verdict(self, mailer):
        add_users(
            mailer,
            UserDraft(login="a", addresses=("perm-a@x.test",)),
            UserDraft(login="b", addresses=("temp-b@x.test",)),
            UserDraft(login="c", addresses=("c@x.test",)),
            UserDraft(login="d", addresses=("drop_kept-d@x.test",)),
        )

        notify_review(mailer, actor="", people={"reviewers": ("a", "b", "c", "d")})
        deliver(mailer)

        assert states(mailer) == {
            "perm-a@x.test": State.FAILED,
            "temp-b@x.test": State.QUEUED,
            "c@x.test": State.SENT,
            "drop_kept-d@x.test": State.UNCERTAIN,
        }
        replies = {str(row.delivery.address): row.last_reply for row in listed(mailer)}
        assert replies["perm-a@x.test"] == "550 5.1.1 no such user"

    def test_an_attempt_keeps_how_far_it_got_and_when(self, mailer):
        add_users(
            mailer,
            UserDraft(login="a", addresses=("perm-a@x.test",)),
            UserDraft(login="b", addresses=("data_451-b@x.test",)),
            UserDraft(login="c", addresses=("drop_kept-c@x.test",)),
        )

        notify_review(mailer, actor="", people={"reviewers": ("a", "b", "c")})
        deliver(mailer)

        with mailer.outbox.reading() as tx:
            rows = [show(tx, row.delivery.id) for row in deliveries(tx, Query())]
        found = {str(row.listed.delivery.address): row.attempts[0] for row in rows}
        assert {address: attempt.stage for address, attempt in found.items()} == {
            "perm-a@x.test": "rcpt",
            "data_451-b@x.test": "data",
            "drop_kept-c@x.test": "content",
        }
        assert all(0 < a.started_at_ms <= a.ended_at_ms for a in found.values())

    def test_a_password_reset_in_doubt_goes_again_before_the_worker_is_idle(
        self, mailer, faulty_relay
    ):
        """Somebody is locked out: nobody waits for the next look, or the next `work --once`."""
        add_users(mailer, UserDraft(login="u", addresses=("u@x.test",)))
        faulty_relay.messages.play(["drop_kept"])
        mailer.notify(
            Event(
                kind="password_reset",
                facts=facts_of(mailer, "password_reset"),
                people={"user": ("u",)},
            )
        )

        deliver(mailer)

        assert states(mailer) == {"u@x.test": State.SENT}
        first, second = faulty_relay.ledger.kept
        assert first.message_id == second.message_id

    def test_password_reset_overtakes_what_was_queued_before(self, mailer, faulty_relay):
        users = [UserDraft(login=f"u{n}", addresses=(f"u{n}@x.test",)) for n in range(30)]
        add_users(mailer, *users)
        people = {"reviewers": tuple(f"u{n}" for n in range(1, 30))}
        notify_review(mailer, actor="", people=people)
        mailer.notify(
            Event(
                kind="password_reset",
                facts=facts_of(mailer, "password_reset"),
                people={"user": ("u0",)},
            )
        )

        deliver(mailer)

        order = [mail.recipient for mail in faulty_relay.ledger.kept]
        assert len(order) == 30
        # The first claim takes two per connection; the reset is among them.
        assert order.index("u0@x.test") < 8


class TestSecrets:
    @pytest.fixture
    def reset(self, mailer):
        add_users(mailer)
        facts = {**facts_of(mailer, "password_reset"), "reset_url": "/reset?code=Geheim4711"}
        return Event(kind="password_reset", facts=facts, people={"user": ("bob",)})

    def test_secret_goes_out_and_stays_nowhere(self, mailer, faulty_relay, reset, caplog):
        caplog.set_level(logging.DEBUG)

        mailer.notify(reset)
        deliver(mailer)

        [kept] = faulty_relay.ledger.kept
        text = kept.message.get_body(("plain",)).get_content()
        assert "https://code.example.test/reset?code=Geheim4711" in text.splitlines()
        assert "Geheim4711" not in caplog.text
        assert "Geheim4711" not in everything_stored(mailer)

    def test_a_link_that_leads_nowhere_is_told_of_by_name_alone(self, mailer, reset, caplog):
        lost = replace(reset, facts={**reset.facts, "reset_url": '/reset?code="Geheim4711'})

        mailer.notify(lost)

        assert [record.getMessage() for record in caplog.records] == [
            ("password_reset: fact reset_url leads nowhere: it is no link that may stand in a mail")
        ]

    def test_retry_after_the_secret_is_gone_is_refused_with_the_reason(self, mailer, reset):
        add_users(mailer, UserDraft(login="gil", addresses=("perm-gil@example.test",)))
        mailer.notify(replace(reset, people={"user": ("gil",)}))
        deliver(mailer)
        [row] = listed(mailer)

        [answer] = mailer.parts.outbox.operate(
            Move.RETRY, Query(ids=(row.delivery.id,)), mailer.parts.clock()
        )

        assert not answer.is_changed
        assert "secret" in str(answer)

    def test_show_masks(self, mailer, reset):
        mailer.notify(reset)
        route(mailer)
        [row] = listed(mailer)

        with mailer.parts.outbox.reading() as tx:
            shown = show(tx, row.delivery.id)

        assert "Geheim4711" not in repr(shown)
        assert "********" in shown.message.text

    @pytest.mark.parametrize("hold", [False, True], ids=["queued", "held"])
    def test_after_its_lifetime_it_expires_and_the_secret_is_gone(self, mailer, reset, hold):
        mailer.notify(reset)
        route(mailer)
        if hold:
            mailer.parts.outbox.operate(Move.HOLD, Query(), mailer.parts.clock())
        assert "Geheim4711" in everything_stored(mailer)

        mailer.parts.outbox.expire_due(mailer.parts.clock() + 25 * 3_600_000)

        assert states(mailer) == {"bob@example.test": State.EXPIRED}
        assert "Geheim4711" not in everything_stored(mailer)


class TestNotConfigured:
    def test_mail_is_logged_masked_and_held_until_released(
        self, make_mailer, caplog, faulty_relay, outbox_url
    ):
        mailer = make_mailer()
        add_users(mailer)
        facts = {**facts_of(mailer, "password_reset"), "reset_url": "/reset?code=Geheim4711"}

        mailer.notify(Event(kind="password_reset", facts=facts, people={"user": ("bob",)}))
        deliver(mailer)

        [record] = [r for r in caplog.records if "SMTP is not configured" in r.getMessage()]
        assert record.levelno == logging.WARNING
        assert "bob@example.test" in record.getMessage()
        assert "Geheim4711" not in caplog.text
        assert states(mailer) == {"bob@example.test": State.HELD}

        configured = make_mailer(smtp={"host": "127.0.0.1", "port": faulty_relay.port})
        deliver(configured)
        assert faulty_relay.ledger.kept == []

        configured.parts.outbox.operate(Move.RELEASE, Query(), configured.parts.clock())
        deliver(configured)
        assert [mail.recipient for mail in faulty_relay.ledger.kept] == ["bob@example.test"]


class TestTemplates:
    def test_broken_template_sends_the_facts_and_says_so(
        self, make_mailer, faulty_relay, tmp_path, caplog
    ):
        folder = tmp_path / "own"
        (folder / "registration").mkdir(parents=True)
        (folder / "registration" / "text.txt").write_text("{{ nope.nope }}", "utf-8")
        mailer = make_mailer(
            smtp={"host": "127.0.0.1", "port": faulty_relay.port},
            templates={"folders": [str(folder)]},
        )
        add_users(mailer)

        mailer.notify(Event(kind="registration", facts=facts_of(mailer, "registration")))
        deliver(mailer)

        [kept] = faulty_relay.ledger.kept
        assert kept.recipient == "root@example.test"
        assert facts_of(mailer, "registration")["username"] in kept.message.get_content()
        assert "is broken" in caplog.text


class TestGuard:
    def test_allow_list_lets_nobody_else_out(self, make_mailer, faulty_relay):
        mailer = make_mailer(
            smtp={"host": "127.0.0.1", "port": faulty_relay.port},
            guard={"allow": ["eva@example.test"]},
        )
        add_users(mailer)

        notify_review(mailer, people={"reviewers": ("bob", "eva")})
        deliver(mailer)

        assert [mail.recipient for mail in faulty_relay.ledger.kept] == ["eva@example.test"]
        assert states(mailer)["bob@example.test"] is State.SUPPRESSED

    def test_redirect_sends_everything_to_one_address(self, make_mailer, faulty_relay):
        mailer = make_mailer(
            smtp={"host": "127.0.0.1", "port": faulty_relay.port},
            guard={"redirect": "staging@example.test"},
        )
        add_users(mailer)

        notify_review(mailer, people={"reviewers": ("bob", "eva")})
        deliver(mailer)

        assert {m.recipient for m in faulty_relay.ledger.kept} == {"staging@example.test"}
        assert {m.message["To"] for m in faulty_relay.ledger.kept} == {
            "Bob Ray <bob@example.test>",
            "eva <eva@example.test>",
        }

    def test_a_redirected_mail_names_whom_each_copy_was_for(self, make_mailer, faulty_relay):
        mailer = make_mailer(
            smtp={"host": "127.0.0.1", "port": faulty_relay.port},
            guard={"redirect": "staging@example.test"},
        )
        box = {name: Mailbox(parse_address(f"{name}@x.test")) for name in ("a", "b", "c")}
        mail = ReadyMail(to=(box["a"], box["b"]), bcc=(box["c"],), subject="Hi", text="Hello")

        mailer.send(mail)
        deliver(mailer)

        kept = faulty_relay.ledger.kept
        assert {m.recipient for m in kept} == {"staging@example.test"}
        assert sorted(m.message["X-Original-To"] for m in kept) == [
            "a@x.test",
            "b@x.test",
            "c@x.test",
        ]


class TestReadyMade:
    def test_shows_to_and_cc_to_all_and_bcc_to_nobody(self, mailer, faulty_relay):
        box = {name: Mailbox(parse_address(f"{name}@x.test")) for name in ("a", "b", "c")}
        mail = ReadyMail(
            to=(box["a"],), cc=(box["b"],), bcc=(box["c"], box["a"]), subject="Hi", text="Hello"
        )

        receipt = mailer.send(mail)
        deliver(mailer)

        assert (receipt.deliveries, receipt.skipped) == (3, 1)
        assert sorted(m.recipient for m in faulty_relay.ledger.kept) == [
            "a@x.test",
            "b@x.test",
            "c@x.test",
        ]
        for kept in faulty_relay.ledger.kept:
            assert (kept.message["To"], kept.message["Cc"]) == ("a@x.test", "b@x.test")
            assert "c@x.test" not in kept.content.decode()

    def test_what_does_not_fit_is_refused_with_every_problem(self, mailer):
        with pytest.raises(InputError) as caught:
            mailer.send(ReadyMail(subject="a\nBcc: x@y.test", headers=(("From", "x"),)))

        for field in ("to", "subject", "headers", "text"):
            assert f"{field}: expected" in str(caught.value)
        assert listed(mailer) == ()


def everything_stored(mailer):
    tables = ("event", "message", "delivery", "attempt", "decision", "sealed")
    with mailer.parts.outbox.reading() as tx:
        rows = [row for table in tables for row in tx.execute(f"SELECT * FROM envoi_{table}", {})]
    # A driver's row shortens long values in its own repr.
    return repr([tuple(row) for row in rows])


def test_the_lifetime_of_what_is_spooled_counts_from_then(make_mailer, tmp_path):
    mailer = make_mailer(outbox={"url": f"sqlite:///{tmp_path / 'no' / 'such.db'}"})
    mailer.parts.clock = lambda: 7
    to = (Mailbox(parse_address("bob@example.test")),)
    mail = ReadyMail(to=to, subject="Hi", text="Hello")

    notify_review(mailer)
    mailer.send(mail)
    mailer.send(replace(mail, occurred_at_ms=5))

    forms = [next(iter(entry.form.values())) for entry in mailer.parts.spool.take()]
    assert [form["occurred_at_ms"] for form in forms] == [7, 7, 5]
