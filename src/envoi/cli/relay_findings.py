"""This room looks at the relays for `envoi check` and `envoi relay test`; it sends no mail."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from envoi.assembly import Parts, now_ms
from envoi.cli.db import state_of
from envoi.cli.findings import Finding, Level
from envoi.cli.presence import SWITCH, how_to_switch_on
from envoi.core.delivery import State
from envoi.errors import OutboxError, SettingsError
from envoi.outbox import SchemaState, find
from envoi.relays import DEFAULT, own_keys
from envoi.transport.courier import CourierCarrier
from envoi.transport.custom import OwnTransport
from envoi.transport.diagnose import walk_relay

_WAITING = frozenset({State.QUEUED, State.UNCERTAIN, State.SENDING})


def of_relays(
    parts: Parts, names: tuple[str, ...] = (), *, is_connecting: bool
) -> Iterator[Finding]:
    """Say what is known of the relays, and with `is_connecting` walk to each.

    Args:
        parts: The outbox's parts.
        names: Which. Default: all.
        is_connecting: Whether to open a connection.
    """
    if not parts.settings.delivery.enabled:
        # Not even --connect opens a connection then.
        said = f"mail is switched off ({SWITCH} is false): nothing is sent, nothing tried"
        level = Level.WRONG if is_connecting else Level.WARNING
        yield Finding(level, "relay", said, how_to_switch_on(parts.settings))
        return
    for name in names or parts.relays.names:
        yield from _of_relay(parts, name, is_connecting=is_connecting)
    if not names:
        yield from _of_lost_mail(parts)


def _of_lost_mail(parts: Parts) -> Iterator[Finding]:
    """Name the relays that left the settings while mail waits for them."""
    with suppress(OutboxError):  # told as a finding of the outbox
        if state_of(parts.outbox) is not SchemaState.CURRENT:
            return  # who looks makes no file
        with parts.outbox.reading() as tx:
            waiting = waiting_by_relay(find.stats(tx, now_ms()).counts)
        for name in sorted(waiting.keys() - set(parts.relays.names)):
            said = f"{waiting[name]} deliveries wait for it, and the settings have no such relay"
            advice = f"name it in [relays.{name}], or `envoi outbox cancel --transport {name}`"
            yield Finding(Level.WRONG, f"relay {name}", said, advice)


def waiting_by_relay(counts: Mapping[tuple[str, State], int]) -> dict[str, int]:
    """Return how many deliveries wait for each relay, by its name; only where some do.

    Args:
        counts: Deliveries by relay and state, as `find.stats` counts them.
    """
    waiting: dict[str, int] = {}
    for (name, state), count in counts.items():
        if state in _WAITING:
            waiting[name] = waiting.get(name, 0) + count
    return waiting


def _of_relay(parts: Parts, name: str, *, is_connecting: bool) -> Iterator[Finding]:
    own, smtp = parts.relays.own(name), parts.settings.relay(name)
    about = "relay" if name == DEFAULT else f"relay {name}"
    if own is not None:
        yield _of_own_transport(parts, own, name)
    elif not smtp.host:
        # Whose settings are a Kallithea's ini has no [smtp].
        said = "smtp.host is not set: mail is kept as held and leaves by hand only"
        level = Level.WRONG if is_connecting else Level.WARNING
        advice = "name your relay: [smtp] host, or smtp_server in a Kallithea's ini"
        yield Finding(level, about, said, advice)
    elif not is_connecting:
        said = f"{smtp.host}:{smtp.port}, tls {smtp.tls}; not tried"
        yield Finding(Level.OK, about, said, "--connect walks to it")
    else:
        yield from _walked(parts, name, about)


def _walked(parts: Parts, name: str, about: str) -> Iterator[Finding]:
    from_address = parts.settings.applications["main"].sender.address
    mail_from = parts.relays.mail_from(name) or from_address
    for step in walk_relay(parts.relays.options(name), mail_from):
        level = Level.OK if step.is_ok else Level.WRONG
        if step.is_ok and step.advice:
            level = Level.WARNING
        yield Finding(level, about, f"{step.name}: {step.said}", own_keys(name, step.advice))


def _of_own_transport(parts: Parts, own: OwnTransport, name: str) -> Finding:
    """Make it once, as a worker would, and say what it is."""
    try:
        carrier = own.carrier(parts.settings, name)
    except SettingsError as err:
        return Finding(Level.WRONG, "transport", str(err))
    carrier.close(0)
    is_called = isinstance(carrier, CourierCarrier)
    kind = "called once per mail" if is_called else "a carrier of its own"
    whose = "all mail" if parts.relays.names == (DEFAULT,) else f"mail of {name}"
    said = f"{whose} goes by {own.name}: {kind}; not tried"
    return Finding(Level.OK, "transport", said, "`envoi send-test` does")
