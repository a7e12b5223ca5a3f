"""A Django project with `envoi.integrations.django` installed, each case in its own process."""

import json
import os
import subprocess
import sys

import pytest

from tests.desk import PATIENCE_S, ROOT


@pytest.fixture
def site(tmp_path):
    """Return `site(case, **settings)`: what the project says of itself."""

    def run(case, **more):
        env = {**os.environ, "SITE": str(tmp_path), "PYTHONPATH": str(ROOT)}
        if more:
            env["MORE"] = json.dumps(more)
        done = subprocess.run(
            [sys.executable, "-m", "tests.integrations.django_site", case],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    return run


def test_a_refused_sign_in_tells_the_administrators_from_where_and_never_the_password(site):
    found = site("logins")

    [(recipient, subject, text)] = found["mails"]
    assert found["answers"] == ["refused", "refused", "welcome"]
    assert (recipient, subject) == ("root@example.org", "Login failed for 'ann'")
    assert "203.0.113.7" in text
    assert "Browser/1" in text
    assert "Geheim4711" not in json.dumps(found)


def test_views_tell_of_what_they_committed_with_user_and_address(site):
    found = site("views")

    [(recipient, subject, text)] = found["mails"]
    [(_, later_subject, later_text)] = found["later"]
    assert found["said"] == "the outbox is up to date\n"
    assert (recipient, subject) == ("root@example.org", "INSERT Group notification")
    assert "By: ann" in text
    assert "From: 203.0.113.7" in text
    assert "bad" not in text
    assert later_subject == "INSERT Group notification"
    assert "By: ann" in later_text
    assert "later" in later_text


def test_a_projects_own_tests_tell_only_what_they_ask_for(site):
    found = site("tests")

    assert (found["ran"], found["ok"]) == (2, True)
    assert ["asked" in text for _, _, text in found["mails"]] == [True]


def test_manage_py_delivers_what_is_due_and_ends(site):
    found = site("work")

    assert [subject for _, subject, _ in found["mails"]] == ["INSERT Group notification"]


def test_manage_py_delivers_until_it_is_asked_to_end(site):
    seen = site("serve")["seen"]

    assert seen[0] == "worker.started"
    assert seen[-1] == "worker.stopped"


def test_a_sign_in_that_cannot_be_told_of_harms_nobody(site):
    assert site("broken") == {"raised": [], "journal": 1}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"ENVOI": {"smtp": {"prot": 25}}}, "smtp.prot: expected"),
        ({"ENVOI": {}, "ENVOI_CONFIG": "envoi.toml"}, "ENVOI: expected either tables in ENVOI"),
        ({"ENVOI_CONFIG": "no.toml"}, "no.toml"),
    ],
    ids=["an unknown key", "both", "no file"],
)
def test_settings_that_do_not_fit_are_told_when_django_starts(site, more, told):
    assert told in site("logins", **more)


def test_settings_may_stand_in_a_file_beside_the_project(site, tmp_path):
    (tmp_path / "mail.toml").write_text(
        '[outbox]\nurl = "sqlite:///site.db"\n[smtp]\nhost = "relay.example"\n'
        "[senders.failed_login]\nenabled = true\nrecipients = ['root@example.org']\n"
    )

    found = site("logins", ENVOI_CONFIG="mail.toml")

    assert [recipient for recipient, _, _ in found["mails"]] == ["root@example.org"]
