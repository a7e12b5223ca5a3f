"""This room holds the catalogue: every kind, every sender's table, and where each template lies.

Shipped kinds, an operator's overrides and an application's own kinds come the same way, as
folders; a later folder wins. A template file is looked for in this order:

    newest folder first, down to the one that defines the kind;
    in each folder the most special locale first: de_AT/text.txt, de/text.txt, text.txt

Names never leave the folders (D7, E14): every part of a name is letters, digits, `_`, `.`, `-`
and does not start with a dot, and what a link points to must lie in the same folder.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

from envoi.core.event import Event
from envoi.core.kind import KIND_NAME, Kind, Plain
from envoi.core.problem import Problem
from envoi.core.rules import merged
from envoi.errors import SettingsError, TemplateError, UnknownKindError
from envoi.templates.kindfile import (
    KIND_FILE,
    check_kind,
    read_kind_file,
    read_toml,
    sample_event,
)
from envoi.templates.kindshape import near

SHIPPED_FOLDER = Path(__file__).parent / "builtin"
# `{% extends "shipped/layout.html" %}`: the shipped file, though a folder overrides it.
SHIPPED = "shipped"
SENDERS_FILE = "senders.toml"
LOCALE_FOLDER = "locale"

SUBJECT, TEXT, HTML = "subject.txt", "text.txt", "html.html"
PARTS = (SUBJECT, TEXT, HTML)

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class Catalogue:
    """Kinds, senders' tables and templates of all folders, registered at start.

    >>> catalogue = Catalogue.shipped()
    >>> catalogue.kind("password_reset").mail_class
    <MailClass.SECURITY: 'security'>
    """

    def __init__(self) -> None:
        """Start empty; see `shipped`."""
        self._kinds: dict[str, Kind] = {}
        self._senders: list[Mapping[str, Mapping[str, Plain]]] = []
        # Newest first, as every search goes.
        self._folders: list[Path] = []
        # Where the parts of each template lie, newest first; the last one defines its kind.
        self._places: dict[str, list[Path]] = {}
        # Goes up with each registration, so that what was made of the folders can be made anew.
        self.version = 0

    @classmethod
    def shipped(cls, folders: Iterable[Path] = ()) -> "Catalogue":
        """Return a catalogue of the shipped kinds and then these folders, the last one winning."""
        catalogue = cls()
        for folder in (SHIPPED_FOLDER, *folders):
            catalogue.add_folder(folder)
        return catalogue

    def add_folder(self, path: str | Path) -> None:
        """Register a folder of kinds, templates, senders and catalogues.

        Raises:
            SettingsError: Lists everything in the folder that does not fit; nothing of it is
                registered then.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise SettingsError(
                (Problem(where=str(folder), expected="a folder of kinds", got="no folder"),)
            )
        rooms = _rooms(folder)
        named = [room for room in rooms if KIND_NAME.fullmatch(room.name)]
        read = [read_kind_file(room / KIND_FILE) for room in named if (room / KIND_FILE).is_file()]
        kinds = {file.kind.name: file.kind for file in read if file.kind}
        senders, sender_problems = _read_senders(folder / SENDERS_FILE)
        problems = [problem for file in read for problem in file.problems]
        problems += [*sender_problems, *self._room_problems(rooms)]
        if problems:
            raise SettingsError(tuple(problems))
        # Only now, when all of it fits: half a folder would be an application nobody described.
        for room in rooms:
            self._place(room, is_owner=room.name in kinds)
        self._kinds.update(kinds)
        self._senders.append(senders)
        self._folders.insert(0, folder)
        self.version += 1

    def add(self, kind: Kind) -> None:
        """Register a kind made in Python; its templates lie in `kind.folder`, where it has one.

        Raises:
            SettingsError: Its facts or its sample do not fit.
        """
        problems = check_kind(kind)
        if problems:
            raise SettingsError(problems)
        if kind.folder:
            self._place(Path(kind.folder), is_owner=True, name=kind.name)
        self._kinds[kind.name] = kind
        self.version += 1

    def kind(self, name: str) -> Kind:
        """Return the kind of this name.

        Raises:
            UnknownKindError: None is registered; names the nearest one.
        """
        kind = self._kinds.get(name)
        if kind is None:
            known = tuple(self._kinds)
            hint = near(name, known) or f"known: {', '.join(known) or 'none'}"
            raise UnknownKindError(f"kind: expected a registered kind, got {name!r:.80} ({hint})")
        return kind

    def kinds(self) -> Mapping[str, Kind]:
        """Return all kinds by name, the shipped ones first."""
        return MappingProxyType(self._kinds)

    def sample(self, name: str) -> Event:
        """Return the sample event of a kind."""
        return sample_event(self.kind(name))

    def sender_tables(self) -> Mapping[str, Mapping[str, Plain]]:
        """Return the senders' tables of all folders; of equal keys the later folder's wins."""
        return merged(self._senders)

    def templates(self) -> tuple[str, ...]:
        """Return the names of everything that can be rendered, e.g. for a sender's `template`."""
        return tuple(self._places)

    def locale_folders(self) -> tuple[Path, ...]:
        """Return the folders of translations, the winning one first."""
        return tuple(
            folder / LOCALE_FOLDER for folder in self._folders if (folder / LOCALE_FOLDER).is_dir()
        )

    def locales(self) -> frozenset[str]:
        """Return the names of all locales for which some template has a file of its own."""
        places = (place for places in self._places.values() for place in places)
        return frozenset(path.parent.name for place in places for path in place.glob("*/*.*"))

    def part(self, template: str, part: str, locales: Iterable[str] = ()) -> Path | None:
        """Return the file of one part of a template, e.g. `text.txt`; None when nobody has one.

        Raises:
            TemplateError: No template of this name.
        """
        places = self._places.get(template)
        if places is None:
            hint = near(template, self.templates()) or f"known: {', '.join(self.templates())}"
            raise TemplateError(f"template: expected a known name, got {template!r:.80} ({hint})")
        rooms = (*(f"{locale}/" for locale in locales), "")
        for place in places:
            for room in rooms:
                found = _inside(place, f"{room}{part}")
                if found:
                    return found
        return None

    def find(self, name: str) -> Path | None:
        """Return the file that a template means by a name such as `layout.html`; None: no file."""
        first, _, rest = name.partition("/")
        if first == SHIPPED:
            return _inside(SHIPPED_FOLDER, rest)
        if not rest:
            return next(filter(None, (_inside(folder, name) for folder in self._folders)), None)
        places = self._places.get(first, ())
        return next(filter(None, (_inside(place, rest) for place in places)), None)

    def _place(self, room: Path, *, is_owner: bool, name: str = "") -> None:
        name = name or room.name
        if is_owner and any((room / part).is_file() for part in PARTS):
            # Who defines a kind with words of his own brings all of them: an older kind's words
            # were written for other facts.
            self._places[name] = [room]
        elif _has_words(room):
            # A kind.toml alone changes the schema of a known kind and keeps its words.
            self._places.setdefault(name, []).insert(0, room)

    def _room_problems(self, rooms: Iterable[Path]) -> Iterator[Problem]:
        for room in rooms:
            is_kind = (room / KIND_FILE).is_file()
            if is_kind or _has_words(room):
                yield from self._name_problems(room)
                yield from self._part_problems(room, is_kind=is_kind)

    def _name_problems(self, room: Path) -> Iterator[Problem]:
        if not KIND_NAME.fullmatch(room.name) or room.name == SHIPPED:
            expected = "a lower-case name like pull_request"
            yield Problem(where=str(room), expected=expected, got=repr(room.name))

    def _part_problems(self, room: Path, *, is_kind: bool) -> Iterator[Problem]:
        has = [part for part in PARTS if (room / part).is_file()]
        if SUBJECT in has and len(has) > 1:
            return
        # Without a kind.toml a name that nobody knows is more likely misspelt than new.
        if is_kind and (has or room.name not in self._places):
            expected = f"{SUBJECT} and {TEXT} or {HTML} beside {KIND_FILE}"
            yield Problem(where=str(room), expected=expected, got=", ".join(has) or "neither")
        elif room.name not in self._places:
            hint = near(room.name, self.templates()) or f"or add {SUBJECT} and {TEXT}"
            expected = "the name of a template whose words it changes"
            yield Problem(where=str(room), expected=expected, got=repr(room.name), hint=hint)


def _rooms(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and path.name != LOCALE_FOLDER and not path.name.startswith((".", "_"))
    )


def _has_words(room: Path) -> bool:
    return any((room / part).is_file() or any(room.glob(f"*/{part}")) for part in PARTS)


def _inside(folder: Path, name: str) -> Path | None:
    if not name or not all(_SEGMENT.fullmatch(segment) for segment in name.split("/")):
        return None
    path = folder / name
    # A mounted folder may be made of links within itself; a link out of it is no template.
    is_ours = path.is_file() and path.resolve().is_relative_to(folder.resolve())
    return path if is_ours else None


def _read_senders(path: Path) -> tuple[dict[str, Mapping[str, Plain]], list[Problem]]:
    if not path.is_file():
        return {}, []
    try:
        tables = read_toml(path)
    except ValueError as err:
        return {}, [Problem(where=str(path), expected="a TOML file", got=str(err))]
    problems = [
        Problem(where=f"{path}: {name}", expected=f"a table [{name}]", got=repr(table))
        for name, table in tables.items()
        if not isinstance(table, Mapping)
    ]
    return cast("dict[str, Mapping[str, Plain]]", dict(tables)), problems
