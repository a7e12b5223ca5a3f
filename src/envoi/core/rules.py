"""This room reads senders: from the plain tables of a TOML file to checked `Sender` values.

A table may be partial: `[senders.registration] enabled = false` changes one key of a shipped
sender and leaves the rest. So tables are merged by name first, later ones winning key by key,
and only the merged table is read and checked against the kind it listens to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import cast

from envoi.core.condition import Condition, Operator
from envoi.core.kind import Kind, MailClass, Plain, check_facts, clean_facts, is_one_line
from envoi.core.limit import DEFAULT_LIMIT, Limit, limit_problems, read_limit
from envoi.core.message import is_header_allowed
from envoi.core.problem import Problem
from envoi.core.routing import Sender
from envoi.core.selector import Selector, SelectorType, read_choice

# It stands in every delivery's row and in every list of them.
MAX_NAME_CHARS = 128
_TYPES: Mapping[str, type] = {"text": str, "list": list, "table": Mapping, "boolean": bool}

# Key of a sender's table: what it must hold.
SENDER_KEYS: Mapping[str, str] = {
    "kind": "text",
    "recipients": "list",
    "exclude": "list",
    "template": "text",
    "when": "table",
    "tells_actor": "boolean",
    "tells_inactive": "boolean",
    "enabled": "boolean",
    "class": "text",
    "transport": "text",
    "headers": "table",
    "facts": "table",
    "to_matched_address": "boolean",
    "fallback": "boolean",
    "needs": "list",
    "limit": "table",
    "prefix": "text",
    "description": "text",
}

# Facts every event has, whatever its kind.
_COMMON_FACTS = frozenset({"actor", "subject", "application"})


def merged(
    layers: Iterable[Mapping[str, Mapping[str, Plain]]],
) -> dict[str, dict[str, Plain]]:
    """Return one table per sender name; of two layers that set a key, the later one wins."""
    tables: dict[str, dict[str, Plain]] = {}
    for layer in layers:
        for name, table in layer.items():
            tables.setdefault(name, {}).update(table)
    return tables


def read_senders(
    tables: Mapping[str, Mapping[str, Plain]], kinds: Mapping[str, Kind]
) -> tuple[tuple[Sender, ...], tuple[Problem, ...]]:
    """Return the senders that fit and everything that is wrong with the others.

    Args:
        tables: Merged tables by sender name, in the order in which senders shall speak.
        kinds: The registered kinds by name.
    """
    senders: list[Sender] = []
    problems: list[Problem] = []
    for name, table in tables.items():
        found = problems_of(name, table, kinds)
        problems += found
        if not found:
            senders.append(_sender(name, table, kinds))
    return tuple(senders), tuple(problems)


def problems_of(
    name: str, table: Mapping[str, Plain], kinds: Mapping[str, Kind]
) -> tuple[Problem, ...]:
    """List everything that is wrong with one sender's table; empty when it can be read."""
    where = f"senders.{name}"
    if not is_one_line(name) or not 0 < len(name) <= MAX_NAME_CHARS:
        expected = f"a name on one line of at most {MAX_NAME_CHARS} characters"
        return (Problem(where="senders", expected=expected, got=ascii(name[:80])),)
    misfits = [problem for key, value in table.items() for problem in _key(where, key, value)]
    if misfits:
        return tuple(misfits)
    kind = kinds.get(str(table.get("kind", "")))
    if kind is None:
        return (_unknown_kind(where, table, kinds),)
    return (
        *_recipients(where, table, kind),
        *_conditions(where, table, kind),
        *_class(where, table),
        *_headers(where, table),
        *_facts(where, table, kind),
        *_fallback(where, table, kind),
        *limit_problems(f"{where}.limit", table.get("limit", {})),
    )


