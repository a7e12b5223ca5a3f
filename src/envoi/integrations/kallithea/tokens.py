"""This room finds what must not be shown in the words of a mail that somebody else composed."""

import re

from envoi.core.kind import MASK

# A digest in hexadecimal: MD5 has 32 digits, and nothing that people write is that long.
_DIGEST = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32,}(?![0-9A-Za-z])")
# `&amp;` is how a link stands in HTML.
_QUERY_VALUE = re.compile(
    r"[?&;](?:auth|code|key|nonce|otp|pass|passwd|password|secret|sig|signature|ticket|token)"
    r"=([^\s&;#\"'<>]{6,})",
    re.IGNORECASE,
)


def tokens_in(text: str) -> tuple[str, ...]:
    """Return what opens something to whoever reads it: digests, and link values of telling names.

    >>> tokens_in("https://example.org/reset?email=ann@example.org&token=c0ffee4711 bye")
    ('c0ffee4711',)
    """
    found = [*_DIGEST.findall(text), *_QUERY_VALUE.findall(text)]
    return tuple(dict.fromkeys(found))


def masked(text: str) -> str:
    """Return the text as a log may show it.

    >>> masked("Reset 0123456789abcdef0123456789abcdef")
    'Reset ********'
    """
    for token in sorted(tokens_in(text), key=len, reverse=True):
        text = text.replace(token, MASK)
    return text
