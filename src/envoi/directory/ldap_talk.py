"""This room talks to an LDAP server: it asks, it never writes, and nobody waits long for it.

Each question is a conversation of its own: connect, encrypt, say who asks, search, leave. What is
kept between conversations is said where it is kept (`ldap.py`). Whatever goes wrong is one
`DirectoryError`; a server that let somebody wait in vain is not asked again for `PAUSE_S`.
Referrals are not followed: they would send our password to whomever the server names.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast
from urllib.parse import urlsplit

from envoi.directory.foreign import MAX_WORDS, PAUSE_S
from envoi.directory.ldap_line import Line
from envoi.directory.opening import WAIT_S
from envoi.errors import DirectoryError
from envoi.settings import LdapSettings

if TYPE_CHECKING:
    from ldap3 import Server

    from envoi.directory.ldap_tls import VerifiedTls

# How long an answer is waited for. A server that looks through everybody needs more than one that
# opens a connection.
ANSWER_S = 5
# Servers tell of at most so many at a time (Active Directory: 1,000), and are asked for the rest.
PAGE = 500
# What asks for no attribute at all (RFC 4511 4.5.1.8).
NO_ATTRIBUTES = ("1.1",)

Values: TypeAlias = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a server told of one entry: its name, and values by attribute in small letters."""

    dn: str
    values: Mapping[str, Values]

    def texts(self, attribute: str) -> tuple[str, ...]:
        """Return the values of an attribute; none when it is not told, or has no name."""
        values = self.values.get(attribute.lower(), ())
        return tuple(value.decode("utf-8", "replace") for value in values)


class LdapServer:
    """A server that knows who exists.

    Args:
        url: `ldaps://HOST` or `ldap://HOST`.
        settings: How it is asked.
    """

    def __init__(self, url: str, settings: LdapSettings) -> None:
        """Keep the address; nothing is opened before it is needed."""
        self.place = url
        self._settings = settings
        self._tls: VerifiedTls | None = None
        self._paused_until = 0.0
        self._why_paused = ""

    def __repr__(self) -> str:
        """Show where it is."""
        return f"LdapServer({self.place!r})"

    @contextmanager
    def conversation(self) -> Generator["Conversation"]:
        """Open a conversation.

        Raises:
            DirectoryError: The server cannot be reached, trusted or asked.
        """
        began = time.monotonic()
        if began < self._paused_until:
            raise self._refused(f"{self._why_paused}; not tried again for {PAUSE_S} s", _OTHERWISE)
        try:
            from ldap3.core.exceptions import LDAPException  # noqa: PLC0415 # an extra
        except ImportError as err:
            raise self._refused("ldap3 is not installed", "pip install 'envoi[ldap]'") from err
        try:
            connection = self._connection()
            with _left_in_the_end(connection, LDAPException):
                self._open(connection)
                yield Conversation(connection, self._settings.base)
        except (LDAPException, OSError) as err:
            words = " ".join(str(err).split())
            if time.monotonic() - began > WAIT_S / 2:
                self._why_paused, self._paused_until = words, time.monotonic() + PAUSE_S
            raise self._refused(words, _advice(f"{type(err).__name__} {words}")) from err

    def _connection(self) -> Line:
        import ldap3  # noqa: PLC0415 # an extra

        settings = self._settings
        connection = ldap3.Connection(
            self._server(),
            user=settings.bind_dn or None,
            password=settings.bind_password.reveal() or None,
            read_only=True,
            auto_referrals=False,
            raise_exceptions=True,
            check_names=False,
            receive_timeout=ANSWER_S,
        )
        return cast("Line", connection)

    def _open(self, connection: Line) -> None:
        connection.open()
        if self._settings.starttls and not connection.server.ssl:
            connection.start_tls()
        connection.bind()

    def _server(self) -> "Server":
        import ssl  # noqa: PLC0415 # needed from here on

        import ldap3  # noqa: PLC0415 # an extra

        from envoi.directory.ldap_tls import VerifiedTls  # noqa: PLC0415 # it loads ldap3

        if self._tls is None:
            ca_file = str(self._settings.ca_file) if self._settings.ca_file else None
            self._tls = VerifiedTls(validate=ssl.CERT_REQUIRED, ca_certs_file=ca_file)
        parts = urlsplit(self.place)
        is_tls = parts.scheme == "ldaps"
        return ldap3.Server(
            parts.hostname or "",
            port=parts.port or (636 if is_tls else 389),
            use_ssl=is_tls,
            tls=self._tls,
            get_info=ldap3.NONE,
            connect_timeout=WAIT_S,
        )

    def _refused(self, words: str, advice: str) -> DirectoryError:
        return DirectoryError(
            f"the users in {self.place} cannot be read: {words[:MAX_WORDS]} ({advice})"
        )


