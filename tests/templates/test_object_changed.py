"""The words of `object_changed`, as an application or a person may hand its facts over."""

import re

import pytest

from envoi.templates.catalogue import Catalogue
from envoi.templates.render import Templates
from tests.templates.samples import context_of

CATALOGUE = Catalogue.shipped()
TEMPLATES = Templates(CATALOGUE)


def words(**facts):
    return TEMPLATES.render(
        "object_changed", "en", "UTC", context_of(CATALOGUE, "object_changed", facts)
    )


@pytest.mark.parametrize(
    ("action", "title"),
    [
        ("INSERT", "Added: Experimenter"),
        ("UPDATE", "Changed: Experimenter"),
        ("DELETE", "Deleted: Experimenter"),
        ("PASSWORD", "PASSWORD: Experimenter"),
    ],
)
def test_the_title_says_what_happened_and_the_subject_what_filters_know(action, title):
    found = words(action=action)

    assert found.subject == f"{action} Experimenter notification"
    assert f"\n{title}\n" in found.text
    assert re.search(rf">{title}\s*</h1>", found.html)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"id": 7}, "- Experimenter:7\n"),
        ({"id": "7", "name": "Eve"}, "- Experimenter:7 Eve\n"),
        ({"id": "7", "name": ""}, "- Experimenter:7"),
        ({"name": "Eve"}, "- Experimenter:? Eve\n"),
        ({"id": "7", "url": "/x/7"}, "- Experimenter:7\n  https://app.example.org/x/7\n"),
        ({"id": "7", "url": "javascript:alert(1)"}, "- Experimenter:7\n"),
    ],
    ids=["a number", "a name", "no name", "no id", "a page", "no web link"],
)
def test_an_object_is_one_line_with_what_is_known_of_it(row, line):
    found = words(objects=[row], count=None)

    assert line in found.text
    assert found.html.count("<li") == 1
    assert "javascript" not in found.text + found.html


def test_what_is_not_said_leaves_no_gap():
    found = words(class_path=None, client=None, at=None, url=None, count=None)

    assert "From:" not in found.text
    assert "Time:" not in found.text
    assert "Class:" not in found.text
    assert "View objects" not in found.text + found.html
    assert "\n\n\n\n" not in found.text


@pytest.mark.parametrize(("count", "told"), [(5, "and 3 more"), (2, ""), (None, "")])
def test_objects_that_are_not_listed_are_counted(count, told):
    found = words(count=count)

    assert ("and 3 more" in found.text) is bool(told)
    assert ("and 3 more" in found.html) is bool(told)
