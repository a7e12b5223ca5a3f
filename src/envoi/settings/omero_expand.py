"""This room expands `${other.key}` in OMERO's properties."""

import re
from collections.abc import Mapping

from envoi.settings.omero_keys import BY_NAME
from envoi.settings.omero_values import as_text
from envoi.settings.readers import MAX_CHARS, MisfitError

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")


class Expansion:
    """The properties of one file, on their way to what they say.

    Args:
        given: What the file says, by name; all others have OMERO's defaults.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        """Expand nothing yet."""
        self._given = given
        # A reference is looked up once, so that ten keys that double one another stay ten.
        self._known: dict[str, str] = {}

    def value(self, name: str) -> object:
        """Return a property's value, its references replaced.

        Raises:
            MisfitError: A reference leads to itself, to a secret or to nothing.
        """
        raw = self._given[name] if name in self._given else BY_NAME[name].default
        # A password is taken as it is: a random one must not be read as a reference.
        if not isinstance(raw, str) or BY_NAME[name].is_secret or "${" not in raw:
            return raw
        return self._text(name, (name,))

    def _text(self, name: str, path: tuple[str, ...]) -> str:
        if name not in self._known:
            raw = as_text(self._given.get(name, BY_NAME[name].default))
            # Before as well: many references to a long value would fill the memory first.
            text = _within(raw)
            text = _within(_REFERENCE.sub(lambda found: self._referred(found[1], path), text))
            self._known[name] = text
        return self._known[name]

    def _referred(self, name: str, path: tuple[str, ...]) -> str:
        if name in path:
            raise MisfitError(f"it leads to itself: {' -> '.join((*path, name))}")
        seed = BY_NAME.get(name)
        if seed is None:
            raise MisfitError("${ } names a key that is not known here")
        if seed.is_secret:
            raise MisfitError(f"{name} is a secret and stands in no other value")
        return self._text(name, (*path, name))


def _within(text: str) -> str:
    if len(text) > MAX_CHARS:
        raise MisfitError(f"it is longer than {MAX_CHARS} characters when it is expanded")
    return text
