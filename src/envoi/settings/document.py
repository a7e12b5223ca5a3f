"""This room takes the tables of `envoi.toml` apart."""

from collections.abc import Mapping
from pathlib import Path
from tomllib import loads
from typing import cast

from envoi.core.kind import Plain
from envoi.core.problem import Problem
from envoi.errors import SettingsError
from envoi.settings.families import KEYS_OF, knows, name_problem
from envoi.settings.layers import (
    MAIN,
    Layer,
    Raw,
    shown_name,
    unknown,
)
from envoi.settings.omero import is_omero, take_omero
from envoi.settings.secret import shown
from envoi.settings.table import SECTIONS

# A sender's table is three deep; whatever is far deeper is not one, and would end in recursion.
MAX_DEPTH = 8


def parsed(path: Path) -> Mapping[str, object]:
    """Return what a TOML file holds.

    Raises:
        SettingsError: The file cannot be read, is not UTF-8 or not TOML; names the line.
    """
    try:
        content = path.read_bytes()
        return loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        raise _unreadable(path, "UTF-8", f"another encoding at line {line}") from err
    except OSError as err:
        raise _unreadable(path, "a settings file", err.strerror or str(err)) from err
    # tomllib lets the errors of `int` through, and nests as deep as the file does.
    except (ValueError, RecursionError) as err:
        raise _unreadable(path, "TOML", shown_name(str(err))) from err


def _unreadable(path: Path, expected: str, got: str) -> SettingsError:
    return SettingsError((Problem(where=str(path), expected=expected, got=got),))


def document_layer(tables: Mapping[str, object], origin: str) -> Layer:
    """Return what the tables of a settings file say.

    Args:
        tables: As `tomllib` reads them.
        origin: What the listing shows for their values, e.g. `envoi.toml`.
    """
    layer = Layer()
    for section, table in tables.items():
        if is_omero(section):
            continue
        if section != "senders" and section not in {*SECTIONS, *KEYS_OF}:
            layer.problems.append(unknown(section, section))
        elif not isinstance(table, Mapping):
            layer.problems.append(_no_table(section, table))
        else:
            _take_section(layer, section, cast("Mapping[str, object]", table), origin)
    # Last: what our own keys say is there to compare with.
    take_omero(layer, tables, origin)
    return layer


def _take_section(layer: Layer, section: str, table: Mapping[str, object], origin: str) -> None:
    if section == "senders":
        for name, sender in table.items():
            _take_sender(layer, name, sender, origin)
    elif section == "application":
        _take_applications(layer, table, origin)
    elif section == "relays":
        for name, relay in table.items():
            _take_named(layer, section, name, relay, origin)
    else:
        _take(layer, section, section, table, origin)


def _no_table(where: str, value: object) -> Problem:
    # The value may be a secret in the wrong place: only its sort is told.
    got = "a list" if isinstance(value, list) else "a single value"
    return Problem(where=shown_name(where), expected=f"a table [{shown_name(where)}]", got=got)


def _take(layer: Layer, group: str, where: str, table: Mapping[str, object], origin: str) -> None:
    section = group.partition(".")[0]
    layer.groups.setdefault(group, {})
    for name, value in table.items():
        path = f"{where}.{name}"
        if knows(group, name):
            layer.add(group, name, Raw(value=value, where=path, origin=origin))
        else:
            layer.problems.append(unknown(path, name, section))


def _take_applications(layer: Layer, table: Mapping[str, object], origin: str) -> None:
    # Plain keys under [application] belong to `main`; tables are applications by their name.
    own = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    _take(layer, MAIN, "application", own, origin)
    for name, value in table.items():
        if name not in own:
            _take_named(layer, "application", name, value, origin)


def _take_named(layer: Layer, family: str, name: str, value: object, origin: str) -> None:
    where = f"{family}.{name}"
    if problem := name_problem(shown_name(where), family, name):
        layer.problems.append(problem)
    elif not isinstance(value, Mapping):
        layer.problems.append(_no_table(where, value))
    else:
        _take(layer, where, where, cast("Mapping[str, object]", value), origin)


def _take_sender(layer: Layer, name: str, value: object, origin: str) -> None:
    where = f"senders.{name}"
    if not isinstance(value, Mapping):
        layer.problems.append(_no_table(where, value))
        return
    table = cast("Mapping[str, object]", value)
    unfit = [key for key, one in table.items() if not _is_plain(one, MAX_DEPTH)]
    layer.problems += [
        Problem(
            where=shown_name(f"{where}.{key}"),
            expected="texts, numbers, true or false, lists and tables of them",
            got=shown(table[key]),
        )
        for key in unfit
    ]
    if not unfit:
        layer.senders[name] = _plain(table)
        layer.sender_origins |= {f"{where}.{key}": origin for key in table}


def _plain(table: Mapping[str, object]) -> dict[str, Plain]:
    return cast("dict[str, Plain]", dict(table))


def _is_plain(value: object, depth: int) -> bool:
    if depth == 0:
        return False
    if isinstance(value, list):
        return all(_is_plain(one, depth - 1) for one in cast("list[object]", value))
    if isinstance(value, dict):
        return all(_is_plain(one, depth - 1) for one in cast("dict[str, object]", value).values())
    return isinstance(value, str | int | float)
