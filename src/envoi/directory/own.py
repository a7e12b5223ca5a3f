"""This room asks our own tables who could care about an event (step 3 of the walk).

An audience is merged from sources, each of which gives its next user ids in order: everyone, the
admins, one per group, and whom the event and the senders name. A page is the smallest ids of all.
Because every source gives as many ids as the page is long, a source that found a person of the
page has him among its own, so "found by whom" needs no further statement, and a page costs the
same wherever in a million users it lies.

Outsiders (`address:...`) come before users (`user:...`), as their ids sort.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envoi.core.people import Address, Person, outsider
from envoi.core.routing import Audience, Candidate, Question, Selector, SelectorType
from envoi.directory import statements
from envoi.directory.naming import Named, resolve
from envoi.directory.records import person_id, user_id_of
from envoi.seams import Row, Tx


@dataclass(frozen=True, slots=True)
class OwnDirectory:
    """The directory of one application in our own tables; a `seams.Directory`.

    Args:
        application: Whose users it knows.
        admin_addresses: Plain addresses that the selector `admins` finds besides the users with
            the flag. One that a user registered stands for that user.
    """

    application: str = "main"
    admin_addresses: tuple[Address, ...] = ()

    def count(self, tx: Tx, question: Question) -> int:
        """Return an upper bound of the people that the question finds, without loading them."""
        named = resolve(tx, self.application, question, self.admin_addresses)
        many = len(named.users) + len(named.outsiders)
        types = {selector.type for selector in question.selectors}
        if SelectorType.EVERYONE in types:
            return many + statements.count_everyone(tx, self.application)
        if SelectorType.ADMINS in types:
            many += statements.count_admins(tx, self.application)
        return many + statements.count_members(tx, named.groups.values())

    def audience(self, tx: Tx, question: Question, *, after: str = "", limit: int) -> Audience:
        """Return the next people that the question finds, each once, by ascending person id.

        Args:
            tx: Where to read.
            question: Who is looked for.
            after: Person id of the last one already had; empty for the first page.
            limit: How many at most, from 1.

        Returns:
            The page. `unknown` is told with the first page only, `actor` with every one.
        """
        if limit < 1:
            raise ValueError(f"limit: expected 1 or more, got {limit}")
        named = resolve(tx, self.application, question, self.admin_addresses)
        outsiders = _outsiders(named, after)
        room = max(limit - len(outsiders), 0)
        found = self._found(tx, question, named, after=user_id_of(after), limit=room + 1)
        page = sorted(found)[:room]
        people = _people(tx, page)
        users = [
            Candidate(person=people[i], found_by=frozenset(found[i])) for i in page if i in people
        ]
        return Audience(
            candidates=(*outsiders[:limit], *users),
            actor=_actor(tx, named.actor, people),
            unknown={} if after else named.unknown,
            has_more=len(outsiders) > limit or len(found) > room,
        )

    def _found(
        self, tx: Tx, question: Question, named: Named, *, after: int, limit: int
    ) -> dict[int, set[Selector]]:
        found: dict[int, set[Selector]] = {}
        for selector in question.selectors:
            for user_id in self._next_ids(tx, selector, named, after, limit):
                found.setdefault(user_id, set()).add(selector)
        for user_id, selectors in named.users.items():
            if user_id > after:
                found.setdefault(user_id, set()).update(selectors)
        return found

    def _next_ids(
        self, tx: Tx, selector: Selector, named: Named, after: int, limit: int
    ) -> Sequence[int]:
        match selector.type:
            case SelectorType.EVERYONE:
                return statements.ids_of_everyone(tx, self.application, after, limit)
            case SelectorType.ADMINS:
                return statements.ids_of_admins(tx, self.application, after, limit)
            case SelectorType.GROUP if selector in named.groups:
                return statements.ids_of_members(tx, named.groups[selector], after, limit)
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


def _actor(tx: Tx, actor: int | Address | None, people: Mapping[int, Person]) -> Person | None:
    match actor:
        case None:
            return None
        case Address():
            return outsider(actor)
        case int():
            return people.get(actor) or _people(tx, [actor]).get(actor)


def _people(tx: Tx, ids: Sequence[int]) -> dict[int, Person]:
    rows = statements.people_rows(tx, ids)
    return {statements.number(user[0]): _person(user, primary) for user, primary in rows}


def _person(user: Row, primary: Row) -> Person:
    user_id, login, first_name, last_name, is_admin, is_active, locale, time_zone = user
    address, unusable = _mail(*primary) if primary else (None, "")
    return Person(
        id=person_id(statements.number(user_id)),
        login=str(login),
        first_name=str(first_name),
        last_name=str(last_name),
        address=address,
        unusable_address=unusable,
        is_active=bool(is_active),
        is_admin=bool(is_admin),
        locale=str(locale),
        time_zone=str(time_zone),
    )


def _mail(text: object, problem: object) -> tuple[Address | None, str]:
    # Mail goes to the primary address or nowhere: another one was not chosen by its owner.
    local, _, domain = str(text).rpartition("@")
    if problem or "." not in domain:  # a bare host name is nobody's mail address (A22)
        return None, str(text)
    try:
        return Address(local, domain), ""
    except ValueError:  # a row that was not written by us
        return None, str(text)
