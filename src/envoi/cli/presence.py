"""This room tells whether anybody delivers: the live workers and the relays in trouble."""

from envoi.assembly import Parts, now_ms
from envoi.cli.screen import Screen
from envoi.outbox.relay import Pause, Presence, relays_down, workers


def live_workers(parts: Parts) -> tuple[Presence, ...]:
    """Return the workers that were seen within a lease."""
    oldest_ms = now_ms() - parts.settings.delivery.lease_s * 1000
    with parts.outbox.reading() as tx:
        return tuple(worker for worker in workers(tx) if worker.seen_at_ms >= oldest_ms)


def trouble(parts: Parts) -> tuple[Pause, ...]:
    """Return the relays that cannot be used at the moment."""
    with parts.outbox.reading() as tx:
        return tuple(relays_down(tx))


def hint_at_delivery(screen: Screen, parts: Parts) -> None:
    """Say beside a result when nobody would deliver it."""
    with parts.outbox.reading() as tx:
        has_relay = parts.has_relay(tx)
    if not has_relay:
        screen.note("note: smtp.host is not set, so mail is kept as held until you release it")
    elif not live_workers(parts):
        screen.note("note: no worker is running: start `envoi run`, or `envoi work --once`")
