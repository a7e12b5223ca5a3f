"""This room finds out whom a question names: by login, by registered address, or nobody.

A login is tried before an address, since some applications use addresses as logins. An address
that nobody registered is an outsider and gets mail; a login that nobody has is unknown and is
reported. Several accounts may share an address: then all of them are meant, and routing sends one
copy.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from envoi.addresses import parse_address
from envoi.core.kind import clean_line
from envoi.core.people import Address
from envoi.core.routing import Question, Selector, SelectorType
from envoi.directory import statements
from envoi.directory.typed import MAX_LOGIN_CHARS, address_key, login_key
from envoi.errors import AddressError
from envoi.seams import Tx

# An unknown name becomes a row that says so; PostgreSQL cannot index texts without bound.
MAX_UNKNOWN_CHARS = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Whom a question names, apart from everyone, the admin flag and the members of groups.

    Args:
        users: User ids with the selectors that name them.
        outsiders: Addresses that nobody registered, with the selectors that name them.
        groups: Ids of the groups that selectors name and that exist.
        unknown: What nobody answers to, with the selectors that name it.
        actor: Who did it: a user's id, an outsider's address, or None when nobody is known.
    """

    users: Mapping[int, frozenset[Selector]]
    outsiders: Mapping[Address, frozenset[Selector]]
    groups: Mapping[Selector, int]
    unknown: Mapping[str, frozenset[Selector]]
    actor: int | Address | None = None


def resolve(
    tx: Tx, application: str, question: Question, admin_addresses: Iterable[Address]
) -> Named:
    """Look up everybody whom the question names, in a handful of statements."""
    calls = sorted(
        _calls(question, admin_addresses), key=lambda call: (call.text, str(call.selector))
    )
    actor = _by_reference(question.actor)
    book = _look_up(tx, application, [actor, *(call.name for call in calls)])
    meant = [(call, book.meaning(call.name)) for call in calls]
    wanted = [s for s in question.selectors if s.type is SelectorType.GROUP]
    ids = statements.group_ids(tx, application, [k for s in wanted if (k := _key(s.name))])
    groups = {s: ids[login_key(s.name)] for s in wanted if login_key(s.name) in ids}
    who = book.meaning(actor)
    return Named(
        users=_gathered((user, c) for c, m in meant if isinstance(m, tuple) for user in m),
        outsiders=_gathered((m, c) for c, m in meant if isinstance(m, Address)),
        groups=groups,
        unknown={
            **{_label(str(s)): frozenset({s}) for s in sorted(wanted, key=str) if s not in groups},
            **_gathered((_label(c.text), c) for c, m in meant if m is None),
        },
        actor=who[0] if isinstance(who, tuple) else who,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """The ways in which a text may name somebody; an empty key and no address: none."""

    login: str = ""
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """A text of the question that names somebody, and the selector it stands for."""

    text: str
    name: _Name
    selector: Selector


def _calls(question: Question, admin_addresses: Iterable[Address]) -> Iterator[_Call]:
    for selector in question.selectors:
        match selector.type:
            case SelectorType.ROLE:
                for text in filter(None, question.roles.get(selector.name, ())):
                    yield _Call(text, _by_reference(text), selector)
            case SelectorType.USER:
                yield _Call(selector.name, _Name(login=_key(selector.name)), selector)
            case SelectorType.ADDRESS:
                yield _Call(selector.name, _Name(address=_address(selector.name)), selector)
            case SelectorType.ADMINS:
                for address in admin_addresses:
                    yield _Call(str(address), _Name(address=address), selector)
            case SelectorType.GROUP | SelectorType.EVERYONE:
                pass


def _by_reference(text: str) -> _Name:
    return _Name(login=_key(text), address=_address(text))


def _key(text: str) -> str:
    # What no login can hold is not asked for: PostgreSQL refuses NUL, both refuse lone surrogates.
    return login_key(text) if text.isprintable() and len(text) <= MAX_LOGIN_CHARS else ""


def _address(text: str) -> Address | None:
    try:
        return parse_address(text) if "@" in text else None
    except AddressError:
        return None


@dataclass(frozen=True, slots=True)
class _Book:
    """What the tables say about the names of one question."""

    by_login: Mapping[str, int]
    by_address: Mapping[str, Sequence[int]]
    spellings: Mapping[str, Address]

    def meaning(self, name: _Name) -> tuple[int, ...] | Address | None:
        """Return the users of that name, else the outsider, else None."""
        if name.login in self.by_login:
            return (self.by_login[name.login],)
        if name.address is None:
            return None
        key = address_key(name.address)
        return tuple(self.by_address.get(key, ())) or self.spellings[key]


def _look_up(tx: Tx, application: str, names: Sequence[_Name]) -> _Book:
    logins = {name.login for name in names if name.login}
    addresses = sorted((name.address for name in names if name.address), key=str, reverse=True)
    # Two spellings of one mailbox must be one outsider; the first in text order stands for all.
    spellings = {address_key(address): address for address in addresses}
    return _Book(
        statements.ids_by_login(tx, application, logins),
        statements.ids_by_address(tx, application, spellings),
        spellings,
    )


_Who = TypeVar("_Who")


def _gathered(named: Iterable[tuple[_Who, _Call]]) -> dict[_Who, frozenset[Selector]]:
    found: dict[_Who, set[Selector]] = {}
    for who, call in named:
        found.setdefault(who, set()).add(call.selector)
    return {who: frozenset(selectors) for who, selectors in found.items()}


def _label(text: str) -> str:
    return clean_line(text)[:MAX_UNKNOWN_CHARS]
