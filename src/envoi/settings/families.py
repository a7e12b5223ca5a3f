"""This room says which sections there may be more of, each with a name, and how such names look.

`[application.NAME]` holds the keys of `[application]`, `[relays.NAME]` those of `[smtp]`, and
`[transport]` a key of its own for each relay. Names become parts of variables, where `__`
separates, and of stored rows.
"""

import re
from difflib import get_close_matches

from envoi.core.problem import Problem
from envoi.settings.secret import shown
from envoi.settings.table import Row, rows_of

# Further ones by name, and the section whose keys they have.
KEYS_OF = {"application": "application", "relays": "smtp"}
TRANSPORT = "transport"
DEFAULT = "default"
# `capture` is how a worker signs on that sends nothing.
_TAKEN = frozenset({DEFAULT, "capture"})
_APPLICATION_NAME = re.compile(r"(?!.*__)[a-z](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_RELAY_NAME = re.compile(r"(?!.*__)[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
# A name so near to the one key of `[transport]` is that key, misspelt.
_LIKE = 0.8


def rows_in(group: str) -> dict[str, Row]:
    """Return the rows of a group by the name of the key.

    Args:
        group: A section, or `application.NAME`, `relays.NAME`.
    """
    section = group.partition(".")[0]
    return dict(rows_of(KEYS_OF.get(section, section)))


def row_in(group: str, name: str) -> Row | None:
    """Return the row of a key; None when there is none of this name."""
    is_misspelt = bool(get_close_matches(name, [DEFAULT], 1, _LIKE))
    if group == TRANSPORT and is_relay_name(name) and not is_misspelt:
        return rows_in(TRANSPORT)[DEFAULT]
    return rows_in(group).get(name)


def names_of(group: str) -> frozenset[str]:
    """Return the names that a group knows, `_file` ones included."""
    rows = rows_in(group)
    return frozenset(rows) | {f"{name}_file" for name, row in rows.items() if row.is_secret}


def knows(group: str, name: str) -> bool:
    """Whether a group has a key of this name."""
    return name in names_of(group) or row_in(group, name) is not None


def is_relay_name(name: str) -> bool:
    """Whether a further relay may be called so."""
    return bool(_RELAY_NAME.fullmatch(name)) and name not in _TAKEN


def name_problem(where: str, family: str, name: str) -> Problem | None:
    """Return what is wrong with the name of an application or a relay, if anything.

    Args:
        where: The key or variable as it was typed.
        family: `application` or `relays`.
        name: The name.
    """
    is_relay = family == "relays"
    if is_relay_name(name) if is_relay else _APPLICATION_NAME.fullmatch(name):
        return None
    owner = "a relay's" if is_relay else "an application's"
    expected = f"{owner} name in lower-case letters, digits, _ and -"
    hint = "the relay of [smtp] is called so" if is_relay and name == DEFAULT else ""
    return Problem(where=where, expected=expected, got=shown(name), hint=hint)
