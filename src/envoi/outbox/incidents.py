"""This room keeps incidents: one row for all errors of an application that share a fingerprint.

A row is read and written under its own lock, in the transaction of the mail that tells of it, so
that any number of processes count exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from envoi.core.recurrence import Incident, Standing
from envoi.errors import NotFoundError, RefusedError
from envoi.seams import Tx

# Windows that end together are closed in turns, so that mail goes on meanwhile.
BATCH_ROWS = 100
_COLUMNS = """application, fingerprint, error_type, message, place, release, standing, count,
    first_at_ms, last_at_ms, window_ends_at_ms, window_count, held_back,
    releases, mended_in, muted_until_ms, muted_until_count, window_told, digest_since_ms"""

# The update changes nothing: it takes the row's lock and returns what stands in it.
_LOCK = f"""
    INSERT INTO envoi_incident (application, fingerprint, error_type, standing)
    VALUES (:application, :fingerprint, :error_type, 'open')
    ON CONFLICT (application, fingerprint) DO UPDATE SET standing = envoi_incident.standing
    RETURNING {_COLUMNS}"""  # noqa: S608 # the columns are ours

_KEEP = """
    UPDATE envoi_incident SET error_type = :error_type, message = :message, place = :place,
        release = :release, standing = :standing, count = :count, first_at_ms = :first_at_ms,
        last_at_ms = :last_at_ms, window_ends_at_ms = :window_ends_at_ms,
        window_count = :window_count, held_back = :held_back, releases = :releases,
        mended_in = :mended_in, muted_until_ms = :muted_until_ms,
        muted_until_count = :muted_until_count, window_told = :window_told,
        digest_since_ms = :digest_since_ms
    WHERE application = :application AND fingerprint = :fingerprint"""

_LIMITED = """
    UPDATE envoi_incident SET held_back = held_back + :times,
        digest_since_ms = CASE digest_since_ms WHEN 0 THEN :now_ms ELSE digest_since_ms END
    WHERE application = :application AND fingerprint = :fingerprint"""

_DIGESTS = """
    SELECT application, MIN(digest_since_ms) FROM envoi_incident WHERE digest_since_ms > 0
    GROUP BY application"""

# Nobody counts on in these rows until the transaction ends, and what comes meanwhile is not marked.
_MARK = """
    UPDATE envoi_incident SET digest_since_ms = -1
    WHERE application = :application AND digest_since_ms > 0"""

_SUMS = """
    SELECT COUNT(*), COALESCE(SUM(held_back), 0) FROM envoi_incident
    WHERE application = :application AND digest_since_ms = -1 AND standing <> 'muted'"""

# What is muted waits on for the day on which it is not.
_UNMARK = """
    UPDATE envoi_incident SET digest_since_ms = 0,
        held_back = CASE standing WHEN 'muted' THEN held_back ELSE 0 END
    WHERE application = :application AND digest_since_ms = -1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digested:
    """What a digest tells.

    Args:
        incidents: How many were not mailed of their own.
        count: How many errors of them.
        listed: Those with most errors, at most as many as were asked for.
    """

    incidents: int
    count: int
    listed: tuple[Incident, ...]


def lock(tx: Tx, application: str, fingerprint: str, error_type: str) -> Incident:
    """Return an incident, made where it is new; nobody else changes it until the transaction ends.

    Args:
        tx: An open transaction.
        application: Whose errors.
        fingerprint: What they share.
        error_type: Name of the exception's class.
    """
    params = {"application": application, "fingerprint": fingerprint, "error_type": error_type}
    return _incident(tx.execute(_LOCK, params)[0])


def keep(tx: Tx, incident: Incident) -> None:
    """Write an incident down; it was locked in this transaction."""
    values = {name: getattr(incident, name) for name in Incident.__slots__}
    tx.execute(_KEEP, {**values, "releases": "\n".join(incident.releases)})


def hold(tx: Tx, application: str, fingerprint: str, times: int, now_ms: int) -> None:
    """Leave errors to the next digest.

    Args:
        tx: The transaction of their event.
        application: Whose errors.
        fingerprint: What they share.
        times: How many.
        now_ms: The clock.
    """
    tx.execute(
        _LIMITED,
        {"application": application, "fingerprint": fingerprint, "times": times, "now_ms": now_ms},
    )


