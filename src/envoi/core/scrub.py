"""This room takes secrets out of what an error report shows: by name, by form and by value.

It runs once, when an error is seen, and nothing but what it leaves is stored, mailed or logged
(RELIABILITY F6). Each way misses what another finds: a field called `password` holds any text, a
token is one whatever it is called, and a password that stood in a variable is the same password in
the message of the error. What is masked by mistake costs a look into the log; what is missed cannot
be taken back. Every pattern takes time in proportion to the text.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from envoi.core.kind import MASK

# A shorter value is a word that occurs in any text, such as `yes`.
MIN_KNOWN_CHARS, MAX_KNOWN_CHARS = 5, 10_000

# Django's list with what forms and sessions add to it.
_SECRET = re.compile(
    r"api|auth|token|key|secret|pass|pwd|signature|cookie|session|csrf|xsrf|credential|private"
    r"|cvv|cvc|(?<![a-z])ssn(?![a-z])|iban|card[_-]?n|jwt|bearer"
    # A short word, by its own hump: `otpCode` and `user_otp`, and not `laptop`.
    r"|(?-i:(?<![a-zA-Z])[ht]?otp(?![a-z])|(?<![A-Z])[HT]?(?:Otp|OTP)(?![a-z]))",
    re.IGNORECASE,
)
# Words that hold one of those and are none.
_HARMLESS = re.compile(
    r"authors?(?![a-z])|authority|keyboards?|keywords?|monkey|compass|passeng|passed|passive|bypass"
    r"|passage|capital|rapid|therapist|key_?errors?(?![a-z])|primary_?key|foreign_?key",
    re.IGNORECASE,
)
# Of these a value is a secret wherever it stands, too; a `key` may be any word.
_STRONG = re.compile(
    r"token|secret|passw|passphrase|pwd|cookie|session|credential|private|authorization|api_?key",
    re.IGNORECASE,
)
_SCHEMES = r"(?:bearer|basic|digest|token|negotiate|apikey)"
_QUOTED = r'"(?:[^"\\]|\\.)*+"|' + r"'(?:[^'\\]|\\.)*+'"
_NAME = re.compile(
    r"(?<![\w.-])(?P<name>[A-Za-z_][\w.-]*+)"
    r"(?:\\{0,3}[\"'])?\s{0,4}(?:=>|==?|:)\s{0,4}"
)
_VALUE = re.compile(
    rf"b?(?:{_QUOTED})|\\{{1,3}}[\"'][^\"'\\]*+|(?:{_SCHEMES}\s+)?[^\s,;&(){{}}\[\]<>\"'\\]++",
    re.IGNORECASE,
)
# In source an unquoted value is an expression, and the most useful part of the line.
_LITERAL = re.compile(rf"[a-z]{{0,2}}(?:{_QUOTED})", re.IGNORECASE)
# A header's value has parts of its own; all of them go with it.
_HEADER = re.compile(
    r"(?P<name>\b(?:set-cookie2?|cookie|authorization|proxy-authorization)[\"']?\s{0,4}[:=]\s{0,4})"
    r"[^\r\n]++",
    re.IGNORECASE,
)
_PEM = re.compile(
    r"-----BEGIN (?P<what>[A-Z0-9 ]{1,60})-----.*?(?:-----END [A-Z0-9 ]{1,60}-----|\Z)", re.DOTALL
)
_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,30}://(?:[^\s:/@\"'<>]{0,200}:)?)[^\s@/\"'<>]{1,500}@",
                       re.IGNORECASE)  # fmt: skip
_FORMS = (
    re.compile(r"\beyJ[\w-]{4,}+(?:\.[\w-]*+){1,4}"),  # a JWT
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k_(?:live|test)_)[\w-]{10,}+"),
    re.compile(r"\b(?:AIza|SG\.)[\w.-]{20,}+"),
    re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]{1,4096}+"),
    # `Basic` is a word, too: what follows has to look like base64.
    re.compile(r"(?i:(?<=\bbasic ))(?=[\w+/-]{0,200}(?:[0-9=]|[a-z][A-Z]))[\w+/=-]{6,4096}+"),
)
_DIGITS = re.compile(r"(?<![\w.])[0-9](?:[ -]?[0-9]){12,18}(?![\w])")


def is_secret_name(name: str) -> bool:
    """Whether what has this name is a secret by it.

    >>> is_secret_name("WEBHOOK_AUTHORIZATION"), is_secret_name("sessionid")
    (True, True)
    >>> is_secret_name("author"), is_secret_name("title")
    (False, False)
    """
    return bool(_SECRET.search(_HARMLESS.sub("", name)))


def is_known_by_value(name: str, value: str) -> bool:
    """Whether what has this name must not be seen elsewhere, either.

    >>> is_known_by_value("password", "hunter2"), is_known_by_value("key", "filename")
    (True, False)
    """
    return is_long(value) and bool(_STRONG.search(_HARMLESS.sub("", name)))


def is_long(value: str) -> bool:
    """Whether a value is long enough to be looked for, and no book."""
    return MIN_KNOWN_CHARS <= len(value) <= MAX_KNOWN_CHARS


class Scrubber:
    """Masks secrets in texts.

    Args:
        known: Values that are secrets wherever they stand.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        """Prepare the values."""
        texts = {form for value in known for form in (value, ascii(value)[1:-1]) if value.strip()}
        # The longest first, or a part would be masked and the rest left standing.
        self._known = sorted(texts, key=len, reverse=True)

    def __repr__(self) -> str:
        """Return nothing of the secrets."""
        return f"{type(self).__name__}({MASK})"

    def text(self, text: str) -> str:
        """Return any text with its secrets masked.

        >>> Scrubber(["hunter2"]).text("login failed: hunter2, postgresql://u:p@h/d, token=abc")
        'login failed: ********, postgresql://u:********@h/d, token=********'
        """
        text = _HEADER.sub(lambda found: found["name"] + MASK, self._formless(text))
        return _masked(text, _VALUE)

    def source(self, line: str) -> str:
        """Return a line of source with its secrets masked; only literals are values there.

        >>> Scrubber().source("connect(user, password='hunter2', token=token_of(user))")
        'connect(user, password=********, token=token_of(user))'
        """
        if any(value in line for value in self._known):
            return _within_literals(_masked(self._formless(line), _LITERAL))
        return _source_of(line)

    def value(self, name: str, text: str) -> str:
        """Return what is shown of something that has a name.

        >>> Scrubber().value("password", "hunter2"), Scrubber().value("title", "Hello")
        ('********', 'Hello')
        """
        return MASK if text and is_secret_name(name) else self.text(text)

    def _formless(self, text: str) -> str:
        for value in self._known:
            text = text.replace(value, MASK)
        return _without_forms(text)


