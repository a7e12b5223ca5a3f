"""Sixty secrets in ten places: none of them leaves the process that met the error."""

import dataclasses
import json
import time

import pytest

from envoi import Request
from envoi.witness import Witness
from tests.walk.test_reporting import ERRORS

SECRETS = {
    name: f"Zq{number}{name.title().replace('_', '')}x7W"
    for number, name in enumerate(
        (
            "password", "passwd", "pwd", "secret", "token", "api_key", "authorization", "cookie",
            "session", "signature", "credential", "private", "csrf", "jwt", "otp",
        )
    )
}  # fmt: skip
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQ\n-----END RSA PRIVATE KEY-----"
FORMS = {
    "url": "postgresql://wiki:Zq7UrlSecretW@db.test/wiki",
    "bearer": "Bearer Zq8BearerSecretW",
    "query": "https://wiki.test/?token=Zq9QuerySecretW",
    "assignment": "retry with password=Zq10TextSecretW",
    "jwt": JWT,
    "pem": PEM,
    "card": "4111 1111 1111 1111",
}
# What would be left of each, were it not masked.
TRACES = [*SECRETS.values(), "Zq7UrlSecretW", "Zq8BearerSecretW", "Zq9QuerySecretW",
          "Zq10TextSecretW", "eyJzdWIi", "MIIEpAIB", "4111 1111"]  # fmt: skip


def as_dict(name, value):
    return {"inner": [{name: value}]}


def as_object(name, value):
    return type("Holder", (), {"__init__": lambda self: setattr(self, name, value)})()


def as_dataclass(name, value):
    made = dataclasses.make_dataclass("Record", [(name, str)])
    return made(value)


def lost_animal():
    def fail(animal):
        raise LookupError(len(animal))

    with pytest.raises(LookupError) as caught:
        fail("Oka" + "pi")
    return caught.value


@pytest.fixture
def loud(make_mailer):
    """A mailer that tells of errors all that it may."""
    dumps = {"dump_request": True, "dump_local_frames": True, "dump_local_frames_count": 20}
    return make_mailer(errors={**ERRORS, **dumps})


def told(mailer, caplog):
    """Return everything that a report left anywhere."""
    with mailer.outbox.reading() as tx:
        rows = [
            *tx.execute("SELECT * FROM envoi_event", {}),
            *tx.execute("SELECT * FROM envoi_message", {}),
        ]
    # Each by itself: the text of a whole row is cut.
    cells = [str(cell) for row in rows for cell in row]
    logged = [record.getMessage() for record in caplog.records]
    return "\n".join([*cells, *logged])


def leaks(mailer, caplog, error, request=None):
    mailer.report(error, request, wait_s=60)
    text = told(mailer, caplog)
    return [trace for trace in TRACES if trace in text]


@pytest.mark.parametrize("holder", [as_dict, as_object, as_dataclass])
def test_not_from_what_variables_hold(loud, caplog, holder):
    def fail():
        holders = [holder(name, value) for name, value in SECRETS.items()]
        first, *_, last = holders
        raise LookupError("no page", len((first, last)))

    with pytest.raises(LookupError) as caught:
        fail()

    assert leaks(loud, caplog, caught.value) == []


def test_not_from_variables_nor_from_a_message_that_repeats_them(loud, caplog):
    def fail(password, passwd, secret, token, api_key, authorization, cookie, session):
        raise LookupError(f"{password} {passwd} {secret} {token} {api_key} {authorization} "
                          f"{cookie} {session}")  # fmt: skip

    names = ("password", "passwd", "secret", "token", "api_key", "authorization", "cookie",
             "session")  # fmt: skip
    with pytest.raises(LookupError) as caught:
        fail(*(SECRETS[name] for name in names))

    assert leaks(loud, caplog, caught.value) == []


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_not_from_a_message_a_variable_or_a_cause(loud, caplog, form):
    def fail():
        value = as_bytes = form.encode()
        plain = {"note": form}
        try:
            {}.pop(form)
        except KeyError:
            group = ExceptionGroup(form, [ValueError(form)])
            raise LookupError(form, value, as_bytes, plain) from group

    with pytest.raises(LookupError) as caught:
        fail()

    assert leaks(loud, caplog, caught.value) == []


def test_not_from_a_line_of_source(loud, caplog):
    def fail():
        return dict[str, str]()["page"], dict(password="Zq0Passwordx7W", token="Zq4Tokenx7W")  # noqa: C408 # as a call

    with pytest.raises(KeyError) as caught:
        fail()

    assert leaks(loud, caplog, caught.value) == []


