"""The three lines in an environment whose SQLAlchemy is too old for the outbox, or missing.

SQLAlchemy 2 plays the old one's part here: it says of itself that it is 1.3.24, and its sessions
are watched through the same events. Imports are blocked in a process of its own.
"""

import json
import subprocess
import sys

import pytest
import sqlalchemy

from envoi.core.delivery import State
from envoi.errors import SettingsError
from envoi.integrations.kallithea import Replacement
from tests.integrations.kallithea.stand_in import Comment
from tests.integrations.kallithea.test_call import RESET, TOKEN
from tests.integrations.kallithea.test_send import BOB, TYPED, send, states


@pytest.fixture
def old(extended, monkeypatch):
    monkeypatch.setattr(sqlalchemy, "__version__", "1.3.24")
    return extended


def texts(kallithea):
    return [path.read_text("utf-8") for path in kallithea.spooled]


def test_mail_is_written_down_and_a_worker_delivers_it(old):
    send(old, html_body="<p>Hello</p>", headers=TYPED, from_name="Ann Lee")
    assert len(old.spooled) == 1

    [sent] = old.deliver()
    assert old.spooled == []
    assert (sent.recipient, sent.subject, sent.text) == (BOB, "[Kal] Hi", "Hello\n")
    assert sent.message["From"] == '"Ann Lee (no-reply)" <kallithea@example.org>'
    assert sent.message["References"] == "<docs-rev-1@code.test>"
    assert sent.message["X-Kallithea-Notification-Type"] == "cs_comment"


def test_mail_for_nobody_goes_to_those_whom_the_worker_finds(old):
    send(old, [])

    assert {mail.recipient for mail in old.deliver()} == {"root@example.org", "ops@example.org"}


def test_a_reset_token_stays_secret_behind_the_spool(old, caplog):
    send(old, subject="Password reset link", body=RESET)

    [sent] = old.deliver()
    assert sent.text == RESET
    assert TOKEN not in caplog.text


def test_a_token_that_grew_old_in_the_spool_is_not_sent(old):
    send(old, subject="Password reset link", body=RESET)
    [path] = old.spooled
    form = json.loads(path.read_text("utf-8"))
    form["mail"]["occurred_at_ms"] -= 25 * 60 * 60 * 1000
    path.write_text(json.dumps(form), "utf-8")

    assert old.deliver() == ()
    assert old.spooled == []


def test_the_spool_is_for_its_owner_alone(old):
    send(old, body=RESET)

    [path] = old.spooled
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


class TestTransaction:
    def test_mail_is_written_after_the_commit(self, old):
        old.write_comment()
        send(old)
        before = len(old.spooled)
        old.sessions.commit()

        assert (before, len(old.spooled)) == (0, 1)

    def test_each_is_written_once(self, old):
        old.write_comment()
        send(old)
        old.sessions.commit()
        old.write_comment("another")
        old.sessions.commit()

        assert len(old.spooled) == 1

    @pytest.mark.parametrize("end", ["rollback", "close", "remove"])
    def test_mail_is_forgotten_with_the_change(self, old, end):
        old.write_comment()
        old.sessions.flush()
        send(old)

        getattr(old.sessions, end)()
        old.write_comment("another")
        old.sessions.commit()
        assert old.spooled == []

    def test_savepoint_that_is_rolled_back_takes_its_mail_along(self, old):
        old.write_comment()
        send(old, subject="kept")
        inner = old.sessions.begin_nested()
        old.write_comment("inner")
        send(old, subject="lost")
        inner.rollback()
        old.sessions.commit()

        assert [json.loads(text)["mail"]["subject"] for text in texts(old)] == ["[Kal] kept"]

    def test_savepoint_that_is_released_waits_for_the_commit(self, old):
        inner = old.sessions.begin_nested()
        old.write_comment()
        send(old)
        inner.commit()
        before = len(old.spooled)
        old.sessions.commit()

        assert (before, len(old.spooled)) == (0, 1)

    @pytest.mark.parametrize("change", ["update", "delete"])
    def test_a_change_of_many_rows_is_a_change(self, old, change):
        rows = old.sessions.query(Comment)
        rows.update({"text": "x"}) if change == "update" else rows.delete()
        send(old)

        old.sessions.rollback()
        assert old.spooled == []

    def test_mail_is_written_at_once_where_nothing_was(self, old):
        old.comments()
        send(old)

        assert len(old.spooled) == 1

    def test_a_commit_goes_through_when_the_spool_cannot_be_written(self, old, caplog):
        (old.folder / "envoi-spool").write_text("a file, no folder")
        old.write_comment()
        send(old)
        old.sessions.commit()

        assert old.comments() == 1
        [line] = [r for r in caplog.records if r.levelname == "ERROR"]
        assert line.fact == "event.not_stored"
        assert "'[Kal] Hi'" in line.message


def test_delivering_from_such_an_environment_is_refused_at_the_start(old):
    with pytest.raises(SettingsError, match=r"^deliver: expected .*SQLAlchemy 2"):
        Replacement(deliver=True)


PROGRAM = """
import sys
from types import ModuleType

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
host = sys.modules["kallithea"] = ModuleType("kallithea")
host.CONFIG = {"__file__": sys.argv[1]}
from envoi.integrations.kallithea import Replacement
Replacement().send_email(["bob@example.org"], "Hi", "Hello", from_name="Ann Lee")
Replacement().send_email([], "Nobody", "Hello")
loaded = {name.partition(".")[0] for name in sys.modules} & set(sys.argv[2].split(","))
print(sorted(loaded))
"""
# What Kallithea 0.7's environment has too old, or what nobody installs there.
ABSENT = "sqlalchemy,alembic,typer,click,rich,css_inline,psycopg,dns"


def test_nothing_is_needed_that_stands_against_kallitheas_own_libraries(extended):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(extended.ini), ABSENT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert len(extended.spooled) == 2
    assert len(extended.deliver()) == 3


def test_what_is_spooled_is_held_and_masked_where_no_relay_is_configured(old, caplog):
    ini = old.ini.read_text("utf-8").replace("smtp_server =", "#smtp_server =")
    old.ini.write_text(ini, "utf-8")
    send(old, subject="Password reset link", body=RESET)

    mailer = old.mailer()
    mailer.make_worker().run_until_idle()
    mailer.close()
    assert states(old) == {BOB: State.HELD}
    assert "token=********" in caplog.text
    assert TOKEN not in caplog.text
