"""This room holds what a transport must know about its relay, as one frozen value."""

import re
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

Tls: TypeAlias = Literal["none", "starttls", "tls"]

# RFC 5321 4.1.1.1: EHLO takes a domain or an address literal, nothing with a space (B15).
_HELO = re.compile(r"[A-Za-z0-9.:\[\]_-]+")


class Secret(Protocol):
    """A text that shows itself only when asked."""

    def reveal(self) -> str:
        """Return the text."""
        ...


class NoSecret:
    """The password of a relay that wants none."""

    def reveal(self) -> str:
        """Return the empty text."""
        return ""


class TokenSource(Protocol):
    """What gives out tokens to sign in with; shared by all connections, called from threads."""

    def take(self) -> str:
        """Return a token; raises `TroubleError` where none is given out."""
        ...

    def accepted(self, text: str) -> None:
        """Note that the relay has taken this token."""
        ...

    def refused(self, text: str) -> bool:
        """Forget this token, which the relay refused; whether another one may do better."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """One relay and how to speak to it.

    Args:
        host: Name or address.
        port: 25 and 587 begin in clear, 465 is TLS from the first byte.
        username: Whom to sign in as; empty: not at all.
        password: Its secret.
        tokens: Signs in by token instead of a password; None: there are none.
        tls: `tls` from the first byte, `starttls` demanded, `none` in clear.
        ca_file: PEM file of the only authorities to trust; empty: the system's, or those of the
            environment's SSL_CERT_FILE.
        verify: False takes any certificate: anybody on the way can read mail and password.
        auth: Mechanisms to use, in this order, whatever the relay offers; empty: the relay's.
        helo: How we introduce ourselves; empty: this machine's name.
        allow_clear_password: Whether the password may go unencrypted to another machine.
        connect_timeout_s: For name, connection and TLS handshake each. Default 30.
        command_timeout_s: For each whole reply but the content's. Too short hangs up on a relay
            that greets slowly, too long waits for a dead one. Default 60.
        content_timeout_s: For the reply to the content. Giving up early sends twice; Postfix
            waits as long. Default 600.
        connections: How many may be open at once. Default 4.
        messages_per_connection: After so many a connection is renewed; 0: never. Default 100.
        idle_s: How long an unused connection stays open. Default 10.
        window: How many contents may be unanswered on one connection, where the relay allows
            more than one. So many copies a crash may cause per connection. Default 1.
    """

    host: str
    port: int
    username: str = ""
    password: Secret = field(default_factory=NoSecret, repr=False)
    tokens: TokenSource | None = field(default=None, repr=False)
    tls: Tls = "starttls"
    ca_file: str = ""
    verify: bool = True
    auth: tuple[str, ...] = ()
    helo: str = ""
    allow_clear_password: bool = False
    connect_timeout_s: float = 30
    command_timeout_s: float = 60
    content_timeout_s: float = 600
    connections: int = 4
    messages_per_connection: int = 100
    idle_s: float = 10
    window: int = 1

    def __post_init__(self) -> None:
        """Refuse what would become a command of its own on the wire."""
        if self.helo and not _HELO.fullmatch(self.helo):
            raise ValueError(f"helo: expected a host name, got {self.helo!a}")

    @property
    def relay(self) -> str:
        """The relay as logs name it."""
        return f"{self.host}:{self.port}"
