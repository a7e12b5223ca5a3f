"""The three lines in a process that can open the outbox itself."""

import threading
from email.utils import parseaddr

import pytest
from sqlalchemy import text

from envoi.core.delivery import State
from envoi.core.event import Event
from envoi.integrations.kallithea import Replacement, send_email
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.testing import FaultyRelay
from envoi.testing.ledger import RelayTraits
from tests.integrations.kallithea.stand_in import Comment
from tests.integrations.kallithea.test_call import RESET, TOKEN

TYPED = {"X-Kallithea-Notification-Type": "cs_comment", "References": "<docs-rev-1@code.test>"}
BOB = "bob@example.org"


def send(kallithea, recipients=(BOB,), subject="Hi", body="Hello", **named):
    kallithea.send_email(list(recipients), subject, body, **named)


def stored(kallithea):
    mailer = kallithea.mailer()
    with mailer.outbox.reading() as tx:
        rows = deliveries(tx, Query())
    mailer.close()
    return rows


def states(kallithea):
    return {str(row.delivery.address): row.delivery.state for row in stored(kallithea)}


class TestOneMail:
    def test_leaves_as_it_was_composed(self, extended):
        send(extended, html_body="<p>Hello</p>", headers=TYPED, from_name="Ann Lee")

        [sent] = extended.deliver()
        assert (sent.recipient, sent.mail_from) == (BOB, "kallithea@example.org")
        assert sent.subject == "[Kal] Hi"
        assert (sent.text, sent.html) == ("Hello\n", "<p>Hello</p>\n")
        assert sent.message["From"] == '"Ann Lee (no-reply)" <kallithea@example.org>'
        assert sent.message["To"] == BOB
        assert sent.message["References"] == "<docs-rev-1@code.test>"
        assert sent.message["In-Reply-To"] == "<docs-rev-1@code.test>"
        assert sent.message["Message-ID"].endswith("@code.example.org>")

    def test_has_one_header_of_each_name(self, extended):
        send(extended, headers={**TYPED, "x-kallithea-notification-type": "message", "TO": "x@y.z"})

        [sent] = extended.deliver()
        names = [name.lower() for name in sent.message]
        assert sorted(names) == sorted(set(names))
        assert sent.message["To"] == BOB
        assert sent.message["X-Kallithea-Notification-Type"] == "message"

    def test_without_actor_comes_from_the_configured_sender(self, extended):
        send(extended)

        [sent] = extended.deliver()
        assert parseaddr(sent.message["From"]) == ("Kallithea Server", "kallithea@example.org")

    def test_to_several_is_one_copy_each_that_names_all(self, extended):
        send(extended, [BOB, "cyd@example.org"])

        sent = extended.deliver()
        assert {mail.recipient for mail in sent} == {BOB, "cyd@example.org"}
        assert {mail.message["To"] for mail in sent} == {"bob@example.org, cyd@example.org"}

    def test_returns_nothing_as_kallitheas_own_call(self, extended):
        assert extended.send_email([BOB], "Hi") is None


class TestNobodyNamed:
    def test_goes_to_administrators_and_email_to_one_mail_each(self, extended, caplog):
        send(extended, [])

        sent = extended.deliver()
        # root stands in email_to as well and gets one; nomail is an administrator without address.
        assert {mail.message["To"] for mail in sent} == {
            "root <root@example.org>",
            "ops@example.org",
        }
        assert len(sent) == 2
        [warning] = [r for r in caplog.records if r.fact == "recipients.undetermined"]
        assert "'[Kal] Hi'" in warning.message

    def test_and_nobody_to_answer_is_an_error_and_no_mail(self, kallithea, caplog):
        ini = kallithea.ini.read_text("utf-8").replace("email_to", "#email_to")
        kallithea.ini.write_text(ini, "utf-8")
        kallithea.sessions.execute(text("UPDATE users SET admin = false"))
        kallithea.sessions.commit()
        replacement = Replacement()

        replacement.send_email([], "Hi", "Hello")

        assert stored(kallithea) == ()
        assert [r.fact for r in caplog.records if r.levelname == "ERROR"] == ["recipients.nobody"]
        replacement.close()

    def test_never_shows_others_a_reset_link(self, extended, caplog):
        send(extended, [], body=RESET)

        assert extended.deliver() == ()
        assert TOKEN not in caplog.text
        assert [r.fact for r in caplog.records if r.levelname == "ERROR"] == ["event.not_stored"]


