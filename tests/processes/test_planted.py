"""Sixty secrets in ten places of a web application that fails: nothing that leaves it holds one.

What leaves it is everything: the database as it lies on the disk, the mail as the relay has it, the
logs of the worker and of the application, and what every command prints.
"""

import base64
import io
import json
import logging
import re
import subprocess
import sys
from email import message_from_bytes
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from envoi.core.delivery import State
from envoi.integrations.logging import ReportHandler
from envoi.integrations.wsgi_errors import ReportErrors
from tests.processes.site import PATIENCE_S, wait_until

# Each is named after the place it was planted in, so that a leak says where it came from.
NAMES = ("password", "api_key", "session_token", "client_secret", "authorization", "otp_seed")
PLACES = (
    "variable", "table", "object", "message", "cause", "group", "header", "cookie", "query", "form",
)  # fmt: skip
SECRETS = {
    (place, name): f"Q{number}{place.title()}{name.title().replace('_', '')}x7W"
    for number, (place, name) in enumerate((p, n) for p in PLACES for n in NAMES)
}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
FORMS = (JWT, "postgresql://wiki:Qz1UrlSecretW@db.test/wiki", "4111 1111 1111 1111",
         "AKIAIOSFODNN7EXAMPLE", "Authorization: Bearer Qz2BearerSecretW")  # fmt: skip
TRACES = (*SECRETS.values(), "eyJzdWIi",
          "Qz1UrlSecretW", "4111 1111", "IOSFODNN7", "Qz2BearerSecretW",
          "Qz3SourceSecretW")  # fmt: skip


def planted(place):
    return {name: value for (where, name), value in SECRETS.items() if where == place}


class Holder:
    api_key: str

    def __init__(self, **values):
        self.__dict__.update(values)


def application(environ, _start_response):
    """Fail with all of it in reach."""
    password, api_key, session_token, client_secret, authorization, otp_seed = planted(
        "variable"
    ).values()
    table, holder = {"inner": [planted("table")]}, Holder(**planted("object"))
    connect = dict(password="Qz3SourceSecretW", user=environ["REMOTE_USER"])  # noqa: C408 # as a call
    words = "; ".join(f"{name}={value}" for name, value in planted("message").items())
    cause = ValueError("; ".join(f"{name}: {value!r}" for name, value in planted("cause").items()))
    members = [KeyError(f"{name}={value}") for name, value in planted("group").items()]
    group = ExceptionGroup("all of it", members)
    group.__cause__ = cause
    raise RuntimeError(
        f"wrong {password} and {holder.api_key}, {words}, {', '.join(FORMS)}",
        (api_key, session_token, client_secret, authorization, otp_seed, table, connect),
    ) from group


def environ():
    body = urlencode(planted("form")).encode()
    cookies = "; ".join(f"{name}={value}" for name, value in planted("cookie").items())
    headers = {f"HTTP_X_{name.upper()}": value for name, value in planted("header").items()}
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/sign-in",
        "QUERY_STRING": urlencode(planted("query")),
        "SERVER_NAME": "wiki.test",
        "SERVER_PORT": "443",
        "REMOTE_USER": "ann",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_COOKIE": cookies,
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        **headers,
    }


@pytest.fixture
def site(make_site):
    return make_site(
        errors={
            "to": ["ada@admins.test", "bob@admins.test"],
            "dump_request": True,
            "dump_local_frames": True,
            "dump_local_frames_count": 20,
        }
    )


def printed(site, *words):
    done = subprocess.run(
        [sys.executable, "-m", "envoi", *words],
        cwd=site.folder, env={"ENVOI_CONFIG": str(site.config), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def spoken(site):
    """What the commands say of it, in both forms."""
    found = json.loads(printed(site, "incidents", "list", "--json"))
    numbers = json.loads(printed(site, "outbox", "list", "--json"))
    for incident in found:
        yield printed(site, "incidents", "show", incident["incident"])
        yield printed(site, "incidents", "show", incident["incident"], "--json")
    for row in numbers:
        yield printed(site, "outbox", "show", str(row["id"]))
        yield printed(site, "outbox", "show", str(row["id"]), "--json")
    yield from (json.dumps(found), json.dumps(numbers))


def kept(site):
    """The mails as bytes, and as their readers see them."""
    for one in site.ledger.kept:
        yield one.content.decode("utf-8", "replace")
        for part in message_from_bytes(one.content).walk():
            if not part.is_multipart():
                yield str(part.get_payload(decode=True), "utf-8", "replace")  # type: ignore[arg-type] # bytes of what is one part


def stored(site):
    """The database: the bytes of its files, or every row of every table."""
    if site.url.startswith("sqlite"):
        path = Path(site.url.removeprefix("sqlite:///"))
        yield from (one.read_bytes().decode("latin-1") for one in path.parent.glob(path.name + "*"))
        return
    with site.mailer.parts.outbox.reading() as tx:
        tables = tx.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'envoi%'", {})
        for (table,) in tables:
            yield from (repr(row) for row in tx.execute(f"SELECT * FROM {table}", {}))


def traces_in(texts):
    """Every planted value that some text holds, also in the forms of mail and of URLs."""
    whole = "\n".join(texts)
    # A quoted-printable line may end in the middle of a word.
    whole += re.sub(r"=\r?\n", "", whole)
    forms = {
        trace: (trace, quote(trace), base64.b64encode(trace.encode()).decode()) for trace in TRACES
    }
    return sorted(trace for trace, written in forms.items() if any(one in whole for one in written))


def test_sixty_secrets_in_ten_places_leave_by_no_way(site, caplog):
    assert len(SECRETS) == 60
    mailer = site.mailer
    failing = ReportErrors(application, mailer, release="1.0")
    with pytest.raises(RuntimeError) as caught:
        failing(environ(), lambda *_: None)
    log = logging.getLogger("wiki")
    handler = ReportHandler(mailer)
    log.addHandler(handler)
    log.error("cannot sign in with password=%s", SECRETS["message", "password"])
    log.removeHandler(handler)
    mailer.report(caught.value.__cause__, wait_s=60)
    mailer.close()

    worker = site.work()
    wait_until(lambda: site.states.get(State.SENT, 0) >= 6)
    texts = [*stored(site), *spoken(site), *kept(site), worker.log]
    texts += [record.getMessage() for record in caplog.records if record.name.startswith("envoi")]
    spool = mailer.parts.settings.outbox.spool
    texts += [one.read_text() for one in spool.glob("**/*") if one.is_file()]
    assert worker.stop() == 0

    assert traces_in(texts) == []
    # It did look where they would be: what is harmless is there.
    whole = "\n".join(texts)
    assert [
        word for word in ("RuntimeError", "/sign-in", "ann", "********") if word not in whole
    ] == []


def test_the_search_finds_what_is_there():
    text = "begin " + base64.b64encode(SECRETS["form", "password"].encode()).decode()
    split = SECRETS["query", "api_key"]
    assert traces_in([text, f"{split[:5]}=\r\n{split[5:]}"]) == sorted(
        (SECRETS["form", "password"], split)
    )
