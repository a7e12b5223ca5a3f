"""This room reads the fields of a user as they are typed: as options, or as `key=value`."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, cast

from envoi.directory.records import UserChange, UserDraft
from envoi.errors import InputError

# What may stand before the `=`, and the field it means.
_FIELDS: Mapping[str, str] = {
    "email": "addresses",
    "first_name": "first_name",
    "last_name": "last_name",
    "admin": "is_admin",
    "active": "is_active",
    "locale": "locale",
    "time_zone": "time_zone",
    "login": "login",
}
KEYS = tuple(_FIELDS)
_FLAGS = frozenset({"is_admin", "is_active"})
_WORDS = {"yes": True, "true": True, "on": True, "1": True,
          "no": False, "false": False, "off": False, "0": False}  # fmt: skip


def fields_of(pairs: Iterable[str], options: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a user that were typed, by their names in `UserChange`.

    Args:
        pairs: `key=value`; `email` may hold several addresses with commas between them.
        options: The same fields as options gave them; None where none did.

    Raises:
        InputError: A key is unknown, a value is no yes or no, or a field was typed twice.
    """
    typed = {name: value for name, value in options.items() if value is not None}
    for pair in pairs:
        name, value = _pair(pair)
        if name in typed:
            raise InputError(f"{pair.partition('=')[0]}: expected it once, got it twice")
        typed[name] = value
    return typed


def draft_of(login: str, typed: Mapping[str, object]) -> UserDraft:
    """Return a new user of these fields."""
    if "login" in typed:
        raise InputError("login: expected it once, got it twice")
    return UserDraft(login=login, **cast("dict[str, Any]", typed))


def change_of(typed: Mapping[str, object]) -> UserChange:
    """Return the change that these fields mean."""
    return UserChange(**cast("dict[str, Any]", typed))


def _pair(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    name = _FIELDS.get(key.replace("-", "_"))
    if not equals or name is None:
        near = get_close_matches(key, KEYS, n=1)
        hint = f"did you mean {near[0]}=...?" if near else f"keys: {', '.join(KEYS)}"
        raise InputError(f"{text!r}: expected KEY=VALUE ({hint})")
    if name == "addresses":
        return name, tuple(part.strip() for part in value.split(",") if part.strip())
    if name not in _FLAGS:
        return name, value
    if value.lower() not in _WORDS:
        raise InputError(f"{key}: expected yes or no, got {value!r}")
    return name, _WORDS[value.lower()]
