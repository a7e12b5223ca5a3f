"""The document's Gmail example: SSL from the first byte and a sign-in, for all mail alike."""

import ssl
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
import trustme

from envoi import Event, Stored
from envoi.mailer import Mailer
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.testing import FaultyRelay, RelayTraits
from envoi.testing.honest import HonestRelay

LOGIN = {"username": "username", "password": "password"}
EXAMPLE = """\
[DEFAULT]
email_to = ops@example.org, dev@example.org
error_email_from = Kallithea Errors <kallithea-noreply@example.com>
{relay}
[app:main]
use = egg:kallithea
app_email_from = Kallithea <kallithea@example.com>
email_prefix = [our-server]
canonical_url = https://code.example.org
"""
# The document's own lines; host, port and authority are those of the test.
GMAIL = """\
smtp_server = localhost
smtp_username = username
smtp_password = password
smtp_port = {port}
smtp_use_ssl = true
envoi.smtp.ca_file = {ca_file}
"""
INVITED = Event(
    kind="registration",
    actor="eve",
    facts={"url": "/users/7", "username": "eve"},
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> tuple[ssl.SSLContext, Path]:
    """A relay's certificate, and the file of the authority that issued it."""
    ca = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return context, path


@pytest.fixture
def open_site(tmp_path):
    """Return `open_site(relay, debug)`: a mailer by an ini with these lines about the relay."""
    made = []

    def make(relay: str, *, debug: bool = False) -> Mailer:
        path = tmp_path / "my.ini"
        ini = EXAMPLE.format(relay=relay) + ("set debug = true\n" if debug else "")
        path.write_text(ini, "utf-8")
        path.chmod(0o600)
        mailer = Mailer.from_file(path)
        mailer.outbox.upgrade()
        made.append(mailer)
        return mailer

    yield make
    for mailer in made:
        mailer.close()


def deliver(mailer: Mailer) -> None:
    worker = mailer.make_worker()
    worker.run_until_idle()
    worker.drain()


def crash() -> BaseException:
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("the repository\nis gone")
    return caught.value


def test_application_and_error_mail_go_by_tls_and_sign_in(open_site, authority):
    context, ca_file = authority
    with HonestRelay(tls="tls", context=context, **LOGIN) as relay:
        mailer = open_site(GMAIL.format(port=relay.port, ca_file=ca_file))
        mailer.notify(INVITED, strict=True)
        mailer.report(crash(), wait_s=60)
        deliver(mailer)
        accepted = relay.accepted

    mails = [message_from_bytes(one.content, policy=default) for one in accepted]
    seen = {(mail["From"], mail["Subject"], one.recipients, one.username)
            for mail, one in zip(mails, accepted, strict=True)}  # fmt: skip
    application = (
        '"eve (no-reply)" <kallithea@example.com>',
        "[our-server] New user eve registered",
    )
    error = (
        "Kallithea Errors <kallithea-noreply@example.com>",
        "WebApp Error: RuntimeError: the repository is gone (NEW)",
    )
    assert seen == {
        (*mail, (address,), "username")
        for mail in (application, error)
        for address in ("ops@example.org", "dev@example.org")
    }


def test_a_password_that_the_relay_refuses_loses_neither(open_site, authority):
    context, ca_file = authority
    traits = RelayTraits(tls="tls", context=context, username="username", password="other")
    with FaultyRelay(traits) as relay:
        mailer = open_site(GMAIL.format(port=relay.port, ca_file=ca_file))
        mailer.notify(INVITED, strict=True)
        mailer.report(crash(), wait_s=60)
        deliver(mailer)

        assert relay.kept == []
    assert states(mailer) == ["queued"] * 4


def test_without_a_relay_the_application_starts_and_error_mail_is_held_and_logged(
    open_site, caplog
):
    mailer = open_site("smtp_server =")

    receipt = mailer.report(crash(), wait_s=60)

    assert (receipt.stored, receipt.deliveries) == (Stored.STORED, 2)
    assert states(mailer) == ["held"] * 2
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("to ops@example.org, WebApp Error: RuntimeError" in line for line in lines)


def test_with_debug_no_error_is_mailed(open_site):
    mailer = open_site("smtp_server =", debug=True)

    receipt = mailer.report(crash(), wait_s=60)

    assert (receipt.stored, receipt.because) == (Stored.NOT_WANTED, "errors.enabled is false")
    assert not receipt.is_kept
    assert states(mailer) == []


def states(mailer: Mailer) -> list[str]:
    with mailer.outbox.reading() as tx:
        return [row.delivery.state.value for row in deliveries(tx, Query())]
