"""This room says which release of an application is newer than others.

Versions are compared by their numbers. Other names, such as the ids of a version control, have no
order of their own: one that was not seen before is the newer one.
"""

import re
from collections.abc import Iterable

_VERSION = re.compile(
    r"v?(?P<numbers>\d+(?:\.\d+)*)(?:[-_.]?(?P<stage>dev|alpha|a|beta|b|pre|rc|post)[-_.]?(?P<of>\d*))?"
    r"(?:\+.*)?",
    re.ASCII | re.IGNORECASE,
)
# What stands between two releases of the same numbers; a release itself is "".
_STAGES = {"dev": 0, "alpha": 1, "a": 1, "beta": 2, "b": 2, "pre": 3, "rc": 3, "": 4, "post": 5}
# Longer ones are read as ids: nobody counts so far, and huge numbers take long to read.
MAX_VERSION_CHARS = 50

Version = tuple[tuple[int, ...], int, int]


def is_newer(release: str, known: Iterable[str]) -> bool:
    """Whether a release is newer than all of the known ones; an unnamed one is not.

    >>> is_newer("5.10.0", ["5.9.2"]), is_newer("5.9", ["5.10"]), is_newer("d41d8c", ["a94a8f"])
    (True, False, True)
    """
    names = {name for name in known if name}
    if not release or not names or release in names:
        return False
    version, versions = version_of(release), [found for n in names if (found := version_of(n))]
    return version > max(versions) if version and versions else True


def version_of(release: str) -> Version | None:
    """Return what a version is compared by; None for a name that is none.

    >>> version_of("v1.2.0-rc1")
    ((1, 2), 3, 1)
    """
    match = _VERSION.fullmatch(release) if len(release) <= MAX_VERSION_CHARS else None
    if match is None:
        return None
    numbers = [int(number) for number in match["numbers"].split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers), _STAGES[(match["stage"] or "").lower()], int(match["of"] or 0)
