"""This room says what is used of a connection to an LDAP server."""

from socket import socket
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ldap3 import Server
    from ldap3.extend import ExtendedOperationsRoot


class Line(Protocol):
    """What is used of ldap3's connection, whose own types are unknown in part."""

    socket: socket | None

    @property
    def server(self) -> "Server":
        """Where it leads."""
        ...

    @property
    def extend(self) -> "ExtendedOperationsRoot":
        """Searches page by page, among others."""
        ...

    def open(self) -> object:
        """Connect; ldaps:// is encrypted from here on."""
        ...

    def start_tls(self) -> object:
        """Encrypt what follows."""
        ...

    def bind(self) -> object:
        """Say who asks."""
        ...

    def unbind(self) -> object:
        """Leave."""
        ...
