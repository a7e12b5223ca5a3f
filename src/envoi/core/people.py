"""This room knows people: addresses, persons, and who stands in an event's reach.

An `Address` can only be made of parts that are harmless on the wire and in a header: atoms, no
quoting, no comment, no encoded word. Envelope and headers are both built from it and nobody
parses it back, which closes the whole family of "the header said something else than the
envelope" attacks (RELIABILITY A1-A14). Text becomes an `Address` at the edge, in `addresses.py`.
"""

import re
from dataclasses import dataclass

# RFC 5321 4.5.3.1.1: "The maximum total length of a user name or other local-part is 64 octets."
MAX_LOCAL_OCTETS = 64
# RFC 5321 4.5.3.1.3 allows a path of 256 octets including the angle brackets.
MAX_ADDRESS_OCTETS = 254

# RFC 5321 4.1.2 Dot-string with RFC 6531's non-ASCII letters. Quoted strings are lawful and
# refused: no provider hands them out, and every misrouting advisory of the last years used one.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
# RFC 3696 2: "top-level domain names will not be all-numeric", so `127.0.0.1` is no host name.
_DOMAIN = re.compile(
    r"(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?![0-9]+\Z)(?!-)[a-z0-9-]{1,63}(?<!-)",
)


@dataclass(frozen=True, slots=True)
class Address:
    """One e-mail address, proved harmless.

    Args:
        local: What stands before the @; case is kept, only the host there may interpret it.
        domain: What stands behind it, lower case, internationalised names as `xn--` labels.

    Raises:
        ValueError: The parts would not survive an envelope and a header unchanged.
    """

    local: str
    domain: str

    def __post_init__(self) -> None:
        """Refuse whatever is not plain atoms."""
        # `${` is what Exim took for a command to run (CVE-2019-10149).
        if not _LOCAL.fullmatch(self.local) or "=?" in self.local or "${" in self.local:
            raise ValueError("the part before the @ may hold letters, digits and single dots only")
        if not self.local.isprintable():
            raise ValueError("the part before the @ holds an invisible character")
        if not _DOMAIN.fullmatch(self.domain):
            raise ValueError("the part behind the @ is not a host name")
        if len(self.local.encode()) > MAX_LOCAL_OCTETS:
            raise ValueError(f"the part before the @ is longer than {MAX_LOCAL_OCTETS} octets")
        if len(str(self).encode()) > MAX_ADDRESS_OCTETS:
            raise ValueError(f"the address is longer than {MAX_ADDRESS_OCTETS} octets")

    def __str__(self) -> str:
        """Return the wire form.

        >>> str(Address("ann", "example.org"))
        'ann@example.org'
        """
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether a relay must offer SMTPUTF8 (RFC 6531) to carry this address."""
        return not self.local.isascii()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name with its address, as From, Reply-To and To show it.

    Args:
        address: Where mail goes.
        name: How the person is called; empty when only the address is shown.
    """

    address: Address
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody a directory knows, or a plain address that stands for somebody it does not.

    Args:
        id: Stable id in its directory; `address:x@y` for somebody outside it.
        login: Name to sign in with; empty for somebody outside the directory.
        first_name: Given name, may be empty.
        last_name: Family name, may be empty.
        address: The primary address when there is one and it is usable.
        unusable_address: The stored text when it cannot be used; shown, never mailed.
        is_active: Inactive people are skipped by every sender that does not ask for them.
        is_admin: Member of the administrators.
        locale: BCP 47 or POSIX name such as `de` or `pt_BR`; empty: the application's.
        time_zone: IANA name such as `Europe/Berlin`; empty: the application's.
    """

    id: str
    login: str = ""
    first_name: str = ""
    last_name: str = ""
    address: Address | None = None
    unusable_address: str = ""
    is_active: bool = True
    is_admin: bool = False
    locale: str = ""
    time_zone: str = ""

    @property
    def full_name(self) -> str:
        """Both names when both are set, else the login.

        >>> Person(id="1", login="ann", first_name="Ann", last_name="Lee").full_name
        'Ann Lee'
        >>> Person(id="2", login="bob", first_name="Bob").full_name
        'bob'
        """
        if self.first_name and self.last_name:
            return f"{self.first_name} {self.last_name}"
        return self.login

    @property
    def label(self) -> str:
        """The name that lists and `explain` show: login, or the address of an outsider."""
        return self.login or str(self.address or self.unusable_address or self.id)


def outsider(address: Address) -> Person:
    """Return the person that a plain address outside every directory stands for."""
    return Person(id=f"address:{address}", address=address)
