"""This room reads what OMERO's own tools write: `config get` as text, and its config.xml."""

from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from envoi.core.kind import MASK
from envoi.core.problem import Problem
from envoi.errors import SettingsError
from envoi.settings.layers import shown_name
from envoi.settings.omero_keys import BY_NAME, DEPRECATED, ROOT

MAX_BYTES = 4 * 1024 * 1024
# What marks a profile as the one in force, and what names it.
_ACTIVE, _PROFILE = "__ACTIVE__", "omero.config.profile"


def exported(path: Path) -> dict[str, str]:
    """Return all properties of an OMERO's export, those about other things included.

    Args:
        path: Lines `name=value` as `omero config get --show-password` prints them, or the
            config.xml of an installation; of that the active profile counts.

    Raises:
        SettingsError: It cannot be read as either.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as err:
        raise _unreadable(path, "a file to read", err.strerror or str(err)) from err
    if len(content) > MAX_BYTES:
        raise _unreadable(path, f"at most {MAX_BYTES} bytes", "more")
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _of_xml(path, content)
    try:
        return _of_lines(path, content.decode("utf-8-sig"))
    except UnicodeDecodeError as err:
        raise _unreadable(path, "UTF-8", "another encoding") from err


def about_mail(properties: dict[str, str]) -> dict[str, str]:
    """Return those properties that concern mail, in the order of our table; unknown ones last."""
    # A misspelt name is told of: OMERO stores it and never reads it.
    known = (*BY_NAME, *DEPRECATED)
    unknown = [name for name in sorted(properties) if name.startswith(f"{ROOT}.mail.")]
    unknown = [name for name in unknown if name not in known]
    order = {name: place for place, name in enumerate((*known, *unknown))}
    names = sorted((name for name in properties if name in order), key=lambda name: order[name])
    return {name: properties[name] for name in names}


def is_masked(name: str, value: str) -> bool:
    """Whether an export has stars in the place of this secret."""
    return BY_NAME[name].is_secret and bool(value) and set(value) == set(MASK)


def _of_lines(path: Path, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise _unreadable(path, "name=value", f"another line {number}")
        found[name.strip()] = value.strip()
    return found


def _of_xml(path: Path, content: bytes) -> dict[str, str]:
    profiles: dict[str, dict[str, str]] = {}
    here: list[str] = []

    def begin(element: str, attributes: dict[str, str]) -> None:
        if element == "properties":
            here.append(attributes.get("id", ""))
        elif element == "property" and here:
            table = profiles.setdefault(here[-1], {})
            table[attributes.get("name", "")] = attributes.get("value", "")

    def end(element: str) -> None:
        if element == "properties" and here:
            here.pop()

    def refuse(*_: object) -> NoReturn:
        # Entities read other files and grow without end; OMERO writes none.
        raise _unreadable(path, "XML without a document type", "one")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)  # noqa: FBT003 - expat knows no keywords
    except SettingsError:
        raise  # from `refuse`
    except (expat.ExpatError, ValueError, LookupError) as err:
        raise _unreadable(path, "XML", shown_name(str(err))) from err
    active = profiles.get(_ACTIVE, {}).get(_PROFILE, "default")
    if active not in profiles:
        raise _unreadable(path, f"a profile {shown_name(active)!r}", "none")
    return profiles[active]


def _unreadable(path: Path, expected: str, got: str) -> SettingsError:
    return SettingsError((Problem(where=str(path), expected=expected, got=got),))
