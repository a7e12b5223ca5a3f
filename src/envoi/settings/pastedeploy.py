"""This room reads PasteDeploy's ini format: which keys an application sees, and as what.

What counts is what the application itself would see, so the rules are PasteDeploy's, surprises
included. `[DEFAULT]` holds what is global. In the application's section `set KEY` changes a global
value, `get KEY = OTHER` copies one, and every other key is the application's own and wins, except
that a key which `[DEFAULT]` has too is passed over there. Keys keep their case; a key or section
that is there twice is an error. `%(name)s` stands for another value of the section or of
`[DEFAULT]`, `%%` for a percent sign.

A value that cannot be expanded is no fault of the file as long as nobody asks for it: the ini also
holds other programs' keys.
"""

import configparser
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envoi.core.problem import Problem
from envoi.errors import SettingsError
from envoi.settings.layers import shown_name

# Kallithea's own file is 25 kB. What is far larger is no settings file, and some of those would
# keep the parser busy for minutes.
MAX_FILE_BYTES = 256 * 1024
MAX_LINE_CHARS = 20_000
MAX_SECTIONS = 200
MAX_EXPANDED_CHARS = 10_000
# As deep as the standard library's own interpolation goes.
MAX_DEPTH = 10
_REFERENCE = re.compile(r"%%|%\((?P<name>[^()]*)\)s|%")
_APPLICATION = re.compile(r"(?:app|application):\s*(?P<name>.*?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What the application sees as the value of one key.

    Args:
        text: Expanded; empty when it is empty or cannot be expanded.
        section: Where it stands.
        copied_from: The other key, where it is a copy by `get`.
        fault: Why it cannot be expanded; empty when it can.
    """

    text: str = ""
    section: str = "DEFAULT"
    copied_from: str = ""
    fault: str = ""


@dataclass(slots=True, kw_only=True)
class Ini:
    """What a PasteDeploy file tells an application.

    Args:
        path: The file.
        section: The application's section, e.g. `app:main`.
        values: By key, in the file's order.
        passed_over: Keys of the section that `[DEFAULT]` has with another value, which counts.
        elsewhere: The keys of all other sections, by section.
    """

    path: Path
    section: str
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    passed_over: list[str] = field(default_factory=list[str])
    elsewhere: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def text(self, key: str) -> str:
        """Return the key's value; empty when it is empty, missing or cannot be expanded."""
        value = self.values.get(key)
        return value.text if value else ""


class _Parser(configparser.ConfigParser):
    """The standard library's, which otherwise puts keys into lower case.

    Its own pattern of a line tries every way to share a run of spaces: 19,000 of them take nine
    seconds. This one takes the same lines, and each letter once.
    """

    OPTCRE = re.compile(r"(?P<option>[^=:]*)(?P<vi>[=:])\s*(?P<value>.*)$")

    def optionxform(self, optionstr: str) -> str:
        """Return the key as it is written."""
        return optionstr


class _FaultError(ValueError):
    """A value refers to what is not there, to itself, or to too much."""


def read_ini(path: Path) -> Ini:
    """Return what the file tells its application.

    Raises:
        SettingsError: The file cannot be read, is not UTF-8 or no ini, names a key twice, or has
            no section of one application; names the line where there is one.
    """
    parser = _parsed(path)
    if len(parser.sections()) > MAX_SECTIONS:
        raise _unreadable(path, f"at most {MAX_SECTIONS} sections", str(len(parser.sections())))
    section = _application_section(path, parser.sections())
    ini = Ini(path=path, section=section)
    ini.elsewhere = {
        other: tuple(key for key in parser[other] if key not in parser.defaults())
        for other in parser.sections()
        if other != section
    }
    _fill(ini, parser)
    return ini


def _parsed(path: Path) -> configparser.ConfigParser:
    parser = _Parser(interpolation=None)
    try:
        parser.read_file(io.StringIO(_content(path), newline=None))
    except configparser.Error as err:
        told = _told(err)
    else:
        return parser
    # Raised here, so that the library's error does not hang on it: it repeats the line, which may
    # hold a password.
    raise _unreadable(path, *told)


def _told(err: configparser.Error) -> tuple[str, str]:
    """Return what was expected and what was found."""
    form = "an ini file: [SECTION], then KEY = VALUE"
    match err:
        case configparser.DuplicateOptionError(option=key, section=section, lineno=line):
            return "every key once", f"{shown_name(key)} twice in [{section}], line {line}"
        case configparser.DuplicateSectionError(section=section, lineno=line):
            return "every section once", f"[{section}] twice, line {line}"
        case configparser.MissingSectionHeaderError(lineno=line):
            return form, f"text before the first section, line {line}"
        case configparser.ParsingError(errors=[(line, _), *_]):
            return form, f"something else in line {line}"
        case _:
            return form, "something else"


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _unreadable(path, f"a file of at most {MAX_FILE_BYTES} bytes", "a larger one")
        text = content.decode("utf-8-sig")
    except OSError as err:
        raise _unreadable(path, "a settings file", err.strerror or str(err)) from err
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        raise _unreadable(path, "UTF-8", f"another encoding at line {line}") from err
    for number, written in enumerate(text.split("\n"), start=1):
        if "\0" in written:
            raise _unreadable(path, "text", f"a NUL byte at line {number}")
        if len(written) > MAX_LINE_CHARS:
            expected = f"lines of at most {MAX_LINE_CHARS} characters"
            raise _unreadable(path, expected, f"a longer one, line {number}")
    return text


def _unreadable(path: Path, expected: str, got: str, hint: str = "") -> SettingsError:
    return SettingsError((Problem(where=str(path), expected=expected, got=got, hint=hint),))


def _application_section(path: Path, sections: list[str]) -> str:
    named = {one: match["name"] for one in sections if (match := _APPLICATION.fullmatch(one))}
    main = [one for one, name in named.items() if name == "main"] or [
        one for one in sections if one in {"app", "application"}
    ]
    # A [composite:main] or [pipeline:main] may stand before the one application there is.
    found = main or list(named)
    if len(found) == 1:
        return found[0]
    got = ", ".join(f"[{shown_name(one)}]" for one in found[:5]) or "none"
    raise _unreadable(path, "one section [app:main]", got)


def _fill(ini: Ini, parser: configparser.ConfigParser) -> None:
    place = {"here": str(ini.path.parent), "__file__": str(ini.path)}
    defaults = parser.defaults()
    globally = _Expander(defaults, place)
    locally = _Expander(dict(parser[ini.section]), place)
    copies: dict[str, str] = {}
    own: dict[str, Value] = {}
    ini.values = {key: globally.value(key, "DEFAULT") for key in defaults}
    for option, raw in parser[ini.section].items():
        verb, _, key = option.partition(" ")
        if verb == "set" and key:
            ini.values[key.strip()] = locally.value(option, ini.section)
        elif verb == "get" and key:
            copies[key.strip()] = locally.value(option, ini.section).text
        elif option not in defaults:
            own[option] = locally.value(option, ini.section)
        elif raw != defaults[option]:
            ini.passed_over.append(option)
    for key, other in copies.items():
        own[key] = _copy(ini, own, other)
    ini.values |= own
    _refuse_reference(ini)


def _copy(ini: Ini, own: Mapping[str, Value], other: str) -> Value:
    # PasteDeploy copies global values only, and does not start where there is none. An own one
    # can only be what was meant.
    found = ini.values.get(other) or own.get(other)
    if found is None:
        return Value(section=ini.section, copied_from=other)
    return Value(text=found.text, section=ini.section, copied_from=other, fault=found.fault)


def _refuse_reference(ini: Ini) -> None:
    used = ini.text("use")
    if used.startswith("config:") or (used and ":" not in used):
        raise _unreadable(
            ini.path,
            f"the application's settings in [{ini.section}]",
            f"use = {shown_name(used)}",
            "other files and sections are not followed: name the file that has them, or put "
            "the keys that concern mail into [DEFAULT]",
        )


class _Expander:
    """Expands the values of one section, each once.

    Args:
        raw: Values as they stand in the file.
        given: Values that need no expanding, for the names that the file does not set itself.
    """

    def __init__(self, raw: Mapping[str, str], given: Mapping[str, str]) -> None:
        """Expand nothing yet."""
        self._raw = raw
        self._done: dict[str, str] = {key: text for key, text in given.items() if key not in raw}
        self._open: list[str] = []

    def value(self, key: str, section: str) -> Value:
        """Return the key's value, or the fault for which there is none."""
        try:
            return Value(text=self._text(key), section=section)
        except _FaultError as err:
            self._open.clear()
            return Value(section=section, fault=str(err))

    def _text(self, key: str) -> str:
        # Each once: ten keys that name the next one ten times each would take 10^10 steps.
        if key not in self._done:
            if key in self._open or len(self._open) >= MAX_DEPTH:
                raise _FaultError(f"%({shown_name(key)})s goes round in circles, or too deep")
            self._open.append(key)
            self._done[key] = self._expanded(self._raw[key])
            self._open.pop()
        return self._done[key]

    def _expanded(self, raw: str) -> str:
        parts: list[str] = []
        length = end = 0
        for match in _REFERENCE.finditer(raw):
            parts += [raw[end : match.start()], self._referred(match)]
            length += len(parts[-2]) + len(parts[-1])
            end = match.end()
            if length > MAX_EXPANDED_CHARS:
                break
        parts.append(raw[end:])
        if length + len(parts[-1]) > MAX_EXPANDED_CHARS:
            raise _FaultError(f"longer than {MAX_EXPANDED_CHARS} characters")
        return "".join(parts)

    def _referred(self, match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        name = match["name"]
        if name is None:
            raise _FaultError("a percent sign alone: write %%")
        if name not in self._raw and name not in self._done:
            raise _FaultError(f"%({shown_name(name)})s is not there")
        return self._text(name)
