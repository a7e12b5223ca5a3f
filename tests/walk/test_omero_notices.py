"""What OMERO's mail senders say, whom they tell, and what they no longer do to their users."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine

from envoi import Event
from envoi.core.objects import Change, Circumstance, object_events
from envoi.directory.people import add_user
from envoi.directory.records import UserDraft
from envoi.serving import Server
from envoi.templates.catalogue import SHIPPED_FOLDER
from envoi.testing import Recorder

AT_MS = 1_772_330_000_000
USERS = (
    UserDraft(login="root", addresses=("root@uni.test",), is_admin=True),
    UserDraft(login="boss", addresses=("boss@uni.test",), is_admin=True),
    UserDraft(login="ann", first_name="Ann", last_name="Lee", addresses=("ann@uni.test",)),
    UserDraft(login="ben", addresses=("ben@uni.test",)),
    UserDraft(login="cat"),
)
ADMINS = ["boss@uni.test", "root@uni.test"]
FAILED = """<beans><bean id="failedLoginMailSender" class="FailedLoginMailSender">
  <property name="contactUser" value="{user}"/><property name="contactSystem" value="{system}"/>
  <property name="onAllUsers" value="{everybody}"/>
  <property name="onSpecificUsers" value="{some}"/></bean></beans>"""


@pytest.fixture
def omero(make_mailer, tmp_path):
    """A mailer beside an OMERO, with the shipped file of senders activated."""
    made = make_mailer(
        application={"from": "omero@uni.test", "base_url": "https://omero.uni.test"},
        smtp={"host": "127.0.0.1", "port": 1},
    )
    folder = tmp_path / "senders.d"
    folder.mkdir()
    (folder / "mail-senders.xml").write_bytes(
        (SHIPPED_FOLDER / "mail-senders.example").read_bytes()
    )
    with made.parts.outbox.transaction() as tx:
        for draft in USERS:
            add_user(tx, "main", draft, now_ms=1)
    return made


def sent(mailer):
    recorder = Recorder()
    worker = mailer.make_worker(recorder.carrier())
    worker.run_until_idle()
    worker.drain()
    return sorted(recorder.sent, key=lambda one: str(one.recipient))


def told(mailer):
    return [str(one.recipient) for one in sent(mailer)]


def failed(name, **more):
    facts = {"username": name, "at": AT_MS, "client": "203.0.113.7", "url": "/webadmin/", **more}
    return Event(kind="failed_login", facts=facts)


def made(class_name, *ids, actor="root", **people):
    changes = [
        Change(
            class_name=class_name, class_path=f"omero.model.{class_name}", action="INSERT",
            id=one, name=f"name of {one}", url=f"/show/{one}", people=people,
        )
        for one in ids
    ]  # fmt: skip
    circumstance = Circumstance(at_ms=AT_MS, actor=actor, client="203.0.113.7")
    return object_events(changes, circumstance)


def test_a_server_that_starts_and_ends_is_told_to_the_administrators(omero):
    with Server(omero):
        pass

    # The relay of this mailer refuses; what was stored is delivered here, later.
    found = sent_later(omero)
    assert sorted((str(one.recipient), one.subject) for one in found) == [
        (admin, f"[OMERO] Server {word}") for admin in ADMINS for word in ("shutdown", "started")
    ]
    assert all("https://omero.uni.test/" in one.text for one in found)


def sent_later(mailer):
    clock = mailer.parts.clock
    mailer.parts.clock = lambda: clock() + 3_600_000
    with mailer.parts.outbox.transaction() as tx:
        tx.execute("DELETE FROM envoi_relay", {})
    return sent(mailer)


def test_a_refused_sign_in_says_who_from_where_and_when(omero):
    omero.notify(failed("root"))

    mail = sent(omero)[0]
    assert mail.subject == "[OMERO] Login failed for 'root'"
    for word in ("root", "203.0.113.7", "2026", "https://omero.uni.test/webadmin/"):
        assert word in mail.text


@pytest.mark.parametrize(
    "event",
    [
        Event(kind="failed_login", facts={"username": "root"}),
        Event(kind="new_user", facts={"username": "zed"}),
        Event(
            kind="new_comment", actor="ben", people={"owner": ("ann",)},
            facts={"object": "mitosis.tiff", "comment": "Sharp!"},
        ),
        Event(
            kind="object_changed", actor="ben",
            facts={"class_name": "Experimenter", "action": "INSERT", "objects": [{"id": "1"}]},
        ),
    ],
    ids=lambda event: event.kind,
)  # fmt: skip
@pytest.mark.parametrize("when", ["said", "not-said"])
def test_a_notice_says_when_even_if_the_application_does_not(omero, event, when):
    moment = 1_111_111_111_000  # in March 2005
    omero.notify(replace(event, occurred_at_ms=moment) if when == "said" else event)

    mail = sent(omero)[0]
    year = "2005" if when == "said" else str(datetime.now(UTC).year)
    assert [year in mail.text, year in mail.html] == [True, True]


@pytest.mark.parametrize(
    ("bean", "login", "recipients"),
    [
        ({"system": "true", "everybody": "true"}, "ann", ADMINS),
        ({"user": "true", "everybody": "true"}, "ann", ["ann@uni.test"]),
        ({"user": "true", "system": "true", "some": "ann"}, "ann", ["ann@uni.test", *ADMINS]),
        ({"system": "true", "some": "root,ben"}, "ann", []),
        ({"user": "true", "everybody": "true"}, "cat", []),
        ({"system": "true", "user": "true", "everybody": "true"}, "nobody", []),
    ],
    ids=["system", "user", "both-of-some", "of-others", "without-address", "unknown-login"],
)
def test_a_refused_sign_in_is_told_to_whom_the_bean_says(omero, tmp_path, bean, login, recipients):
    usual = {"user": "false", "system": "false", "everybody": "false", "some": ""}
    (tmp_path / "senders.d" / "mail-senders.xml").write_text(FAILED.format(**{**usual, **bean}))

    omero.notify(failed(login))

    assert told(omero) == sorted(recipients)


@pytest.mark.parametrize(
    ("events", "recipients", "subject"),
    [
        (made("Experimenter", "52"), ADMINS, "INSERT Experimenter notification"),
        (
            made("ExperimenterGroup", "7", actor="boss"),
            ["root@uni.test"], "INSERT ExperimenterGroup notification",
        ),
        (
            made("CommentAnnotation", "9", actor="ben", owner=("ann",)),
            ["ann@uni.test"], "INSERT CommentAnnotation notification",
        ),
        (made("CommentAnnotation", "9", actor="ann", owner=("ann",)), [], ""),
        (made("Image", "9", actor="ann"), [], ""),
        (made("ExperimenterSub", "9"), [], ""),
    ],
    ids=["user", "group", "comment", "own-comment", "other-class", "subclass"],
)  # fmt: skip
def test_an_object_is_told_of_to_whom_its_sender_says(omero, events, recipients, subject):
    for event in events:
        omero.notify(event)

    found = sent(omero)
    assert sorted(str(one.recipient) for one in found) == recipients
    assert {one.subject for one in found} == ({f"[OMERO] {subject}"} if subject else set())


def test_a_notice_says_what_by_whom_from_where_and_when_with_a_link(omero):
    for event in made("CommentAnnotation", "9", actor="ben", owner=("ann",)):
        omero.notify(event)

    text = sent(omero)[0].text
    for word in ("CommentAnnotation:9", "name of 9", "ben", "203.0.113.7", "2026",
                 "https://omero.uni.test/show/9"):  # fmt: skip
        assert word in text


def test_objects_made_together_are_told_of_once_each(omero):
    for event in made("Experimenter", "52", "53"):
        omero.notify(event)

    found = sent(omero)
    assert sorted(one.recipient for one in found) == ADMINS
    for mail in found:
        assert [mail.text.count(f"- Experimenter:{one}") for one in ("52", "53")] == [1, 1]


def test_a_rollback_leaves_no_false_notice(omero, outbox_url):
    engine = create_engine(outbox_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection, connection.begin() as transaction:
        for event in made("Experimenter", "52"):
            omero.notify(event, connection)
        transaction.rollback()
    engine.dispose()

    assert told(omero) == []


def test_a_broken_rule_harms_neither_the_application_nor_other_senders(omero, tmp_path):
    (tmp_path / "senders.d" / "more.xml").write_text("<beans><bean class='x.Nonsense'/></beans>")

    receipt = omero.notify(failed("root"))

    assert receipt.deliveries == 2


def test_what_closes_a_limit_has_the_prefix_that_filters_look_for(make_mailer):
    made = make_mailer(omero={"omero.mail.config": "true"})

    senders, _ = made.parts.sender_tables()

    prefixes = {sender.name: sender.prefix for sender in senders}
    assert prefixes["held_back"] == prefixes["failed_login"] == "[OMERO]"
    assert prefixes["password_reset"] is None
