"""This room answers for plain addresses that an event names, whoever else answers to them.

An error report goes to the addresses of the settings, each as it stands there: a user with such an
address may be inactive or have another primary one, and the directory may be the very thing that
is broken.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from envoi.addresses import parse_address
from envoi.core.people import Address, outsider
from envoi.core.routing import Audience, Candidate, Question
from envoi.core.selector import Selector, SelectorType
from envoi.errors import AddressError, DirectoryError
from envoi.seams import Directory, Tx


@dataclass(frozen=True, slots=True)
class Addressed:
    """A directory in which the addresses of one role stand for themselves; a `seams.Directory`.

    Args:
        directory: Asked for everybody else whom a sender wants, and for nobody when none does.
        role: The role.
    """

    directory: Directory
    role: str

    def count(self, tx: Tx, question: Question) -> int:
        """Return an upper bound of the people that the question finds, without loading them."""
        rest, many = self._rest(question), len(self._addresses(question))
        if rest is None:
            return many
        try:
            return many + self.directory.count(tx, rest)
        except DirectoryError:
            if not many:
                raise
            return many

    def audience(self, tx: Tx, question: Question, *, after: str = "", limit: int) -> Audience:
        """Return the next people that the question finds; the addresses with the first of them.

        While the directory cannot be asked the addresses alone are found: they wait for nobody.
        """
        rest, addresses = self._rest(question), self._addresses(question)
        audience = Audience()
        if rest is not None:
            try:
                audience = self.directory.audience(tx, rest, after=after, limit=limit)
            except DirectoryError:
                if not addresses:
                    raise
        named = frozenset({self._selector})
        candidates = [Candidate(person=outsider(one), found_by=named) for one in addresses]
        return replace(
            audience,
            candidates=(*(() if after else candidates), *audience.candidates),
            answered=audience.answered | (named if addresses else frozenset()),
        )

    @property
    def _selector(self) -> Selector:
        return Selector(SelectorType.ROLE, self.role)

    def _addresses(self, question: Question) -> tuple[Address, ...]:
        if self._selector not in question.selectors:
            return ()
        return tuple(dict.fromkeys(_read(question.roles.get(self.role, ()))))

    def _rest(self, question: Question) -> Question | None:
        """Return the question without the role; None when that is all of it."""
        selectors = question.selectors - {self._selector}
        if not selectors:
            return None
        roles = {role: names for role, names in question.roles.items() if role != self.role}
        named = {name for names in roles.values() for name in names}
        return replace(question, selectors=selectors, roles=roles, references=frozenset(named))


def _read(names: Iterable[str]) -> Iterable[Address]:
    for name in names:
        try:
            yield parse_address(name, is_local_allowed=True)
        except AddressError:
            # The settings were checked; what somebody else named so is nobody's address.
            continue
