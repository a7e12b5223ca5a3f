"""This room gathers raw values: which key is set, to what, and where; nothing is judged yet.

A layer is what one source says: the settings file, or the environment. A key is named by its group
(`smtp`, `application.main`) and its name in it. Unknown keys are told with the nearest known one
and never with their value: a misspelt `pasword` holds a password all the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from envoi.core.kind import Plain
from envoi.core.problem import Problem
from envoi.settings.families import KEYS_OF, names_of, rows_in
from envoi.settings.secret import shown
from envoi.settings.sections import Note
from envoi.settings.table import ROWS

MAIN = "application.main"
# A password is a line; a file much larger than that is not one.
MAX_SECRET_BYTES = 64 * 1024
MAX_NAME_CHARS = 60
# Names that all begin alike are near only when most of the rest is the same too.
_LIKE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A value as its source gave it.

    Args:
        value: What TOML made of it, or a text.
        where: The key as its author typed it, for messages.
        origin: What the listing shows.
        is_text: Whether it comes from a place that knows texts only.
        source: What a problem adds, where `where` is not the key's own name: `by SOURCE`.
    """

    value: object
    where: str
    origin: str
    is_text: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """A key that must be set somewhere, in the file or in the environment.

    Args:
        group: Its group.
        name: Its name in it.
        problem: What is wrong without it.
        drops: Name of a key of the group that means nothing without it: it is left out then, and
            the problem is a warning only.
    """

    group: str
    name: str
    problem: Problem
    drops: str = ""


@dataclass(slots=True, kw_only=True)
class Layer:
    """What one source says.

    Args:
        groups: Raw values by group and name.
        senders: Raw tables by sender.
        sender_origins: Where `senders.NAME.KEY` was set, by that name.
        problems: What names no key, is there twice or has no place.
        warnings: What works and should not stay so.
        notes: What became of another program's keys.
        demands: What a key of this source needs beside it, wherever that is set.
    """

    groups: dict[str, dict[str, Raw]] = field(default_factory=dict[str, dict[str, Raw]])
    senders: dict[str, dict[str, Plain]] = field(default_factory=dict[str, dict[str, Plain]])
    sender_origins: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])
    notes: list[Note] = field(default_factory=list[Note])
    demands: list[Demand] = field(default_factory=list[Demand])

    def add(self, group: str, name: str, raw: Raw) -> None:
        """Take a value in; a second one for the same key is a problem, an empty text is none."""
        values = self.groups.setdefault(group, {})
        if raw.value == "":
            return
        if name in values:
            found = f"it as {values[name].where} too"
            self.problems.append(Problem(where=raw.where, expected="the key once", got=found))
            return
        values[name] = raw


def label(group: str, name: str) -> str:
    """Return the key as people write it: the first application needs no name."""
    return f"{'application' if group == MAIN else group}.{name}"


def unknown(where: str, name: str, section: str = "") -> Problem:
    """Return the problem that nothing is called so, with the nearest thing that is.

    Args:
        where: The whole key or section as it was typed.
        name: The last part of it.
        section: The section it stands in, whose keys are nearer than others'.
    """
    near = get_close_matches(name, names_of(section), 1) if section else []
    hint = f"{section}.{near[0]}" if near else _nearest(where)
    return Problem(
        where=shown_name(where),
        expected="a known key",
        got="an unknown one",
        hint=f"did you mean {hint}?" if hint else "",
    )


def shown_name(name: str) -> str:
    """Return a name that somebody typed, bounded and on one line."""
    cut = name if len(name) <= MAX_NAME_CHARS else f"{name[:MAX_NAME_CHARS]}..."
    return cut if cut.isprintable() else ascii(cut)[1:-1]


