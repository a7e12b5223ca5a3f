"""This room holds the answer to whoever hands something over."""

from dataclasses import dataclass
from enum import StrEnum


class Stored(StrEnum):
    """What became of an event that was handed over."""

    STORED = "stored"  # with its deliveries, in the caller's or in our own transaction
    ROUTING = "routing"  # stored alone; a worker finds its recipients after the commit
    REPEATED = "repeated"  # its key was stored before; nothing new was written
    AFTER_COMMIT = "after commit"  # the outbox is another database: stored when yours commits
    SPOOLED = "spooled"  # the outbox cannot be reached; the next worker takes it from the spool
    UNDER_WAY = "under way"  # a report that takes longer than a request may wait; stored soon
    NOT_STORED = "not stored"  # see `because`; the journal holds it at ERROR
    NOT_WANTED = "not wanted"  # a report that the settings want nobody to read; see `because`


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The answer to a notify or send.

    Args:
        stored: What became of it.
        event_id: Row id for `envoi explain`; 0 when there is no row yet.
        deliveries: How many people will get mail; 0 while routing is still to come.
        skipped: How many were considered and get none.
        because: Why it is not (yet) stored, or why nobody is concerned.
    """

    stored: Stored
    event_id: int = 0
    deliveries: int = 0
    skipped: int = 0
    because: str = ""

    @property
    def is_kept(self) -> bool:
        """Whether the event is or will be in the outbox without anybody's help."""
        return self.stored not in {Stored.NOT_STORED, Stored.NOT_WANTED}
