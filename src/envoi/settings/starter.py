"""This room writes the text of a first settings file."""

import textwrap
from collections.abc import Mapping

import tomlkit

from envoi.errors import SettingsError
from envoi.settings.layers import unknown
from envoi.settings.secret import Secret
from envoi.settings.table import ROWS, SECTIONS, Row, rows_of

_WIDTH = 98
_HEAD = """\
# Settings of Envoi. Every key is also a variable, ENVOI_SECTION__KEY, which wins over this file:
# ENVOI_SMTP__HOST, ENVOI_SMTP__PASSWORD. Relative paths start at this file's folder.
# All keys: docs/reference/settings.md. What is in force, and from where: envoi check
"""


def starter(values: Mapping[str, str | int | bool] | None = None) -> str:
    """Return a settings file with the important keys, each with its sentence.

    Args:
        values: By dotted key, e.g. `application.base_url`; these are set, all others stand
            there commented out. Default: none.

    Raises:
        SettingsError: A value's key is not in the table.
    """
    given = dict(values or {})
    strangers = given.keys() - {row.key for row in ROWS}
    if strangers:
        raise SettingsError(tuple(unknown(key, key) for key in sorted(strangers)))
    return "\n".join([_HEAD, *(_section(name, given) for name in SECTIONS)]).rstrip() + "\n"


def _section(name: str, given: Mapping[str, str | int | bool]) -> str:
    rows = [row for row in rows_of(name).values() if row.example or row.key in given]
    lines = [line for row in rows for line in _lines(row, given)]
    return "\n".join([f"[{name}]", *lines, ""]) if rows else ""


def _lines(row: Row, given: Mapping[str, str | int | bool]) -> list[str]:
    doc = [f"# {line}" for line in textwrap.wrap(row.doc, _WIDTH)]
    if row.key in given:
        return [*doc, f"{row.name} = {_literal(given[row.key])}"]
    # A password is better kept in a file of its own, so that is what the example shows.
    name = f"{row.name}_file" if isinstance(row.default, Secret) else row.name
    return [*doc, f"#{name} = {row.example}"]


def _literal(value: str | int | bool) -> str:  # noqa: FBT001 - a value to be written, no switch
    return tomlkit.item(value).as_string()
