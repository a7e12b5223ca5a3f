"""This room looks at the shape of `kind.toml`: which keys there are, and of what sort each one is.

What the values mean together (a role that nobody has, a sample that lacks a fact) is judged
afterwards, on the kind that was read.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import cast

from envoi.core.kind import FactType, MailClass
from envoi.core.problem import Problem

KIND_KEYS = (
    "description", "class", "lifetime_s", "route_later", "limited", "type_header", "subject",
    "subthread", "from_actor", "actor_name_in", "roles", "seek", "facts", "sample",
)  # fmt: skip
FACT_KEYS = ("type", "required", "secret", "description")
SEEK_KEYS = ("name_in", "full_name_in", "mentions_in", "except_in")
SAMPLE_KEYS = ("actor", "subject", "people", "facts")

Table = Mapping[str, object]


def near(name: str, names: tuple[str, ...]) -> str:
    """Return the hint that names what was probably meant; empty when nothing is near."""
    found = get_close_matches(name, names, n=1)
    return f"did you mean {found[0]}?" if found else ""


def shape_problems(table: Table) -> tuple[Problem, ...]:
    """List every key of a `kind.toml` that is unknown or holds something of another sort."""
    return (*_shape(table), *_facts_shape(table))


def _shape(table: Table) -> Iterator[Problem]:
    yield from _unknown(table, KIND_KEYS, "")
    for key in ("description", "type_header", "subthread", "actor_name_in"):
        if not isinstance(table.get(key, ""), str):
            yield Problem(where=key, expected="a text", got=repr(table[key]))
    for key in ("route_later", "from_actor", "limited"):
        if not isinstance(table.get(key, False), bool):
            yield Problem(where=key, expected="true or false", got=repr(table[key]))
    if not isinstance(table.get("subject", ""), str) and not _is_texts(table["subject"]):
        got = repr(table["subject"])
        yield Problem(where="subject", expected="a pattern or a list of them", got=got)
    if table.get("class", MailClass.NOTICE) not in list(MailClass):
        yield Problem(where="class", expected=", ".join(MailClass), got=repr(table["class"]))
    lifetime = table.get("lifetime_s", 0)
    # `true` is an integer to Python.
    if not isinstance(lifetime, int) or isinstance(lifetime, bool) or lifetime < 0:
        yield Problem(where="lifetime_s", expected="seconds, 0 for never", got=repr(lifetime))
    if not _is_texts(table.get("roles", [])):
        yield Problem(where="roles", expected="a list of words", got=repr(table["roles"]))
    yield from _seek_shape(table.get("seek", {}))
    yield from _sample_shape(table.get("sample", {}))


def _seek_shape(seeks: object) -> Iterator[Problem]:
    if not isinstance(seeks, Mapping):
        yield Problem(where="seek", expected="tables [seek.ROLE]", got=repr(seeks))
        return
    for role, seek in cast("Table", seeks).items():
        if not isinstance(seek, Mapping):
            yield Problem(where=f"seek.{role}", expected="a table", got=repr(seek))
            continue
        table = cast("Table", seek)
        yield from _unknown(table, SEEK_KEYS, f"seek.{role}.")
        for key in SEEK_KEYS:
            if not isinstance(table.get(key, ""), str):
                where = f"seek.{role}.{key}"
                yield Problem(where=where, expected="the name of a fact", got=repr(table[key]))


def _sample_shape(sample: object) -> Iterator[Problem]:
    if not isinstance(sample, Mapping):
        yield Problem(where="sample", expected="a table", got=repr(sample))
        return
    table = cast("Table", sample)
    yield from _unknown(table, SAMPLE_KEYS, "sample.")
    for key in ("people", "facts"):
        if not isinstance(table.get(key, {}), Mapping):
            yield Problem(where=f"sample.{key}", expected="a table", got=repr(table[key]))
    people = table.get("people")
    named: Table = cast("Table", people) if isinstance(people, Mapping) else {}
    for role, names in named.items():
        if not _is_texts(names):
            yield Problem(
                where=f"sample.people.{role}", expected="a list of words", got=repr(names)
            )


def _facts_shape(table: Table) -> Iterator[Problem]:
    facts = table.get("facts", {})
    if not isinstance(facts, Mapping):
        yield Problem(where="facts", expected="a table", got=repr(facts))
        return
    for name, fact in cast("Table", facts).items():
        yield from _fact_shape(f"facts.{name}", fact)


def _fact_shape(where: str, fact: object) -> Iterator[Problem]:
    types = ", ".join(FactType)
    if not isinstance(fact, Mapping):
        if fact not in list(FactType):
            yield Problem(where=where, expected=f"one of {types}, or a table", got=repr(fact))
        return
    table = cast("Table", fact)
    yield from _unknown(table, FACT_KEYS, f"{where}.")
    if table.get("type") not in list(FactType):
        got = repr(table["type"]) if "type" in table else "nothing"
        yield Problem(where=f"{where}.type", expected=f"one of {types}", got=got)
    for key in ("required", "secret"):
        if not isinstance(table.get(key, False), bool):
            yield Problem(where=f"{where}.{key}", expected="true or false", got=repr(table[key]))
    if not isinstance(table.get("description", ""), str):
        got = repr(table["description"])
        yield Problem(where=f"{where}.description", expected="a text", got=got)


def _unknown(table: Table, known: tuple[str, ...], where: str) -> Iterator[Problem]:
    for key in table:
        if key not in known:
            expected = f"one of {', '.join(known)}"
            hint = near(key, known)
            yield Problem(where=f"{where}{key}", expected=expected, got="an unknown key", hint=hint)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) for item in cast("list[object]", value)
    )
