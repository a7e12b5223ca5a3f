"""This room makes pages of an audience from anybody's tables (step 3 of the walk).

An audience is merged from sources, each of which gives its next user ids in order: everyone, the
admins, one per group, and whom the event and the senders name. A page is the smallest ids of all.
Because every source gives as many ids as the page is long, a source that found a person of the
page has him among its own, so "found by whom" needs no further statement, and a page costs the
same wherever in a million users it lies.

Outsiders (`address:...`) come before users (`user:...`), as their ids sort.
"""

from collections.abc import Iterable, Mapping, Sequence

from envoi.core.people import Address, Person, outsider
from envoi.core.routing import Audience, Candidate, Question, Selector, SelectorType
from envoi.directory.naming import Named, resolve
from envoi.directory.records import user_id_of
from envoi.directory.tables import Tables

# Up to so many people are read by their ids, one by one.
FEW_PEOPLE = 10


def count_of(tables: Tables, question: Question, admin_addresses: Iterable[Address]) -> int:
    """Return an upper bound of the people that the question finds, without loading them."""
    named = resolve(tables, question, admin_addresses)
    many = len(named.users) + len(named.outsiders)
    types = {selector.type for selector in question.selectors}
    if SelectorType.EVERYONE in types:
        return many + tables.count_everyone()
    if SelectorType.ADMINS in types:
        many += tables.count_admins()
    return many + tables.count_members(set(named.groups.values()))


def page_of(
    tables: Tables,
    question: Question,
    admin_addresses: Iterable[Address],
    *,
    after: str,
    limit: int,
) -> Audience:
    """Return the next people that the question finds, each once, by ascending person id.

    Args:
        tables: Where they are.
        question: Who is looked for.
        admin_addresses: Plain addresses that the selector `admins` finds besides the users with
            the flag. One that a user registered stands for that user.
        after: Person id of the last one already had; empty for the first page.
        limit: How many at most, from 1.

    Returns:
        The page. `unknown` is told with the first page only, what else is said with every one.
    """
    if limit < 1:
        raise ValueError(f"limit: expected 1 or more, got {limit}")
    named = resolve(tables, question, admin_addresses)
    outsiders = _outsiders(named, after)
    room = max(limit - len(outsiders), 0)
    found = _found(tables, question, named, after=user_id_of(after), limit=room + 1)
    page = sorted(found)[:room]
    others = _others(named)
    # Read with a small page; beside a large one they would keep it from being read as a range.
    asked = page if len(page) > FEW_PEOPLE else sorted({*page, *others})
    people = dict(tables.people(asked))
    users = [_candidate(people[i], found[i], named) for i in page if i in people]
    missing = sorted(others.difference(asked))
    people |= tables.people(missing) if missing else {}
    return Audience(
        candidates=(*outsiders[:limit], *users),
        actor=_actor(named.actor, people),
        unknown={} if after else named.unknown,
        answered=_answered(tables, named),
        sought=_sought(named, people),
        has_more=len(outsiders) > limit or len(found) > room,
    )


def _found(
    tables: Tables, question: Question, named: Named, *, after: int, limit: int
) -> dict[int, set[Selector]]:
    found: dict[int, set[Selector]] = {}
    for selector in question.selectors:
        for user_id in _next_ids(tables, selector, named, after, limit):
            found.setdefault(user_id, set()).add(selector)
    for user_id, selectors in named.users.items():
        if user_id > after:
            found.setdefault(user_id, set()).update(selectors)
    return found


def _next_ids(
    tables: Tables, selector: Selector, named: Named, after: int, limit: int
) -> Sequence[int]:
    match selector.type:
        case SelectorType.EVERYONE:
            return tables.everyone(after, limit)
        case SelectorType.ADMINS:
            return tables.admins(after, limit)
        case SelectorType.GROUP if selector in named.groups:
            return tables.members(named.groups[selector], after, limit)
        case _:
            return ()


def _outsiders(named: Named, after: str) -> list[Candidate]:
    everyone = [
        Candidate(person=outsider(address), found_by=selectors)
        for address, selectors in named.outsiders.items()
    ]
    return sorted(
        (candidate for candidate in everyone if candidate.person.id > after),
        key=lambda candidate: candidate.person.id,
    )


def _candidate(person: Person, selectors: set[Selector], named: Named) -> Candidate:
    matched = named.matched.get(user_id_of(person.id))
    return Candidate(person=person, found_by=frozenset(selectors), matched=matched)


def _others(named: Named) -> set[int]:
    # Whom every page tells of besides its own people.
    wanted = {user_id for ids in named.sought.values() for user_id in ids}
    if isinstance(named.actor, int):
        wanted.add(named.actor)
    return wanted


def _actor(actor: int | Address | None, people: Mapping[int, Person]) -> Person | None:
    match actor:
        case None:
            return None
        case Address():
            return outsider(actor)
        case int():
            return people.get(actor)


def _sought(named: Named, people: Mapping[int, Person]) -> dict[str, tuple[Person, ...]]:
    return {
        role: tuple(people[user_id] for user_id in ids if user_id in people)
        for role, ids in named.sought.items()
    }


# Everyone and the admins are no answer to what an event says: they are there or not.
_ASKED_BY_NAME = frozenset({
    SelectorType.ROLE, SelectorType.USER, SelectorType.GROUP, SelectorType.ADDRESS,
})  # fmt: skip


def _answered(tables: Tables, named: Named) -> frozenset[Selector]:
    ids = set(named.groups.values())
    peopled = tables.peopled(ids) if ids else ()
    selectors = {selector for selector, group_id in named.groups.items() if group_id in peopled}
    for by_name in (named.users.values(), named.outsiders.values()):
        selectors.update(*by_name)
    return frozenset(selector for selector in selectors if selector.type in _ASKED_BY_NAME)
