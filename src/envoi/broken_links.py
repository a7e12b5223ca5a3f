"""This room tells of links that lead nowhere: the first at once, then an hour's worth in one mail.

What requests find is gathered in memory and written together, so that a scanner costs a request
nothing and the outbox little. Each application has two digests: links in its own pages, which it
can mend, and links in pages of others.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from envoi.assembly import Parts
from envoi.core.broken_link import LINKS_KIND, WINDOW_MS, BrokenLink, digest
from envoi.core.event import Event, cleaned
from envoi.core.kind import Kind
from envoi.errors import EnvoiError, OutboxError
from envoi.journal import Fact
from envoi.outbox import broken_links as kept
from envoi.outbox.broken_links import Digest
from envoi.seams import Tx
from envoi.settings import Settings
from envoi.settings.ignored_links import SHIPPED, patterns_in
from envoi.walked import Walked, report

# A link that nobody followed for so long was mended, or nobody misses what it led to.
FORGET_MS = 30 * 24 * 3_600_000


def ignored_patterns(settings: Settings) -> tuple[str, ...]:
    """Return the regular expressions in force: those of the list, then the settings' own."""
    errors = settings.errors
    return (*patterns_in(errors.not_found_list or SHIPPED), *errors.not_found_ignored)


class BrokenLinks:
    """Broken links over an application's parts.

    Args:
        parts: The outbox's parts.
        store: Steps 3 to 8 of an event of a kind, within a transaction.
    """

    def __init__(self, parts: Parts, store: Callable[[Kind, Event, Tx], Walked]) -> None:
        """Hold the parts."""
        self._parts = parts
        self._store = store

    @cached_property
    def ignored(self) -> tuple[re.Pattern[str], ...]:
        """What is nobody's broken link, compiled once per process."""
        return tuple(map(re.compile, ignored_patterns(self._parts.settings)))

    def keep(self, found: Mapping[BrokenLink, int]) -> None:
        """Write down what was found; of the first one in a quiet time a mail tells at once.

        Args:
            found: How often each link was followed.

        Raises:
            OutboxError: The outbox cannot be used now; nothing was written.
        """
        # In one order, so that processes that write the same rows wait for one another.
        groups = sorted({(link.application, link.is_internal) for link in found})
        told: list[Walked] = []
        with self._parts.outbox.transaction() as tx:
            for application, is_internal in groups:
                own = {
                    link: times
                    for link, times in sorted(found.items(), key=lambda one: one[0].fingerprint)
                    if (link.application, link.is_internal) == (application, is_internal)
                }
                known = kept.lock(tx, application, is_internal=is_internal)
                told += self._counted(tx, known, own)
        self._tell(told)

    def look(self, now_ms: int) -> bool:
        """Mail the digests that are due; whether there was one.

        Raises:
            OutboxError: The outbox cannot be used now.
        """
        with self._parts.outbox.reading() as tx:
            ended = kept.ended(tx, now_ms)
        told = [walked for known in ended for walked in self._close(known, now_ms)]
        self._tell(told)
        return bool(told)

    def _counted(self, tx: Tx, known: Digest, found: Mapping[BrokenLink, int]) -> list[Walked]:
        now_ms = self._parts.clock()
        unlisted = sum(
            times for link, times in found.items() if not kept.count(tx, link, times, now_ms)
        )
        known = replace(known, unlisted=known.unlisted + unlisted)
        if known.ends_at_ms:
            kept.keep(tx, known)
            return []
        return self._told(tx, known, now_ms)

    def _close(self, known: Digest, now_ms: int) -> list[Walked]:
        with self._parts.outbox.transaction() as tx:
            known = kept.lock(tx, known.application, is_internal=known.is_internal)
            if not 0 < known.ends_at_ms <= now_ms:
                return []  # another process did it
            kept.forget(tx, known.application, now_ms - FORGET_MS)
            return self._told(tx, known, now_ms)

    def _told(self, tx: Tx, known: Digest, now_ms: int) -> list[Walked]:
        tallies = kept.take_untold(tx, known)
        ends_at_ms = now_ms + WINDOW_MS if tallies else 0
        kept.keep(tx, replace(known, ends_at_ms=ends_at_ms, unlisted=0))
        errors = self._parts.settings.errors
        if not tallies or not errors.enabled or not errors.to:
            return []
        event = digest(tallies, known.unlisted, [str(address) for address in errors.to])
        return self._stored(tx, event)

    def _stored(self, tx: Tx, event: Event) -> list[Walked]:
        kind = self._parts.catalogue.kind(LINKS_KIND)
        try:
            return [self._store(kind, cleaned(event, kind), tx)]
        except OutboxError:
            raise
        except EnvoiError as err:  # its application left the settings
            self._parts.journal.note(
                Fact.EVENT_NOT_STORED, kind=kind.name, because=err, facts=event.facts
            )
            return []

    def _tell(self, told: Sequence[Walked]) -> None:
        for walked in told:
            report(self._parts.journal, walked.mails, walked.undetermined)
            if walked.mails or walked.is_routing:
                self._parts.outbox.ring()
