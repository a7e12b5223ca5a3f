"""This room reads single values: what a key may hold, and the words for what it may not.

A reader takes what TOML gave (or what `from_text` made of an environment variable) and returns
the typed value, or raises `MisfitError`. It knows neither the key's name nor its origin; those are
added by `reading.py`, so that one message always has one form.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo, available_timezones

from babel.core import Locale, UnknownLocaleError

from envoi.addresses import parse_address, parse_mailbox
from envoi.core.message import is_header_allowed
from envoi.core.people import Address, Mailbox
from envoi.errors import AddressError
from envoi.settings.secret import Secret, shown

# Controls, half surrogates, line and paragraph separators, bidi controls: nothing that a setting
# needs, and each of them a way to forge a header or a log line (RELIABILITY B, F11).
_HARMFUL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
MAX_CHARS = 10_000
TOKEN_MECHANISMS = ("XOAUTH2", "OAUTHBEARER")
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", *TOKEN_MECHANISMS)


class MisfitError(ValueError):
    """The value is not what the key holds.

    Args:
        hint: What to do, where there is more to say than what was expected.
    """

    def __init__(self, hint: str = "") -> None:
        """Keep the hint."""
        super().__init__(hint)
        self.hint = hint


def _as_is(text: str) -> object:
    return text


@dataclass(frozen=True, slots=True)
class Reader:
    """How one sort of value is read.

    Args:
        expected: What fits, in the words of an error message and of the reference.
        read: Takes a TOML value and the folder that relative paths start from; raises
            `MisfitError`.
        from_text: Makes a TOML value of an environment variable; what it cannot make it returns
            as it is, for `read` to refuse.
    """

    expected: str
    read: Callable[[object, Path], object]
    from_text: Callable[[str], object] = _as_is


def checked_text(value: object) -> str:
    """Return the value if it is one line of harmless text."""
    if not isinstance(value, str):
        raise MisfitError("write it in quotes" if isinstance(value, int | float) else "")
    if len(value) > MAX_CHARS:
        raise MisfitError(f"longer than {MAX_CHARS} characters")
    if _HARMFUL.search(value):
        raise MisfitError("it holds a line break or another control character")
    return value


def texts(check: Callable[[str], object], expected: str) -> Reader:
    """Return a reader of one line of text that the check turns into its value."""
    return Reader(expected, lambda value, _folder: check(checked_text(value)))


def paths(check: Callable[[str, Path], object], expected: str) -> Reader:
    """Return a reader of a text whose check needs to know the folder of the settings file."""
    return Reader(expected, lambda value, folder: check(checked_text(value), folder))


def integers(low: int, high: int) -> Reader:
    """Return a reader of whole numbers within the bounds, both included."""

    def read(value: object, _folder: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise MisfitError("without quotes" if _is_number(value) else "")
        if not low <= value <= high:
            raise MisfitError
        return value

    return Reader(f"{low}..{high}", read, _number)


def seconds(low: float, high: float) -> Reader:
    """Return a reader of numbers of seconds, fractions allowed, within the bounds."""

    def read(value: object, _folder: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MisfitError("without quotes" if _is_number(value) else "")
        # NaN is within no bounds, so it is refused here too.
        if not low <= value <= high:
            raise MisfitError
        return value

    return Reader(f"{low:g}..{high:g} seconds", read, _number)


def _is_number(value: object) -> bool:
    return isinstance(value, str) and not isinstance(_number(value), str)


def _number(text: str) -> object:
    # ASCII digits only, and not so many that Python itself would refuse to convert them.
    if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        return int(text)
    if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\.[0-9]{1,18}\s*", text) and math.isfinite(float(text)):
        return float(text)
    return text


def booleans() -> Reader:
    """Return a reader of true and false."""

    def read(value: object, _folder: Path) -> bool:
        if isinstance(value, bool):
            return value
        raise MisfitError("without quotes" if isinstance(value, str) and _is_truth(value) else "")

    def from_text(text: str) -> object:
        return text.strip().lower() in _TRUE if _is_truth(text) else text

    return Reader("true or false", read, from_text)


def _is_truth(text: str) -> bool:
    return text.strip().lower() in _TRUE | _FALSE


def one_of(words: Sequence[str], hints: dict[str, str]) -> Reader:
    """Return a reader of one of the words; `hints` translates what people write instead."""

    def read(value: object, _folder: Path) -> str:
        word = str(value).strip().lower()
        if not isinstance(value, str) or word not in words:
            raise MisfitError(hints.get(word, "") if isinstance(value, str | bool) else "")
        return word

    return Reader(", ".join(words[:-1]) + f" or {words[-1]}", read)


def lists(item: Reader, expected: str) -> Reader:
    """Return a reader of lists whose items the given reader reads; in order, each once."""

    def read(value: object, folder: Path) -> tuple[object, ...]:
        if not isinstance(value, list | tuple):
            raise MisfitError("write it in [ ]" if isinstance(value, str) else "")
        items = cast("Sequence[object]", value)
        return tuple(dict.fromkeys(_item(item, one, folder) for one in items))

    return Reader(expected, read, _listed)


def _item(item: Reader, value: object, folder: Path) -> object:
    try:
        return item.read(value, folder)
    except MisfitError as err:
        because = err.hint or f"expected {item.expected}"
        raise MisfitError(f"{shown(value)}: {because}") from err


def _listed(text: str) -> object:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return [part.strip() for part in text.split(",") if part.strip()]


def secrets() -> Reader:
    """Return a reader of passwords: any text on one line, spaces included."""

    def read(value: object, _folder: Path) -> Secret:
        if not isinstance(value, str) or len(value) > MAX_CHARS:
            raise MisfitError
        if re.search(r"[\r\n\x00\ud800-\udfff]", value):
            raise MisfitError("a line break or a broken character in it cannot be sent to a relay")
        return Secret(value)

    return Reader("a text on one line", read)


def header_name(text: str) -> str:
    """Return the text if a mail may carry a header of this name."""
    if not is_header_allowed(text):
        raise MisfitError("letters, digits and -, and not one that Envoi writes itself")
    return text


def schema_name(text: str) -> str:
    """Return the text if it is a plain PostgreSQL identifier."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", text):
        raise MisfitError
    return text


