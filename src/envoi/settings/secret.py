"""This room keeps secrets out of sight: a value that must be asked to speak, and masked URLs."""

import hmac
import re
from typing import NoReturn, cast

from envoi.core.kind import MASK

# Up to the *last* @: a name or password typed without percent-encoding may hold `/`, `:` and `@`.
# Rather too much is hidden than a half of a password shown. A path (`sqlite:////a@b`) has no user.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?!/)[\s\S]*@")
_QUERY_SECRET = re.compile(r"(?i)(?P<name>[?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&]+")
MAX_SHOWN_CHARS = 100
_HUGE = 10**30
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Secret:
    """A text that shows itself only to `reveal()`.

    Deliberately no `str`: a subclass would leak through formatting, joining, JSON and logging.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        """Keep the text; empty means that there is no secret."""
        self._text = text

    def reveal(self) -> str:
        """Return the clear text."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __str__(self) -> str:
        return MASK if self._text else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        # In constant time: how long a comparison takes must not tell how much of it was right.
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._text.encode("utf-8", "surrogatepass"),
            other._text.encode("utf-8", "surrogatepass"),
        )

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not pickled: load the settings again in the other process")


def masked_url(url: str) -> str:
    """Return the URL with its password, and secrets among its parameters, masked.

    >>> masked_url("postgresql://envoi:s3cr/t@db.example/mail?sslmode=require")
    'postgresql://envoi:********@db.example/mail?sslmode=require'
    >>> masked_url("hunter2")
    '********'
    """
    scheme = _SCHEME.match(url)
    if not scheme:
        return MASK if url else ""  # not a URL: somebody may have typed the password alone
    place = url[scheme.end() :]
    if "@" in place and not place.startswith("/"):
        userinfo, _, place = place.rpartition("@")
        user, colon, _ = userinfo.partition(":")
        place = f"{user}:{MASK}@{place}" if colon else f"{user}@{place}"
    return scheme[0] + _QUERY_SECRET.sub(lambda match: match["name"] + MASK, place)


def without_credentials(text: str) -> str:
    """Return any text with whatever stands before the @ of a URL in it masked."""
    shown = _USERINFO.sub(lambda match: f"{match['scheme']}{MASK}@", text)
    return _QUERY_SECRET.sub(lambda match: match["name"] + MASK, shown)


def has_credentials(url: str) -> bool:
    """Whether masking the URL hides something."""
    return masked_url(url) != url


def shown(value: object) -> str:
    """Return a value for a message: bounded, on one line, without credentials.

    >>> shown("smtp://ann:hunter2@mail.example"), shown(True), shown([1, 2])
    ("'smtp://********@mail.example'", 'true', 'a list of 2')
    """
    match value:
        case bool():
            return str(value).lower()
        case str():
            text = without_credentials(value)
            return ascii(text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}...")
        case int() if abs(value) >= _HUGE:
            return "a number of many digits"  # Python refuses to print those of over 4,300
        case list() | tuple():
            return f"a list of {len(cast('list[object]', value))}"
        case dict():
            return "a table"
        case _:
            return str(value)