def waiting_digests(tx: Tx) -> tuple[tuple[str, int], ...]:
    """Return applications that a digest waits for, with the moment of its first error."""
    return tuple((str(name), cast("int", since_ms)) for name, since_ms in tx.execute(_DIGESTS, {}))


def take_digest(tx: Tx, application: str, *, most: int) -> Digested:
    """Return what a digest tells, and count it as told in this transaction.

    Args:
        tx: An open transaction.
        application: Whose.
        most: How many incidents are listed.
    """
    named = {"application": application}
    tx.execute(_MARK, named)
    [[known, count]] = tx.execute(_SUMS, named)
    rows = tx.execute(
        f"""SELECT {_COLUMNS} FROM envoi_incident
        WHERE application = :application AND digest_since_ms = -1 AND standing <> 'muted'
        ORDER BY held_back DESC, last_at_ms DESC, fingerprint LIMIT :most""",  # noqa: S608 # as above
        {**named, "most": most},
    )
    tx.execute(_UNMARK, named)
    return Digested(
        incidents=cast("int", known), count=int(str(count)), listed=tuple(map(_incident, rows))
    )


def ended(tx: Tx, now_ms: int) -> tuple[Incident, ...]:
    """Return incidents whose window has ended, the earliest first."""
    rows = tx.execute(
        f"""SELECT {_COLUMNS} FROM envoi_incident
        WHERE window_ends_at_ms > 0 AND window_ends_at_ms <= :now_ms
        ORDER BY window_ends_at_ms LIMIT :limit""",  # noqa: S608 # the columns are ours
        {"now_ms": now_ms, "limit": BATCH_ROWS},
    )
    return tuple(map(_incident, rows))


def incidents(
    tx: Tx, application: str, *, standing: Standing | None = None, limit: int = 50
) -> tuple[Incident, ...]:
    """Return incidents, the latest first.

    Args:
        tx: An open transaction.
        application: Whose.
        standing: Only those that somebody said so of; None: all.
        limit: How many at most.
    """
    rows = tx.execute(
        f"""SELECT {_COLUMNS} FROM envoi_incident
        WHERE application = :application AND standing LIKE :standing
        ORDER BY last_at_ms DESC, fingerprint LIMIT :limit""",  # noqa: S608 # the columns are ours
        {"application": application, "standing": standing or "%", "limit": limit},
    )
    return tuple(map(_incident, rows))


def find(tx: Tx, application: str, name: str) -> Incident:
    """Return the incident whose fingerprint begins so.

    Raises:
        NotFoundError: There is none.
        RefusedError: There are several.
    """
    rows = tx.execute(
        f"""SELECT {_COLUMNS} FROM envoi_incident WHERE application = :application
            AND SUBSTR(fingerprint, 1, :length) = :name LIMIT 2""",  # noqa: S608 # as above
        {"application": application, "name": name, "length": len(name)},
    )
    if not rows or not name:
        raise NotFoundError(
            f"incident {name!r:.60}: expected the beginning of a fingerprint that"
            f" `envoi incidents list` shows"
        )
    if len(rows) > 1:
        raise RefusedError(f"incident {name!r:.60}: several fingerprints begin so; type more of it")
    return _incident(rows[0])


def _incident(row: Sequence[object]) -> Incident:
    (application, fingerprint, error_type, message, place, release, standing, *numbers) = row
    count, first_at_ms, last_at_ms, window_ends_at_ms, window_count, held_back, *more = numbers
    releases, mended_in, muted_until_ms, muted_until_count, window_told, digest_since_ms = more
    return Incident(
        application=str(application),
        fingerprint=str(fingerprint),
        error_type=str(error_type),
        message=str(message),
        place=str(place),
        release=str(release),
        standing=Standing(str(standing)),
        count=cast("int", count),
        first_at_ms=cast("int", first_at_ms),
        last_at_ms=cast("int", last_at_ms),
        window_ends_at_ms=cast("int", window_ends_at_ms),
        window_count=cast("int", window_count),
        held_back=cast("int", held_back),
        releases=tuple(str(releases).split("\n")) if releases else (),
        mended_in=str(mended_in),
        muted_until_ms=cast("int", muted_until_ms),
        muted_until_count=cast("int", muted_until_count),
        window_told=cast("int", window_told),
        digest_since_ms=cast("int", digest_since_ms),
    )
