"""This room holds the reasons why somebody is told of an event, or is not."""

from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """Reason why a person was chosen or skipped; the value is stored, the sentence is shown."""

    ROLE = "role"
    USER = "user"
    GROUP = "group"
    ADMINS = "admins"
    EVERYONE = "everyone"
    ADDRESS = "address"
    NAMED = "named"  # a ready-made mail names its recipients itself
    FALLBACK = "fallback"  # stands in for people who could not be determined
    TOLD = "told"
    NO_READER = "no_reader"  # the event names him as one who may not read what it is about
    SAME_ADDRESS = "same_address"
    ACTOR = "actor"
    EXCLUDED = "excluded"
    INACTIVE = "inactive"
    NO_ADDRESS = "no_address"
    UNUSABLE = "unusable"
    UNKNOWN = "unknown"
    UNDETERMINED = "undetermined"  # nobody was found by this selector, though one was named
    NO_FALLBACK = "no_fallback"
    LIMIT = "limit"  # had as much of this sender as he gets within a window of time


_SENTENCES = {
    Why.ROLE: "is named by the event as {}",
    Why.USER: "is named by the sender as user {}",
    Why.GROUP: "is a member of group {}",
    Why.ADMINS: "is an administrator",
    Why.EVERYONE: "everyone is told",
    Why.ADDRESS: "the sender names the address {}",
    Why.NAMED: "is named as recipient of this mail",
    Why.FALLBACK: "those concerned could not be determined",
    Why.TOLD: "was told already by sender {}",
    Why.NO_READER: "may not read what it is about",
    Why.SAME_ADDRESS: "has the same address as {}, who is told",
    Why.ACTOR: "did it and is not told of it",
    Why.EXCLUDED: "is excluded by {}",
    Why.INACTIVE: "is inactive",
    Why.NO_ADDRESS: "has no address",
    Why.UNUSABLE: "has an unusable address: {}",
    Why.UNKNOWN: "is not in the directory",
    Why.UNDETERMINED: "could not be determined",
    Why.NO_FALLBACK: "no administrator has an address and application.fallback names none",
    Why.LIMIT: "is held back by the limit of {}",
}


@dataclass(frozen=True, slots=True)
class Because:
    """A reason with its detail, e.g. `Because(Why.ROLE, "reviewers")`.

    >>> str(Because(Why.ROLE, "reviewers"))
    'is named by the event as reviewers'
    >>> Because.read(Because(Why.ROLE, "reviewers").stored)
    Because(why=<Why.ROLE: 'role'>, detail='reviewers')
    """

    why: Why
    detail: str = ""

    def __str__(self) -> str:
        """Return the English sentence for lists, logs and `explain`."""
        return _SENTENCES[self.why].format(self.detail)

    @property
    def stored(self) -> str:
        """The form that the database keeps."""
        return f"{self.why} {self.detail}".strip()

    @classmethod
    def read(cls, stored: str) -> "Because":
        """Return the reason that `stored` names."""
        why, _, detail = stored.partition(" ")
        return cls(Why(why), detail)
