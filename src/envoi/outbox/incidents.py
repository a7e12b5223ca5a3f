"""This room keeps incidents: one row for all errors of an application that share a fingerprint.

A row is read and written under its own lock, in the transaction of the mail that tells of it, so
that any number of processes count exactly.
"""

from collections.abc import Sequence
from typing import cast

from envoi.core.recurrence import Incident, Standing
from envoi.errors import NotFoundError, RefusedError
from envoi.seams import Tx

# Windows that end together are closed in turns, so that mail goes on meanwhile.
BATCH_ROWS = 100
_COLUMNS = """application, fingerprint, error_type, message, place, release, standing, count,
    first_at_ms, last_at_ms, window_ends_at_ms, window_count, held_back"""

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
        window_count = :window_count, held_back = :held_back
    WHERE application = :application AND fingerprint = :fingerprint"""


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
    tx.execute(_KEEP, {name: getattr(incident, name) for name in Incident.__slots__})


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
        raise NotFoundError(f"incident {name!r:.60}: expected the beginning of a fingerprint")
    if len(rows) > 1:
        raise RefusedError(f"incident {name!r:.60}: several fingerprints begin so; type more of it")
    return _incident(rows[0])


def _incident(row: Sequence[object]) -> Incident:
    (application, fingerprint, error_type, message, place, release, standing, *numbers) = row
    count, first_at_ms, last_at_ms, window_ends_at_ms, window_count, held_back = numbers
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
    )
