"""What an application raises or logs is reported, and the application does what it always did."""

import asyncio
import logging
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from io import BytesIO
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import pytest
from celery import Celery
from flask import Flask, got_request_exception, request

from envoi.integrations import asgi_errors, wsgi_errors
from envoi.integrations.asyncio import report_loop
from envoi.integrations.celery import report_failures
from envoi.integrations.flask import ReportErrors as FlaskErrors
from envoi.integrations.logging import ReportHandler, report_uncaught
from envoi.mailer import Mailer
from envoi.outbox.incidents import incidents
from envoi.settings import from_mapping

MULTIPART = (
    b'--b0undary\r\nContent-Disposition: form-data; name="title"\r\n\r\nW\xc3\xa9ekly\r\n'
    b'--b0undary\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n'
    b'--b0undary\r\nContent-Disposition: form-data; name="plan"; filename="plan.pdf"\r\n'
    b"Content-Type: application/pdf\r\n\r\ncontent of the plan\r\n--b0undary--\r\n"
)
FORM = {"title": "Weekly", "password": "hunter2"}


@pytest.fixture
def mailer(sqlite_url, tmp_path):
    """A mailer that tells of errors all that it may."""
    errors = {"to": ["ops@example.test"], "dump_request": True, "not_found": True}
    mailer = Mailer.from_settings(
        from_mapping({"outbox": {"url": sqlite_url}, "errors": errors}, tmp_path)
    )
    yield mailer
    mailer.close()


def mails(mailer):
    mailer.close()  # what is being stored is stored then
    with mailer.outbox.reading() as tx:
        return [
            {"subject": subject, "text": text}
            for subject, text in tx.execute("SELECT subject, text FROM envoi_message", {})
        ]


def wsgi_app(environ, start_response):
    """Fail in the way that the path names."""
    if environ["PATH_INFO"] == "/before":
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        raise LookupError("before the answer")
    if environ["PATH_INFO"] == "/missing":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"gone"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/within":
        return failing()
    return [b"well"]


def failing():
    yield b"be"
    raise LookupError("within the answer")