def _sender(name: str, table: Mapping[str, Plain], kinds: Mapping[str, Kind]) -> Sender:
    mail_class, facts = table.get("class"), _table(table.get("facts"))
    cleaned = clean_facts(kinds[str(table["kind"])], facts) if facts else {}
    fallback = table.get("fallback")
    return Sender(
        name=name,
        kind=str(table["kind"]),
        recipients=tuple(read_choice(text) for text in _texts(table.get("recipients"))),
        exclude=tuple(Selector.parse(text) for text in _texts(table.get("exclude"))),
        template=str(table.get("template", "")),
        when=tuple(
            condition
            for fact, wanted in _table(table.get("when")).items()
            for condition in _read_condition(fact, wanted)
        ),
        tells_actor=bool(table.get("tells_actor", False)),
        tells_inactive=bool(table.get("tells_inactive", False)),
        is_enabled=bool(table.get("enabled", True)),
        mail_class=MailClass(str(mail_class)) if mail_class else None,
        transport=str(table.get("transport", "default")),
        headers=tuple((key, str(value)) for key, value in _table(table.get("headers")).items()),
        facts={fact: cleaned[fact] for fact in facts},
        to_matched_address=bool(table.get("to_matched_address", False)),
        fallback=None if fallback is None else bool(fallback),
        needs=tuple(Selector.parse(text) for text in _texts(table.get("needs"))),
        limit=_limit(table, kinds[str(table["kind"])]),
        prefix=None if table.get("prefix") is None else str(table["prefix"]),
        description=str(table.get("description", "")),
    )


def _limit(table: Mapping[str, Plain], kind: Kind) -> Limit | None:
    given = table.get("limit")
    limit = read_limit(_table(given)) if given else DEFAULT_LIMIT
    return limit if limit.count and (given or kind.is_limited) else None


def _key(where: str, key: str, value: Plain) -> list[Problem]:
    wanted = SENDER_KEYS.get(key)
    if wanted is None:
        near = get_close_matches(key, SENDER_KEYS, n=1)
        hint = f"did you mean {near[0]}?" if near else ""
        expected = f"one of {', '.join(SENDER_KEYS)}"
        return [Problem(where=f"{where}.{key}", expected=expected, got="an unknown key", hint=hint)]
    if not isinstance(value, _TYPES[wanted]):
        return [Problem(where=f"{where}.{key}", expected=f"a {wanted}", got=repr(value))]
    return []


def _unknown_kind(where: str, table: Mapping[str, Plain], kinds: Mapping[str, Kind]) -> Problem:
    got = str(table.get("kind", ""))
    near = get_close_matches(got, kinds, n=1)
    return Problem(
        where=f"{where}.kind",
        expected="the name of a registered kind",
        got=repr(got) if got else "nothing",
        hint=f"did you mean {near[0]}?" if near else f"known: {', '.join(kinds)}",
    )


def _recipients(where: str, table: Mapping[str, Plain], kind: Kind) -> list[Problem]:
    if not table.get("recipients"):
        return [
            Problem(
                where=f"{where}.recipients",
                expected="at least one of admins, everyone, role:NAME, user:LOGIN, group:NAME, x@y",
                got="nothing",
            )
        ]
    return [
        *(
            problem
            for text in _texts(table.get("recipients"))
            for part in text.split("|")
            for problem in _selector(f"{where}.recipients", part, kind)
        ),
        *(
            problem
            for key in ("exclude", "needs")
            for text in _texts(table.get(key))
            for problem in _selector(f"{where}.{key}", text, kind)
        ),
    ]


def _selector(where: str, text: str, kind: Kind) -> list[Problem]:
    try:
        selector = Selector.parse(text)
    except ValueError as err:
        expected = str(err).partition("expected ")[2]
        return [Problem(where=where, expected=expected, got=repr(text))]
    roles = (*kind.roles, "actor")
    if selector.type is SelectorType.ROLE and selector.name not in roles:
        expected = f"a role of {kind.name}: {', '.join(roles)}"
        hint = "a chain of selectors is for recipients" if "|" in selector.name else ""
        return [Problem(where=where, expected=expected, got=repr(selector.name), hint=hint)]
    return []