# The same lines fail again and again, and each takes ten patterns.
@lru_cache(maxsize=10_000)
def _source_of(line: str) -> str:
    return _within_literals(_masked(_without_forms(line), _LITERAL))


def _within_literals(line: str) -> str:
    # A literal is a text like any other: a URL in it may hold a token.
    return _LITERAL.sub(lambda found: _masked(found[0], _VALUE), line)


def _without_forms(text: str) -> str:
    text = _PEM.sub(lambda found: f"-----BEGIN {found['what']}----- {MASK}", text)
    text = _USERINFO.sub(lambda found: f"{found['scheme']}{MASK}@", text)
    for form in _FORMS:
        text = form.sub(MASK, text)
    return _DIGITS.sub(_card, text)


def _masked(text: str, value: re.Pattern[str]) -> str:
    """Return the text with what stands behind the names of secrets masked."""
    pieces: list[str] = []
    done = 0
    # The value of a name that is no secret is looked into: `note='the password=x'`.
    for found in _NAME.finditer(text):
        if found.start() < done or not is_secret_name(found["name"]):
            continue
        masked = value.match(text, found.end())
        if masked is not None:
            pieces += (text[done : found.end()], MASK)
            done = masked.end()
    return "".join((*pieces, text[done:]))


def _card(found: re.Match[str]) -> str:
    digits = [int(letter) for letter in found[0] if letter.isdigit()]
    # ISO/IEC 7812-1, annex B: every second digit from the right counts double.
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return MASK if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else found[0]
