"""This room turns text into addresses: the one edge at which a typed address is read."""

import re

import idna
from email_validator import EmailNotValidError, validate_email

from envoi.core.kind import clean_line
from envoi.core.people import Address, Mailbox
from envoi.errors import AddressError

# No two neighbours take the same letters: 100 kB of white space would be read for seconds.
_MAILBOX = re.compile(
    r'(?:[ \t]*"(?P<quoted>(?:[^"\\]|\\.)*)"\s*|(?P<plain>[^<>"]*))<(?P<address>[^<>]*)>[ \t]*'
)
# What nearly all addresses are, and what both libraries below leave as it is: small ASCII letters,
# digits and single separators. They take 35 µs, which is a third of storing a mail.
_COMMON = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)+"
)
MAX_SHOWN_CHARS = 100


def parse_address(text: object, *, is_local_allowed: bool = False) -> Address:
    """Return the address that the text is, normalised; never a repaired or trimmed one.

    Args:
        text: One bare address, e.g. `ann@example.org`.
        is_local_allowed: Whether host names without a dot, as in `omero@localhost`, are taken.
            Configured senders may be local, recipients only by a setting.

    Raises:
        AddressError: Not one usable address; says why.
    """
    if not isinstance(text, str):
        raise AddressError(f"expected one e-mail address as text, got {type(text).__name__}")
    if not text or text != text.strip():
        raise AddressError(_refusal(text, "it is empty or has spaces around it"))
    if "<" in text or "," in text or ";" in text:
        raise AddressError(_refusal(text, "one bare address is meant, without name or list"))
    if "@" not in text:
        raise AddressError(_refusal(text, "it has no @"))
    if " " in text:
        because = "it holds a space; several have commas between, a name stands before < >"
        raise AddressError(_refusal(text, because))
    local, _, domain = text.rpartition("@")
    try:
        if _COMMON.fullmatch(text):
            address = Address(local, domain)
        else:
            address = Address(_checked_local(local), _ascii_domain(domain))
    except (EmailNotValidError, ValueError) as err:
        raise AddressError(_refusal(text, str(err))) from err
    if "." not in address.domain and not is_local_allowed:
        raise AddressError(_refusal(text, "the host name has no dot"))
    return address


def _checked_local(local: str) -> str:
    # The library judges the part before the @; the domain beside it only completes the form. It
    # refuses domains such as `.local` and `localhost` outright, which intranets really use.
    return validate_email(
        f"{local}@example.test", check_deliverability=False, test_environment=True
    ).local_part


def _ascii_domain(domain: str) -> str:
    # UTS 46 folds width, case and the ideographic full stop. It also drops invisible characters
    # without a word; an address that shows less than it holds is refused (A21).
    if any(not idna.uts46_remap(letter) for letter in domain):
        raise ValueError("the part behind the @ holds an invisible character")
    return idna.encode(domain, uts46=True, std3_rules=True).decode("ascii").lower()


def parse_mailbox(text: object, *, is_local_allowed: bool = False) -> Mailbox:
    """Return the mailbox that `addr`, `Name <addr>` or `"Name" <addr>` is.

    Raises:
        AddressError: The address part is not usable, or a name with a comma is not quoted.
    """
    if not isinstance(text, str) or "<" not in text:
        # Only the spaces that a list leaves: a line break around an address is no accident (A8).
        bare = text.strip(" \t") if isinstance(text, str) else text
        return Mailbox(parse_address(bare, is_local_allowed=is_local_allowed))
    match = _MAILBOX.fullmatch(text)
    if match is None:
        raise AddressError(_refusal(text, "expected Name <address>"))
    if re.search("[,;@]", match["plain"] or ""):
        # Each is how a second address begins, and readers differ about which one is meant (A6).
        raise AddressError(_refusal(text, "quote a name that holds a comma, semicolon or @"))
    quoted = re.sub(r"\\(.)", r"\1", match["quoted"] or "")
    name = clean_line(quoted or match["plain"] or "")
    return Mailbox(parse_address(match["address"], is_local_allowed=is_local_allowed), name)


def _refusal(text: str, because: str) -> str:
    shown = ascii(text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "...")
    return f"{shown} is not a usable e-mail address: {because}"
