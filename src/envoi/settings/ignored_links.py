"""This room reads lists of missing pages that are nobody's broken link.

One regular expression per line; an empty line and one that begins with # say nothing. The shipped
list stands beside this module.
"""

from pathlib import Path

from envoi.settings.readers import MisfitError, pattern

SHIPPED = Path(__file__).parent / "not_found_ignored.txt"
MAX_LIST_BYTES = 1_000_000


def patterns_in(path: Path) -> tuple[str, ...]:
    """Return the regular expressions of a list.

    Raises:
        MisfitError: It cannot be read, or the line that is none.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_LIST_BYTES).decode("utf-8-sig")
    except OSError as err:
        raise MisfitError(f"{path} cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise MisfitError(f"{path} is not UTF-8") from err
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return tuple(_checked(number, line) for number, line in lines if line and line[0] != "#")


def list_path(text: str, folder: Path) -> Path:
    """Return the path of a list that can be read; raises `MisfitError`."""
    path = folder / text
    patterns_in(path)
    return path


def _checked(number: int, line: str) -> str:
    try:
        return pattern(line)
    except MisfitError as err:
        raise MisfitError(f"line {number} is no regular expression") from err