class Silent(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving(app):
    """Serve an application by a real server; yield a connection to it."""
    server = make_server("127.0.0.1", 0, app, handler_class=Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()
        server.shutdown()
        server.server_close()
        thread.join()


class TestWsgi:
    """A WSGI application behind a real server."""

    def test_an_error_before_the_answer_is_reported_with_its_request(self, mailer, capfd):
        app = wsgi_errors.ReportErrors(wsgi_app, mailer, release="5.6.10", user_of=lambda _: "ann")
        with serving(app) as connection:
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "s=hunter3"}
            connection.request("POST", "/before?page=2", urlencode(FORM), headers)
            answer = connection.getresponse()

        assert answer.status == 500  # the server's own
        assert "before the answer" in capfd.readouterr().err
        [mail] = mails(mailer)
        assert mail["subject"] == "Error: LookupError: before the answer (POST /before, NEW)"
        for word in (f"http://127.0.0.1:{connection.port}/before?page=2", "User: ann", "5.6.10",
                     "title: Weekly", "password: ********", "Cookie: s=********"):  # fmt: skip
            assert word in mail["text"]
        assert "hunter" not in mail["text"]

    def test_an_error_within_the_answer_is_reported(self, mailer):
        with serving(wsgi_errors.ReportErrors(wsgi_app, mailer)) as connection:
            connection.request("GET", "/within")
            connection.getresponse()

        assert [mail["subject"] for mail in mails(mailer)] == [
            "Error: LookupError: within the answer (GET /within, NEW)"
        ]

    def test_fields_of_a_multipart_form_are_told_and_files_by_their_names(self, mailer):
        with serving(wsgi_errors.ReportErrors(wsgi_app, mailer)) as connection:
            kind = "multipart/form-data; boundary=b0undary"
            connection.request("POST", "/before", MULTIPART, {"Content-Type": kind})
            connection.getresponse()

        [mail] = mails(mailer)
        assert "title: Wéekly\n" in mail["text"]
        assert "password: ********" in mail["text"]
        assert "plan: <file plan.pdf, application/pdf>" in mail["text"]
        for secret in ("hunter2", "content of the plan"):
            assert secret not in mail["text"]

    def test_a_missing_page_that_somebody_linked_to_is_counted(self, mailer):
        with serving(wsgi_errors.ReportErrors(wsgi_app, mailer)) as connection:
            for referrer in ("http://blog.test/", ""):
                connection.request("GET", "/missing", headers={"Referer": referrer})
                connection.getresponse().read()

        [mail] = mails(mailer)
        host = f"127.0.0.1:{connection.port}"
        assert mail["subject"] == f"Error: Broken link on {host}"
        assert f"Requested URL: http://{host}/missing" in mail["text"]

    def test_what_goes_well_is_left_as_it_is(self, mailer):
        with serving(
            validator(wsgi_errors.ReportErrors(validator(wsgi_app), mailer))
        ) as connection:
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read()

        assert (answer.status, body) == (200, b"well")
        assert mails(mailer) == []

    def test_the_answers_end_is_passed_on(self, mailer):
        ends = []

        class Answer:
            def __iter__(self):
                return iter([b"well"])

            def close(self):
                ends.append(True)

        app = wsgi_errors.ReportErrors(lambda *_: Answer(), mailer)
        with serving(lambda environ, start: (start("200 OK", []), app(environ, start))[1]) as there:
            there.request("GET", "/")
            there.getresponse().read()

        assert ends == [True]

    def test_a_user_that_cannot_be_told_costs_no_report(self, mailer):
        app = wsgi_errors.ReportErrors(wsgi_app, mailer, user_of=lambda _: str(1 // 0))
        with serving(app) as connection:
            connection.request("POST", "/before")
            connection.getresponse()

        assert len(mails(mailer)) == 1


class TestAsgi:
    """An ASGI application, called as a server calls it."""

    SCOPE = {  # noqa: RUF012 # read only
        "type": "http", "method": "POST", "scheme": "https", "path": "/pages/7",
        "query_string": b"token=hunter2",
        "headers": [
            (b"host", b"wiki.test"), (b"content-type", b"application/x-www-form-urlencoded"),
        ],
    }  # fmt: skip

    def call(self, app, scope):
        async def receive():
            return {"type": "http.request", "body": urlencode(FORM).encode(), "more_body": False}

        async def send(_):
            return None

        asyncio.run(app(scope, receive, send))

    def test_an_error_is_reported_and_raised_again(self, mailer):
        async def app(_scope, receive, _send):
            await receive()
            raise LookupError("gone")

        with pytest.raises(LookupError):
            self.call(asgi_errors.ReportErrors(app, mailer), self.SCOPE)

        [mail] = mails(mailer)
        assert mail["subject"] == "Error: LookupError: gone (POST /pages/7, NEW)"
        assert "https://wiki.test/pages/7?token=********" in mail["text"]
        assert "title: Weekly" in mail["text"]
        assert "hunter" not in mail["text"]

    def test_an_error_of_a_websocket_is_reported(self, mailer):
        async def app(_scope, _receive, _send):
            raise LookupError("gone")

        with pytest.raises(LookupError):
            self.call(
                asgi_errors.ReportErrors(app, mailer),
                {**self.SCOPE, "type": "websocket", "method": None, "client": ("192.0.2.7", 1)},
            )

        [mail] = mails(mailer)
        assert mail["subject"] == "Error: LookupError: gone (websocket /pages/7, NEW)"
        assert "IP address: 192.0.2.7" in mail["text"]

    def test_other_scopes_pass_by(self, mailer):
        async def app(scope, _receive, _send):
            scope["seen"] = True

        scope = {"type": "lifespan"}
        self.call(asgi_errors.ReportErrors(app, mailer), scope)

        assert scope["seen"]


class TestAsyncio:
    """What a loop found that nobody awaited."""

    def test_it_is_reported_and_told_as_before(self, mailer):
        told = []

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
            take_back = report_loop(mailer, release="5.6.10")
            asyncio.get_running_loop().call_soon(lambda: 1 // 0)
            await asyncio.sleep(0)
            take_back()
            asyncio.get_running_loop().call_soon(lambda: int("x"))
            await asyncio.sleep(0)

        asyncio.run(main())

        [mail] = mails(mailer)
        assert "ZeroDivisionError" in mail["subject"]
        assert "Version: 5.6.10" in mail["text"]
        assert [type(what["exception"]) for what in told] == [ZeroDivisionError, ValueError]

    def test_what_has_no_exception_is_reported_by_its_words(self, mailer):
        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda *_: None)
            report_loop(mailer, loop)
            loop.call_exception_handler({"message": "a task was destroyed"})

        asyncio.run(main())

        assert "asyncio: a task was destroyed" in mails(mailer)[0]["subject"]


class TestFlask:
    """A Flask application, by its own test client; behind a server it stands in test_crashes."""

    @pytest.fixture
    def app(self, mailer):
        app = Flask("wiki")
        FlaskErrors(app, mailer, user_of=lambda request: request.headers["X-User"])

        @app.post("/pages")
        def pages():
            raise LookupError(request.form["title"], request.files["plan"].filename)

        @app.post("/unread")
        def unread():
            raise LookupError("before the form was read")

        return app

    def test_an_error_is_reported_with_what_was_read_of_the_request(self, mailer, app):
        plan = (BytesIO(b"content of the plan"), "plan.pdf")
        form = {**FORM, "plan": plan}
        answer = app.test_client().post("/pages?page=2", data=form, headers={"X-User": "ann"})

        [mail] = mails(mailer)
        assert answer.status_code == 500
        assert mail["subject"].endswith("(POST /pages, NEW)")
        for word in ("http://localhost/pages?page=2", "User: ann", "title: Weekly",
                     "password: ********", "plan: <file plan.pdf"):  # fmt: skip
            assert word in mail["text"]
        assert "hunter2" not in mail["text"]

    def test_a_form_that_was_not_read_is_left_alone(self, mailer, app):
        app.test_client().post("/unread", data=FORM)

        [mail] = mails(mailer)
        assert "title" not in mail["text"]

    def test_with_debug_nothing_is_told(self, mailer, app):
        app.debug, app.config["PROPAGATE_EXCEPTIONS"] = True, False
        client = app.test_client()
        client.post("/unread", data=FORM)
        client.get("/missing", headers={"Referer": "http://localhost/"})

        assert mails(mailer) == []

    def test_an_error_outside_of_any_request_has_none(self, mailer, app):
        got_request_exception.send(app, exception=LookupError("alone"))

        assert mails(mailer)[0]["subject"] == "Error: LookupError: alone (NEW)"


class TestCelery:
    """Tasks run in this process; in a worker's they run in test_crashes."""

    @pytest.fixture
    def tasks(self, mailer):
        app = Celery("tests", broker="memory://")
        app.conf.task_always_eager = True
        take_back = report_failures(mailer, release="5.6.10")

        @app.task(name="reports.weekly", bind=True, max_retries=1)
        def weekly(task, page, token="", is_hopeful=False):
            if is_hopeful and not task.request.retries:
                raise task.retry(exc=LookupError(page), countdown=0)
            if not is_hopeful:
                raise LookupError(f"no page {page}")

        yield weekly
        take_back()

    def test_a_failure_is_reported_with_its_arguments(self, mailer, tasks):
        tasks.delay("start", token="hunter22")

        [mail] = mails(mailer)
        assert mail["subject"] == "Error: LookupError: no page start (task reports.weekly, NEW)"
        for word in ("args: ['start']", "token: ********", "Version: 5.6.10", "Task-Id: "):
            assert word in mail["text"]
        assert "hunter22" not in mail["text"]

    def test_a_retry_is_no_failure(self, mailer, tasks):
        tasks.delay("start", is_hopeful=True)

        assert mails(mailer) == []


class TestLogging:
    """Records of errors."""

    @pytest.fixture
    def log(self, mailer):
        logger = logging.getLogger("wiki.pages")
        handler = ReportHandler(mailer)
        logger.addHandler(handler)
        logging.getLogger("envoi").addHandler(handler)
        yield logger
        logger.removeHandler(handler)
        logging.getLogger("envoi").removeHandler(handler)

    def test_a_logged_exception_is_reported(self, mailer, log):
        try:
            dict[str, str]()["page"]
        except KeyError:
            log.exception("no page")

        [mail] = mails(mailer)
        assert mail["subject"] == "Error: KeyError: 'page' (NEW)"

    def test_an_error_without_an_exception_is_reported_by_its_words(self, mailer, log):
        log.error("page %s is gone", 7)

        [mail] = mails(mailer)
        assert "LoggedError: wiki.pages: page 7 is gone (NEW)" in mail["subject"]

    def test_what_is_no_error_is_not(self, mailer, log):
        log.warning("page %s is old", 7)

        assert mails(mailer) == []

    def test_what_envoi_says_itself_is_not(self, mailer, log):
        logging.getLogger("envoi").error("relay down")
        mailer.parts.clock = lambda: 1 // 0
        log.error("now it fails")

        assert mails(mailer) == []

    def test_an_exception_is_reported_once_whoever_hands_it_over(self, mailer, log):
        try:
            dict[str, str]()["page"]
        except KeyError as err:
            log.exception("no page")
            receipt = mailer.report(err)
        mailer.close()

        assert receipt.because == "it was reported just now"
        with mailer.outbox.reading() as tx:
            assert [one.count for one in incidents(tx, "main")] == [1]


class TestUncaught:
    """What nothing caught."""

    def test_in_a_thread_it_is_reported_and_told_as_before(self, mailer):
        told: list[object] = []
        before = threading.excepthook
        threading.excepthook = told.append
        take_back = report_uncaught(mailer)
        try:
            thread = threading.Thread(target=lambda: 1 // 0)
            thread.start()
            thread.join()
        finally:
            take_back()
            threading.excepthook = before

        assert len(told) == 1
        assert "ZeroDivisionError" in mails(mailer)[0]["subject"]

    @pytest.mark.parametrize(
        ("error", "count"), [("LookupError('gone')", 1), ("KeyboardInterrupt()", 0)]
    )
    def test_at_the_end_of_a_process_it_is_reported(self, mailer, tmp_path, error, count):
        toml = tmp_path / "envoi.toml"
        url = mailer.parts.settings.outbox.url
        toml.write_text(f'[outbox]\nurl = "{url}"\n[errors]\nto = ["ops@example.test"]\n')
        program = (
            "from envoi import Mailer\nfrom envoi.integrations.logging import report_uncaught\n"
            f"report_uncaught(Mailer.from_file({str(toml)!r}))\nraise {error}\n"
        )

        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
        )

        assert done.returncode != 0
        assert error.partition("(")[0] in done.stderr
        assert len(mails(mailer)) == count