@contextmanager
def _left_in_the_end(connection: Line, failure: type[Exception]) -> Generator[None]:
    try:
        yield
    finally:
        with suppress(failure, OSError):  # what failed before is what is told
            connection.unbind()
        if connection.socket is not None:  # a server that is gone is not left by saying so
            connection.socket.close()


class Conversation:
    """An open conversation with a server."""

    def __init__(self, connection: Line, base: str) -> None:
        """Take the connection."""
        self._connection = connection
        self._base = base

    def search(self, where: str, attributes: Sequence[str]) -> Iterator[Entry]:
        """Search below the base, page by page.

        Args:
            where: A filter; texts in it are escaped by `escaped`.
            attributes: What to tell of each entry.
        """
        from ldap3 import SUBTREE  # noqa: PLC0415 # an extra

        told = self._connection.extend.standard.paged_search(
            self._base,
            where,
            SUBTREE,
            attributes=list(attributes),
            paged_size=PAGE,
            time_limit=ANSWER_S,
            generator=True,
        )
        yield from _entries(cast("Iterator[Mapping[str, object]]", told))


def escaped(text: str) -> str:
    r"""Return a text as it stands in a filter, where it can mean nothing but itself (RFC 4515).

    >>> escaped("bob)(uid=*")
    'bob\\29\\28uid=\\2a'
    """
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


_ESCAPES = {letter: f"\\{ord(letter):02x}" for letter in "*()\\\x00"}


def _entries(
    told: Iterator[Mapping[str, object]],
) -> Iterator[Entry]:
    for one in told:
        if one.get("type") == "searchResEntry":  # else a referral, which is not followed
            raw = cast("Mapping[str, Sequence[bytes]]", one["raw_attributes"])
            values = {name.lower(): tuple(texts) for name, texts in raw.items()}
            yield Entry(str(one["dn"]), values)


def _advice(words: str) -> str:
    lowered = words.lower()
    return next((said for word, said in _ADVICE if word in lowered), _OTHERWISE)


# What an error means for the person who must repair it; the first that fits.
_ADVICE = (
    ("invalidcredentials", "check ldap.bind_dn and ldap.bind_password"),
    ("hostname mismatch", "its certificate is another host's: check directory.url"),
    ("ip address mismatch", "its certificate is another host's: check directory.url"),
    ("certificate verify failed", "name the authority to trust by ldap.ca_file"),
    ("starttls", "it offers no StartTLS: write ldaps://"),
    ("nosuchobject", "check ldap.base"),
    ("invaliddn", "check ldap.base and ldap.bind_dn"),
    ("sizelimit", "let ldap.bind_dn read without a limit"),
    ("filter", "check the filters in [ldap]"),
    ("insufficientaccess", "let ldap.bind_dn read users and groups"),
    ("strongerauth", "it wants encryption: write ldaps:// or set ldap.starttls"),
    ("confidentiality", "it wants encryption: write ldaps:// or set ldap.starttls"),
)
_OTHERWISE = "check directory.url, and that the server runs"
