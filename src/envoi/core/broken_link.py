"""This room decides which missing pages (404) are broken links, and says so in an event.

A page that is not there matters where somebody put a link to it: in a page of our own, or of
somebody else's. What programs guess, search engines remember and browsers ask for by themselves
is noise. The rules are Django's, which OMERO.web's administrators know. What is shown of a link is
scrubbed, and cut: a URL may be 8 KB long and hold a token, a Referer holds what a stranger wrote.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from re import Pattern
from urllib.parse import SplitResult, urlsplit

from envoi.core.event import Event
from envoi.core.incident import RECIPIENTS, Request
from envoi.core.kind import Plain, clean_line
from envoi.core.scrub import Scrubber

LINKS_KIND = "broken_links"
# How long what is found is gathered for one mail.
WINDOW_MS = 3_600_000
# A longer one says nothing more to a person, and a pattern may take its time on it.
MAX_URL_CHARS = 1_000
MAX_AGENT_CHARS = 200
# So many are listed in a mail; all of them stand in `envoi links list`.
MAX_LISTED = 50
NOTHING = "<none>"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLink:
    """A link that led nowhere, scrubbed.

    Args:
        application: Which application of the settings was asked.
        host: Its host, as the visitor's program named it; with a port, if it named one.
        is_internal: Whether the link stands in a page of the same host.
        referrer: The page that holds the link.
        url: Where it leads.
        user_agent: What the visitor's program calls itself.
        client: Address of the visitor's machine.
    """

    application: str
    host: str
    is_internal: bool
    referrer: str
    url: str
    user_agent: str = NOTHING
    client: str = NOTHING

    @property
    def fingerprint(self) -> str:
        """What equal links share: page and target without their queries."""
        parts = (self.host, *(one.partition("?")[0] for one in (self.referrer, self.url)))
        return sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A broken link with how often somebody followed it.

    Args:
        link: As it was found the last time.
        count: How often, ever.
        untold: How often since the last mail that lists it.
        first_at_ms: When it was found first.
        last_at_ms: When it was found last.
    """

    link: BrokenLink
    count: int
    untold: int
    first_at_ms: int
    last_at_ms: int


def found(
    request: Request,
    ignored: Iterable[Pattern[str]] = (),
    *,
    application: str = "main",
    appends_slash: bool = False,
) -> BrokenLink | None:
    """Return the broken link that a missing page was asked for by; None for noise.

    Args:
        request: What was asked for, with its headers.
        ignored: Of a path with its query, one match is enough, anywhere in it.
        application: Which application of the settings was asked.
        appends_slash: Whether the application leads `/page` to `/page/`: then a Referer without
            the slash is the page itself.
    """
    referrer, place = request.header("Referer"), _place(request.url[:MAX_URL_CHARS])
    origin = _place(referrer[:MAX_URL_CHARS])
    if not referrer or place is None or origin is None:
        return None
    host = place.netloc.rpartition("@")[2]
    is_internal = origin.scheme in {"http", "https"} and origin.netloc.lower() == host.lower()
    path = _path(place)
    # The address of a search engine's results has a query, and nobody can mend what it remembers.
    is_searched = bool(origin.query) and not is_internal
    if is_searched or _is_same(origin, host, path, appends_slash=appends_slash):
        return None
    if any(pattern.search(path) for pattern in ignored):
        return None
    scrubber = Scrubber(request.known)
    return BrokenLink(
        application=application,
        host=_shown(scrubber, host, MAX_AGENT_CHARS),
        is_internal=is_internal,
        referrer=_shown(scrubber, referrer, MAX_URL_CHARS),
        url=_shown(scrubber, request.url, MAX_URL_CHARS),
        user_agent=_shown(scrubber, request.header("User-Agent"), MAX_AGENT_CHARS) or NOTHING,
        client=_shown(scrubber, request.client, MAX_AGENT_CHARS) or NOTHING,
    )


def digest(tallies: Sequence[Tally], unlisted: int, recipients: Sequence[str]) -> Event:
    """Return the event that tells of broken links.

    Args:
        tallies: Those of one application, all internal or all not; the first one names the host.
        unlisted: How many times others were followed that are not among them.
        recipients: Addresses of those who are told.
    """
    first = tallies[0].link
    listed = tallies[:MAX_LISTED]
    unlisted += sum(tally.untold for tally in tallies[MAX_LISTED:])
    facts: Mapping[str, Plain] = {
        "host": first.host,
        "hosts": len({tally.link.host for tally in tallies}),
        "is_internal": first.is_internal,
        "count": sum(tally.untold for tally in listed) + unlisted,
        "links": [_row(tally) for tally in listed],
        "unlisted": unlisted,
        "since": min(tally.last_at_ms for tally in tallies),
    }
    return Event(
        kind=LINKS_KIND,
        facts=facts,
        people={RECIPIENTS: tuple(recipients)},
        application=first.application,
    )


def _row(tally: Tally) -> dict[str, Plain]:
    link = tally.link
    return {
        "referrer": link.referrer,
        "url": link.url,
        "user_agent": link.user_agent,
        "client": link.client,
        "count": tally.untold,
        "at": tally.last_at_ms,
    }


def _place(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # such as `http://[`: no person followed it
        return None


def _path(place: SplitResult) -> str:
    return f"{place.path}?{place.query}" if place.query else place.path


def _is_same(origin: SplitResult, host: str, path: str, *, appends_slash: bool) -> bool:
    if origin.netloc.lower() not in {"", host.lower()}:
        return False
    before = _path(origin)
    return before == path or (appends_slash and path == f"{before}/")


def _shown(scrubber: Scrubber, text: str, most: int) -> str:
    line = clean_line(scrubber.text(text[: 4 * most]))
    return line if len(line) <= most else f"{line[: most - 3]}..."
