"""This room writes the `envoi.toml` that says what an OMERO's configuration says about mail.

The properties keep their names and OMERO's own meaning is worked out when the file is read, so
that whoever knows them finds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from envoi.core.problem import Problem
from envoi.errors import SettingsError
from envoi.settings.keys import checked, key_of
from envoi.settings.loading import from_mapping
from envoi.settings.omero import unknown_property
from envoi.settings.omero_export import about_mail, is_masked
from envoi.settings.omero_keys import BY_NAME, DEPRECATED, ROOT

_HEAD = """\
# Settings of Envoi, made from {source} by `envoi config import`.
# OMERO's properties keep their names; a key of Envoi's own, such as smtp.ca_file, stands beside
# them in its section. All keys: docs/reference/settings.md. What is in force: envoi check

[{root}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of an OMERO's configuration.

    Args:
        text: The settings file.
        became: Each property about mail, and what became of it.
        warnings: What works and should not stay so, and what is missing.
        others: How many properties are not about mail.
    """

    text: str
    became: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    others: int


def taken_over(properties: Mapping[str, str], source: str) -> Taken:
    """Return the settings file that these properties make.

    Args:
        properties: All of an installation.
        source: The name of the file that they come from.

    Raises:
        SettingsError: A value does not fit, or several do not fit together; tells all of it.
    """
    found = about_mail(dict(properties))
    became = {name: _became(name, text) for name, text in found.items()}
    used = {
        name: text
        for name, text in found.items()
        if name in BY_NAME and text and not is_masked(name, text)
    }
    plain = _checked(used)
    warnings = from_mapping({ROOT: plain}, Path()).warnings
    head = _HEAD.format(source=tomlkit.item(source).as_string(), root=ROOT)
    lines = [
        f"{tomlkit.item(name).as_string()} = {tomlkit.item(value).as_string()}"
        for name, value in plain.items()
    ]
    missing = tuple(f"{name}: {became[name]}" for name in found if name not in used)
    return Taken(
        text="\n".join([head + "\n".join(lines), ""]),
        became=tuple(became.items()),
        warnings=(*missing, *(str(warning) for warning in warnings)),
        others=len(properties) - len(found),
    )


def _checked(texts: Mapping[str, str]) -> dict[str, object]:
    tables = {ROOT: dict(texts)}
    problems = tuple[Problem, ...]()
    plain: dict[str, object] = {}
    for name, text in texts.items():
        try:
            plain[name] = checked(key_of(name, tables), text, tables, Path())
        except SettingsError as err:
            problems += err.problems
    if problems:
        raise SettingsError(problems)
    return plain


def _became(name: str, text: str) -> str:
    if name in DEPRECATED:
        return f"not taken over: OMERO ignores it; {DEPRECATED[name]} is in use"
    if name not in BY_NAME:
        return f"not taken over: not known here; {unknown_property(name).hint}"
    if is_masked(name, text):
        return f"not taken over: masked in the export; `envoi config set {name} -f FILE`"
    seed = BY_NAME[name]
    if not text:
        return "empty: not set"
    return "; ".join(part for part in (seed.target, seed.became) if part)
