"""A Django project that fails tells its administrators, as its own handlers would and no more."""

import json
import os
import subprocess
import sys

import pytest

from tests.desk import PATIENCE_S, ROOT

LINKS = "envoi.integrations.django.links.report_broken_links"


@pytest.fixture
def site(tmp_path):
    """Return `site(case, **settings)`: what it answered, and what was mailed of it."""

    def run(case, **more):
        done = subprocess.run(
            [sys.executable, "-m", "tests.integrations.django_errors", case],
            cwd=tmp_path,
            env={**os.environ, "SITE": str(tmp_path), "PYTHONPATH": str(ROOT),
                 "MORE": json.dumps(more)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def the_mail(found):
    [mail] = found["mails"]
    return mail


@pytest.mark.parametrize(
    ("case", "subject"),
    [
        pytest.param("crash", "Error: LookupError: no page 7 (GET /crash, NEW)", id="view"),
        pytest.param("later", "Error: LookupError: no page 7 (GET /crash/later, NEW)", id="async"),
    ],
)
def test_an_exception_is_mailed_once_though_it_is_signalled_and_logged(site, case, subject):
    found = site(case)

    said, text, _ = the_mail(found)
    assert found["said"] == [500]
    assert said == subject
    assert "Seen: 1" in text


def test_it_says_from_where_it_was_asked_in_the_words_of_django(site):
    _, text, _ = the_mail(site("crash"))
    _, inside, _ = site("internal")["mails"][-1]

    assert "IP address: 192.0.2.7 (EXTERNAL IP)" in text
    assert "Request: GET http://site.test/crash" in text
    assert "IP address: 10.0.0.1 (internal IP)" in inside


def test_an_answer_of_500_and_more_that_was_logged_is_mailed_too(site):
    found = site("503")

    subject, _, _ = the_mail(found)
    assert found["said"] == [503]
    assert "django.request: Service Unavailable: /503 (GET /503, NEW)" in subject


def test_what_is_logged_is_mailed_after_a_second_set_up_too(site):
    subject, _, _ = the_mail(site("set up again"))

    assert "Service Unavailable: /503" in subject


def test_a_host_that_is_not_allowed_is_mailed_without_asking_for_it_again(site):
    found = site("host")

    subject, text, _ = the_mail(found)
    assert found["said"] == [400]
    assert "DisallowedHost" in subject
    assert "http://evil.test/host" in text


def test_a_forged_request_is_mailed_with_its_exception(site):
    found = site("forged")

    assert found["said"] == [400]
    assert the_mail(found)[0].endswith("SuspiciousOperation: forged (GET /forged, NEW)")


def test_what_is_logged_as_an_error_is_mailed_and_envois_own_words_are_not(site):
    [[subject, _, _]] = site("logged")["mails"]

    assert "the queue is full" in subject


def test_sensitive_post_parameters_are_hidden_wherever_they_stand(site):
    said = " ".join(the_mail(site("form")))

    assert "title: Weekly" in said
    assert "answer: ********" in said
    for secret in ("bluebird", "hunter22"):
        assert secret not in said


def test_all_of_them_are_where_none_is_named(site):
    said = " ".join(the_mail(site("whole")))

    assert "title: ********" in said
    for secret in ("bluebird", "Weekly", "hunter22"):
        assert secret not in said


@pytest.mark.parametrize("case", ["variables", "variables later"])
def test_sensitive_variables_are_hidden(site, case):
    said = " ".join(the_mail(site(case)))

    assert "shown = 'plainly'" in said
    assert "answer = ********" in said
    assert "'bluebird'" not in said


def test_a_failed_transaction_is_not_asked_for_the_user(site):
    subject, text, _ = the_mail(site("database"))

    assert "OperationalError: no such table: nowhere (GET /database, NEW)" in subject
    assert "User:" not in text


def test_equal_ones_are_counted(site):
    assert [subject.rpartition(", ")[2] for subject, _, _ in site("twice")["mails"]] in (
        ["NEW)", "2 times)"],
        ["NEW)"],  # they waited together
    )


@pytest.mark.parametrize("case", ["crash", "503", "logged", "links"])
def test_with_debug_nothing_is_mailed(site, case):
    assert site(case, DEBUG=True)["mails"] == []


def test_without_recipients_nothing_is_mailed(site):
    assert site("crash", errors={"to": []})["mails"] == []


def test_broken_links_are_mailed_by_djangos_own_rules(site):
    found = site("links")

    said = " ".join(" ".join(mail) for mail in found["mails"])
    assert found["said"][0] == 404
    assert found["mails"][0][0].startswith("Error: Broken INTERNAL link on site.test")
    assert "Requested URL: http://site.test/gone" in said
    for noise in ("/quiet/", "/favicon.ico", "/missing/", "s3cretvalue"):
        assert noise not in said


def test_broken_links_are_not_mailed_where_nobody_asked_for_them(site):
    assert site("links", errors={"not_found": False})["mails"] == []


LOGGING = {
    "version": 1,
    "handlers": {"admins": {"class": "envoi.integrations.django.errors.ErrorHandler"}},
    "loggers": {"django": {"handlers": ["admins"], "propagate": False}},
}


@pytest.mark.parametrize("case", ["crash", "503", "logged"])
def test_a_handler_that_the_project_names_is_the_only_one(site, case):
    assert len(site(case, LOGGING=LOGGING)["mails"]) == 1


@pytest.mark.parametrize(
    ("more", "warnings"),
    [
        pytest.param({}, [], id="all well"),
        pytest.param({"MIDDLEWARE": []}, ["envoi.W001"], id="nothing looks for links"),
        pytest.param({"ADMINS": [["Ann", "ann@example.org"]]}, ["envoi.W002"], id="mailed twice"),
        pytest.param(
            {"ADMINS": [["Ann", "ann@example.org"]], "LOGGING_CONFIG": None}, [], id="own logging"
        ),
        pytest.param({"MIDDLEWARE": [], "errors": {"not_found": False}}, [], id="not asked for"),
    ],
)
def test_djangos_checks_say_what_was_set_in_vain(site, more, warnings):
    assert site("checks", **more)["said"] == warnings
