"""This room makes links whole: a fact that is a path leads below the application's base URL."""

from collections.abc import Mapping

from envoi.core.kind import FactType, Kind, Plain, is_link_cell

_LINK_TYPES = frozenset({FactType.LINK, FactType.OWN_LINK})


def with_base_url(kind: Kind, facts: Mapping[str, Plain], base_url: str) -> dict[str, Plain]:
    """Return the facts with links that are paths made absolute below the base URL, in rows too."""
    types = {name: fact.type for name, fact in kind.facts.items()}
    return {name: _absolute(types.get(name), value, base_url) for name, value in facts.items()}


def _absolute(fact_type: FactType | None, value: Plain, base_url: str) -> Plain:
    match value:
        case str() if fact_type in _LINK_TYPES and value.startswith("/"):
            return f"{base_url}{value}"
        case list() if fact_type is FactType.ROWS:
            return [_absolute(fact_type, row, base_url) for row in value]
        case dict() if fact_type is FactType.ROWS:
            return {
                name: _absolute(FactType.LINK, cell, base_url) if is_link_cell(name) else cell
                for name, cell in value.items()
            }
        case _:
            return value
