"""Senders of `object_changed`: who is told by class, action and role."""

import re
import tomllib

import pytest

from envoi import Event
from envoi.core.rules import read_senders
from envoi.templates.catalogue import Catalogue
from envoi.testing import Recorder
from tests.desk import ROOT
from tests.walk.people import add_users

GROUP = {"class_name": "Group", "action": "INSERT"}


def deliver(mailer):
    recorder = Recorder()
    worker = mailer.make_worker(recorder.carrier())
    worker.run_until_idle()
    worker.drain()
    return [(sent.recipient, sent.subject) for sent in recorder.sent]


def changed(facts, **people):
    facts = {"objects": [{"id": "7", "name": "microscopy"}], **facts}
    return Event(kind="object_changed", facts=facts, people=people)


@pytest.mark.parametrize(
    ("facts", "count"),
    [
        (GROUP, 1),
        ({**GROUP, "class_name": "ExperimenterGroup"}, 1),
        ({**GROUP, "class_name": "Image"}, 0),
        ({**GROUP, "action": "DELETE"}, 0),
    ],
    ids=["a group", "OMERO's", "something else", "deleted"],
)
def test_new_group_tells_the_administrators_of_new_groups_only(make_mailer, facts, count):
    senders = {"new_group": {"enabled": True}}
    mailer = make_mailer(smtp={"host": "relay.example"}, senders=senders)
    add_users(mailer)

    mailer.notify(changed(facts), strict=True)

    assert (
        deliver(mailer)
        == [("root@example.test", f"INSERT {facts['class_name']} notification")][:count]
    )


def test_both_ship_switched_off(make_mailer):
    mailer = make_mailer(smtp={"host": "relay.example"})
    add_users(mailer)

    receipt = mailer.notify(changed(GROUP, owner=("ann",)), strict=True)

    assert receipt.deliveries == 0


def test_object_changed_tells_whom_the_event_names(make_mailer):
    senders = {"object_changed": {"enabled": True}}
    mailer = make_mailer(smtp={"host": "relay.example"}, senders=senders)
    add_users(mailer)

    event = changed(GROUP, owner=("ann",), members=("bob", "ann"), watchers=("eva",))
    mailer.notify(event, strict=True)

    assert sorted(recipient for recipient, _ in deliver(mailer)) == [
        "ann@example.test",
        "bob@example.test",
        "eva@example.test",
    ]


def test_the_senders_in_the_page_fit_the_kind():
    page = (ROOT / "docs/how-to/object-events.md").read_text("utf-8")
    [block] = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)

    senders, problems = read_senders(tomllib.loads(block)["senders"], Catalogue.shipped().kinds())

    assert problems == ()
    assert len(senders) == 2
