"""This room compares the relays with one another and each with itself.

What cannot be is a misfit; what works and should not stay so is a warning.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import MappingProxyType

from envoi.core.problem import Problem
from envoi.settings.families import DEFAULT
from envoi.settings.layers import label
from envoi.settings.places import is_loopback
from envoi.settings.readers import TOKEN_MECHANISMS
from envoi.settings.sections import Settings, Smtp

# RFC 8314 7.3: port 465 speaks TLS from the first byte.
TLS_PORT = 465
_TLS_LATER_PORTS = frozenset({25, 587, 2525})
SMTP = "smtp"
# Where each gives tokens out, and what for: without a refresh token, and with one.
_PROVIDERS = MappingProxyType(
    {
        "microsoft": (
            "https://login.microsoftonline.com/{}/oauth2/v2.0/token",
            "https://outlook.office365.com/.default",
            "https://outlook.office.com/SMTP.Send offline_access",
        ),
        "google": ("https://oauth2.googleapis.com/token", "", ""),
    }
)


def with_provider(smtp: Smtp) -> Smtp:
    """Return the relay with what its provider of tokens makes plain."""
    if smtp.oauth_provider not in _PROVIDERS:
        return smtp
    url, alone, for_mailbox = _PROVIDERS[smtp.oauth_provider]
    return replace(
        smtp,
        oauth_token_url=smtp.oauth_token_url or url.format(smtp.oauth_tenant),
        oauth_scope=smtp.oauth_scope or (for_mailbox if smtp.oauth_refresh_token else alone),
    )


def relays_of(settings: Settings) -> Iterator[tuple[str, str, Smtp]]:
    """Yield every relay: its name, the section that it stands in, how it is reached."""
    yield DEFAULT, "smtp", settings.smtp
    for name, relay in settings.relays.items():
        yield name, f"relays.{name}", relay


def misfits_of_relays(settings: Settings) -> Iterator[tuple[AbstractSet[str], Problem]]:
    """List what cannot be, each with the keys that it is about."""
    for name, where, relay in relays_of(settings):
        yield from _of_failover(settings, name, where, relay)
        yield from _of_tokens(where, relay)
        yield from _of_mechanisms(where, relay)
        is_own = settings.transports.get(name, SMTP) != SMTP
        if name != DEFAULT and not relay.host and not is_own:
            hint = f"or transport.{name}, where your own code carries its mail"
            problem = Problem(where=f"{where}.host", expected="a host", got="none", hint=hint)
            yield {f"{where}.host"}, problem
    for owner, application in settings.applications.items():
        for key, name in (
            ("relay", application.relay), ("broadcast_relay", application.broadcast_relay),
        ):  # fmt: skip
            yield from _of_name(settings, label(f"application.{owner}", key), name or DEFAULT)
    for name, carrier in settings.transports.items():
        if carrier == SMTP and name not in settings.relays:
            where, hint = f"transport.{name}", f"it says where in [relays.{name}]"
            yield {where}, Problem(where=where, expected="a relay", got="none", hint=hint)


def _of_name(settings: Settings, key: str, name: str) -> Iterator[tuple[AbstractSet[str], Problem]]:
    if name not in settings.relay_names:
        expected = f"the name of a relay: {', '.join(settings.relay_names)}"
        yield {key}, Problem(where=key, expected=expected, got=repr(name))


def _of_failover(
    settings: Settings, name: str, where: str, relay: Smtp
) -> Iterator[tuple[AbstractSet[str], Problem]]:
    key = f"{where}.failover"
    for other in relay.failover:
        if other == name:
            hint = "a relay that is paused cannot stand in for itself"
            yield {key}, Problem(where=key, expected="other relays", got=repr(other), hint=hint)
        else:
            yield from _of_name(settings, key, other)


def _of_tokens(where: str, relay: Smtp) -> Iterator[tuple[AbstractSet[str], Problem]]:
    if not _has_token_keys(relay):
        return
    needed: dict[str, tuple[object, str]] = {
        "oauth_token_url": (relay.oauth_token_url, "where tokens are given out"),
        "oauth_client_id": (relay.oauth_client_id, "the client's id"),
        "username": (relay.username, "the mailbox to sign in as"),
    }
    if relay.oauth_provider == "google":
        needed["oauth_refresh_token"] = (relay.oauth_refresh_token, "a refresh token")
    elif relay.oauth_provider == "microsoft":
        needed["oauth_tenant"] = (relay.oauth_tenant, "your tenant's id or domain")
    if not relay.oauth_refresh_token:
        needed["oauth_client_secret"] = (
            relay.oauth_client_secret, "the client's secret, or a refresh token",
        )  # fmt: skip
    for name, (value, expected) in needed.items():
        if not value:
            key, hint = f"{where}.{name}", "a key for signing in by token is set"
            yield {key}, Problem(where=key, expected=expected, got="none", hint=hint)
    if relay.password:
        key = f"{where}.password"
        yield {key}, Problem(where=key, expected="a password or tokens", got="both")


def _of_mechanisms(where: str, relay: Smtp) -> Iterator[tuple[AbstractSet[str], Problem]]:
    """A sign-in by mechanisms that do not do what was given for it fails each time."""
    by_token = _has_token_keys(relay)
    if not relay.auth or not (by_token or relay.password):
        return
    if not any((name in TOKEN_MECHANISMS) is by_token for name in relay.auth):
        key, got = f"{where}.auth", ", ".join(relay.auth)
        what = "XOAUTH2 or OAUTHBEARER" if by_token else "PLAIN, LOGIN or CRAM-MD5"
        hint = "tokens are set" if by_token else "a password is set"
        yield {key}, Problem(where=key, expected=what, got=got, hint=hint)


def _has_token_keys(relay: Smtp) -> bool:
    return bool(
        relay.oauth_provider
        or relay.oauth_token_url
        or relay.oauth_client_id
        or relay.oauth_client_secret
        or relay.oauth_refresh_token
    )


def warnings_of_relays(settings: Settings) -> Iterator[Problem]:
    """List what works and should not stay so."""
    for _, where, relay in relays_of(settings):
        yield from _of_certificates(where, relay)
        yield from _of_signing_in(where, relay)
        yield from _of_ports(where, relay)


def _of_certificates(where: str, smtp: Smtp) -> Iterator[Problem]:
    if not smtp.verify:
        yield Problem(
            where=f"{where}.verify",
            expected="true",
            got="false",
            hint="certificates are not verified: anybody on the way can read mail and password; "
            f"name a private authority by {where}.ca_file instead",
        )


def _of_signing_in(where: str, smtp: Smtp) -> Iterator[Problem]:
    if smtp.password and not smtp.username:
        hint = "nobody signs in without a name"
        yield Problem(
            where=f"{where}.username", expected="a name", got="a password alone", hint=hint
        )
    if smtp.username and not smtp.password and not smtp.oauth_token_url:
        hint = f"{smtp.username} signs in with an empty password"
        yield Problem(
            where=f"{where}.password", expected="a password", got="a name alone", hint=hint
        )
    has_secret = smtp.password or smtp.oauth_token_url
    signs_in = smtp.username and has_secret and smtp.host
    if signs_in and smtp.tls == "none" and not is_loopback(smtp.host):
        hint = (
            "the password crosses the network in clear"
            if smtp.allow_clear_password
            else "STARTTLS is used when the relay offers it; else it is paused"
        )
        key, expected = f"{where}.tls", "starttls or tls with a password"
        yield Problem(where=key, expected=expected, got="none", hint=hint)


def _of_ports(where: str, smtp: Smtp) -> Iterator[Problem]:
    if smtp.port == TLS_PORT and smtp.tls != "tls":
        hint = "this port speaks TLS from the first byte and will not greet"
        yield Problem(where=f"{where}.tls", expected="tls on port 465", got=smtp.tls, hint=hint)
    if smtp.port in _TLS_LATER_PORTS and smtp.tls == "tls":
        hint = "this port begins in clear: TLS from the first byte ends the conversation"
        expected = f"starttls on port {smtp.port}"
        yield Problem(where=f"{where}.tls", expected=expected, got="tls", hint=hint)
