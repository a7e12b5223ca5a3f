"""`envoi report` and `envoi links`: what other languages met, and links that lead nowhere."""

import json

import pytest

from envoi import Request
from envoi.mailer import Mailer

ERROR = {
    "type": "TypeError",
    "message": "x is null, token=abcdef",
    "frames": [
        {"file": "lib.js", "line": 9, "function": "call", "is_own": False},
        {"file": "app.js", "line": 12, "function": "show", "code": "one()\nx.y()\n",
         "source_from": 11, "variables": {"password": "hunter22", "page": "7 hunter22"}},
    ],
    "cause": {"type": "IOError", "message": "no such row"},
    "request": {"method": "GET", "url": "https://wiki.test/p?key=s3cret", "client": "192.0.2.7",
                "headers": {"Cookie": "s=c00kie"}, "form": {"title": "Weekly"}},
    "user": "ann", "release": "5.6", "host": "web1", "times": 3,
    "happened_at_ms": 1_800_000_000_000,
}  # fmt: skip


@pytest.fixture
def site(home):
    """A folder whose errors are told of."""
    home.set(errors={"to": ["ops@example.org"], "not_found": True})
    home.run("db", "upgrade")
    return home


def report(site, error, *words):
    return site.run("report", *words, stdin=error if isinstance(error, str) else json.dumps(error))


def mail_of(site):
    with Mailer.from_file(site.config).outbox.reading() as tx:
        return [str(cell) for row in tx.execute("SELECT subject, text, html FROM envoi_message", {})
                for cell in row]  # fmt: skip


def test_an_error_of_another_language_is_told_with_all_that_was_said(site):
    ended = report(site, ERROR, "--json", "-")

    assert ended.json["stored"] == "stored"
    subject, text, _ = mail_of(site)
    assert subject == "Error: TypeError: x is null, token=******** (GET /p, NEW)"
    for word in ("Where: app.js:12, show", "x.y()", "lib.js:9, call", "IOError: no such row",
                 "User: ann", "Version: 5.6", "Host: web1", "IP address: 192.0.2.7", "Seen: 3",
                 "page = 7 ********"):  # fmt: skip
        assert word in text


def test_its_secrets_are_masked_everywhere(site):
    site.set(errors={"to": ["ops@example.org"], "dump_request": True})

    report(site, ERROR)

    said = " ".join(mail_of(site))
    assert "title: Weekly" in said
    for secret in ("hunter22", "abcdef", "s3cret", "c00kie"):
        assert secret not in said


