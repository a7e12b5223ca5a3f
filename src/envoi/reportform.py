"""This room reads the JSON form of an error that a program in any language met.

Everything but `type` may be missing. Input is refused with every problem at once; what is read is
scrubbed here, by the rules that hold for errors of Python (see `core.scrub`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import cast

from envoi.core.event import Event
from envoi.core.incident import Frame, Link, Raised, Request, Sighting, event_of
from envoi.core.kind import MAX_INTEGER, Plain
from envoi.core.problem import Problem, brief
from envoi.core.scrub import Scrubber, is_known_by_value
from envoi.errors import EventError

FIELDS = ("type", "message", "frames", "cause", "request", "user", "release", "host", "level",
          "times", "happened_at_ms", "fingerprint", "application")  # fmt: skip
RAISED_FIELDS = ("type", "message", "frames", "cause")
FRAME_FIELDS = ("file", "line", "function", "module", "code", "source_from", "variables", "is_own")
REQUEST_FIELDS = ("method", "url", "user", "client", "headers", "form")
# In the order of their weight; of those before `error` nobody is told.
LEVELS = ("debug", "info", "warning", "error", "critical", "fatal")
MAX_CAUSES, MAX_FRAMES, MAX_PAIRS = 10, 200, 1_000
MAX_NAME_CHARS = 300
_LINE, _NUMBER, _FLAG = "a text", "a whole number from 0", "true or false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What somebody reported.

    Args:
        sighting: The error with its circumstances, scrubbed.
        level: How bad it is, one of `LEVELS`.
        times: How many equal errors it stands for.
        fingerprint: What equal errors share; empty: it is made of type, frames and message.
    """

    sighting: Sighting
    level: str
    times: int
    fingerprint: str

    @property
    def refusal(self) -> str:
        """Why nobody is told of it; empty when somebody is."""
        is_told = LEVELS.index(self.level) >= LEVELS.index("error")
        return "" if is_told else f"level {self.level}: it is told of from error on"

    def event(self, recipients: Sequence[str]) -> Event:
        """Return the event that it is.

        Args:
            recipients: Addresses of those who are told.
        """
        event = event_of(self.sighting, recipients)
        facts: dict[str, Plain] = {**event.facts, "times": self.times}
        if self.fingerprint:
            # Whatever somebody calls a fingerprint: ours are digits, and of one length.
            facts["fingerprint"] = sha256(self.fingerprint.encode("utf-8", "replace")).hexdigest()[
                :16
            ]
        return replace(event, facts=facts)


def read_report(form: object, *, now_ms: int, host: str, max_request_chars: int) -> Reported:
    """Return the error that the JSON object describes.

    Args:
        form: `{"type", "message", "frames", "request", ...}`; only `type` must be there.
        now_ms: The clock, for a report that does not say when.
        host: This machine, for one that does not say where.
        max_request_chars: How much of headers and form is told; 0: nothing.

    Raises:
        EventError: Lists every field that does not fit.
    """
    problems = list(_problems(form))
    if problems:
        raise EventError("\n".join(map(str, problems)))
    table = cast("Mapping[str, object]", form)
    request = _request(table)
    scrubber = Scrubber((*(request.known if request else ()), *_known(table)))
    shown = request.scrubbed(scrubber, max_chars=max_request_chars) if request else None
    return Reported(
        sighting=Sighting(
            raised=_raised(table, scrubber),
            request=shown,
            host=scrubber.text(_text(table, "host") or host),
            release=scrubber.text(_text(table, "release")),
            at_ms=_number(table, "happened_at_ms") or now_ms,
            application=_text(table, "application") or "main",
        ),
        level=_text(table, "level") or "error",
        times=_number(table, "times") or 1,
        fingerprint=_text(table, "fingerprint"),
    )


def _known(table: Mapping[str, object]) -> Iterator[str]:
    for frame in cast("list[Mapping[str, object]]", table.get("frames") or []):
        variables = cast("Mapping[str, str]", frame.get("variables") or {})
        yield from (value for name, value in variables.items() if is_known_by_value(name, value))
    if table.get("cause"):
        yield from _known(cast("Mapping[str, object]", table["cause"]))


def _raised(table: Mapping[str, object], scrubber: Scrubber) -> Raised:
    cause = table.get("cause")
    frames = cast("list[Mapping[str, object]]", table.get("frames") or [])
    return Raised(
        type=scrubber.text(_text(table, "type")),
        message=scrubber.text(_text(table, "message")),
        frames=tuple(_frame(frame, scrubber) for frame in frames),
        before=_raised(cast("Mapping[str, object]", cause), scrubber) if cause else None,
        link=Link.CAUSE,
    )


def _frame(table: Mapping[str, object], scrubber: Scrubber) -> Frame:
    line = _number(table, "line")
    begin = _number(table, "source_from") or line
    lines = _text(table, "code").rstrip("\n").split("\n") if table.get("code") else []
    variables = cast("Mapping[str, str]", table.get("variables") or {})
    return Frame(
        module=_text(table, "module"),
        function=_text(table, "function"),
        file=_text(table, "file"),
        line=line,
        source=tuple((begin + place, scrubber.source(text)) for place, text in enumerate(lines)),
        variables=tuple((name, scrubber.value(name, text)) for name, text in variables.items()),
        is_ours=bool(table.get("is_own", True)),
    )


