"""This room tells whether anybody delivers: the switch, the workers, the relays in trouble."""

from envoi.assembly import Parts, now_ms
from envoi.cli.screen import Screen
from envoi.errors import RefusedError
from envoi.outbox.relay import Pause, Presence, relays_down, workers
from envoi.settings import Settings
from envoi.settings.omero import SWITCH as OMERO_SWITCH

SWITCH = "delivery.enabled"


def live_workers(parts: Parts) -> tuple[Presence, ...]:
    """Return the workers that were seen within a lease."""
    oldest_ms = now_ms() - parts.settings.delivery.lease_s * 1000
    with parts.outbox.reading() as tx:
        return tuple(worker for worker in workers(tx) if worker.seen_at_ms >= oldest_ms)


def trouble(parts: Parts) -> tuple[Pause, ...]:
    """Return the relays that cannot be used at the moment."""
    with parts.outbox.reading() as tx:
        return tuple(relays_down(tx))


def require_delivery(settings: Settings) -> None:
    """Refuse to send where the master switch is off.

    Raises:
        RefusedError: It is off; says how to switch it on.
    """
    if not settings.delivery.enabled:
        raise RefusedError(
            f"mail is switched off here ({SWITCH} is false) and nothing was stored: "
            f"{how_to_switch_on(settings)}"
        )


def how_to_switch_on(settings: Settings) -> str:
    """Return what to type where the master switch is off."""
    origin, name = settings.origin_of(SWITCH), settings.name_of(SWITCH)
    if origin.startswith("ENVOI_"):
        return f"the variable {origin} says so"
    return f"`envoi config set {OMERO_SWITCH if 'omero.' in origin else name} true`"


def hint_at_delivery(screen: Screen, parts: Parts, *, is_released: bool = False) -> None:
    """Say beside a result when nobody would deliver it.

    Args:
        screen: Where it is said.
        parts: The outbox's parts.
        is_released: Whether somebody just released it: it waits then, and is held no more.
    """
    with parts.outbox.reading() as tx:
        has_relay = parts.has_relay(tx)
    if not has_relay:
        becomes = (
            "waits until that changes" if is_released else "is kept as held until you release it"
        )
        screen.note(f"note: {parts.why_held}, so mail {becomes}")
    elif not live_workers(parts):
        screen.note("note: no worker is running: start `envoi run`, or `envoi work --once`")
