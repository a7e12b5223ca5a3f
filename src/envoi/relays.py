"""This room knows the relays by name: what carries the mail of each, and who stands in for whom."""

import os
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from envoi.core.people import Address
from envoi.seams import Carrier
from envoi.settings import Settings, Smtp
from envoi.transport.carrier import SmtpCarrier
from envoi.transport.custom import SMTP, OwnTransport, find_transport
from envoi.transport.idle import IdleCarrier
from envoi.transport.oauth import Grant, Tokens, TokenStore
from envoi.transport.options import RelayOptions

# The relay of `[smtp]`; whoever names none uses it.
DEFAULT = "default"


class Relays:
    """The relays of the settings.

    Args:
        settings: Checked settings.
        store_of: Where the refresh token of a relay is kept that was given in exchange.
    """

    def __init__(self, settings: Settings, store_of: Callable[[str], TokenStore]) -> None:
        """Load what the settings name; no connection is opened.

        Raises:
            SettingsError: A transport of the application's own cannot be loaded.
        """
        self._settings = settings
        self._store_of = store_of
        self._tokens: dict[tuple[int, str], Tokens] = {}
        self.names = settings.relay_names
        self._own = {
            name: self._found(name, SMTP if name != DEFAULT else settings.transport.default)
            for name in self.names
        }
        self.failover = MappingProxyType(
            {name: settings.relay(name).failover for name in self.names}
        )

    def own(self, name: str = DEFAULT) -> OwnTransport | None:
        """Return the application's own transport that carries a relay's mail; None: SMTP does."""
        return self._own.get(name)

    def where(self, name: str = DEFAULT) -> str:
        """Return what carries a relay's mail, as people are told; empty when nothing does."""
        own = self.own(name)
        if not self._settings.delivery.enabled or name not in self.names:
            return ""
        smtp = self._settings.relay(name)
        return own.name if own else f"{smtp.host}:{smtp.port}" if smtp.host else ""

    def mail_from(self, name: str) -> Address | None:
        """Return the envelope sender of what a relay carries; None: the mail's From."""
        return self._settings.relay(name).mail_from

    def carrier(self, name: str = DEFAULT) -> Carrier:
        """Return a new carrier of a relay's mail; it opens connections when mail comes.

        Raises:
            SettingsError: The application's own transport cannot be made.
        """
        if not self.where(name):
            return IdleCarrier()
        own = self.own(name)
        if own is not None:
            return own.carrier(self._settings, name)
        return SmtpCarrier(self.options(name))

    def options(self, name: str = DEFAULT) -> RelayOptions:
        """Return what the transport must know of a relay."""
        smtp = self._settings.relay(name)
        tokens = self._tokens_of(name, smtp) if smtp.oauth_token_url else None
        return replace(relay_options(smtp), tokens=tokens)

    def _tokens_of(self, name: str, smtp: Smtp) -> Tokens:
        # One for all connections of a process; a fork must not take over a lock that is held.
        made = Tokens(grant_of(smtp), self._store_of(name))
        return self._tokens.setdefault((os.getpid(), name), made)

    def _found(self, name: str, otherwise: str) -> OwnTransport | None:
        key = f"transport.{name}"
        said = self._settings.transports.get(name, otherwise)
        return find_transport(said, self._settings.folder, self._settings.name_of(key))


def relay_options(smtp: Smtp) -> RelayOptions:
    """Return what the transport must know of `[smtp]`, or of a table `[relays.NAME]`."""
    return RelayOptions(
        host=smtp.host,
        port=smtp.port,
        username=smtp.username,
        password=smtp.password,
        tls=smtp.tls,
        ca_file=str(smtp.ca_file or ""),
        verify=smtp.verify,
        auth=smtp.auth,
        helo=smtp.helo,
        allow_clear_password=smtp.allow_clear_password,
        connect_timeout_s=smtp.connect_timeout_s,
        command_timeout_s=smtp.command_timeout_s,
        content_timeout_s=smtp.content_timeout_s,
        connections=smtp.connections,
        messages_per_connection=smtp.messages_per_connection,
        window=smtp.window,
        idle_s=smtp.idle_s,
    )


def grant_of(smtp: Smtp) -> Grant:
    """Return what tokens of a relay are given out for."""
    return Grant(
        url=smtp.oauth_token_url,
        client_id=smtp.oauth_client_id,
        client_secret=smtp.oauth_client_secret,
        refresh_token=smtp.oauth_refresh_token,
        scope=smtp.oauth_scope,
        ca_file=str(smtp.ca_file or ""),
        timeout_s=smtp.connect_timeout_s,
    )


def own_keys(relay: str, advice: str) -> str:
    """Return advice with the keys of the relay that it is about.

    >>> own_keys("bulk", "check smtp.host")
    'check relays.bulk.host'
    """
    return advice if relay == DEFAULT else advice.replace("smtp.", f"relays.{relay}.")
