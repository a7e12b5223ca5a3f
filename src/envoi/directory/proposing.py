"""This room finds names and addresses in tables that another system wrote.

Texts match without regard to case, by `login_key` and `address_key`. Engines fold case
differently, so the database only proposes rows, exact ones first, and the keys decide. No index
serves a search whatever the case, so only what was not found as it was typed costs a look at
every row.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import idna

from envoi.addresses import parse_address
from envoi.core.kind import clean_line
from envoi.core.people import Address, Person
from envoi.directory.records import person_id
from envoi.directory.statements import number, rows_in
from envoi.directory.tables import Holder
from envoi.directory.typed import (
    MAX_NAME_CHARS,
    MAX_UNUSABLE_CHARS,
    address_key,
    ascii_lower,
    login_key,
    shown,
)
from envoi.seams import Row, Tx


def by_name(tx: Tx, sql: str, column: str, names: Collection[str]) -> dict[str, int]:
    """Return the id behind each name that one has, by `login_key` of the name.

    Args:
        tx: Where to read.
        sql: A statement of name and id, where `{column} IN {list}`.
        column: The name's column.
        names: As they were typed.
    """
    texts: dict[str, set[str]] = {}
    for name in names:
        texts.setdefault(login_key(name), set()).add(name)
    rows = _proposed(tx, sql, column, texts, login_key)
    # Of two names that differ in case only, the one as it was typed, else the older row.
    ranked = sorted(rows, key=lambda row: (row[1][0] not in texts[row[0]], row[1][1]))
    found: dict[str, int] = {}
    for key, row in ranked:
        found.setdefault(key, number(row[1]))
    return found


def holders_of(
    tx: Tx, sql: str, addresses: Collection[Address], *, nobody: str = ""
) -> dict[str, Sequence[Holder]]:
    """Return who registered each address, by `address_key`; whose primary it is comes first.

    Args:
        tx: Where to read.
        sql: A statement of address, user id, rank and login, where `{column} IN {list}`; the
            address stands in columns called `email`, and rank 0 says that it is the primary one.
        addresses: As they were typed.
        nobody: Login whose addresses are known to be nobody's.
    """
    texts = {address_key(address): address_texts(address) for address in addresses}
    found: dict[str, dict[int, Holder]] = {}
    rows = _proposed(tx, sql, "email", texts, _key_of_address)
    for key, (stored, user_id, _, login) in sorted(rows, key=_by_rank):
        holders = found.setdefault(key, {})
        if not nobody or login != nobody:
            holder = Holder(number(user_id), usable(str(stored)))
            holders.setdefault(holder.user_id, holder)
    return {key: tuple(holders.values()) for key, holders in found.items()}


def _proposed(
    tx: Tx,
    sql: str,
    column: str,
    texts: Mapping[str, Iterable[str]],
    key_of: Callable[[str], str],
) -> list[tuple[str, Row]]:
    """Return rows with the wanted key of the text in their first column."""
    exact = {text for spelt in texts.values() for text in spelt}
    found = list(_fitting(rows_in(tx, sql.replace("{column}", column), exact), texts, key_of))
    missing = texts.keys() - {key for key, _ in found}
    lowered = {low for key in missing for text in texts[key] for low in _lowered(text)}
    folding = sql.replace("{column}", f"LOWER({column})")
    return found + [
        (key, row)
        for key, row in _fitting(rows_in(tx, folding, lowered), texts, key_of)
        if key in missing
    ]


def _fitting(
    rows: Iterable[Row], texts: Mapping[str, object], key_of: Callable[[str], str]
) -> Iterator[tuple[str, Row]]:
    for row in rows:
        key = key_of(str(row[0]))
        if key in texts:
            yield key, row


def _by_rank(found: tuple[str, Row]) -> tuple[int, int]:
    # Whose primary address it is comes first.
    _, (_, user_id, rank, _) = found
    return number(rank), number(user_id)


def _lowered(text: str) -> set[str]:
    # LOWER of SQLite, and of PostgreSQL in some locales, knows A-Z only: what else is in the
    # text is looked for as it was typed, in small letters and in capitals.
    return {ascii_lower(spelt) for spelt in (text, text.lower(), text.upper())}


def address_texts(address: Address) -> set[str]:
    """Return the ways in which others may have stored an address."""
    texts = {str(address), address_key(address)}
    if "xn--" in address.domain:
        try:
            domain = idna.decode(address.domain)
        except idna.IDNAError:
            return texts
        texts |= {f"{address.local}@{domain}", ascii_lower(f"{address.local}@{domain}")}
    return texts


def _key_of_address(text: str) -> str:
    address = usable(text)
    return address_key(address) if address else ""


# Nearly every address is of this form, and reading one whole costs a quarter of a millisecond:
# a minute for the people of a large site. `--` may stand for letters beyond ASCII.
_PLAIN = re.compile(r"(?!.*--)([A-Za-z0-9._+-]+)@([A-Za-z0-9.-]+\.[A-Za-z0-9.-]+)")


def usable(text: str) -> Address | None:
    """Return the address that a stored text is, as `parse_address` does; None when it is none."""
    plain = _PLAIN.fullmatch(text)
    try:
        return Address(plain[1], plain[2].lower()) if plain else parse_address(text)
    except ValueError:  # AddressError is one too
        return None


def ids_of(rows: Iterable[Row]) -> list[int]:
    """Return the numbers in the first column."""
    return [number(row[0]) for row in rows]


def line_of(text: object) -> str:
    """Return a name on one line: whatever wrote it did not ask us what a name may hold."""
    return clean_line(str(text or ""))[:MAX_NAME_CHARS]


def person_of(row: Row) -> Person:
    """Return the person of a row of another system.

    Args:
        row: Number, login, first and last name, primary address as stored, whether active,
            whether an administrator.
    """
    user_id, login, first_name, last_name, email, is_active, is_admin = row
    text = str(email or "")
    address = usable(text) if text else None
    return Person(
        id=person_id(number(user_id)),
        login=line_of(login),
        first_name=line_of(first_name),
        last_name=line_of(last_name),
        address=address,
        unusable_address="" if address else shown(text, MAX_UNUSABLE_CHARS),
        is_active=bool(is_active),
        is_admin=bool(is_admin),
    )
