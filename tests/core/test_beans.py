"""Mail senders of OMERO's bean file: every class and property, and everything that is refused."""

import pytest

from envoi.core.beans import MAX_FILE_BYTES, read_beans, without_taken
from envoi.core.rules import merged, read_senders
from envoi.templates.catalogue import SHIPPED_FOLDER, Catalogue

EXAMPLE = (SHIPPED_FOLDER / "mail-senders.example").read_bytes()
HEAD = '<beans xmlns="http://www.springframework.org/schema/beans">'
MAIL = "ome.services.mail"


def bean(class_name, *properties, name="x", **attributes):
    """One bean; a property is its name and its value, or a whole element."""
    inside = "".join(
        one if isinstance(one, str) else f'<property name="{one[0]}" value="{one[1]}"/>'
        for one in properties
    )
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<bean id="{name}" class="{MAIL}.{class_name}"{more}>{inside}</bean>'


SET_OF_USERS = (
    '<property name="onSpecificUsers"><set><value>root</value><value>ann</value></set></property>'
)


def read(*beans):
    return read_beans(f"{HEAD}{''.join(beans)}</beans>".encode(), "mail.xml")


def only(*beans):
    found = read(*beans)
    assert found.problems == ()
    return found.tables


def refused(*beans):
    found = read(*beans)
    assert found.tables == {}
    return "\n".join(map(str, found.problems))


def failed_login(*properties):
    return bean("FailedLoginMailSender", *properties, name="failedLoginMailSender")


def objects(query, action="INSERT", class_name="ome.model.containers.Project"):
    return bean(
        "ObjectMailSender",
        ("objectClass", class_name), ("action", action), ("queryString", query),
        name="projectMailSender",
    )  # fmt: skip


def test_the_shipped_example_is_read_and_fits_every_kind():
    catalogue = Catalogue.shipped()
    found = read_beans(EXAMPLE, "mail-senders.xml")

    senders, problems = read_senders(
        merged((catalogue.sender_tables(), found.tables)), catalogue.kinds()
    )

    assert (found.problems, problems) == ((), ())
    assert {sender.name: [str(one) for one in sender.recipients] for sender in senders
            if sender.name in found.tables} == {
        "server_up": ["admins"],
        "server_down": ["admins"],
        "failed_login": ["admins"],
        "new_user": ["admins"],
        "new_user_object": ["admins"],
        "new_group": ["user:root"],
        "new_comment": ["role:owner"],
        "new_comment_object": ["role:owner"],
    }  # fmt: skip
    assert all(s.is_enabled and s.prefix == "[OMERO]" for s in senders if s.name in found.tables)


@pytest.mark.parametrize(
    ("properties", "recipients", "when"),
    [
        ([("contactSystem", "true"), ("onAllUsers", "true")], ["admins"], {}),
        ([("contactUser", "true"), ("onAllUsers", "true")], ["role:user"], {}),
        ([("contactUser", "yes"), ("onAllUsers", "1")], ["role:user"], {}),
        (
            [("contactUser", "true"), ("contactSystem", "true"), ("onSpecificUsers", "root, ann")],
            ["admins", "role:user"], {"username": ["root", "ann"]},
        ),
        (
            [("contactSystem", "true"),
             SET_OF_USERS],
            ["admins"], {"username": ["root", "ann"]},
        ),
    ],
    ids=["system-of-all", "user-of-all", "other-words", "both-of-some", "a-set"],
)  # fmt: skip
def test_failed_logins_are_told_to_whom_the_bean_says(properties, recipients, when):
    table = only(failed_login(*properties))["failed_login"]

    assert (table["recipients"], table["when"]) == (recipients, when)


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ("select g from ExperimenterGroup g where g.id = :systemGroupId", "admins"),
        ("select g from ExperimenterGroup g where g.name = :systemGroup", "admins"),
        ("select g from ExperimenterGroup g where g.id = :userGroupId", "everyone"),
        ("SELECT e FROM Experimenter e\n   WHERE e.id = :rootUserId", "user:root"),
        ("select e from Experimenter e where e.omeName = :rootUser", "user:root"),
    ],
)
def test_a_query_that_omero_ships_becomes_a_rule(query, rule):
    assert only(objects(query))["project"] == {
        "kind": "object_changed",
        "when": {"class_name": ["Project"], "action": "INSERT"},
        "recipients": [rule],
        "tells_actor": True,
        "prefix": "[OMERO]",
        "enabled": True,
    }


