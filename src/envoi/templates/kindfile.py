"""This room reads `kind.toml`: the schema, the sample and the manner of one kind of event.

The file is typed by a person, so everything that does not fit is told at once, each problem with
the file, the key, and what would have been right.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import cast

from envoi.core.event import Event, check_event
from envoi.core.kind import KIND_NAME, Fact, FactType, Kind, MailClass, Plain, Seek, is_one_line
from envoi.core.problem import Problem
from envoi.core.thread import SUBJECT, fields_of
from envoi.templates.kindshape import SEEK_KEYS, Table, near, shape_problems

KIND_FILE = "kind.toml"
MAX_WORD_CHARS = 128
# What a template sees beside the facts; a fact of the same name could not be read.
CONTEXT_NAMES = frozenset(
    "facts kind subject occurred_at_ms actor people application subject_line lang direction "  # noqa: SIM905 # reads as a list
    "loop self super caller range dict namespace cycler joiner _ gettext ngettext pgettext "
    "npgettext and or not if else in is import from as true false none".split()
)
_WORDY = frozenset({FactType.TEXT, FactType.LINE})
_SHORT = frozenset({FactType.LINE, FactType.INTEGER})


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFile:
    """What became of one `kind.toml`.

    Args:
        kind: The kind; None when something does not fit.
        problems: Everything that does not fit.
    """

    kind: Kind | None
    problems: tuple[Problem, ...] = ()


def read_kind_file(path: Path) -> KindFile:
    """Return the kind that the file describes; its name is its folder's."""
    try:
        table = read_toml(path)
    except ValueError as err:
        got = Problem(where=str(path), expected="a TOML file", got=str(err))
        return KindFile(kind=None, problems=(got,))
    # The sample is only judged against facts that could be read.
    problems = shape_problems(table)
    if problems:
        return KindFile(kind=None, problems=_located(path, problems))
    kind = _kind(path, table)
    problems = (*check_kind(kind), *_sample_missing(kind))
    return KindFile(kind=kind, problems=_located(path, problems))


def read_toml(path: Path) -> Table:
    """Return the file's tables.

    Raises:
        ValueError: It cannot be read or is no TOML; says where.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as err:
        raise ValueError(f"a file that cannot be read: {err.strerror}") from err
    except ValueError as err:
        raise ValueError(str(err)) from err


def check_kind(kind: Kind) -> tuple[Problem, ...]:
    """List what makes a kind unusable: fact names that templates cannot read, a bad sample."""
    problems = [*_fact_names(kind), *_lines(kind), *_patterns(kind), *_seeks(kind)]
    if kind.sample:
        problems += [
            Problem(
                where=f"sample.{problem.where}",
                expected=problem.expected,
                got=problem.got,
                hint=problem.hint,
            )
            for problem in check_event(kind, sample_event(kind))
        ]
    return tuple(problems)


def sample_event(kind: Kind) -> Event:
    """Return the kind's sample as the event that an application would hand over."""
    people = cast("Mapping[str, list[str]]", kind.sample.get("people") or {})
    return Event(
        kind=kind.name,
        actor=str(kind.sample.get("actor") or ""),
        subject=str(kind.sample.get("subject") or ""),
        people={role: tuple(names) for role, names in people.items()},
        facts=cast("Mapping[str, Plain]", kind.sample.get("facts") or {}),
    )


def _located(path: Path, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            where=f"{path}: {problem.where}",
            expected=problem.expected,
            got=problem.got,
            hint=problem.hint,
        )
        for problem in problems
    )


def _fact_names(kind: Kind) -> Iterator[Problem]:
    for name in kind.facts:
        if not KIND_NAME.fullmatch(name):
            expected = "a lower-case name like reset_url"
            yield Problem(where=f"facts.{name}", expected=expected, got=repr(name))
        elif name in CONTEXT_NAMES:
            expected = "a name that templates do not use for something else"
            yield Problem(where=f"facts.{name}", expected=expected, got=repr(name))


def _lines(kind: Kind) -> Iterator[Problem]:
    # The first stands in a header, the others in the reason of every delivery.
    for where, text in (("type_header", kind.header_value), *(("roles", r) for r in kind.roles)):
        if not is_one_line(text) or not 0 < len(text) <= MAX_WORD_CHARS:
            expected = f"one line of at most {MAX_WORD_CHARS} characters"
            yield Problem(where=where, expected=expected, got=ascii(text[:80]))


