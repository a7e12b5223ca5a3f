"""This room makes sure that an LDAP server is the one that was named.

ldap3 compares the host's name by a function that Python 3.12 no longer has, after the handshake,
and leaves the connection open when it does not fit. Here OpenSSL does, within the handshake.
"""

import ssl
from functools import cached_property
from typing import TYPE_CHECKING, cast

import ldap3

if TYPE_CHECKING:
    from envoi.directory.ldap_line import Line


class VerifiedTls(ldap3.Tls):
    """TLS with a certificate that is for this host and of an authority that is trusted."""

    @cached_property
    def _context(self) -> ssl.SSLContext:
        # Reading the system's authorities takes longer than many a whole conversation.
        return ssl.create_default_context(cafile=self.ca_certs_file)

    def wrap_socket(self, connection: object, do_handshake: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 # ldap3's own signature
        """Encrypt a connection; called by ldap3."""
        line = cast("Line", connection)
        assert line.socket
        line.socket = self._context.wrap_socket(line.socket, server_hostname=line.server.host)
