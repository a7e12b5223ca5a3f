"""This room knows kinds: what an event of a kind must say, and how its facts are cleaned.

Two sorts of bad input meet here and are treated differently. A *programmer's* mistake (a missing
fact, a number where a text belongs) is refused, with every problem at once. *Data* that a user of
the application typed (control characters, half a surrogate pair, a `javascript:` link) is made
harmless, because the mail must still go (RELIABILITY B and C).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from math import isfinite
from types import MappingProxyType
from typing import TypeAlias, cast

from envoi.core.problem import Problem, brief

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"

MASK = "********"

# One fact may hold a whole description or diff comment; more than this nobody reads in a mail.
MAX_TEXT_CHARS = 100_000
# Lists are commits, reviewers, changed files; beyond this a template shows a count.
MAX_ITEMS = 1_000
# A row is a line of a table; no mail is wider.
MAX_CELLS, MAX_CELL_NAME_CHARS = 100, 100
# What a database's BIGINT holds, and any other reader of JSON.
MAX_INTEGER = 2**63

KIND_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class FactType(StrEnum):
    """What a fact may hold."""

    TEXT = "text"  # any text, cleaned
    LINE = "line"  # one line of text: line breaks become spaces
    LINK = "link"  # an http, https or mailto URL, or a path below the application's base URL
    OWN_LINK = "own_link"  # a path below the base URL; a foreign scheme and host are thrown away
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    MOMENT = "moment"  # milliseconds since 1970 UTC; shown in the recipient's zone
    LINES = "lines"  # a list of one-line texts
    ROWS = "rows"  # a list of objects with plain values

    @property
    def phrase(self) -> str:
        """The type with its article, as error messages say it.

        >>> FactType.INTEGER.phrase, FactType.LINK.phrase
        ('an integer', 'a link')
        """
        return f"an {self}" if self[0] in "aeio" else f"a {self}"


class MailClass(StrEnum):
    """How urgent mail is; the order of the members is the order of delivery."""

    SECURITY = "security"  # password resets, sign-in warnings: overtakes everything
    NOTICE = "notice"  # what happened in the application
    REPORT = "report"  # error reports and server notices
    BROADCAST = "broadcast"  # an administrator's mail to many

    @property
    def rank(self) -> int:
        """Position in the queue, 0 first."""
        return _RANKS[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """The schema of one fact.

    Args:
        type: What it may hold.
        is_required: Whether an event without it is refused. Default True.
        is_secret: Whether its value may exist only in the sealed copy of the mail (reset links).
        description: A sentence for the reference and for error messages.
    """

    type: FactType = FactType.TEXT
    is_required: bool = True
    is_secret: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seek:
    """Where people who stand in a role are looked for, beyond those whom the event names in it.

    Only users of the directory are found so, never a plain address.

    Args:
        name_in: Fact that holds a login or a raw author such as `Ann Lee <ann@example.org>`. Once
            the author is found it reads as his login.
        full_name_in: Fact that then gets his full name, unless the event gave one.
        mentions_in: Fact with a text in which people are mentioned as `@login`.
        except_in: Fact with an earlier form of that text: who was mentioned there is not new.
    """

    name_in: str = ""
    full_name_in: str = ""
    mentions_in: str = ""
    except_in: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A type of event: its facts' schema, a sample, and how its mail travels.

    Args:
        name: Lower-case word, e.g. `pull_request`; also the name of its template.
        facts: Schema by fact name.
        roles: Roles that an event of this kind may name people in, e.g. `reviewers`.
        seeks: Where people of a role are looked for in the facts, by role.
        sample: An event body (`actor`, `subject`, `people`, `facts`) that renders every part.
        mail_class: Default class of its mail.
        type_header: Value of the notification-type header; defaults to the name.
        subjects: Patterns such as `{repository}-pr-{number}` for the subject of an event that
            gives none: the first one counts whose facts the event gives.
        subthread: Pattern of a conversation within the subject's, e.g. `{subject}-line-{line}`.
        from_actor: Whether From shows the name of who did it. Default True.
        actor_name_in: Fact with the name of an actor whom the directory does not know (yet).
        lifetime_s: Seconds after which its mail is worthless and becomes `expired`; 0 for never.
        route_later: Whether the worker alone looks for its people, so that neither the receipt nor
            its time tells the application's visitor whether somebody was found. Default False.
        is_limited: Whether a person gets no more of it than the default limit per window, where
            a sender sets no other: a machine may tell of it without end. Default False.
        description: A sentence for lists.
        folder: Where its templates lie, as text; empty for a kind without templates of its own.
    """

    name: str
    facts: Mapping[str, Fact]
    roles: tuple[str, ...] = ()
    seeks: Mapping[str, Seek] = field(default_factory=lambda: MappingProxyType({}))
    sample: Mapping[str, Plain] = field(default_factory=lambda: MappingProxyType({}))
    mail_class: MailClass = MailClass.NOTICE
    type_header: str = ""
    subjects: tuple[str, ...] = ()
    subthread: str = ""
    from_actor: bool = True
    actor_name_in: str = ""
    lifetime_s: int = 0
    route_later: bool = False
    is_limited: bool = False
    description: str = ""
    folder: str = ""

    def __post_init__(self) -> None:
        """Refuse names that could not be a folder, a header value and a TOML key."""
        if not KIND_NAME.fullmatch(self.name):
            raise ValueError(f"kind {self.name!r}: expected a lower-case name like pull_request")

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the facts whose values are sealed."""
        return frozenset(name for name, fact in self.facts.items() if fact.is_secret)

    @property
    def header_value(self) -> str:
        """What the notification-type header says for this kind."""
        return self.type_header or self.name


def check_facts(kind: Kind, facts: Mapping[str, object]) -> tuple[Problem, ...]:
    """List everything in which the facts do not fit the kind's schema; empty when they do.

    >>> check_facts(Kind(name="note", facts={"title": Fact()}), {"titel": "x"})[0].where
    'facts.title'
    """
    return (*_missing(kind, facts), *_unknown(kind, facts), *_misfits(kind, facts))


def clean_facts(kind: Kind, facts: Mapping[str, Plain]) -> dict[str, Plain]:
    """Return the facts made harmless; facts that were left out become their type's nothing."""
    return {name: _clean(fact.type, facts.get(name)) for name, fact in kind.facts.items()}