def test_not_from_a_request(loud, caplog):
    cookies = "; ".join(f"c{number}={value}" for number, value in enumerate(SECRETS.values()))
    request = Request(
        method="POST",
        url=f"https://ann:{SECRETS['password']}@wiki.test/in?next=/&token={SECRETS['token']}",
        headers=(
            ("Authorization", f"Bearer {SECRETS['authorization']}"),
            ("Cookie", cookies),
            ("X-Api-Key", SECRETS["api_key"]),
            ("Referer", FORMS["query"]),
        ),
        form=(*SECRETS.items(), ("comment", FORMS["assignment"])),
    )

    with pytest.raises(LookupError) as caught:
        raise LookupError(f"{SECRETS['password']} is not the password of ann")

    assert leaks(loud, caplog, caught.value, request) == []
    shown = told(loud, caplog)
    assert "is not the password of ann" in shown
    assert "Cookie: c0=********; c1=********" in shown


def test_headers_form_and_variables_are_told_only_where_the_settings_say_so(make_mailer, caplog):
    mailer = make_mailer(errors=ERRORS)
    request = Request(headers=(("User-Agent", "Zebra"),), form=(("comment", "Giraffe"),))

    mailer.report(lost_animal(), request, wait_s=60)

    assert [word for word in ("Zebra", "Giraffe", "'Okapi") if word in told(mailer, caplog)] == []


def test_they_are_told_where_the_settings_say_so(loud, caplog):
    request = Request(headers=(("User-Agent", "Zebra"),), form=(("comment", "Giraffe"),))

    loud.report(lost_animal(), request, wait_s=60)

    text = told(loud, caplog)
    assert [word for word in ("Zebra", "Giraffe", "= 'Okapi'") if word not in text] == []


def test_the_variables_are_those_of_the_applications_calls(make_mailer, caplog):
    """A library that the application called last would else use up their number."""
    dumps = {"dump_local_frames": True, "dump_local_frames_count": 1}
    mailer = make_mailer(errors={**ERRORS, **dumps})

    def fail():
        animal = "Oka" + "pi"
        return json.loads(animal[:0])

    with pytest.raises(json.JSONDecodeError) as caught:
        fail()
    mailer.report(caught.value, wait_s=60)

    assert "animal = 'Okapi'" in told(mailer, caplog)


class Slow(Exception):  # noqa: N818 # its name is in a subject
    """An exception whose words take an hour."""

    def __str__(self):
        time.sleep(3600)
        return "said"


class Huge(Exception):  # noqa: N818 # likewise
    """An exception with very many words."""

    def __str__(self):
        return "x" * 100_000_000


@pytest.mark.parametrize("kind", [Slow, Huge])
def test_what_an_exception_says_cannot_stop_its_report(loud, kind):
    receipt = loud.report(kind(), wait_s=60)

    assert receipt.deliveries == 2


def test_a_recursion_is_told_by_its_beginning_and_its_end(loud, caplog):
    def down(depth):
        return down(depth + 1)

    with pytest.raises(RecursionError) as caught:
        down(0)
    receipt = loud.report(caught.value, wait_s=60)

    assert receipt.deliveries == 2
    assert told(loud, caplog).count("return down(depth + 1)") < 200


@pytest.mark.parametrize(
    "error",
    [
        ValueError(b"q" * 50_000_000),
        ValueError(list(range(5_000_000))),
        KeyError("q" * 50_000_000),
        UnicodeDecodeError("utf-8", b"\xff" * 50_000_000, 0, 1, "invalid"),
    ],
    ids=["bytes", "list", "key", "undecoded"],
)
def test_what_an_error_holds_is_not_read_whole_however_large_it_is(error):
    held = {"of the call": b"\xff" * 50_000_000}
    with pytest.raises(type(error)) as caught:
        raise error

    began = time.thread_time(), time.process_time()
    seen = Witness(caught.value, variables_of=2).look()

    # To read all of it takes a hundred of these, in this thread or in one that lets no other run.
    assert time.thread_time() - began[0] < 0.1
    assert time.process_time() - began[1] < 0.1
    assert 0 < len(seen.message) <= 503
    assert held


def test_a_secret_in_the_data_of_a_message_is_masked():
    error = ValueError({"password": "Zq1W", "rows": [1, 2]})

    assert Witness(error).look().message == "{'password': ********, 'rows': [1, 2]}"