def _seeks(kind: Kind) -> Iterator[Problem]:
    for role, seek in kind.seeks.items():
        where = f"seek.{role}"
        if role not in kind.roles:
            expected = f"one of the roles {', '.join(kind.roles) or 'none'}"
            yield Problem(where=where, expected=expected, got="an unknown role")
        if not seek.name_in and not seek.mentions_in:
            yield Problem(where=where, expected="name_in or mentions_in", got="neither")
        for key, needed in (("full_name_in", "name_in"), ("except_in", "mentions_in")):
            if getattr(seek, key) and not getattr(seek, needed):
                yield Problem(where=f"{where}.{key}", expected=f"{needed} beside it", got="none")
        for key in SEEK_KEYS:
            yield from _fact_named(kind, f"{where}.{key}", getattr(seek, key), _WORDY)


def _patterns(kind: Kind) -> Iterator[Problem]:
    yield from _fact_named(kind, "actor_name_in", kind.actor_name_in, _WORDY)
    for pattern in kind.subjects:
        yield from _pattern(kind, "subject", pattern, frozenset())
    if kind.subthread:
        yield from _pattern(kind, "subthread", kind.subthread, frozenset({SUBJECT}))


def _pattern(kind: Kind, where: str, pattern: str, also: frozenset[str]) -> Iterator[Problem]:
    try:
        names = fields_of(pattern)
    except ValueError as err:
        yield Problem(where=where, expected=str(err), got=repr(pattern))
        return
    for name in names:
        if name not in also:
            yield from _fact_named(kind, where, name, _SHORT)


def _fact_named(kind: Kind, where: str, name: str, types: frozenset[FactType]) -> Iterator[Problem]:
    fact = kind.facts.get(name)
    if name and fact is None:
        hint = near(name, tuple(kind.facts))
        yield Problem(where=where, expected="the name of a fact", got=repr(name), hint=hint)
    elif fact is not None and fact.type not in types:
        expected = f"a fact of type {' or '.join(sorted(types))}"
        yield Problem(where=where, expected=expected, got=str(fact.type))
    elif fact is not None and fact.is_secret:
        # Who is found in it, and every header that it stands in, would tell of it.
        yield Problem(where=where, expected="a fact that is no secret", got=f"the secret {name}")


def _sample_missing(kind: Kind) -> Iterator[Problem]:
    if not kind.sample and any(fact.is_required for fact in kind.facts.values()):
        hint = "previews and checks render it"
        yield Problem(where="sample", expected="a table", got="nothing", hint=hint)


def _kind(path: Path, table: Table) -> Kind:
    facts = {name: _fact(fact) for name, fact in cast("Table", table.get("facts", {})).items()}
    subjects = table.get("subject", [])
    return Kind(
        name=path.parent.name,
        facts=MappingProxyType(facts),
        roles=tuple(cast("list[str]", table.get("roles", []))),
        seeks=MappingProxyType(_kind_seeks(cast("Table", table.get("seek", {})))),
        sample=MappingProxyType(_sample(cast("Table", table.get("sample", {})), facts)),
        mail_class=MailClass(str(table.get("class", MailClass.NOTICE))),
        type_header=str(table.get("type_header", "")),
        subjects=(subjects,) if isinstance(subjects, str) else tuple(cast("list[str]", subjects)),
        subthread=str(table.get("subthread", "")),
        from_actor=bool(table.get("from_actor", True)),
        actor_name_in=str(table.get("actor_name_in", "")),
        lifetime_s=cast("int", table.get("lifetime_s", 0)),
        route_later=bool(table.get("route_later", False)),
        is_limited=bool(table.get("limited", False)),
        description=str(table.get("description", "")),
        folder=str(path.parent),
    )


def _kind_seeks(table: Table) -> dict[str, Seek]:
    return {role: Seek(**cast("dict[str, str]", seek)) for role, seek in table.items()}


def _fact(fact: object) -> Fact:
    # The short form `title = "line"` is a required fact without secrets.
    table = cast("Table", fact) if isinstance(fact, Mapping) else {"type": fact}
    return Fact(
        type=FactType(str(table["type"])),
        is_required=bool(table.get("required", True)),
        is_secret=bool(table.get("secret", False)),
        description=str(table.get("description", "")),
    )


def _sample(sample: Table, facts: Mapping[str, Fact]) -> dict[str, Plain]:
    plain = cast("dict[str, Plain]", dict(sample))
    values = cast("Table", sample.get("facts", {}))
    plain["facts"] = cast(
        "dict[str, Plain]", {name: _value(value, facts.get(name)) for name, value in values.items()}
    )
    return plain if sample else {}


def _value(value: object, fact: Fact | None) -> object:
    # TOML knows moments; a sample may name one as a person would write it.
    if fact is not None and fact.type is FactType.MOMENT and isinstance(value, datetime):
        # A time without a zone is left as it is, so that the check refuses it.
        return int(value.timestamp() * 1000) if value.tzinfo else value
    return value.isoformat() if isinstance(value, date) else value
