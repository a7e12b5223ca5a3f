"""This room reads single values in the forms in which Kallithea's ini holds them."""

import re

from envoi.addresses import parse_mailbox
from envoi.settings.places import base_url, host_of
from envoi.settings.readers import MisfitError

_TRUE = frozenset({"true", "yes", "on", "y", "t", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "f", "0"})
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]+):(?P<port>[0-9]{1,9})")
_QUOTED = re.compile(r'\s*"(?:[^"\\]|\\.)*"\s*')
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
_DRIVER = re.compile(r"(?i)postgres(?:ql)?(?:\+[a-z0-9_]+)?://")


def boolean(text: str) -> bool | None:
    """Return what the word says; None when it says neither.

    >>> boolean(" On "), boolean("f"), boolean("maybe")
    (True, False, None)
    """
    word = text.strip().lower()
    return word in _TRUE if word in _TRUE | _FALSE else None


def host_and_port(text: str) -> tuple[str, str]:
    """Return a relay's host and, where the text names one, its port.

    >>> host_and_port("mail.example.org:587"), host_and_port("[::1]:25"), host_and_port("::1")
    (('mail.example.org', '587'), ('[::1]', '25'), ('::1', ''))
    """
    match = _HOST_AND_PORT.fullmatch(text)
    return (match["host"], match["port"]) if match else (text, "")


def addresses(text: str) -> list[str]:
    """Return the bare addresses of a comma list.

    >>> addresses('ops@example.org, , "Doe, Ann" <ann@example.org>')
    ['ops@example.org', 'ann@example.org']

    Raises:
        AddressError: One of them is none; says which.
    """
    found = [parse_mailbox(item, is_local_allowed=True) for item in _items(text)]
    return [str(mailbox.address) for mailbox in found]


def _items(text: str) -> list[str]:
    items, begin, is_quoted = list[str](), 0, False
    for at, letter in enumerate(text):
        if letter == '"' and text[at - 1 : at] != "\\":
            is_quoted = not is_quoted
        elif letter == "," and not is_quoted:
            items.append(text[begin:at])
            begin = at + 1
    items.append(text[begin:])
    return [item.strip() for item in items if item.strip()]


def sender(text: str, host: str) -> str:
    r"""Return a sender as `envoi.toml` holds it.

    A bare word, as Kallithea's own default is one, is a name without an address: it gets one. A
    name that needs quotes gets them.

    >>> sender("Kallithea", "code.example.org")
    '"Kallithea" <kallithea@code.example.org>'
    >>> sender("Doe, Inc. <no@example.org>", "localhost")
    '"Doe, Inc." <no@example.org>'
    >>> print(sender('The "real" one <no@example.org>', "localhost"))
    "The \"real\" one" <no@example.org>
    """
    if "@" not in text and "<" not in text:
        return f"{quoted(text)} <kallithea@{host}>"
    match = _NAMED.fullmatch(text.strip())
    if not match or _QUOTED.fullmatch(match["name"]) or not re.search('[",;@]', match["name"]):
        return text
    return f"{quoted(match['name'].strip())} <{match['address']}>"


def quoted(name: str) -> str:
    """Return a display name in quotes, as an address list has it."""
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    return f'"{escaped}"'


def sender_host(canonical_url: str) -> str:
    """Return the host that mail comes from where no sender is set."""
    try:
        return host_of(base_url(canonical_url)) or "localhost"
    except MisfitError:
        return "localhost"


def database_url(text: str) -> str:
    """Return Kallithea's database URL with the driver left to Envoi.

    >>> database_url("postgresql+psycopg2://kal:pw@localhost/kallithea")
    'postgresql://kal:pw@localhost/kallithea'
    """
    return _DRIVER.sub("postgresql://", text, count=1)