def unmet(
    layers: Iterable[Layer], groups: Mapping[str, dict[str, Raw]]
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Return problems and warnings of what is needed and set nowhere; leave out what it drops."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for demand in [demand for layer in layers for demand in layer.demands]:
        values = groups.get(demand.group, {})
        if demand.name in values:
            continue
        if demand.drops:
            values.pop(demand.drops, None)
            warnings.append(demand.problem)
        else:
            problems.append(demand.problem)
    return tuple(problems), tuple(warnings)


def near_name(name: str, known: Iterable[str]) -> str:
    """Return the known name nearest to one that was typed; empty when none is near."""
    near = get_close_matches(name[: 2 * MAX_NAME_CHARS], known, 1, _LIKE)
    return near[0] if near else ""


def _nearest(where: str) -> str:
    known: dict[str, str] = {"senders": "senders", **{family: family for family in KEYS_OF}}
    for row in ROWS:
        section = row.section
        known |= {section: section, row.key: row.key, row.key.replace(".", "_"): row.key}
        known.setdefault(row.name, row.key)
    near = get_close_matches(where[:MAX_NAME_CHARS], known, 1)
    return known[near[0]] if near else ""


def merged(lower: Layer, upper: Layer) -> dict[str, dict[str, Raw]]:
    """Return the raw values of both layers, the upper one winning key by key.

    A secret and the file that holds it are one key here: setting either in the environment
    replaces whatever the file says.
    """
    groups = {group: dict(values) for group, values in lower.groups.items()}
    for group, values in upper.groups.items():
        target = groups.setdefault(group, {})
        for name in values:
            for alias in aliases(group, name):
                target.pop(alias, None)
        target.update(values)
    return groups


def aliases(group: str, name: str) -> tuple[str, ...]:
    """Return the names that mean the same key: a secret, and the file that holds it."""
    secret = _secret_of(group, name)
    return (secret, f"{secret}_file") if secret else (name,)


def _secret_of(group: str, name: str) -> str:
    row = rows_in(group).get(name.removesuffix("_file"))
    return row.name if row and row.is_secret else ""


def with_secrets(
    groups: Mapping[str, Mapping[str, Raw]], folder: Path
) -> tuple[dict[str, dict[str, Raw]], tuple[Problem, ...]]:
    """Return the values with every secret's file replaced by what stands in it."""
    read: dict[str, dict[str, Raw]] = {}
    problems: list[Problem] = []
    for group, values in groups.items():
        read[group] = {name: raw for name, raw in values.items() if not _is_file(group, name)}
        for name, raw in values.items():
            if not _is_file(group, name):
                continue
            found = _both(raw, values, name) or _content(raw, folder)
            if isinstance(found, Problem):
                problems.append(found)
            elif found.value:
                read[group][name.removesuffix("_file")] = found
    return read, tuple(problems)


def _is_file(group: str, name: str) -> bool:
    return name.endswith("_file") and bool(_secret_of(group, name))


def _both(raw: Raw, values: Iterable[str], name: str) -> Problem | None:
    secret = name.removesuffix("_file")
    if secret not in values:
        return None
    return Problem(where=raw.where, expected=f"{secret} or {name}", got="both")


def _content(raw: Raw, folder: Path) -> Raw | Problem:
    expected = "a file with the secret on one line"
    if not isinstance(raw.value, str):
        return Problem(where=raw.where, expected=expected, got=shown(raw.value))
    got = shown(raw.value)
    try:
        with (folder / raw.value).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        return Problem(where=raw.where, expected=expected, got=got, hint="it is not UTF-8")
    # ValueError: a NUL in the name.
    except (OSError, ValueError) as err:
        because = err.strerror if isinstance(err, OSError) else str(err)
        return Problem(where=raw.where, expected=expected, got=got, hint=because or "")
    if not text or len(content) > MAX_SECRET_BYTES:
        hint = "it is empty" if not text else "it is far too long"
        return Problem(where=raw.where, expected=expected, got=got, hint=hint)
    origin = f"file {raw.value}"
    return Raw(value=text, where=raw.where, origin=origin, is_text=True, source=raw.where)
