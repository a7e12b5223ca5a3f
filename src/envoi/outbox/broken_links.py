"""This room keeps broken links: a row for all times that one was followed, counted exactly.

What is found is gathered per application and origin (pages of our own, or somebody else's) until
its digest is due. That row is locked first, in one order, so that processes wait for one another
and never for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from envoi.core.broken_link import BrokenLink, Tally
from envoi.seams import Tx

# Who sends made-up addresses with a made-up Referer must not fill the disk. Beyond these the ones
# make room that were told of longest ago; where all are still to be told, a link is only counted.
MAX_KEPT = 1_000
EVICTED = 100
_COLUMNS = """application, host, is_internal, referrer, url, user_agent, client,
    count, untold, first_at_ms, last_at_ms"""

_LOCK = """
    INSERT INTO envoi_link_digest (application, is_internal) VALUES (:application, :is_internal)
    ON CONFLICT (application, is_internal) DO UPDATE SET ends_at_ms = envoi_link_digest.ends_at_ms
    RETURNING application, is_internal, ends_at_ms, unlisted"""

_KEEP_DIGEST = """
    UPDATE envoi_link_digest SET ends_at_ms = :ends_at_ms, unlisted = :unlisted
    WHERE application = :application AND is_internal = :is_internal"""

_COUNT = """
    UPDATE envoi_broken_link SET referrer = :referrer, url = :url, user_agent = :user_agent,
        client = :client, count = count + :count, untold = untold + :count, last_at_ms = :at_ms
    WHERE application = :application AND fingerprint = :fingerprint
    RETURNING 1"""

_ADD = """
    INSERT INTO envoi_broken_link (application, fingerprint, host, is_internal, referrer, url,
        user_agent, client, count, untold, first_at_ms, last_at_ms)
    VALUES (:application, :fingerprint, :host, :is_internal, :referrer, :url,
        :user_agent, :client, :count, :count, :at_ms, :at_ms)
    ON CONFLICT (application, fingerprint) DO UPDATE SET count = envoi_broken_link.count + :count,
        untold = envoi_broken_link.untold + :count, last_at_ms = :at_ms"""

_EVICT = """
    DELETE FROM envoi_broken_link WHERE application = :application AND fingerprint IN (
        SELECT fingerprint FROM envoi_broken_link
        WHERE application = :application AND is_internal = :is_internal AND untold = 0
        ORDER BY last_at_ms, fingerprint LIMIT :limit)
    RETURNING 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What is gathered together, and until when.

    Args:
        application: Whose links.
        is_internal: Whether they stand in its own pages.
        ends_at_ms: When its mail is due; 0 while nothing is gathered.
        unlisted: How many times others were followed that found no room.
    """

    application: str
    is_internal: bool
    ends_at_ms: int = 0
    unlisted: int = 0


def lock(tx: Tx, application: str, *, is_internal: bool) -> Digest:
    """Return a digest, made where it is new; nobody else changes it until the transaction ends."""
    params = {"application": application, "is_internal": int(is_internal)}
    return _digest(tx.execute(_LOCK, params)[0])


def keep(tx: Tx, digest: Digest) -> None:
    """Write a digest down; it was locked in this transaction."""
    params = {name: getattr(digest, name) for name in Digest.__slots__}
    tx.execute(_KEEP_DIGEST, {**params, "is_internal": int(digest.is_internal)})


def count(tx: Tx, link: BrokenLink, times: int, now_ms: int) -> bool:
    """Count a link; False where it is a new one and there is no room for more.

    Args:
        tx: A transaction that locked its digest.
        link: As it was found.
        times: How often.
        now_ms: The clock.
    """
    params = {name: getattr(link, name) for name in BrokenLink.__slots__}
    params |= {"is_internal": int(link.is_internal), "fingerprint": link.fingerprint}
    params |= {"count": times, "at_ms": now_ms}
    told = {name: params[name] for name in params if name not in {"host", "is_internal"}}
    if tx.execute(_COUNT, told):
        return True
    if not _has_room(tx, link):
        return False
    tx.execute(_ADD, params)
    return True


def ended(tx: Tx, now_ms: int) -> tuple[Digest, ...]:
    """Return digests that are due, the earliest first."""
    rows = tx.execute(
        """SELECT application, is_internal, ends_at_ms, unlisted FROM envoi_link_digest
        WHERE ends_at_ms > 0 AND ends_at_ms <= :now_ms ORDER BY ends_at_ms""",
        {"now_ms": now_ms},
    )
    return tuple(map(_digest, rows))


def take_untold(tx: Tx, digest: Digest) -> tuple[Tally, ...]:
    """Return the links that no mail told of yet, the most followed first, and count them as told.

    Args:
        tx: A transaction that locked the digest.
        digest: Whose.
    """
    whose = {"application": digest.application, "is_internal": int(digest.is_internal)}
    rows = tx.execute(
        f"""SELECT {_COLUMNS} FROM envoi_broken_link
        WHERE application = :application AND is_internal = :is_internal AND untold > 0
        ORDER BY untold DESC, last_at_ms DESC, fingerprint""",  # noqa: S608 # the columns are ours
        whose,
    )
    tx.execute(
        """UPDATE envoi_broken_link SET untold = 0
        WHERE application = :application AND is_internal = :is_internal AND untold > 0""",
        whose,
    )
    return tuple(map(_tally, rows))


def links(tx: Tx, application: str, *, limit: int = 50) -> tuple[Tally, ...]:
    """Return the links of an application, those that were followed last first.

    Args:
        tx: An open transaction.
        application: Whose.
        limit: How many at most.
    """
    rows = tx.execute(
        f"""SELECT {_COLUMNS} FROM envoi_broken_link WHERE application = :application
        ORDER BY last_at_ms DESC, fingerprint LIMIT :limit""",  # noqa: S608 # the columns are ours
        {"application": application, "limit": limit},
    )
    return tuple(map(_tally, rows))


def forget(tx: Tx, application: str, before_ms: int) -> None:
    """Forget links that nobody followed since then, and that a mail told of."""
    tx.execute(
        """DELETE FROM envoi_broken_link
        WHERE application = :application AND last_at_ms < :before_ms AND untold = 0""",
        {"application": application, "before_ms": before_ms},
    )


def _has_room(tx: Tx, link: BrokenLink) -> bool:
    whose: dict[str, object] = {
        "application": link.application,
        "is_internal": int(link.is_internal),
    }
    kept = tx.execute(
        """SELECT COUNT(*) FROM envoi_broken_link
        WHERE application = :application AND is_internal = :is_internal""",
        whose,
    )
    # Only rows of the digest that is locked: two transactions that make room never meet.
    return cast("int", kept[0][0]) < MAX_KEPT or bool(
        tx.execute(_EVICT, {**whose, "limit": EVICTED})
    )


def _digest(row: Sequence[object]) -> Digest:
    application, is_internal, ends_at_ms, unlisted = row
    return Digest(
        application=str(application),
        is_internal=bool(is_internal),
        ends_at_ms=cast("int", ends_at_ms),
        unlisted=cast("int", unlisted),
    )


def _tally(row: Sequence[object]) -> Tally:
    (application, host, is_internal, referrer, url, user_agent, client, *numbers) = row
    total, untold, first_at_ms, last_at_ms = cast("list[int]", numbers)
    link = BrokenLink(
        application=str(application),
        host=str(host),
        is_internal=bool(is_internal),
        referrer=str(referrer),
        url=str(url),
        user_agent=str(user_agent),
        client=str(client),
    )
    return Tally(
        link=link, count=total, untold=untold, first_at_ms=first_at_ms, last_at_ms=last_at_ms
    )
