"""This room holds what an error report says: the error as it was seen, and the request it met.

`witness` looks at the exception while it is still there and leaves these plain values, already
scrubbed; here they become the facts of an event of the kind `error_report`, which walks the way
of every event. Equal errors share a fingerprint: the type, the application's own functions on the
way to it and the message without what changes from time to time. Lines and paths are not part of
it, so that the same error on another machine, or after a comment was added, is the same.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from envoi.core.event import Event
from envoi.core.kind import MASK, MAX_TEXT_CHARS, Plain, clean_line
from envoi.core.scrub import Scrubber, is_known_by_value

ERROR_KIND = "error_report"
# The role of whoever is told of an error: plain addresses, known to a directory or not.
RECIPIENTS = "recipients"
# What the last mail of a window is in the fact `news`.
CLOSING = "closing"
# A message may be a whole response of some server; a subject shows its beginning.
MAX_MESSAGE_CHARS = 2_000
# Scheme and host of a URL.
_PLACE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
# What changes from one time to the next: quoted texts, unique ids, addresses in memory, numbers.
_CHANGING = re.compile(
    r"'[^'\n]*'|\"[^\"\n]*\"|0x[0-9a-fA-F]+"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b|[0-9]+"
)


class Link(StrEnum):
    """How an exception is tied to the one that it was raised after; the value is the sentence."""

    CAUSE = "The exception above was the direct cause of the following one:"
    CONTEXT = "During the handling of the exception above, another one occurred:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One call on the way to an exception.

    Args:
        module: Dotted name of the module.
        function: Name of the function.
        file: Path as it is shown.
        line: Number of the line, from 1; 0 when it is not known.
        source: Lines of the source around it, with their numbers; none where they are not known.
        variables: Local variables as they are shown, scrubbed.
        is_ours: Whether it is the application's own, not a library's.
    """

    module: str
    function: str
    file: str = ""
    line: int = 0
    source: tuple[tuple[int, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    is_ours: bool = True

    @property
    def code(self) -> str:
        """The line itself, without its indent."""
        return next((text.strip() for number, text in self.source if number == self.line), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One exception as it was seen.

    Args:
        type: Name of its class, e.g. `ZeroDivisionError`.
        message: What it says, scrubbed.
        frames: The calls on the way to it, outermost first.
        before: The exception that it was raised after; None for none.
        link: How it is tied to that one.
        members: The exceptions of a group.
        left_out: How many more the group has.
    """

    type: str
    message: str = ""
    frames: tuple[Frame, ...] = ()
    before: "Raised | None" = None
    link: Link = Link.CONTEXT
    members: "tuple[Raised, ...]" = ()
    left_out: int = 0

    @property
    def title(self) -> str:
        """Type and message on one line."""
        message = clean_line(self.message)
        return f"{self.type}: {message}" if message else self.type

    @property
    def place(self) -> Frame | None:
        """The application's own call nearest to the error; a library's where there is none."""
        own = [frame for frame in self.frames if frame.is_ours]
        return next(reversed(own or self.frames), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The request during which an error happened.

    Args:
        method: E.g. `GET`.
        url: The whole URL; credentials and secret parameters in it are masked.
        user: Who was signed in, as the application names him; empty for nobody.
        client: Address of the machine that asked; behind a proxy often the proxy's.
        headers: Names and values; told where `errors.dump_request` says so, cookies by name.
        form: Names and values of the fields that were sent; told likewise, secrets masked.
        secrets: Values that must not be seen anywhere in a report, whatever they are called.
    """

    method: str = ""
    url: str = ""
    user: str = ""
    client: str = ""
    # Not in the repr: whoever logs his requests must not log cookies and passwords.
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def path(self) -> str:
        """Path of the URL, without its query."""
        return _PLACE.sub("", self.url).partition("?")[0]

    @property
    def known(self) -> tuple[str, ...]:
        """Values that must not be seen anywhere in a report."""
        named = (*self.headers, *_cookies(self.headers), *self.form)
        # A secret without a name is one as long as it is no common word.
        marked = (("secret", value) for value in self.secrets)
        return tuple(value for name, value in (*named, *marked) if is_known_by_value(name, value))

    def header(self, name: str) -> str:
        """Return the value of a header, whatever the case of its name; empty where it is not."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known.lower() == wanted), "")

    def scrubbed(self, scrubber: Scrubber, *, max_chars: int) -> "Request":
        """Return the request as it may be told.

        Args:
            scrubber: Knows the secrets.
            max_chars: How much of headers and of form is told; 0: nothing.
        """
        headers = ((name, _shown_header(scrubber, name, value)) for name, value in self.headers)
        form = ((name, scrubber.value(name, value)) for name, value in self.form)
        return Request(
            method=self.method,
            url=scrubber.text(self.url),
            user=scrubber.text(self.user),
            client=scrubber.text(self.client),
            headers=_fitting(headers, max_chars),
            form=_fitting(form, max_chars),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An error with its circumstances, scrubbed: what one report is made of.

    Args:
        raised: The error.
        request: The request that met it; None outside of one.
        host: Machine that it happened on.
        release: Version of the application; may be empty.
        at_ms: When.
        application: Which application of the settings.
    """

    raised: Raised
    request: Request | None = None
    host: str = ""
    release: str = ""
    at_ms: int = 0
    application: str = "main"


def fingerprint(raised: Raised) -> str:
    """Return 16 hexadecimal digits that equal errors share, on every machine and in every release.

    >>> one = Raised(type="KeyError", message="no user 4711")
    >>> fingerprint(one) == fingerprint(Raised(type="KeyError", message="no user 12"))
    True
    """
    return sha256("\n".join(_traits(raised)).encode("utf-8", "replace")).hexdigest()[:16]


def message_template(message: str) -> str:
    """Return a message without what changes from one time to the next.

    >>> message_template("row 17 of 'docs' at 0x7f3a is gone")
    'row * of * at * is gone'
    """
    return _CHANGING.sub("*", clean_line(message))


def event_of(sighting: Sighting, recipients: Sequence[str]) -> Event:
    """Return the event that a report is.

    Args:
        sighting: The error with its circumstances.
        recipients: Addresses of those who are told.
    """
    return Event(
        kind=ERROR_KIND,
        facts=_facts(sighting),
        people={RECIPIENTS: tuple(recipients)},
        occurred_at_ms=sighting.at_ms,
        application=sighting.application,
    )


def traceback_text(raised: Raised) -> str:
    """Return the whole chain as text, oldest first, as Python prints it."""
    return "\n".join(_chain_lines(raised))


def _facts(sighting: Sighting) -> Mapping[str, Plain]:
    raised, request = sighting.raised, sighting.request or Request()
    place = raised.place
    return {
        "error_type": raised.type,
        "message": raised.message[:MAX_MESSAGE_CHARS],
        "place": _place(place) if place else "",
        "code": place.code if place else "",
        "traceback": _ending(traceback_text(raised)),
        "method": request.method,
        "path": request.path,
        "url": request.url,
        "user": request.user,
        "client": request.client,
        "headers": _pairs(request.headers),
        "form": _pairs(request.form),
        "host": sighting.host,
        "release": sighting.release,
        "happened_at": sighting.at_ms,
        "fingerprint": fingerprint(raised),
    }


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{clean_line(name)}: {clean_line(value)}" for name, value in pairs)


def _cookies(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if name.lower() == "cookie":
            # Whatever a cookie is called, its value may be somebody's session.
            yield from (("cookie", part.partition("=")[2].strip()) for part in value.split(";"))


def _shown_header(scrubber: Scrubber, name: str, value: str) -> str:
    if name.lower() != "cookie":
        return scrubber.value(name, value)
    names = (part.partition("=")[0].strip() for part in value.split(";"))
    return "; ".join(f"{scrubber.text(one)}={MASK}" for one in names)


def _fitting(pairs: Iterable[tuple[str, str]], room: int) -> tuple[tuple[str, str], ...]:
    fitting: list[tuple[str, str]] = []
    for name, value in pairs:
        room -= len(name) + len(value)
        if room < 0:
            break
        fitting.append((name, value))
    return tuple(fitting)


def _ending(text: str) -> str:
    # What a fact cannot hold is cut at the beginning: the error itself stands at the end.
    return text if len(text) <= MAX_TEXT_CHARS else "[...]\n" + text[6 - MAX_TEXT_CHARS :]


def _place(frame: Frame) -> str:
    return f"{frame.file}:{frame.line}, {frame.function}"


def _traits(raised: Raised) -> Iterator[str]:
    yield raised.type
    yield message_template(raised.message)
    own = [frame for frame in raised.frames if frame.is_ours] or raised.frames
    for frame in own:
        yield f"{frame.module}.{frame.function}"
    for member in raised.members:
        yield from _traits(member)


def _chain_lines(raised: Raised) -> Iterator[str]:
    if raised.before is not None:
        yield from _chain_lines(raised.before)
        yield from ("", raised.link, "")
    yield "Traceback (most recent call last):"
    for frame in raised.frames:
        yield from _frame_lines(frame)
    message = raised.message[:MAX_MESSAGE_CHARS]
    yield f"{raised.type}: {message}" if message else raised.type
    for number, member in enumerate(raised.members, start=1):
        yield f"  | {number} of {len(raised.members) + raised.left_out}:"
        yield from (f"  | {line}" for line in _chain_lines(member))


def _frame_lines(frame: Frame) -> Iterator[str]:
    yield f"  {frame.file}:{frame.line}, {frame.function}"
    for number, text in frame.source:
        mark = ">" if number == frame.line else " "
        yield f"  {mark} {number:5} {text}".rstrip()
    for name, value in frame.variables:
        yield f"          {name} = {value}"
