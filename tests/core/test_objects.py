"""What a transaction did to an object in the end, and how changes become events."""

import pytest

from envoi.core.event import check_event
from envoi.core.objects import MAX_LISTED, Change, Circumstance, net_actions, object_events
from envoi.templates.catalogue import Catalogue

NOW = 1_800_000_000_000
HERE = Circumstance(at_ms=NOW, actor="ann", client="203.0.113.7", application="main")


def change(id_="1", action="INSERT", class_name="User", **people):
    return Change(
        class_name=class_name,
        class_path=f"shop.{class_name}",
        action=action,
        id=id_,
        name=f"name {id_}",
        url=f"/{id_}",
        people={role: tuple(names) for role, names in people.items()},
    )


@pytest.mark.parametrize(
    ("actions", "net"),
    [
        ("INSERT", "INSERT"),
        ("INSERT UPDATE", "INSERT"),
        ("INSERT UPDATE DELETE", ""),
        ("INSERT DELETE INSERT", "INSERT"),
        ("UPDATE UPDATE", "UPDATE"),
        ("UPDATE DELETE", "DELETE"),
        ("DELETE INSERT", "UPDATE"),
        ("PASSWORD UPDATE PASSWORD", "PASSWORD UPDATE"),
        ("INSERT PASSWORD DELETE", "PASSWORD"),
    ],
)
def test_a_transaction_does_one_lasting_thing_to_an_object(actions, net):
    done = net_actions(("it", action) for action in actions.split())

    assert [action for _, action in done] == net.split()


def test_things_keep_the_order_of_their_first_action():
    done = net_actions([("b", "INSERT"), ("a", "INSERT"), ("b", "UPDATE")])

    assert [thing for thing, _ in done] == ["b", "a"]


def test_an_event_fits_the_shipped_kind_and_lists_each_object_once():
    kind = Catalogue.shipped().kind("object_changed")

    [event] = object_events([change("1", owner=["ann"]), change("2", owner=["ann"])], HERE)

    assert check_event(kind, event) == ()
    assert event.facts["objects"] == [
        {"id": "1", "name": "name 1", "url": "/1"},
        {"id": "2", "name": "name 2", "url": "/2"},
    ]
    assert (event.actor, event.people, event.occurred_at_ms) == ("ann", {"owner": ("ann",)}, NOW)
    # Several objects have no conversation in common.
    assert (event.subject, event.facts["url"]) == ("", "")


def test_one_object_has_its_own_conversation_and_page():
    [event] = object_events([change("7")], HERE)

    assert (event.subject, event.facts["url"], event.facts["count"]) == ("User/7", "/7", 1)


@pytest.mark.parametrize(
    "other",
    [
        change("2", action="DELETE"),
        change("2", class_name="Group"),
        change("2", owner=["bob"]),
    ],
    ids=["another action", "another class", "other people"],
)
def test_what_differs_is_told_apart(other):
    assert len(object_events([change("1", owner=["ann"]), other], HERE)) == 2


def test_what_is_not_listed_is_counted():
    [event] = object_events([change(str(number)) for number in range(MAX_LISTED + 5)], HERE)

    rows = event.facts["objects"]
    assert isinstance(rows, list)
    assert (len(rows), event.facts["count"]) == (MAX_LISTED, MAX_LISTED + 5)