def mask_facts(kind: Kind, facts: Mapping[str, Plain]) -> dict[str, Plain]:
    """Return the facts with every secret replaced by `MASK`, as log, `show` and store hold them.

    A secret that was left out stays nothing: a template may ask whether it is there.
    """
    secrets = kind.secrets
    return {
        name: MASK if name in secrets and value not in _NOTHINGS else value
        for name, value in facts.items()
    }


_NOTHINGS: tuple[Plain, ...] = (None, "", [])
_RANKS = {mail_class: rank for rank, mail_class in enumerate(MailClass)}

# Everything below U+0020 but tab and newline, DEL, C1, line and paragraph separators, surrogates.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f]")
_BREAKS = re.compile(r"\r\n?|[\u0085\u2028\u2029\x0b\x0c]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
# Explicit directional controls can make `invoice\u202egpj.exe` read as a picture (B13); the plain
# marks U+200E and U+200F are part of ordinary Arabic and Hebrew text and stay.
_BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def clean_text(text: str) -> str:
    r"""Return the text with canonical newlines and without what would hurt a mail or a terminal.

    >>> clean_text("a\r\nb\x00c\ud800")
    'a\nbc\ufffd'
    """
    if text.replace("\n", "").isprintable():
        return text  # as nearly all is; the search below costs 50 µs in the words of a mail
    text = _BREAKS.sub("\n", text)
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def clean_line(text: str) -> str:
    r"""Return the text on one line, as subjects, names and header values need it.

    >>> clean_line(" Fix\n it \u202e ")
    'Fix it'
    """
    text = text if text.isprintable() else _BIDI.sub("", clean_text(text))
    return " ".join(text.split())


def is_one_line(text: str) -> bool:
    r"""Whether the text needs no cleaning to stand in a header.

    >>> is_one_line("two  words"), is_one_line("a\nb")
    (True, False)
    """
    return _BIDI.sub("", clean_text(text)) == text and "\n" not in text and "\t" not in text


_LINK = re.compile(r"(?:https?://|mailto:)[^\s<>\"'`{}|\\^]+", re.IGNORECASE)
_PATH = re.compile(r"/(?!/)[^\s<>\"'`{}|\\^]*")
# RFC 3986 5.2.4: a browser walks back over these, out of the folder that the base URL names.
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?=[/?#]|\Z)", re.IGNORECASE)
_SCHEME_AND_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://[^/?#]*)?")


def clean_link(text: str) -> str:
    """Return the link when it is a web link, a mailto or a path; else nothing (C7).

    >>> clean_link("javascript:alert(1)"), clean_link("/pull/7")
    ('', '/pull/7')
    """
    text = clean_line(text)
    return text if _LINK.fullmatch(text) or _PATH.fullmatch(text) else ""


def own_path(text: str) -> str:
    """Return path and query alone, so that a link can only lead to the configured base URL (E1).

    >>> own_path("https://evil.test/reset?t=1")
    '/reset?t=1'
    """
    text = clean_line(text)
    # At the beginning alone: elsewhere it is part of a query, and looking for it takes seconds.
    foreign = _SCHEME_AND_HOST.match(text)
    path = "/" + text[foreign.end() if foreign else 0 :].lstrip("/\\")
    if _DOTS.search(re.split("[?#]", path, maxsplit=1)[0]):
        return ""
    return path if _PATH.fullmatch(path) else ""


def _missing(kind: Kind, facts: Mapping[str, object]) -> Iterator[Problem]:
    for name, fact in kind.facts.items():
        if fact.is_required and facts.get(name) is None:
            yield Problem(
                where=f"facts.{name}",
                expected=fact.type.phrase,
                got="nothing",
                hint=fact.description,
            )


def _unknown(kind: Kind, facts: Mapping[str, object]) -> Iterator[Problem]:
    for name in facts:
        if name not in kind.facts:
            known = ", ".join(kind.facts) or "none"
            yield Problem(
                where=f"facts.{name}",
                expected=f"one of {known}",
                got="an unknown fact",
            )


def _misfits(kind: Kind, facts: Mapping[str, object]) -> Iterator[Problem]:
    for name, value in facts.items():
        fact = kind.facts.get(name)
        if fact is not None and value is not None and not _fits(fact.type, value):
            got = MASK if fact.is_secret else brief(value)
            yield Problem(where=f"facts.{name}", expected=fact.type.phrase, got=got)


def _fits(fact_type: FactType, value: object) -> bool:
    match fact_type:
        case FactType.INTEGER | FactType.MOMENT:
            return isinstance(value, int) and _is_number(value)
        case FactType.NUMBER:
            return _is_number(value)
        case FactType.BOOLEAN:
            return isinstance(value, bool)
        case FactType.LINES:
            return _is_list(value) and all(isinstance(item, str) for item in _items(value))
        case FactType.ROWS:
            return _is_list(value) and all(_is_row(item) for item in _items(value))
        case _:
            return isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _items(value: object) -> tuple[object, ...]:
    return tuple(cast("list[object]", value)) if isinstance(value, list | tuple) else ()


def _is_number(value: object) -> bool:
    # JSON has no infinity, and nobody prints, stores or compares an integer without end.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isfinite(value) if isinstance(value, float) else abs(value) < MAX_INTEGER


def _is_row(item: object) -> bool:
    return isinstance(item, Mapping) and all(
        isinstance(key, str) and (isinstance(cell, str | bool | None) or _is_number(cell))
        for key, cell in cast("Mapping[object, object]", item).items()
    )


def _clean(fact_type: FactType, value: Plain) -> Plain:
    match fact_type:
        case FactType.TEXT:
            return clean_text(_bounded(value))
        case FactType.LINE:
            return clean_line(_bounded(value))
        case FactType.LINK:
            return clean_link(_bounded(value))
        case FactType.OWN_LINK:
            return own_path(_bounded(value)) if value else ""
        case FactType.LINES:
            return _fitting(clean_line(_bounded(item)) for item in _items(value)[:MAX_ITEMS])
        case FactType.ROWS:
            return _fitting(_clean_row(item) for item in _items(value)[:MAX_ITEMS])
        case _:
            return value


def _fitting(items: Iterable[Plain]) -> list[Plain]:
    # Together they are one fact, so no longer than one may be (C4): 1,000 items as long as a
    # text would be a mail of 100 MB.
    fitting: list[Plain] = []
    room = MAX_TEXT_CHARS
    for item in items:
        room -= _size(item)
        if room < 0:
            break
        fitting.append(item)
    return fitting


def _size(item: Plain) -> int:
    cells = item.values() if isinstance(item, dict) else (item,)
    return sum(len(cell) for cell in cells if isinstance(cell, str))


def _bounded(value: object) -> str:
    return "" if value is None else str(value)[:MAX_TEXT_CHARS]


def _clean_row(row: object) -> dict[str, Plain]:
    if not isinstance(row, Mapping):
        return {}
    cleaned: dict[str, Plain] = {}
    room = MAX_TEXT_CHARS
    for key, cell in islice(cast("Mapping[object, Plain]", row).items(), MAX_CELLS):
        name = clean_line(str(key))[:MAX_CELL_NAME_CHARS]
        value = cleaned[name] = _clean_cell(name, cell[:room] if isinstance(cell, str) else cell)
        room -= _size(value)
    return cleaned


def _clean_cell(name: str, cell: Plain) -> Plain:
    if not isinstance(cell, str):
        return cell
    return clean_link(_bounded(cell)) if is_link_cell(name) else clean_text(_bounded(cell))


def is_link_cell(name: str) -> bool:
    """Whether a row's cell of this name is a link: `url` or `something_url`."""
    return name == "url" or name.endswith("_url")