def test_equal_ones_are_one_incident_by_their_own_fingerprint_or_ours(site):
    for number in range(2):
        report(site, {"type": "E", "message": f"page {number}"})
        report(site, {"type": "E", "message": "abc"[number], "fingerprint": "same"})

    counts = [one["count"] for one in site.run("incidents", "list", "--json").json]
    assert counts == [2, 2]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param("", "expected JSON, got nothing", id="nothing"),
        pytest.param([], "report: expected a JSON object", id="a list"),
        pytest.param({}, "type: expected the name of an error", id="no type"),
        pytest.param({"type": "E", "x": 1}, "x: expected one of type, message", id="unknown"),
        pytest.param({"type": "E", "message": 1}, "message: expected a text", id="message"),
        pytest.param({"type": "E", "level": "bad"}, "level: expected one of debug", id="level"),
        pytest.param({"type": "E", "times": -1}, "times: expected a whole number", id="times"),
        pytest.param({"type": "E", "times": True}, "times: expected a whole number", id="flag"),
        pytest.param({"type": "E", "frames": {}}, "frames: expected a list", id="frames"),
        pytest.param({"type": "E", "frames": [{"line": ""}]}, "frames.0.line: exp", id="frame"),
        pytest.param({"type": "E", "cause": {}}, "cause.type: expected the name", id="cause"),
        pytest.param({"type": "E", "request": []}, "request: expected an object", id="request"),
        pytest.param({"type": "E", "request": {"form": {"a": 1}}}, "request.form.a: ", id="form"),
        pytest.param({"type": "E", "application": "x"}, "application: expected one of", id="app"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_stored(site, error, said):
    ended = report(site, error)

    assert ended.code != 0
    assert said in ended.err
    assert mail_of(site) == []


def test_every_problem_is_told_at_once_and_no_field_of_a_form_in_it(site):
    form = {"password": ["hunter2"]}

    ended = report(site, {"type": 1, "level": 2, "request": {"form": form}})

    assert "3 things do not fit" in ended.err
    assert "hunter2" not in ended.err


@pytest.mark.parametrize(
    ("error", "errors", "because"),
    [
        ({"type": "E", "level": "warning"}, {"to": ["a@b.test"]}, "level warning: it is told of"),
        ({"type": "E"}, {"to": ["a@b.test"], "enabled": False}, "errors.enabled is false"),
        ({"type": "E"}, {"to": []}, "errors.to names nobody"),
    ],
)
def test_what_nobody_wants_to_hear_of_is_not_stored_and_says_why(site, error, errors, because):
    site.set(errors=errors)

    ended = report(site, error, "--json")

    assert (ended.code, ended.json["stored"]) == (0, "not wanted")
    assert because in ended.json["because"]


def test_broken_links_are_listed_the_latest_first(site):
    mailer = Mailer.from_file(site.config)
    for path in ("/one", "/two", "/two"):
        mailer.not_found(
            Request(url=f"https://a.test{path}", headers=(("Referer", "https://a.test/"),))
        )
    mailer.close()

    found = site.run("links", "list", "--json").json
    shown = site.run("links", "list").out

    assert {one["url"]: one["count"] for one in found} == {
        "https://a.test/one": 1,
        "https://a.test/two": 2,
    }
    assert "https://a.test/two" in shown


def test_without_broken_links_it_says_so(site):
    assert site.run("links", "list").err == "no broken links\n"


def test_the_list_of_what_is_ignored_can_be_copied_changed_and_used(site):
    shipped = site.run("links", "ignored").out
    (site.folder / "ignored.txt").write_text(shipped + "^/mine/\n", "utf-8")

    site.set(errors={"not_found_list": "ignored.txt", "not_found_ignored": ["^/more/"]})

    again = site.run("links", "ignored")
    assert again.out == f"{shipped}^/mine/\n^/more/\n"
    assert site.run("links", "ignored", "--json").json[-2:] == ["^/mine/", "^/more/"]


def test_a_list_that_cannot_be_read_is_told_with_its_line(site):
    (site.folder / "ignored.txt").write_text("fine\n((\n", "utf-8")
    site.set(errors={"not_found_list": "ignored.txt"})

    ended = site.run("links", "ignored")

    assert ended.code != 0
    assert "errors.not_found_list" in ended.err
    assert "line 2 is no regular expression" in ended.err


@pytest.mark.parametrize(
    ("errors", "level", "said"),
    [
        ({"to": ["a@b.test"]}, "ok", "mailed to a@b.test"),
        ({"to": ["a@b.test"], "enabled": False}, "warning", "not mailed to a@b.test: errors.enab"),
        ({"to": []}, "ok", "nobody is mailed of errors"),
        ({"to": [], "not_found": True}, "warning", "nobody is mailed of errors"),
        ({"to": ["a@b.test"], "not_found": True}, "ok", "broken links are mailed too"),
    ],
)
def test_check_says_who_is_told_of_errors_or_why_nobody_is(site, errors, level, said):
    site.set(errors=errors)

    findings = site.run("check", "--json").json["findings"]

    found = [(one["level"], one["said"]) for one in findings if one["about"] == "errors"]
    assert found[-1][0] == level
    assert said in found[-1][1]


def test_check_names_the_word_of_a_kallithea_that_is_being_debugged(site, tmp_path):
    ini = tmp_path / "kallithea.ini"
    ini.write_text("[DEFAULT]\n[app:main]\nemail_to = a@b.test\nset debug = true\n", "utf-8")

    checked = site.run("--config", str(ini), "check")

    assert "errors are not mailed to a@b.test: debug" in checked.out


@pytest.mark.parametrize(
    ("name", "content", "is_told"),
    [
        pytest.param(
            "kallithea.ini", "[DEFAULT]\n[app:main]\nemail_to = a@b.test\n", False, id="kallithea"
        ),
        pytest.param(
            "envoi.toml", """omero.web.admins = '[["Ann", "a@b.test"]]'\n""", True, id="omero"
        ),
        pytest.param("envoi.toml", '[errors]\nto = ["a@b.test"]\n', False, id="our own"),
    ],
)
def test_broken_links_are_mailed_as_omero_has_it_and_never_for_a_kallithea(
    site, tmp_path, name, content, is_told
):
    (tmp_path / name).write_text(content, "utf-8")

    checked = site.run("--config", str(tmp_path / name), "check")

    assert "mailed to a@b.test" in checked.out
    assert ("broken links are mailed too" in checked.out) is is_told
