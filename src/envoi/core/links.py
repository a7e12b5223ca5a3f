"""This room makes links whole: a fact that is a path leads below the application's base URL."""

from collections.abc import Mapping

from envoi.core.kind import FactType, Kind, Plain, is_link_cell


def with_base_url(kind: Kind, facts: Mapping[str, Plain], base_url: str) -> dict[str, Plain]:
    """Return the facts with links that are paths made absolute below the base URL, in rows too."""
    types = {name: fact.type for name, fact in kind.facts.items()}
    return {name: _absolute(types.get(name), value, base_url) for name, value in facts.items()}


def lost_links(
    kind: Kind, given: Mapping[str, object], facts: Mapping[str, Plain], base_url: str
) -> dict[str, str]:
    """Return the links with which a reader will not get anywhere, each with the reason.

    Args:
        kind: Says which facts are links.
        given: The facts as the application gave them.
        facts: The same, made harmless.
        base_url: What paths are completed with; empty: nothing.
    """
    lost: dict[str, str] = {}
    for name, fact in kind.facts.items():
        link = facts.get(name)
        if fact.type not in {FactType.LINK, FactType.OWN_LINK}:
            continue
        if not link and (given.get(name) or fact.is_required):
            lost[name] = "it is no link that may stand in a mail"
        elif isinstance(link, str) and link.startswith("/") and not base_url:
            lost[name] = "it is a path, and application.base_url is not set"
    return lost


def _absolute(fact_type: FactType | None, value: Plain, base_url: str) -> Plain:
    match value:
        case str() if fact_type is FactType.OWN_LINK and value.startswith("/"):
            return f"{base_url}{_below(base_url, value)}"
        case str() if fact_type is FactType.LINK and value.startswith("/"):
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


def _below(base_url: str, path: str) -> str:
    # What is left of a whole URL begins with the folder that the application is mounted at; said
    # twice, it leads nowhere, and a reset link is followed once.
    folder = base_url.partition("://")[2].partition("/")[2]
    return path.removeprefix(f"/{folder}") if folder and path.startswith(f"/{folder}/") else path
