"""This room gathers what another program's ini means here, and what became of each of its keys.

The rows of the table judge the values afterwards, as they do those of `envoi.toml`; what stands
here only carries them over and tells where they came from. A value that its author cannot have
meant is a problem, one that works differently here is a warning, everything else is a note.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from envoi.core.kind import MASK
from envoi.core.problem import Problem
from envoi.errors import AddressError
from envoi.settings.environment import take_switch
from envoi.settings.families import KEYS_OF, knows, name_problem
from envoi.settings.kallithea_values import addresses, boolean
from envoi.settings.layers import (
    MAIN,
    Layer,
    Raw,
    aliases,
    shown_name,
    unknown,
)
from envoi.settings.pastedeploy import Ini
from envoi.settings.secret import shown
from envoi.settings.sections import Note
from envoi.settings.table import SECTIONS

OWN_PREFIX = "envoi."
NOT_ABOUT_MAIL = "not about mail: not read"
# How alike a key must be to one that is read: `mail_to` is (email_to), `smtp_host` is to none.
NEAR = 0.8
# Kallithea's own file has a hundred keys; each guess compares with all that are read.
MAX_GUESSED = 1000
# PasteDeploy's own words, which are nobody's settings.
_OF_THE_FORMAT = frozenset({"use", "filter-with", "require"})


class Import:
    """One ini on its way to settings.

    Args:
        ini: The file as its application sees it.
        secrets: Its keys that are never shown.
    """

    def __init__(self, ini: Ini, secrets: frozenset[str]) -> None:
        """Take nothing over yet."""
        self.ini = ini
        self.layer = Layer()
        self._secrets = secrets
        self._notes: dict[str, Note] = {}
        self._told: set[str] = set()

    def is_given(self, key: str) -> bool:
        """Whether the key is there, be it empty."""
        return key in self.ini.values

    def text(self, key: str) -> str:
        """Return the key's value, empty where there is none; tell once why it cannot be read."""
        value = self.ini.values.get(key)
        if value and value.fault and key not in self._told:
            self._told.add(key)
            self.refuse(key, "a value that can be expanded", "another", value.fault)
        return value.text if value else ""

    def flag(self, key: str, *, otherwise: bool) -> bool:
        """Return whether the key says yes; a word that says neither is a problem."""
        text = self.text(key)
        if not text:
            return otherwise
        said = boolean(text)
        if said is None:
            self.refuse(key, "true or false", self.shown(key))
        return otherwise if said is None else said

    def addresses(self, key: str) -> list[str]:
        """Return the addresses of a comma list; one that is none is a problem, told once."""
        try:
            return addresses(self.text(key))
        except AddressError as err:
            if key not in self._told:
                self._told.add(key)
                self.refuse(key, "e-mail addresses with commas between", self.shown(key), str(err))
            return []

    def shown(self, key: str) -> str:
        """Return the key's value as messages show it."""
        return MASK if key in self._secrets else shown(self.ini.text(key))

    def put(self, target: str, value: object, key: str) -> None:
        """Set a key of ours; an empty text sets nothing.

        Args:
            target: Its dotted name, e.g. `smtp.host`.
            value: A text is read as one of the environment is; anything else as one of TOML.
            key: The ini's key that it comes from.
        """
        section, _, name = target.partition(".")
        group = MAIN if section == "application" else section
        self.layer.add(group, name, self._raw(value, key))

    def put_own_way(self, target: str, value: object) -> None:
        """Set a key of ours to what the program does without having a key for it."""
        section, _, name = target.partition(".")
        origin = f"{self.ini.path.name} (as in Kallithea)"
        raw = Raw(value=value, where=target, origin=origin)
        self.layer.add(MAIN if section == "application" else section, name, raw)

    def note(self, key: str, became: str, target: str = "") -> None:
        """Say what became of a key; the last word counts."""
        self._notes[key] = Note(key=key, became=became, target=target)

    def warn(self, where: str, expected: str, got: str, hint: str) -> None:
        """Tell what works and should not stay so."""
        problem = Problem(where=where, expected=expected, got=got, hint=hint)
        self.layer.warnings.append(problem)

    def refuse(self, where: str, expected: str, got: str, hint: str = "") -> None:
        """Tell what cannot be meant."""
        hint = "; ".join(part for part in (hint, f"in {self.ini.path.name}") if part)
        problem = Problem(where=where, expected=expected, got=got, hint=hint)
        self.layer.problems.append(problem)

    def close(self, known: Mapping[str, Note]) -> Layer:
        """Return everything, with a note for each key of the file.

        Args:
            known: What usually becomes of each key, by its name in the file.
        """
        for key in self.ini.values:
            if key in known:
                empty = Note(key=key, became="empty: not set")
                self._notes.setdefault(key, known[key] if self.ini.text(key) else empty)
            elif key not in _OF_THE_FORMAT:
                self._notes.setdefault(key, Note(key=key, became=NOT_ABOUT_MAIL))
        self.layer.notes += [self._notes[key] for key in self.ini.values if key in self._notes]
        self.layer.notes += [
            note for key, note in self._notes.items() if key not in self.ini.values
        ]
        return self.layer

    def _raw(self, value: object, key: str) -> Raw:
        name = self.ini.path.name
        return Raw(
            value=value,
            where=key,
            origin=f"{name}: {key}",
            source=f"{key} in {name}",
            is_text=isinstance(value, str),
        )

    def take_own(self) -> None:
        """Take over the keys `envoi.SECTION.KEY`, which win over the program's."""
        for key in self.ini.values:
            if key.startswith(OWN_PREFIX) and (text := self.text(key)):
                self._take_own(key, text)

    def _take_own(self, key: str, text: str) -> None:
        group, _, name = key.removeprefix(OWN_PREFIX).rpartition(".")
        section, _, application = group.partition(".")
        if section == "senders" and application and name == "enabled":
            take_switch(self.layer, f"{key} in {self.ini.path.name}", text, application)
            self.note(key, key.removeprefix(OWN_PREFIX), key.removeprefix(OWN_PREFIX))
        elif section not in {*SECTIONS, *KEYS_OF} or not knows(section, name):
            self.layer.problems.append(unknown(key, name, section if section in SECTIONS else ""))
        elif application and (section not in KEYS_OF or name_problem(key, section, application)):
            self.refuse(shown_name(key), "envoi.SECTION.KEY", "another name")
        else:
            group = MAIN if group == "application" else group
            for alias in aliases(group, name):
                self.layer.groups.get(group, {}).pop(alias, None)
            self.layer.add(group, name, self._raw(text, key))
            self.note(key, key.removeprefix(OWN_PREFIX), key.removeprefix(OWN_PREFIX))


