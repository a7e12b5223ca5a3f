"""This room checks what somebody typed about a user or a group, and makes the keys they match by.

Everything refused names the field, what was expected, what was found and what to do. Nothing is
trimmed or repaired: a repaired login or address is somebody else's.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from envoi.addresses import parse_address
from envoi.core.kind import is_one_line
from envoi.core.people import Address
from envoi.core.problem import Problem
from envoi.directory.records import AddressRecord
from envoi.errors import AddressError, InputError

# PostgreSQL cannot index texts without bound, and nobody types more.
MAX_LOGIN_CHARS = 128
MAX_NAME_CHARS = 255
MAX_GROUP_CHARS = 128
MAX_DESCRIPTION_CHARS = 1_000
# A locale or zone longer than this is none, and need not be looked up.
MAX_CODE_CHARS = 64
# What an error shows of what was typed.
MAX_SHOWN_CHARS = 100
# An unusable address is kept for people to see; a pasted document is cut.
MAX_UNUSABLE_CHARS = 500

# Only A-Z: full case folding would make one key of `stra\u00dfe@` and `strasse@`, or of a long s
# and an s, which are mailboxes of different people (RELIABILITY A16, A17).
_ASCII_LOWER = {ord(upper): ord(upper) + 32 for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def login_key(login: str) -> str:
    """Return what makes two spellings of a login the same.

    >>> login_key("Ann") == login_key("ANN")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", login).casefold())


def address_key(address: Address) -> str:
    """Return what makes two spellings of an address the same person's.

    >>> address_key(Address("Ann", "example.org"))
    'ann@example.org'
    """
    return ascii_lower(str(address))


def ascii_lower(text: str) -> str:
    """Return the text with A-Z in small letters and nothing else changed."""
    return text.translate(_ASCII_LOWER)


def checked_login(login: object) -> str:
    """Return the login; raises `InputError` when it could not be one."""
    return checked_name(login, "login", MAX_LOGIN_CHARS, hint="the name to sign in with")


def checked_group(name: object) -> str:
    """Return the group's name; raises `InputError` when it could not be one."""
    checked = checked_name(name, "group", MAX_GROUP_CHARS)
    if any(letter in checked for letter in ",;"):
        raise refusal("group", "a name without comma and semicolon", name, "they part lists")
    return checked


def checked_name(name: object, where: str, longest: int, *, hint: str = "") -> str:
    """Return a text that names something: not empty, printable, no spaces around it.

    Raises:
        InputError: It is none.
    """
    checked = checked_line(name, where, longest)
    if not checked.isprintable():
        # Names of people may hold joiners; in what is typed to find something they only mislead.
        raise refusal(where, "a text without invisible characters", name)
    if not checked or checked != checked.strip():
        raise refusal(where, "a text that is not empty, no spaces around it", name, hint)
    return checked


def checked_line(text: object, where: str, longest: int = MAX_NAME_CHARS) -> str:
    """Return the text, in its composed form, when it is one line; may be empty.

    Raises:
        InputError: It holds line breaks or control characters, or is too long.
    """
    if not isinstance(text, str):
        raise refusal(where, "text", type(text).__name__)
    if len(text) > longest:
        raise refusal(where, f"at most {longest} characters", f"{len(text)} characters")
    if not is_one_line(text):
        raise refusal(where, "one line without control characters", text)
    return unicodedata.normalize("NFC", text)


def checked_locale(text: object) -> str:
    """Return the locale as `pt_BR`; empty stays empty.

    Raises:
        InputError: Babel knows no such locale.
    """
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415 # only who types a locale loads it

    code = checked_line(text, "locale", MAX_CODE_CHARS)
    if not code:
        return ""
    try:
        return str(Locale.parse(code.replace("-", "_")))
    except (UnknownLocaleError, ValueError) as err:
        raise refusal("locale", "a locale such as de or pt_BR", code) from err


def checked_time_zone(text: object) -> str:
    """Return the time zone; empty stays empty.

    Raises:
        InputError: The system knows no such zone.
    """
    code = checked_line(text, "time_zone", MAX_CODE_CHARS)
    if not code:
        return ""
    try:
        ZoneInfo(code)
    except (LookupError, ValueError, OSError) as err:  # OSError: `Europe` is a folder
        raise refusal("time_zone", "a time zone such as Europe/Berlin", code) from err
    return code


def checked_address(text: object, where: str = "address") -> AddressRecord:
    """Return the address as it is stored.

    Raises:
        AddressError: It is not one usable address.
    """
    try:
        address = parse_address(text)
    except AddressError as err:
        hint = "give one bare address such as ann@example.org"
        raise AddressError(f"{where}: {err}; {hint}") from err
    return AddressRecord(text=str(address), key=address_key(address))


def checked_addresses(texts: Sequence[object]) -> tuple[AddressRecord, ...]:
    """Return the addresses as they are stored, the first primary.

    Raises:
        AddressError: One is not usable; none is taken.
    """
    if isinstance(texts, str):
        raise AddressError(
            "addresses: expected a list of addresses, got one text; put it in a list"
        )
    records = [checked_address(text, f"addresses[{n}]") for n, text in enumerate(texts)]
    return in_order(records)


def in_order(records: Sequence[AddressRecord]) -> tuple[AddressRecord, ...]:
    """Return each address once, in order, the first marked primary."""
    once: dict[str, AddressRecord] = {}
    for record in records:
        once.setdefault(record.key or record.text, record)
    return tuple(
        replace(record, is_primary=position == 0) for position, record in enumerate(once.values())
    )


def unusable(text: str, because: str) -> AddressRecord:
    """Return a text that is no address as it is kept: on one line, bounded, with its problem."""
    return AddressRecord(text=shown(text, MAX_UNUSABLE_CHARS), problem=because)


def shown(value: object, longest: int = MAX_SHOWN_CHARS) -> str:
    r"""Return a text as a person can read it and every database can store it.

    >>> shown("a\nb\ud800")
    'a\\nb\\ud800'
    """
    text = str(value)
    cut = text if len(text) <= longest else text[:longest] + "..."
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def refusal(where: str, expected: str, got: object, hint: str = "") -> InputError:
    """Return the error for one thing that does not fit."""
    text = shown(got) or "nothing"
    return InputError(str(Problem(where=where, expected=expected, got=text, hint=hint)))