def _conditions(where: str, table: Mapping[str, Plain], kind: Kind) -> list[Problem]:
    problems: list[Problem] = []
    for fact, wanted in _table(table.get("when")).items():
        place = f"{where}.when.{fact}"
        known = {*kind.facts, *_COMMON_FACTS}
        if fact not in known:
            expected = f"a fact of {kind.name}: {', '.join(sorted(known))}"
            problems.append(Problem(where=place, expected=expected, got="an unknown fact"))
        elif fact in kind.secrets:
            problems.append(Problem(where=place, expected="a fact without secrets", got="a secret"))
        elif isinstance(wanted, Mapping):
            problems += [
                _operator(place, word, wanted[word])
                for word in wanted
                if _operator_misfits(word, wanted[word])
            ]
    return problems


def _operator_misfits(word: str, value: Plain) -> bool:
    if word not in list(Operator):
        return True
    match Operator(word):
        case Operator.IN | Operator.NOT_IN:
            return not isinstance(value, list)
        case Operator.PRESENT:
            return not isinstance(value, bool)
        case Operator.AT_LEAST | Operator.AT_MOST:
            return isinstance(value, bool) or not isinstance(value, int | float)
        case _:
            # `contains` compares with anything.
            return False


def _operator(place: str, word: str, value: Plain) -> Problem:
    expected = (
        "in = [...], not_in = [...], at_least = number, at_most = number, contains = value "
        "or present = true"
    )
    return Problem(where=place, expected=expected, got=f"{word} = {value!r}")


def _class(where: str, table: Mapping[str, Plain]) -> list[Problem]:
    text = table.get("class")
    if not text or text in list(MailClass):
        return []
    return [Problem(where=f"{where}.class", expected=", ".join(MailClass), got=repr(text))]


def _headers(where: str, table: Mapping[str, Plain]) -> list[Problem]:
    problems: list[Problem] = []
    for name, value in _table(table.get("headers")).items():
        place = f"{where}.headers.{name!r}"
        if not is_header_allowed(name):
            problems.append(
                Problem(
                    where=place,
                    expected="a header name that Envoi does not write itself",
                    got=name,
                )
            )
        elif not isinstance(value, str) or not value.isprintable():
            problems.append(Problem(where=place, expected="one line of text", got=repr(value)))
    return problems


def _facts(where: str, table: Mapping[str, Plain], kind: Kind) -> list[Problem]:
    facts = _table(table.get("facts"))
    secrets = [
        Problem(where=f"{where}.facts.{name}", expected="a fact without secrets", got="a secret")
        for name in facts
        if name in kind.secrets
    ]
    # What the event must say beside these is the event's business.
    misfits = [
        replace(problem, where=f"{where}.{problem.where}")
        for problem in check_facts(kind, facts)
        if problem.where.removeprefix("facts.") in facts
    ]
    return secrets + misfits


def _fallback(where: str, table: Mapping[str, Plain], kind: Kind) -> list[Problem]:
    mail_class = str(table.get("class") or kind.mail_class)
    if not table.get("fallback") or mail_class != MailClass.SECURITY:
        return []
    expected = "false: nobody else may read security mail"
    return [Problem(where=f"{where}.fallback", expected=expected, got="true")]


def _read_condition(fact: str, wanted: Plain) -> list[Condition]:
    if isinstance(wanted, Mapping):
        return [
            Condition(fact=fact, operator=Operator(word), value=value)
            for word, value in wanted.items()
        ]
    values: Plain = wanted if isinstance(wanted, list) else [wanted]
    return [Condition(fact=fact, operator=Operator.IN, value=values)]


def _texts(value: Plain) -> list[str]:
    return [str(text) for text in cast("list[Plain]", value or [])]


def _table(value: Plain) -> Mapping[str, Plain]:
    return value if isinstance(value, Mapping) else {}
