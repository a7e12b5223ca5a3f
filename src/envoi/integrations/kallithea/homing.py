"""This room makes links with a token lead to the configured site.

Kallithea writes a reset link with the host that the visitor's request named. Whoever sends a
request with a host of his own has the token sent to him by the victim's click, and he holds the
session that the token is bound to. So such a link leads to where the settings say, whatever the
request said.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from envoi.core.message import Words

# One pass over the text: a link is read to its end before anybody looks what is in it.
_LINK = re.compile(r"(?P<site>https?://[^\s/?#\"'<>]*)(?P<rest>[^\s\"'<>]*)", re.IGNORECASE)
_DEFAULT_PORT = re.compile(r"^(http:.*):80$|^(https:.*):443$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Homed:
    """Words whose links with tokens lead home.

    Args:
        words: As they are sent.
        strangers: Foreign sites that they led to.
    """

    words: Words
    strangers: tuple[str, ...] = ()


def homed(words: Words, tokens: Iterable[str], base_url: str) -> Homed:
    """Return the words with every link that holds a token brought to the site of the base URL.

    Args:
        words: As composed.
        tokens: What such a link holds.
        base_url: Its scheme, host and port count; empty leaves the words as they are.
    """
    if not base_url:
        return Homed(words=words)
    tokens = tuple(tokens)
    site = "/".join(base_url.split("/")[:3])
    strangers: list[str] = []
    lead = partial(_lead, site, tokens, strangers.append)
    text, html = (_LINK.sub(lead, part) for part in (words.text, words.html))
    return Homed(
        words=Words(subject=words.subject, text=text, html=html),
        strangers=tuple(dict.fromkeys(strangers)),
    )


def _lead(
    site: str, tokens: tuple[str, ...], tell: Callable[[str], None], link: re.Match[str]
) -> str:
    if not any(token in link["rest"] for token in tokens):
        return link[0]
    if _plain(link["site"]) != _plain(site):
        tell(link["site"])
    return f"{site}{link['rest']}"


def _plain(site: str) -> str:
    site = site.lower()
    port = _DEFAULT_PORT.match(site)
    return (port[1] or port[2]) if port else site