def warn_of_misspelt(imported: Import, known: frozenset[str], beginnings: tuple[str, ...]) -> None:
    """Warn of keys that look as if they were about mail and are not read.

    Args:
        imported: Where to tell it.
        known: The keys that are read.
        beginnings: What only keys about mail begin with; any other key must be near to one.
    """
    others = [key for key in imported.ini.values if key not in known]
    for key in others[:MAX_GUESSED]:
        if key.startswith(OWN_PREFIX):
            continue
        # The format tells SMTP_SERVER from smtp_server; few who write it do.
        small = key.lower()
        is_of_mail = small.startswith(beginnings)
        near = get_close_matches(small[:100], known, 1, NEAR)
        if near or is_of_mail:
            hint = f"did you mean {near[0]}?" if near else "it is not used"
            imported.warn(shown_name(key), "a known key", "an unknown one", hint)
            imported.note(key, f"unknown: {hint}")


def warn_of_misplaced(imported: Import, known: frozenset[str], beginnings: tuple[str, ...]) -> None:
    """Warn of keys about mail that stand where the program does not see them."""
    for section, key in _misplaced(imported.ini, known, beginnings):
        expected = f"in [DEFAULT] or [{imported.ini.section}]"
        imported.warn(key, expected, f"in [{shown_name(section)}]", "it is not used there")
    for key in imported.ini.passed_over:
        if key in known or key.startswith(OWN_PREFIX):
            section = imported.ini.section
            hint = f"[DEFAULT] wins, as in PasteDeploy; in [{section}] write set {key} = ..."
            imported.warn(key, "the key once", f"another value in [{section}]", hint)


def _misplaced(
    ini: Ini, known: frozenset[str], beginnings: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for section, keys in ini.elsewhere.items():
        for key in keys:
            if (key in known and key.startswith(beginnings)) or key.startswith(OWN_PREFIX):
                yield section, key
