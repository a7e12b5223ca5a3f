"""This room holds the one form in which something that does not fit is told to a person."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that does not fit, in the words that the person who typed it needs.

    Args:
        where: Dotted path of the field, e.g. `smtp.port` or `facts.title`.
        expected: What would have been right, e.g. `1..65535`.
        got: What was found, already masked when the field is a secret.
        hint: What to do, where there is more to say than `expected`.
    """

    where: str
    expected: str
    got: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the one-line form.

        >>> str(Problem(where="smtp.port", expected="1..65535", got="70000"))
        'smtp.port: expected 1..65535, got 70000'
        """
        line = f"{self.where}: expected {self.expected}, got {self.got}"
        # Names of fields are typed as well: one must not forge a second problem or move a
        # terminal's cursor (F11), and half a surrogate pair cannot be printed at all.
        return printable(f"{line} ({self.hint})" if self.hint else line)


def brief(value: object) -> str:
    """Return what was found, in few words: its type and the beginning of its value.

    >>> brief([1, 2]), brief(10**5000)
    ('list [1, 2]', 'int')
    """
    name = type(value).__name__
    try:
        return f"{name} {value!r:.40}"
    # Python prints no integer beyond 4,300 digits, and nothing that is nested without end.
    except (ValueError, RecursionError):
        return name


def printable(text: str) -> str:
    r"""Return the text with everything that cannot be seen written out, as it is told to people.

    >>> printable("a\nb")
    'a\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
