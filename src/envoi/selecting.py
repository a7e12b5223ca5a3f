"""This room finds out whom somebody named on a command line: by number, by name, by address.

What names nobody is told and passed over, so that one slip of the pen costs the others nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from envoi.addresses import parse_address
from envoi.core.kind import clean_line
from envoi.core.people import Person
from envoi.core.routing import Question, Selector, SelectorType
from envoi.directory.records import MAX_ID
from envoi.errors import AddressError
from envoi.seams import Directory, Numbered, Tx

EVERYONE = Selector(SelectorType.EVERYONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Whom somebody named, as typed.

    Args:
        everyone: Everybody; then users and groups are not looked at.
        user_ids: Users by number.
        user_names: Users by login.
        group_ids: Groups by number.
        group_names: Groups by name.
        extra: Plain addresses, whoever else is named.
    """

    everyone: bool = False
    user_ids: Sequence[str] = ()
    user_names: Sequence[str] = ()
    group_ids: Sequence[str] = ()
    group_names: Sequence[str] = ()
    extra: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What was found.

    Args:
        selectors: Who is meant, each once, in the order of the options.
        warnings: A sentence for each name that was passed over.
    """

    selectors: tuple[Selector, ...]
    warnings: tuple[str, ...] = ()


def select(tx: Tx, directory: Directory, named: Named) -> Selected:
    """Return whom these names mean."""
    found = [*_people(tx, directory, named), *_addresses(named.extra)]
    chosen = [one for one in found if isinstance(one, Selector)]
    warnings = [one for one in found if isinstance(one, str)]
    if named.everyone:
        typed_somebody = any(one.type is not SelectorType.ADDRESS for one in chosen)
        warnings += ["Warning: users and groups ignored"] if typed_somebody else []
        chosen = [EVERYONE, *(one for one in chosen if one.type is SelectorType.ADDRESS)]
    return Selected(selectors=tuple(dict.fromkeys(chosen)), warnings=tuple(warnings))


def administrator(tx: Tx, directory: Directory, login: str) -> Person | None:
    """Return the active administrator of that login; None when there is none."""
    selector = Selector(SelectorType.USER, login)
    audience = directory.audience(tx, Question(selectors=frozenset({selector})), limit=1)
    people = [one.person for one in audience.candidates]
    return next((person for person in people if person.is_admin and person.is_active), None)


def _people(tx: Tx, directory: Directory, named: Named) -> Iterator[Selector | str]:
    by_number = directory if isinstance(directory, Numbered) else None
    user = by_number.user_numbered if by_number else _nobody
    group = by_number.group_numbered if by_number else _nobody
    for kind, texts, look_up in (
        (SelectorType.USER, named.user_ids, user),
        (SelectorType.GROUP, named.group_ids, group),
    ):
        for text in texts:
            name = look_up(tx, int(text)) if _is_number(text) else ""
            yield Selector(kind, name) if name else f"Not a valid {kind} ID: {_shown(text)}"
    typed = [
        *(Selector(SelectorType.USER, text) for text in named.user_names),
        *(Selector(SelectorType.GROUP, text) for text in named.group_names),
    ]
    unknown = _unknown(tx, directory, typed)
    for one in typed:
        yield f"Unknown {one.type}: {_shown(one.name)}" if one in unknown else one


def _unknown(tx: Tx, directory: Directory, selectors: Sequence[Selector]) -> frozenset[Selector]:
    wanted = frozenset(selectors)
    asked = frozenset(one for one in wanted if one.name.strip())
    empty = wanted - asked
    if not asked:
        return empty
    audience = directory.audience(tx, Question(selectors=asked), limit=1)
    return empty | {one for found in audience.unknown.values() for one in found}


def _addresses(texts: Iterable[str]) -> Iterator[Selector | str]:
    for text in texts:
        try:
            yield Selector(SelectorType.ADDRESS, str(parse_address(text)))
        except AddressError as err:
            yield f"Not a valid address: {_shown(text)} ({err})"


def _nobody(_tx: Tx, _number: int) -> str:
    return ""


def _is_number(text: str) -> bool:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_ID))
    return is_number and 0 <= int(text) <= MAX_ID


def _shown(text: str) -> str:
    return clean_line(text)[:80]