def _request(table: Mapping[str, object]) -> Request | None:
    given = table.get("request")
    if given is None and not table.get("user"):
        return None
    asked = cast("Mapping[str, object]", given or {})
    headers, form = (
        tuple(cast("Mapping[str, str]", asked.get(name) or {}).items())
        for name in ("headers", "form")
    )
    return Request(
        method=_text(asked, "method"),
        url=_text(asked, "url"),
        user=_text(asked, "user") or _text(table, "user"),
        client=_text(asked, "client"),
        headers=headers,
        form=form,
    )


def _problems(form: object) -> Iterator[Problem]:
    if not isinstance(form, Mapping):
        yield Problem(where="report", expected="a JSON object", got=brief(form))
        return
    table = cast("Mapping[str, object]", form)
    yield from _unknown("", table, FIELDS)
    yield from _of_raised("", table, MAX_CAUSES)
    for name in ("user", "release", "host", "fingerprint", "application"):
        yield from _unless(name, table, name, _LINE)
    for name in ("times", "happened_at_ms"):
        yield from _unless(name, table, name, _NUMBER)
    level = table.get("level")
    if level is not None and level not in LEVELS:
        yield Problem(where="level", expected=f"one of {', '.join(LEVELS)}", got=brief(level))
    yield from _of_request(table)


def _of_raised(where: str, table: Mapping[str, object], depth: int) -> Iterator[Problem]:
    name = table.get("type")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        expected = f"the name of an error, 1 to {MAX_NAME_CHARS} characters"
        yield Problem(where=f"{where}type", expected=expected, got=brief(name))
    yield from _unless(f"{where}message", table, "message", _LINE)
    given = table.get("frames")
    frames = _items(given)
    if given is not None and (frames is None or len(frames) > MAX_FRAMES):
        expected = f"a list of at most {MAX_FRAMES} calls, the outermost first"
        yield Problem(where=f"{where}frames", expected=expected, got=brief(given))
        frames = None
    for place, frame in enumerate(frames or ()):
        yield from _of_frame(f"{where}frames.{place}", frame)
    cause = table.get("cause")
    if cause is None:
        return
    inner = _table(cause)
    if inner is None or not depth:
        expected = f"an object with type, message, frames, at most {MAX_CAUSES} in each other"
        yield Problem(where=f"{where}cause", expected=expected, got=brief(cause))
        return
    yield from _unknown(f"{where}cause.", inner, RAISED_FIELDS)
    yield from _of_raised(f"{where}cause.", inner, depth - 1)


def _of_frame(where: str, frame: object) -> Iterator[Problem]:
    if not isinstance(frame, Mapping):
        expected = f"an object with {', '.join(FRAME_FIELDS)}"
        yield Problem(where=where, expected=expected, got=brief(frame))
        return
    table = cast("Mapping[str, object]", frame)
    yield from _unknown(f"{where}.", table, FRAME_FIELDS)
    for name in ("file", "function", "module", "code"):
        yield from _unless(f"{where}.{name}", table, name, _LINE)
    for name in ("line", "source_from"):
        yield from _unless(f"{where}.{name}", table, name, _NUMBER)
    yield from _unless(f"{where}.is_own", table, "is_own", _FLAG)
    yield from _of_pairs(f"{where}.variables", table.get("variables"))


def _of_request(table: Mapping[str, object]) -> Iterator[Problem]:
    request = table.get("request")
    if request is None:
        return
    if not isinstance(request, Mapping):
        expected = f"an object with {', '.join(REQUEST_FIELDS)}"
        yield Problem(where="request", expected=expected, got=brief(request))
        return
    asked = cast("Mapping[str, object]", request)
    yield from _unknown("request.", asked, REQUEST_FIELDS)
    for name in ("method", "url", "user", "client"):
        yield from _unless(f"request.{name}", asked, name, _LINE)
    for name in ("headers", "form"):
        yield from _of_pairs(f"request.{name}", asked.get(name))


def _of_pairs(where: str, given: object) -> Iterator[Problem]:
    if given is None:
        return
    pairs = _table(given)
    if pairs is None or len(pairs) > MAX_PAIRS:
        expected = f"an object of at most {MAX_PAIRS} texts by name"
        # What stands in a form may be secret: the refusal says what it is and not what it says.
        yield Problem(where=where, expected=expected, got=f"a {type(given).__name__}")
        return
    for name, value in pairs.items():
        if not isinstance(value, str):
            got = f"a {type(value).__name__}"
            yield Problem(where=f"{where}.{name:.80}", expected=_LINE, got=got)


def _unless(where: str, table: Mapping[str, object], name: str, expected: str) -> Iterator[Problem]:
    value = table.get(name)
    fits = (
        value is None
        or {
            _LINE: isinstance(value, str),
            _NUMBER: type(value) is int and 0 <= value < MAX_INTEGER,
            _FLAG: isinstance(value, bool),
        }[expected]
    )
    if not fits:
        yield Problem(where=where, expected=expected, got=brief(value))


def _unknown(where: str, table: Mapping[str, object], known: tuple[str, ...]) -> Iterator[Problem]:
    for name in table:
        if name not in known:
            expected = f"one of {', '.join(known)}"
            yield Problem(where=f"{where}{name:.80}", expected=expected, got="an unknown field")


def _items(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _table(value: object) -> Mapping[str, object] | None:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None


def _text(table: Mapping[str, object], name: str) -> str:
    return str(table.get(name) or "")


def _number(table: Mapping[str, object], name: str) -> int:
    return cast("int", table.get(name) or 0)
