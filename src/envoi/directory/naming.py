"""This room finds out whom a question names: by login, by registered address, or nobody.

A login is tried before an address, since some applications use addresses as logins. An address
that nobody registered is an outsider and gets mail; a login that nobody has is unknown and is
reported. Several accounts may share an address: then all of them are meant, and routing sends one
copy.

Whom a question *seeks* is another matter: the texts are guesses at who is meant. There an address
comes before a login (a raw author proves more by his address than by his name), only users are
found, and a guess that finds nobody is nothing to report.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from envoi.addresses import parse_address
from envoi.core.kind import clean_line
from envoi.core.people import Address
from envoi.core.routing import Question, Selector, SelectorType
from envoi.directory.tables import Holder, Tables
from envoi.directory.typed import address_key, login_key
from envoi.errors import AddressError

# An unknown name becomes a row that says so; PostgreSQL cannot index texts without bound.
MAX_UNKNOWN_CHARS = 320
# No column for logins is wider, ours or anybody's; a longer text is not worth a question.
MAX_ASKED_CHARS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Whom a question names or seeks, apart from everyone, the admin flag and group members.

    Args:
        users: User ids with the selectors that name them.
        outsiders: Addresses that nobody registered, with the selectors that name them.
        groups: Ids of the groups that selectors name and that exist.
        unknown: What nobody answers to, with the selectors that name it.
        sought: By role, the ids of the users who were found for it, in the order of the question.
        matched: By user id, the registered address that names him in a role.
        actor: Who did it: a user's id, an outsider's address, or None when nobody is known.
    """

    users: Mapping[int, frozenset[Selector]]
    outsiders: Mapping[Address, frozenset[Selector]]
    groups: Mapping[Selector, int]
    unknown: Mapping[str, frozenset[Selector]]
    sought: Mapping[str, tuple[int, ...]]
    matched: Mapping[int, Address]
    actor: int | Address | None = None


