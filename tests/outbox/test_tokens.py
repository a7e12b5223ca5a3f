"""Refresh tokens that were exchanged, for the workers of all machines."""

from envoi.outbox import tokens
from tests.outbox.samples import NOW


def kept(outbox, relay, seed):
    with outbox.reading() as tx:
        return tokens.kept(tx, relay, seed)


def keep(outbox, relay, seed, token):
    with outbox.transaction() as tx:
        tokens.keep(tx, relay, seed, token, NOW)


def test_the_newest_of_each_relay_is_kept(outbox):
    keep(outbox, "default", "seed", "first")
    keep(outbox, "default", "seed", "second")
    keep(outbox, "bulk", "seed", "another")

    assert kept(outbox, "default", "seed") == "second"
    assert kept(outbox, "bulk", "seed") == "another"


def test_another_token_in_the_settings_begins_anew(outbox):
    keep(outbox, "default", "seed", "first")

    assert kept(outbox, "default", "another seed") == ""


def test_nothing_is_kept_at_first(outbox):
    assert kept(outbox, "default", "seed") == ""