def module_name(text: str) -> str:
    """Return the dotted name of a Python module."""
    if not all(part.isidentifier() for part in text.split(".")):
        raise MisfitError
    return text


def transport_name(text: str) -> str:
    """Return the name of a transport: a word, or where in a module it is made."""
    module, colon, factory = text.partition(":")
    if colon and not factory.replace(".", "").isidentifier():
        raise MisfitError("behind the colon stands the name of what makes it")
    if not colon and "." in module:
        raise MisfitError("name what makes it behind a colon, as in shop.mail:transport")
    return f"{module_name(module)}{colon}{factory}" if colon else _word(text)


def relay_name(text: str) -> str:
    """Return the name of a relay; whether there is one of this name is told elsewhere."""
    return _word(text)


def word(text: str) -> str:
    """Return the text if it is a part of a URL by itself, such as an id or a domain."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise MisfitError
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", text):
        raise MisfitError
    return text


def domain_rate(text: str) -> str:
    """Return a domain in small letters with its number of mails a minute, as `gmail.com=30`."""
    domain, equals, number = (part.strip() for part in text.partition("="))
    if not equals or not re.fullmatch(r"[0-9]{1,6}", number):
        raise MisfitError("the number of mails a minute stands behind a =")
    return f"{address(f'x@{domain}').domain.lower()}={int(number)}"


def pattern(text: str) -> str:
    """Return the text if it is a regular expression that Python understands."""
    try:
        re.compile(text)
    # Python recurses into nested groups, and refuses repeats beyond what a counter holds.
    except (re.error, RecursionError, OverflowError) as err:
        raise MisfitError(str(err)) from err
    return text


def auth_mechanism(text: str) -> str:
    """Return the SASL mechanism's name in capitals."""
    if text.strip().upper() not in MECHANISMS:
        raise MisfitError
    return text.strip().upper()


def address(text: str) -> Address:
    """Return the configured address; unlike a user's it may be local, as in `root@localhost`."""
    try:
        return parse_address(text, is_local_allowed=True)
    except AddressError as err:
        raise MisfitError(_because(err)) from err


def mailbox(text: str) -> Mailbox:
    """Return the configured mailbox: an address with or without a display name."""
    try:
        return parse_mailbox(text, is_local_allowed=True)
    except AddressError as err:
        raise MisfitError(_because(err)) from err


def address_or_domain(text: str) -> str:
    """Return the address, or `@domain`, in the form in which recipients are compared with it."""
    if text.startswith("@"):
        return f"@{address(f'x{text}').domain}"
    return str(address(text))


def _because(err: AddressError) -> str:
    # The message repeats the text; the problem shows it already.
    return str(err).rpartition(" is not a usable e-mail address: ")[2]


def locale(text: str) -> str:
    """Return the locale as Babel names it, e.g. `pt_BR` for `pt-br` and for `pt_BR.UTF-8`."""
    name = re.split(r"[.@]", text.replace("-", "_"), maxsplit=1)[0]
    try:
        return str(Locale.parse(name))
    except (UnknownLocaleError, ValueError, TypeError, OSError) as err:
        raise MisfitError from err


def time_zone(text: str) -> str:
    """Return the text if the system or the `tzdata` package knows this zone."""
    try:
        return ZoneInfo(text).key
    # ZoneInfo opens a file of this name: it may be a folder, too long or outside.
    except (LookupError, ValueError, OSError) as err:
        known = available_timezones()
        if not known:
            raise MisfitError(
                "this system knows no time zones: install its tzdata package"
            ) from err
        near = get_close_matches(text, known, 1)
        raise MisfitError(f"did you mean {near[0]}?" if near else "") from err