class TestNothingReachesTheCaller:
    @pytest.mark.parametrize(
        "recipients", [None, "bob@example.org", ["no address"], [None], 7], ids=repr
    )
    def test_of_recipients_that_are_none(self, extended, recipients, caplog):
        extended.send_email(recipients, "Hi", "Hello")

        assert stored(extended) == ()
        [line] = [r for r in caplog.records if r.levelname == "ERROR"]
        assert line.fact == "event.not_stored"
        assert "'Hi'" in line.message

    def test_of_settings_that_do_not_fit(self, extended, caplog):
        ini = extended.ini.read_text("utf-8").replace("smtp_port =", "smtp_port = x")
        extended.ini.write_text(ini, "utf-8")

        send(extended, body=RESET)

        [line] = [r for r in caplog.records if r.levelname == "ERROR"]
        assert "smtp.port" in line.message
        assert TOKEN not in caplog.text

    def test_of_a_body_that_cannot_be_text(self, extended, caplog):
        class Strange:
            def __str__(self):
                raise RuntimeError("no words")

        send(extended, body=Strange())

        assert "RuntimeError: no words" in caplog.text

    def test_of_an_application_that_the_settings_do_not_know(self, kallithea, caplog):
        Replacement(application="other").send_email([BOB], "Hi", "Hello")

        assert "expected one of main, got 'other'" in caplog.text

    def test_of_an_outbox_without_tables(self, extended, caplog):
        (extended.folder / "envoi.db").unlink()

        send(extended)

        assert "event.not_stored" in [r.fact for r in caplog.records]


class TestWithoutRelay:
    @pytest.fixture
    def silent(self, extended):
        ini = extended.ini.read_text("utf-8").replace("smtp_server =", "#smtp_server =")
        extended.ini.write_text(ini, "utf-8")
        return extended

    def test_mail_is_in_the_log_and_kept(self, silent, caplog):
        send(silent, body="Hello Bob")

        [warning] = [r for r in caplog.records if r.fact == "mail.not_configured"]
        assert warning.levelname == "WARNING"
        assert "Hello Bob" in warning.message
        assert states(silent) == {BOB: State.HELD}

    def test_a_reset_token_is_nowhere_but_in_the_mail(self, silent, caplog):
        send(silent, subject="Password reset link", body=RESET)

        [row] = stored(silent)
        assert TOKEN not in caplog.text
        assert "token=********" in caplog.text
        assert TOKEN not in repr(row)

    def test_the_reader_gets_the_token_and_the_store_loses_it(self, extended):
        send(extended, subject="Password reset link", body=RESET)

        [sent] = extended.deliver()
        assert sent.text == RESET
        assert TOKEN not in (extended.folder / "envoi.db").read_bytes().decode("latin-1")


class TestTransaction:
    def test_mail_waits_for_the_commit(self, extended):
        extended.write_comment()
        send(extended)
        before = states(extended)
        extended.sessions.commit()

        assert before == {}
        assert states(extended) == {BOB: State.QUEUED}

    def test_a_flush_is_a_change_too(self, extended):
        extended.write_comment()
        extended.sessions.flush()
        send(extended)

        extended.sessions.rollback()
        assert states(extended) == {}

    @pytest.mark.parametrize("end", ["rollback", "close", "remove"])
    def test_mail_is_forgotten_with_the_change(self, extended, end):
        extended.write_comment()
        send(extended)

        getattr(extended.sessions, end)()
        extended.sessions.commit()
        assert states(extended) == {}

    def test_mail_is_stored_at_once_where_nothing_was_written(self, extended):
        extended.comments()
        send(extended)

        extended.sessions.rollback()
        assert states(extended) == {BOB: State.QUEUED}

    def test_what_was_committed_before_is_no_change(self, extended):
        extended.write_comment()
        extended.sessions.commit()
        extended.comments()
        send(extended)

        extended.sessions.rollback()
        assert states(extended) == {BOB: State.QUEUED}

    def test_a_thread_without_session_gets_none(self, extended):
        extended.write_comment()
        extended.sessions.flush()

        worker = threading.Thread(target=send, args=(extended,))
        worker.start()
        worker.join()
        assert states(extended) == {BOB: State.QUEUED}
        extended.sessions.rollback()

    def test_savepoint_that_is_rolled_back_takes_its_mail_along(self, extended):
        extended.write_comment()
        send(extended, ["kept@example.org"])
        inner = extended.sessions.begin_nested()
        extended.write_comment("inner")
        send(extended, ["lost@example.org"])
        inner.rollback()

        extended.sessions.commit()
        assert states(extended) == {"kept@example.org": State.QUEUED}


class TestSessionThatIsBoundToItsTables:
    @pytest.fixture
    def bound(self, kallithea):
        """As in Kallithea 0.7, whose tables and not its sessions know the engine."""
        engine = kallithea.sessions.get_bind()
        kallithea.sessions.remove()
        kallithea.sessions.configure(bind=None, binds={Comment: engine})
        kallithea.comments()
        replacement = Replacement()
        vars(kallithea.modules["kallithea.model.notification"])["send_email"] = (
            replacement.send_email
        )
        yield kallithea
        replacement.close()

    def test_mail_is_stored_after_its_commit(self, bound):
        bound.write_comment()
        send(bound)
        before = states(bound)
        bound.sessions.commit()

        assert before == {}
        assert states(bound) == {BOB: State.QUEUED}

    def test_mail_is_forgotten_with_the_change(self, bound):
        bound.write_comment()
        send(bound)

        bound.sessions.rollback()
        assert states(bound) == {}