def resolve(tables: Tables, question: Question, admin_addresses: Iterable[Address]) -> Named:
    """Look up everybody whom the question names or seeks, in a handful of statements."""
    calls = sorted(
        _calls(question, admin_addresses), key=lambda call: (call.text, str(call.selector))
    )
    actor = _by_reference(question.actor)
    searches = _searches(question)
    book = _look_up(tables, [actor, *(c.name for c in calls), *_names_in(searches)])
    sought = {role: book.sought(groups) for role, groups in searches.items()}
    hits = [*_named(book, calls), *_found_for(question, sought)]
    strangers = [call for call in calls if not book.holders(call.name)]
    wanted = sorted((s for s in question.selectors if s.type is SelectorType.GROUP), key=str)
    groups = _groups(tables, wanted)
    missing = [(_label(str(s)), s) for s in wanted if s not in groups]
    outsiders = [(book.outsider(call.name), call) for call in strangers]
    nobodies = [(_label(call.text), call.selector) for who, call in outsiders if who is None]
    return Named(
        users=_gathered((holder.user_id, selector) for holder, selector in hits),
        outsiders=_gathered((who, call.selector) for who, call in outsiders if who),
        groups=groups,
        unknown=_gathered([*missing, *nobodies]),
        sought={role: tuple(h.user_id for h in holders) for role, holders in sought.items()},
        matched=_matched(hits),
        actor=book.actor(actor),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """The ways in which a text may name somebody; an empty login and no address: none."""

    login: str = ""
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """A text of the question that names somebody, and the selector it stands for."""

    text: str
    name: _Name
    selector: Selector


_Searches = Mapping[str, Sequence[Sequence[_Name]]]
_Hit = tuple[Holder, Selector]


def _calls(question: Question, admin_addresses: Iterable[Address]) -> Iterator[_Call]:
    for selector in question.selectors:
        match selector.type:
            case SelectorType.ROLE:
                for text in filter(None, question.roles.get(selector.name, ())):
                    yield _Call(text, _by_reference(text), selector)
            case SelectorType.USER:
                yield _Call(selector.name, _Name(login=_login(selector.name)), selector)
            case SelectorType.ADDRESS:
                yield _Call(selector.name, _Name(address=_address(selector.name)), selector)
            case SelectorType.ADMINS:
                for address in admin_addresses:
                    yield _Call(str(address), _Name(address=address), selector)
            case SelectorType.GROUP | SelectorType.EVERYONE:
                pass


def _searches(question: Question) -> _Searches:
    return {
        role: [[_by_reference(text) for text in group] for group in groups]
        for role, groups in question.sought.items()
    }


def _names_in(searches: _Searches) -> Iterator[_Name]:
    for groups in searches.values():
        for group in groups:
            yield from group


def _by_reference(text: str) -> _Name:
    return _Name(login=_login(text), address=_address(text))


def _login(text: str) -> str:
    # What no login can hold is not asked for: PostgreSQL refuses NUL, both refuse lone surrogates.
    return text if text.isprintable() and len(text) <= MAX_ASKED_CHARS else ""


def _address(text: str) -> Address | None:
    try:
        return parse_address(text) if "@" in text else None
    except AddressError:
        return None


@dataclass(frozen=True, slots=True)
class _Book:
    """What the tables say about the names of one question."""

    by_login: Mapping[str, int]
    by_address: Mapping[str, Sequence[Holder]]
    spellings: Mapping[str, Address]

    def holders(self, name: _Name) -> tuple[Holder, ...]:
        """Return the users of that name: of that login, else of that address."""
        return self._of_login(name) or self._of_address(name)

    def sought(self, groups: Sequence[Sequence[_Name]]) -> tuple[Holder, ...]:
        """Return, of each group of guesses, the users whom its first good guess finds."""
        found: dict[int, Holder] = {}
        for group in groups:
            guesses = (self._of_address(name) or self._of_login(name) for name in group)
            for holder in next(filter(None, guesses), ()):
                found.setdefault(holder.user_id, holder)
        return tuple(found.values())

    def outsider(self, name: _Name) -> Address | None:
        """Return the address that nobody registered, in the spelling that stands for all."""
        key = address_key(name.address) if name.address else ""
        return None if key in self.by_address else self.spellings.get(key)

    def actor(self, name: _Name) -> int | Address | None:
        """Return who did it."""
        for holder in self.holders(name):
            return holder.user_id
        return self.outsider(name)

    def _of_login(self, name: _Name) -> tuple[Holder, ...]:
        user_id = self.by_login.get(login_key(name.login)) if name.login else None
        return () if user_id is None else (Holder(user_id),)

    def _of_address(self, name: _Name) -> tuple[Holder, ...]:
        return tuple(self.by_address.get(address_key(name.address), ())) if name.address else ()


def _look_up(tables: Tables, names: Sequence[_Name]) -> _Book:
    logins = {name.login for name in names if name.login}
    addresses = sorted((name.address for name in names if name.address), key=str, reverse=True)
    # Two spellings of one mailbox must be one outsider; the first in text order stands for all.
    spellings = {address_key(address): address for address in addresses}
    return _Book(
        tables.by_login(logins) if logins else {},
        tables.by_address(tuple(spellings.values())) if spellings else {},
        spellings,
    )


def _named(book: _Book, calls: Sequence[_Call]) -> Iterator[_Hit]:
    for call in calls:
        for holder in book.holders(call.name):
            yield holder, call.selector


def _found_for(question: Question, sought: Mapping[str, Sequence[Holder]]) -> Iterator[_Hit]:
    for role, holders in sought.items():
        selector = Selector(SelectorType.ROLE, role)
        if selector in question.selectors:
            yield from ((holder, selector) for holder in holders)


def _matched(hits: Sequence[_Hit]) -> dict[int, Address]:
    found: dict[int, Address] = {}
    for holder, selector in hits:
        if selector.type is SelectorType.ROLE and holder.address is not None:
            found.setdefault(holder.user_id, holder.address)
    return found


def _groups(tables: Tables, wanted: Sequence[Selector]) -> dict[Selector, int]:
    names = {name for s in wanted if (name := _login(s.name))}
    ids: Mapping[str, int] = tables.groups(names) if names else {}
    return {s: ids[login_key(s.name)] for s in wanted if login_key(s.name) in ids}


_Who = TypeVar("_Who")


def _gathered(named: Iterable[tuple[_Who, Selector]]) -> dict[_Who, frozenset[Selector]]:
    found: dict[_Who, set[Selector]] = {}
    for who, selector in named:
        found.setdefault(who, set()).add(selector)
    return {who: frozenset(selectors) for who, selectors in found.items()}


def _label(text: str) -> str:
    return clean_line(text)[:MAX_UNKNOWN_CHARS]
