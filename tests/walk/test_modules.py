import pytest

from envoi import Event, SettingsError, Stored
from tests.walk.people import add_users
from tests.walk.test_notify import deliver, states

MODULE = """
from envoi import Fact, FactType, Kind

KINDS = [Kind(name="parcel_arrived", facts={"shelf": Fact(type=FactType.LINE)}, roles=("owner",),
              sample={"people": {"owner": ["bob"]}, "facts": {"shelf": "A1"}})]
"""
SENDERS = {"parcel": {"kind": "parcel_arrived", "recipients": ["role:owner"]}}


def test_kinds_of_a_module_beside_the_settings_are_known_to_every_process(
    make_mailer, faulty_relay, tmp_path
):
    (tmp_path / "parcel_kinds.py").write_text(MODULE, "utf-8")
    sections = {
        "smtp": {"host": "127.0.0.1", "port": faulty_relay.port},
        "templates": {"modules": ["parcel_kinds"]},
        "senders": SENDERS,
        "outbox": {"route_at_once": 1},
    }
    application, worker = make_mailer(**sections), make_mailer(**sections)
    add_users(application)
    people = {"owner": ("bob", "eva")}

    receipt = application.notify(
        Event(kind="parcel_arrived", facts={"shelf": "B7"}, people=people), strict=True
    )
    deliver(worker)

    assert receipt.stored is Stored.ROUTING
    assert {str(state) for state in states(worker).values()} == {"sent"}
    assert "B7" in faulty_relay.ledger.kept[0].message.get_content()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_module", None),
        ("empty_kinds", "KINDS = []"),
        ("odd_kinds", "KINDS = 5"),
        ("mixed_kinds", "KINDS = [1, 'two']"),
        ("raising_kinds", "raise RuntimeError('boom')"),
        ("leaving_kinds", "raise SystemExit(3)"),
        ("broken_kinds", "KINDS = ["),
    ],
)
def test_module_without_kinds_is_a_problem_that_names_it(make_mailer, tmp_path, name, text):
    if text is not None:
        (tmp_path / f"{name}.py").write_text(text, "utf-8")

    with pytest.raises(SettingsError, match=name):
        make_mailer(templates={"modules": [name]})