@pytest.fixture
def shared(extended, monkeypatch):
    """The outbox is Kallithea's own database."""
    url = f"sqlite:///{extended.folder / 'kallithea.db'}"
    monkeypatch.setenv("ENVOI_OUTBOX__URL", url)
    mailer = extended.mailer()
    mailer.outbox.upgrade()
    mailer.close()
    return extended


class TestOneDatabase:
    def test_mail_is_in_the_transaction_of_the_change(self, shared):
        shared.write_comment()
        send(shared)
        count = "SELECT count(*) FROM envoi_delivery"
        within = shared.sessions.execute(text(count)).scalar_one()
        shared.sessions.rollback()

        assert within == 1
        assert states(shared) == {}

    def test_mail_and_change_are_committed_together(self, shared):
        shared.write_comment()
        send(shared)
        shared.sessions.commit()

        assert shared.comments() == 1
        assert states(shared) == {BOB: State.QUEUED}


class TestCalledByItself:
    def test_finds_the_kallithea_of_this_process(self, kallithea):
        send_email([BOB], "Hi", "Hello")
        send_email([BOB], "Again", "Hello")

        assert {mail.subject for mail in kallithea.deliver()} == {"[Kal] Hi", "[Kal] Again"}
        kallithea.config["envoi.integrations.kallithea"].close()

    def test_counts_what_was_written_before_its_first_call(self, kallithea):
        kallithea.write_comment()
        kallithea.sessions.flush()
        send_email([BOB], "Hi", "Hello")

        kallithea.sessions.rollback()
        assert states(kallithea) == {}
        kallithea.config["envoi.integrations.kallithea"].close()

    def test_without_a_kallithea_says_so_and_goes_on(self, caplog):
        send_email([BOB], "Hi", "Hello")

        assert "Kallithea does not run in this process" in caplog.text


OTHER = """\
[application]
from = "Other <other@example.org>"

[smtp]
host = "127.0.0.1"
"""


def test_settings_may_be_another_file(kallithea, tmp_path):
    toml = tmp_path / "envoi.toml"
    toml.write_text(OTHER, "utf-8")
    replacement = Replacement(toml)

    replacement.send_email(
        [BOB], "Hi", "Hello", headers={"X-Kallithea-Notification-Type": "message"}
    )

    [sent] = kallithea.deliver()
    assert (sent.mail_from, sent.subject) == ("other@example.org", "Hi")
    assert sent.message["X-Envoi-Notification-Type"] == "message"
    replacement.close()


def test_settings_named_by_the_environment_win_over_the_ini(kallithea, tmp_path, monkeypatch):
    toml = tmp_path / "envoi.toml"
    toml.write_text(OTHER, "utf-8")
    monkeypatch.setenv("ENVOI_CONFIG", str(toml))
    replacement = Replacement()

    replacement.send_email([BOB], "Hi", "Hello")

    [sent] = kallithea.deliver()
    assert sent.mail_from == "other@example.org"
    replacement.close()


def test_28_calls_return_while_the_relay_answers_none(kallithea):
    # A relay that takes a second would do; one that takes an hour needs no clock to be measured by.
    with FaultyRelay(RelayTraits(slow_s=3600)) as relay:
        relay.messages.play([], then="slow_ack")
        ini = kallithea.ini.read_text("utf-8")
        ini = ini.replace("smtp_port =", f"smtp_port = {relay.port}\n#")
        kallithea.ini.write_text(ini, "utf-8")
        replacement = Replacement(deliver=True)
        replacement.send_email([BOB], "First", "Hello")
        relay.ledger.wait_for(1)  # a worker of this process is talking to the relay

        for number in range(28):
            replacement.send_email([f"u{number}@example.org"], "Hi", "Hello", "<p>Hello</p>", TYPED)

        rows = stored(kallithea)
    replacement.close()
    assert len(rows) == 29
    assert State.SENT not in {row.delivery.state for row in rows}


def test_events_of_the_same_application_share_its_threads(extended):
    mailer = extended.mailer()
    mailer.notify(
        Event(
            kind="message",
            people={"recipients": ("ann",)},
            facts={"title": "Hi", "body": "Hello"},
            subject="docs-pr-7",
        )
    )
    mailer.close()
    send(extended, headers={"References": "<docs-pr-7@code.example.org>"})

    assert {mail.message["References"] for mail in extended.deliver()} == {
        "<docs-pr-7@code.example.org>"
    }
