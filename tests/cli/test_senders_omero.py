"""Mail senders as OMERO's page describes them: an example, a copy ending .xml, and their names."""

import pytest

from envoi import Event
from envoi.mailer import Mailer
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from tests.walk.people import add_users

BROKEN = """<beans>
  <bean id="serverUpMailSender" class="ome.services.mail.ServerUpMailSender"/>
  <bean id="mine" class="ome.services.mail.ObjectMailSender">
    <property name="objectClass" value="Project"/>
    <property name="action" value="INSERT"/>
    <property name="queryString" value="select p from Project p"/>
  </bean>
</beans>"""


def states(home):
    document = home.run("senders", "list", "--json").json
    return {one["name"]: one["is_on"] for one in document["senders"]}


def copied(home):
    folder = home.folder / "senders.d"
    example = folder / "mail-senders.example"
    return example, folder / "mail-senders.xml"


def test_the_example_is_written_once(home):
    first = home.run("senders", "example")
    example, _ = copied(home)
    example.write_text("mine")
    second = home.run("senders", "example")

    assert (first.code, second.code) == (0, 0)
    assert "cp " in first.out + first.err
    assert example.read_text() == "mine"


def test_an_example_activates_nothing_and_its_copy_all(home):
    home.run("senders", "example")
    before = states(home)
    example, xml = copied(home)
    xml.write_bytes(example.read_bytes())

    after = states(home)

    changed = {name for name in after if after[name] and not before[name]}
    assert changed == {
        "server_up", "server_down", "failed_login", "new_user", "new_user_object", "new_group",
        "new_comment", "new_comment_object",
    }  # fmt: skip


def test_a_copy_counts_without_a_restart(home):
    home.set(outbox={"url": f"sqlite:///{home.folder}/envoi.db"})
    home.run("senders", "example")
    example, xml = copied(home)
    event = Event(kind="failed_login", facts={"username": "root"})
    with home.parts() as parts:
        mailer = Mailer(parts)
        add_users(mailer)
        counts = [mailer.notify(event).deliveries]
        xml.write_bytes(example.read_bytes())
        counts.append(mailer.notify(event).deliveries)
        xml.write_text("<beans/>")
        counts.append(mailer.notify(event).deliveries)
        with mailer.parts.outbox.reading() as tx:
            subjects = [row.subject for row in deliveries(tx, Query())]

    assert counts == [0, 1, 0]
    assert subjects == ["[OMERO] Login failed for 'root'"]


def test_a_broken_rule_is_reported_and_the_others_are_in_force(home):
    _, xml = copied(home)
    xml.parent.mkdir()
    xml.write_text(BROKEN)

    listed = home.run("senders", "list")
    checked = home.run("check")

    assert listed.code == 1
    for said in (listed.out + listed.err, checked.out + checked.err):
        assert "mine.queryString" in said
        assert "[senders.mine]" in said
    assert states(home)["server_up"]


def test_the_settings_win_over_the_file(home):
    home.run("senders", "example")
    example, xml = copied(home)
    xml.write_bytes(example.read_bytes())
    home.set(
        outbox={"url": f"sqlite:///{home.folder}/envoi.db"}, senders__server_up={"enabled": False}
    )

    assert not states(home)["server_up"]


@pytest.mark.parametrize(
    ("name", "senders"),
    [
        ("ServerUpMailSender", {"server_up"}),
        ("ServerDownMailSender", {"server_down"}),
        ("FailedLoginMailSender", {"failed_login"}),
        ("ObjectMailSender", {"object_changed"}),
        ("newUserMailSender", {"new_user", "new_user_object"}),
        ("newGroupMailSender", {"new_group"}),
        ("newCommentMailSender", {"new_comment", "new_comment_object"}),
        ("server_up", {"server_up"}),
    ],
)
def test_senders_answer_to_the_names_of_the_page(home, name, senders):
    before = states(home)

    assert home.run("senders", "enable", name).code == 0
    enabled = states(home)
    assert home.run("senders", "disable", name).code == 0

    assert {one for one in enabled if enabled[one] != before[one]} == senders
    assert states(home) == before


def test_a_name_that_nobody_has_is_refused_with_the_nearest(home):
    ended = home.run("senders", "enable", "newUserMailSendr")

    assert ended.code != 0
    assert "newUserMailSender" in ended.err


@pytest.mark.parametrize(
    ("sections", "prefix"),
    [
        ({"omero": {'"omero.mail.config"': True}}, "[OMERO]"),
        ({"omero": {'"omero.mail.host"': "smtp.university.example"}}, "[OMERO]"),
        (
            {"omero": {'"omero.mail.config"': True}, "senders__server_up": {"prefix": "[Lab]"}},
            "[Lab]",
        ),
        ({"application": {"prefix": "[Code]"}}, None),
    ],
    ids=["switch", "host", "own", "no-omero"],
)
def test_subjects_have_omeros_prefix_where_its_properties_are(home, sections, prefix):
    home.set(outbox={"url": f"sqlite:///{home.folder}/envoi.db"}, **sections)

    assert home.run("senders", "show", "ServerUpMailSender", "--json").json["prefix"] == prefix


@pytest.mark.parametrize("name", ["failed_login", "FailedLoginMailSender"])
def test_a_sender_that_is_left_out_is_not_called_unknown(home, name):
    home.set(senders__failed_login={"limit": 3})

    said = home.run("senders", "enable", name)

    assert said.code == 3
    assert f"{name} is left out: senders.failed_login.limit: expected a table" in said.err


@pytest.mark.parametrize(
    ("word", "enabled", "is_noted"),
    [("enable", False, True), ("enable", True, False), ("disable", False, False)],
    ids=["off", "on", "silenced"],
)
def test_a_sender_enabled_while_mail_is_off_is_said_to_stay_silent(home, word, enabled, is_noted):
    home.set(delivery={"enabled": enabled})

    said = home.run("senders", word, "ServerUpMailSender")

    assert said.code == 0
    assert ("stays silent" in said.err) is is_noted
