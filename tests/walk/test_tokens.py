"""Mail by a relay that takes OAuth tokens, from the settings to the relay's ledger."""

import logging

import pytest

from envoi import Mailbox, ReadyMail
from envoi.addresses import parse_address
from envoi.core.delivery import State
from envoi.journal import Fact
from envoi.outbox import find
from envoi.outbox.relay import relays_down
from tests.transport.token_servers import USER, TokenRelay, TokenService

REFRESH_TOKEN = "refresh-token-0815"


@pytest.fixture
def service():
    made = TokenService(refresh_token=REFRESH_TOKEN)
    yield made
    made.close()


@pytest.fixture
def relay(service):
    made = TokenRelay(service)
    yield made
    made.close()


@pytest.fixture
def site(make_mailer, relay, service):
    """A mailer that signs in with a refresh token, and what its tests ask for."""
    smtp = {
        "host": "localhost",
        "port": relay.port,
        "username": USER,
        "oauth_token_url": service.url,
        "oauth_client_id": "envoi",
        "oauth_refresh_token": REFRESH_TOKEN,
        "connections": 3,
    }
    mailer = make_mailer(smtp=smtp)
    mailer.outbox.upgrade()
    return mailer


def send(mailer, count, prefix="u"):
    boxes = tuple(Mailbox(parse_address(f"{prefix}{n}@x.test")) for n in range(count))
    mailer.send(ReadyMail(bcc=boxes, subject="Hi", text="Hello"), strict=True)


def deliver(mailer):
    worker = mailer.make_worker()
    worker.run_until_idle()
    worker.drain()


def states(mailer):
    with mailer.outbox.reading() as tx:
        by_state = find.stats(tx, mailer.parts.clock()).by_state
    return {state: count for state, count in by_state.items() if count}


def test_mail_leaves_by_one_token_over_all_connections(site, relay, service):
    send(site, 30)
    deliver(site)
    send(site, 3, "later")
    deliver(site)

    assert states(site) == {State.SENT: 33}
    assert len(relay.recipients) == len(set(relay.recipients)) == 33
    assert len(service.asked) == 1
    assert set(relay.tried) == service.good


def test_a_token_that_was_taken_back_delays_no_mail(site, relay, service):
    send(site, 3)
    deliver(site)
    service.good.clear()
    send(site, 3, "later")
    deliver(site)

    assert states(site) == {State.SENT: 6}
    assert len(service.asked) == 2
    assert Fact.RELAY_DOWN not in site.parts.journal.counts()


def test_consent_that_was_taken_back_pauses_the_relay_with_one_alarm(site, relay, service, caplog):
    service.answer = lambda _form: (400, b'{"error": "invalid_grant"}')
    caplog.set_level(logging.DEBUG)
    send(site, 20)
    deliver(site)
    with site.outbox.reading() as tx:
        [pause] = relays_down(tx)

    assert states(site) == {State.QUEUED: 20}
    assert relay.tried == []
    assert len(service.asked) == 1  # and not once per mail or connection
    assert site.parts.journal.counts()[Fact.RELAY_DOWN] == 1
    assert "400 invalid_grant" in pause.because
    assert "set a new smtp.oauth_refresh_token" in pause.advice
    assert pause.paused_until_ms - pause.down_since_ms == 60_000
    assert REFRESH_TOKEN not in caplog.text


def test_an_exchanged_refresh_token_survives_in_the_outbox(site, service):
    """Another process, or machine, goes on with the newest."""
    service.rotates = True
    send(site, 1)
    deliver(site)
    site.parts.relays._tokens.clear()  # as in a process that has just begun
    send(site, 1, "later")
    deliver(site)

    assert states(site) == {State.SENT: 2}
    shown = [form["refresh_token"] for form in service.asked]
    assert shown == [REFRESH_TOKEN, "exchanged-refresh-token-1"]


def test_no_token_is_logged_or_kept_with_a_delivery(site, relay, service, caplog):
    """The relay echoes token and sign-in; nothing of them reaches log or rows."""
    caplog.set_level(logging.DEBUG, "envoi")
    send(site, 1)
    relay.service = TokenService()  # whose tokens are others
    deliver(site)
    relay.service.close()

    with site.outbox.reading() as tx:
        [pause] = relays_down(tx)
        rows = tx.execute("SELECT reply FROM envoi_attempt", {})
        rows = [*rows, *tx.execute("SELECT last_reply FROM envoi_delivery", {})]
    assert len(relay.tried) == 1
    assert "535" in pause.because
    [token] = set(relay.tried)
    for text in (caplog.text, str(rows), pause.because):
        assert token not in text
        assert token[5:40] not in text


def test_two_relays_have_tokens_of_their_own(make_mailer, relay, service):
    def smtp(client):
        return {
            "host": "localhost", "port": relay.port, "username": USER,
            "oauth_token_url": service.url, "oauth_client_id": client,
            "oauth_client_secret": "s3cr1t",
        }  # fmt: skip

    mailer = make_mailer(
        smtp=smtp("first"), relays={"bulk": smtp("second")}, application={"relay": "bulk"}
    )
    mailer.outbox.upgrade()
    send(mailer, 2)
    deliver(mailer)

    assert [form["client_id"] for form in service.asked] == ["second"]
    assert states(mailer) == {State.SENT: 2}
