"""This room renders one statement for every driver: `:name` becomes what the driver reads.

Rules of our statements, held by a test: no literal holds a colon or a question mark, casts are
written `CAST(x AS y)`, and every table name starts with `envoi_`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

Arguments: TypeAlias = "tuple[object, ...] | dict[str, object]"

_NAME = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
# Table names, but neither a table that already has a schema nor a column behind a table.
_TABLE = re.compile(r"(?<![.\w])(envoi_[a-z_]+)")
# DB-API styles that take a mapping; the others take values in the order of the names.
_NAMED_STYLES = frozenset({"pyformat", "named"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """A statement in a driver's own style.

    Args:
        text: What the driver gets.
        names: Parameter names in the order of their occurrence.
        is_named: Whether the driver takes them by name.
    """

    text: str
    names: tuple[str, ...]
    is_named: bool

    def arguments(self, params: Mapping[str, object]) -> Arguments:
        """Return the parameters in the form the driver takes."""
        if self.is_named:
            return {name: params[name] for name in self.names}
        return tuple(params[name] for name in self.names)

    def many(self, rows: Sequence[Mapping[str, object]]) -> list[Arguments]:
        """Return one set of arguments per row."""
        return [self.arguments(row) for row in rows]


@lru_cache(maxsize=1_000)
def rendered(sql: str, style: str, schema: str = "") -> Rendered:
    """Return the statement in a DB-API parameter style, its tables in the given schema.

    Args:
        sql: With `:name` parameters.
        style: `qmark`, `pyformat`, `format`, `named`, `numeric` or `numeric_dollar`.
        schema: Schema of the tables; empty: the connection's own.

    >>> rendered("SELECT id FROM envoi_event WHERE uid = :uid", "qmark").text
    'SELECT id FROM envoi_event WHERE uid = ?'
    >>> rendered("SELECT id FROM envoi_event WHERE uid = :uid", "pyformat", "mail").text
    'SELECT id FROM mail.envoi_event WHERE uid = %(uid)s'
    """
    names: list[str] = []

    def marker(match: re.Match[str]) -> str:
        names.append(match[1])
        return _marker(style, match[1], len(names))

    text = _TABLE.sub(rf"{schema}.\1", sql) if schema else sql
    text = text.replace("%", "%%") if style in {"pyformat", "format"} else text
    text = _NAME.sub(marker, text)
    return Rendered(text, tuple(names), style in _NAMED_STYLES)


def _marker(style: str, name: str, position: int) -> str:
    match style:
        case "qmark":
            return "?"
        case "pyformat":
            return f"%({name})s"
        case "format":
            return "%s"
        case "named":
            return f":{name}"
        case "numeric_dollar":
            # One number per occurrence: a driver that types its parameters by their place would
            # otherwise refuse a name used for two types.
            return f"${position}"
        case "numeric":
            return f":{position}"
        case _:
            raise ValueError(f"{style!r} is no DB-API parameter style")
