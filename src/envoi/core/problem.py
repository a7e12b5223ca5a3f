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
        return f"{line} ({self.hint})" if self.hint else line
