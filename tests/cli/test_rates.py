"""What the commands say of mail that waits for a rate."""

import pytest

from envoi.assembly import now_ms
from envoi.outbox import rates
from envoi.outbox.claim import ClaimOrder
from tests.outbox.samples import a_delivery, listed, stored

DOMAIN = "waits for its turn: one.test gets 2 mails a minute at most"
RELAY = "waits for its turn: relay default gets 1 mail a minute at most"


@pytest.fixture
def waiting(any_home):
    """Return `waiting(**smtp)`: the id of a delivery that one like it went before."""

    def make(**smtp):
        url = any_home.config.read_text().split('"')[1]
        any_home.set(outbox={"url": url}, smtp={"host": "127.0.0.1", **smtp})
        with any_home.parts() as parts:
            now = now_ms()
            people = ("ann@one.test", "bob@one.test")
            stored(parts.outbox, [
                a_delivery(address, ordinal=n, due_at_ms=now) for n, address in enumerate(people, 1)
            ])  # fmt: skip
            with parts.outbox.transaction() as tx:
                limits = parts.settings.relay("default").rates
                rates.claim(tx, ClaimOrder(worker="w", limit=10), limits, now, parts.patience)
            return str(listed(parts.outbox)[1].delivery.id)

    return make


@pytest.mark.parametrize(
    ("smtp", "because"),
    [({"domains_per_minute": ["one.test=2"]}, DOMAIN), ({"per_minute": 1}, RELAY)],
    ids=["domain", "relay"],
)
def test_a_delivery_says_which_rate_it_waits_for(any_home, waiting, smtp, because):
    delivery = waiting(**smtp)

    assert f"queued: {because}" in any_home.run("outbox", "show", delivery).out
    assert any_home.run("outbox", "show", delivery, "--json").json["waits_because"] == because


def test_what_waits_for_no_rate_says_nothing_of_one(any_home, waiting):
    delivery = waiting()

    assert "waits" not in any_home.run("outbox", "show", delivery).out
    assert any_home.run("outbox", "show", delivery, "--json").json["waits_because"] is None


def test_what_was_sent_does_not_wait(any_home, waiting):
    delivery = waiting(per_minute=1)
    with any_home.parts() as parts, parts.outbox.transaction() as tx:
        tx.execute("UPDATE envoi_delivery SET state = 'sent'", {})

    assert any_home.run("outbox", "show", delivery, "--json").json["waits_because"] is None


def test_an_event_explains_who_waits_for_a_rate(any_home, waiting):
    waiting(domains_per_minute=["one.test=2"])

    assert DOMAIN in any_home.run("explain", "1").out