def test_another_query_is_refused_with_the_rule_to_write():
    said = refused(objects("select p.details.owner from Project p where p.id = :id", "DELETE"))

    assert "mail.xml: projectMailSender.queryString" in said
    assert "[senders.project]" in said
    assert 'class_name = "Project", action = "DELETE"' in said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (bean("ServerUpMailSendr"), "did you mean ServerUpMailSender?"),
        (bean("ServerUpMailSender", ("subjectPrefx", "x")), "did you mean subjectPrefix?"),
        (bean("ServerUpMailSender", ("subjectPrefix", "${x}")), "a text without ${...}"),
        (bean("ServerUpMailSender", ("enabled", "nope")), "expected true or false, got nope"),
        (failed_login(("contactSystem", "true")), "it would never speak"),
        (failed_login(("onAllUsers", "true")), "it would tell nobody"),
        (bean("ObjectMailSender", ("action", "INSERT")), "objectClass: expected a class"),
    ],
    ids=[
        "class",
        "property",
        "placeholder",
        "no-word",
        "nobody-watched",
        "nobody-told",
        "no-class",
    ],
)
def test_a_bean_that_does_not_fit_is_named(written, said):
    assert said in refused(written)


def test_a_bean_that_does_not_fit_leaves_the_others():
    found = read(bean("Unknown"), bean("ServerUpMailSender"))

    assert list(found.tables) == ["server_up"]
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    ("properties", "prefix", "enabled"),
    [
        ([], "[OMERO]", True),
        ([("subjectPrefix", "[Lab] ")], "[Lab]", True),
        ([("enabled", "false")], "[OMERO]", False),
        ([("enabled", "No")], "[OMERO]", False),
        ([("enabled", "yes")], "[OMERO]", True),
        ([("enabled", "${omero.mail.config}")], "[OMERO]", True),
        ([("defaultBody", "Hello")], "[OMERO]", True),
    ],
    ids=["defaults", "prefix", "disabled", "no", "yes", "master-switch", "body"],
)
def test_every_sender_has_the_common_properties(properties, prefix, enabled):
    table = only(bean("ServerDownMailSender", *properties))["server_down"]

    assert table == {"prefix": prefix, "enabled": enabled}


def test_properties_come_from_parents_and_from_beans_within():
    parent = (
        '<bean id="mine" abstract="true"><property name="subjectPrefix" value="[A]"/>'
        '<property name="roles" ref="roles"/></bean>'
    )
    within = f"<constructor-arg>{bean('MailSender', parent='mine', name='y')}</constructor-arg>"

    tables = only(
        parent,
        bean("ServerDownMailSender", parent="mine"),
        bean("ServerUpMailSender", within, ("subjectPrefix", "[B]")),
    )

    assert {name: table["prefix"] for name, table in tables.items()} == {
        "server_down": "[A]", "server_up": "[B]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'<!DOCTYPE beans [<!ENTITY a "b">]><beans>&a;</beans>', "a document type or an entity"),
        (
            b'<!DOCTYPE b SYSTEM "file:///etc/passwd"><beans/>', "a document type or an entity",
        ),
        (b"<beans>", "no element found"),
        (b"", "no element found"),
        (b"<other/>", "<other> instead of <beans>"),
        (b"<beans>" + b"<a>" * 100, "elements in more than 30 others"),
        (b" " * (MAX_FILE_BYTES + 1), "more than 1048576"),
        (b"\xff\xfe\x00", "unclosed token"),
        (b'<?xml version="1.0" encoding="x-none"?><beans/>', "unknown encoding"),
    ],
    ids=[
        "entity", "external", "cut-off", "empty", "other-root", "deep", "large", "binary",
        "encoding",
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused(content, said):
    found = read_beans(content, "mail.xml")

    assert found.tables == {}
    assert said in str(found.problems[0])


def test_a_parent_of_itself_ends():
    assert only(bean("ServerUpMailSender", parent="x")) == {
        "server_up": {"prefix": "[OMERO]", "enabled": True}
    }


ADMINS = "select g from ExperimenterGroup g where g.id = :systemGroupId"
ROOT = "select e from Experimenter e where e.id = :rootUserId"
OWNER = (
    "select i.details.owner from ImageAnnotationLink l join l.parent as i join l.child as c "
    "where c.id = :id and c.details.owner.id != i.details.owner.id"
)


def test_an_owner_is_not_told_of_his_own_comment():
    assert only(objects(OWNER))["project"]["tells_actor"] is False


def test_a_second_bean_of_one_name_is_named():
    found = read(objects(ADMINS), objects(ROOT))

    assert found.tables["project"]["recipients"] == ["admins"]
    assert "a second project in this file" in str(found.problems[0])


def test_two_beans_about_new_users_tell_everybody_they_name():
    first = objects(ADMINS, class_name="ome.model.meta.Experimenter")
    tables = only(first, first.replace("project", "other").replace(ADMINS, ROOT))

    assert tables["new_user"]["recipients"] == ["admins", "user:root"]
    assert tables["project"]["recipients"] == ["admins"]


def test_a_bean_cannot_take_the_place_of_another_mail():
    shipped = Catalogue.shipped().sender_tables()
    reset = objects(ADMINS).replace("projectMailSender", "passwordResetMailSender")

    found = without_taken(read(reset, bean("ServerUpMailSender")), shipped)

    assert list(found.tables) == ["server_up"]
    assert "senders.password_reset: expected a bean whose id" in str(found.problems[0])
