"""This room judges what an imported row says about a user.

An import is data of another system, so it is met more mildly than what somebody types: spaces
around a value are dropped, names are cleaned, and an address that cannot be used is kept with its
problem, for people to see and for routing to skip by name. A login, a flag, a locale or a time
zone that does not fit refuses its row.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from envoi.core.kind import clean_line
from envoi.directory.import_rows import Broken, RawRow
from envoi.directory.records import AddressRecord, UserRecord
from envoi.directory.typed import (
    checked_address,
    checked_group,
    checked_line,
    checked_locale,
    checked_login,
    checked_time_zone,
    in_order,
    login_key,
    refusal,
    shown,
    unusable,
)
from envoi.errors import AddressError, InputError

# Beyond this a cell is no list of somebody's addresses or groups.
MAX_LISTED = 100

_YES = frozenset({"1", "true", "yes", "y", "t", "on"})
_NO = frozenset({"0", "false", "no", "n", "f", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedUser:
    """What a row says; fields that it leaves out stay as they are.

    Args:
        line: Where it stands.
        key: What the login is matched with.
        fields: Values of a `UserRecord`'s own fields, those that the row gives.
        addresses: All addresses from now on; None leaves them.
        groups: All groups from now on; None leaves them.
    """

    line: int
    key: str
    fields: Mapping[str, str | bool]
    addresses: tuple[AddressRecord, ...] | None = None
    groups: tuple[str, ...] | None = None

    @property
    def login(self) -> str:
        """The login as the row spells it."""
        return str(self.fields["login"])

    def changed(self, before: UserRecord) -> UserRecord:
        """Return the user as the row wants him."""
        after = replace(before, **cast("dict[str, str]", self.fields))  # type: ignore[arg-type] # the judge made each value of its field's type
        if self.addresses is not None:
            after = replace(after, addresses=self.addresses)
        if self.groups is not None and not _are_same_groups(self.groups, before.groups):
            after = replace(after, groups=self.groups)
        return after


def _are_same_groups(names: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return {login_key(name) for name in names} == {login_key(name) for name in others}


@dataclass(slots=True)
class Judge:
    """Judges the rows of one file; remembers its logins, since each may stand only once.

    The logins are remembered by hash: a million of them must not take a hundred megabytes.
    """

    _seen: set[int] = field(default_factory=set[int])
    _codes: dict[tuple[str, object], str] = field(default_factory=dict[tuple[str, object], str])

    def judged(self, row: RawRow) -> ImportedUser | Broken:
        """Return the user that the row describes, or why it describes none."""
        try:
            user = self._user(row)
        except InputError as err:
            return Broken(row.line, str(err))
        number = hash(user.key)
        if number in self._seen:
            return Broken(row.line, f"login: {user.login} stands on an earlier line already")
        self._seen.add(number)
        return user

    def _user(self, row: RawRow) -> ImportedUser:
        values = row.values
        login = checked_login(_padded_text(values.get("login", ""), "login"))
        fields: dict[str, str | bool] = {"login": login}
        for name in ("first_name", "last_name"):
            if name in values:
                fields[name] = checked_line(clean_line(_text(values[name], name)), name)
        for name in ("is_admin", "is_active"):
            if values.get(name, "") != "":
                fields[name] = _flag(values[name], name)
        for name in ("locale", "time_zone"):
            if name in values:
                fields[name] = self._code(name, _padded_text(values[name], name))
        return ImportedUser(
            line=row.line,
            key=login_key(login),
            fields=fields,
            addresses=_addresses(values["addresses"]) if "addresses" in values else None,
            groups=_groups(values["groups"]) if "groups" in values else None,
        )

    def _code(self, name: str, text: str) -> str:
        # A file has a handful of locales and zones, and looking one up costs more than a row.
        if (name, text) not in self._codes:
            check = checked_locale if name == "locale" else checked_time_zone
            self._codes[name, text] = check(text)
        return self._codes[name, text]


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise refusal(name, "text", type(value).__name__)
    return value


def _padded_text(value: object, name: str) -> str:
    # Spaces and tabs are how tables are laid out; a line break inside a cell is not.
    return _text(value, name).strip(" \t")


def _flag(value: object, name: str) -> bool:
    word = str(value).strip(" \t").casefold() if isinstance(value, str | int) else ""
    if word in _YES or word in _NO:
        return word in _YES
    raise refusal(name, "yes or no", value)


def _addresses(values: object) -> tuple[AddressRecord, ...]:
    texts = [_padded_text(value, "addresses") for value in _listed(values, "addresses")]
    return in_order([record for text in texts if text for record in _records(text)])


def _listed(values: object, name: str) -> list[object]:
    listed = cast("list[object]", values) if isinstance(values, list) else [values]
    if len(listed) > MAX_LISTED:
        raise refusal(name, f"at most {MAX_LISTED}", len(listed))
    return listed


def _records(text: str) -> list[AddressRecord]:
    # Several addresses in one cell are taken when all are good, else the cell is kept as it is:
    # dropping the bad one would look as if it had been taken (RELIABILITY A13).
    parts = [part.strip(" \t") for part in re.split("[;,]", text)]
    named = [part for part in parts if part]
    try:
        if 0 < len(named) <= MAX_LISTED:
            return [checked_address(part, "addresses") for part in named]
        problem = "addresses: expected one address"
    except AddressError as err:
        problem = str(err)
    return [unusable(text, shown(problem.removeprefix("addresses: "), MAX_PROBLEM_CHARS))]


# The problem quotes the address and says what is wrong with it.
MAX_PROBLEM_CHARS = 500


def _groups(values: object) -> tuple[str, ...]:
    texts = [_text(value, "groups") for value in _listed(values, "groups")]
    names = [part.strip(" \t") for text in texts for part in re.split("[;,]", text)]
    once = {login_key(name): name for name in reversed([checked_group(n) for n in names if n])}
    return tuple(sorted(once.values()))
