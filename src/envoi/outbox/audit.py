"""This room notes who used, or tried to use, what only an administrator may."""

from dataclasses import dataclass
from typing import cast

from envoi.seams import Tx

ALLOWED, REFUSED = "allowed", "refused"
# What somebody typed as his name or a subject is cut: the note is about him, not his.
MAX_CHARS = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One use of an administrator's command.

    Args:
        made_by: Name of the system's user who called it.
        login: As whom, where he said so; empty: as the operator.
        action: The command, e.g. `admin email`.
        target: What it was about, e.g. the subject or the broadcast's id.
        outcome: `allowed`, or `refused`.
        at_ms: When.
    """

    made_by: str
    login: str = ""
    action: str
    target: str = ""
    outcome: str = ALLOWED
    at_ms: int


def note_use(tx: Tx, note: Note) -> None:
    """Write it down."""
    tx.execute(
        """INSERT INTO envoi_audit (at_ms, made_by, login, action, target, outcome)
        VALUES (:at_ms, :made_by, :login, :action, :target, :outcome)""",
        {
            "at_ms": note.at_ms,
            "made_by": note.made_by[:MAX_CHARS],
            "login": note.login[:MAX_CHARS],
            "action": note.action,
            "target": note.target[:MAX_CHARS],
            "outcome": note.outcome,
        },
    )


def notes(tx: Tx, *, limit: int = 50) -> tuple[Note, ...]:
    """Return the latest notes, newest first."""
    rows = tx.execute(
        """SELECT at_ms, made_by, login, action, target, outcome FROM envoi_audit
        ORDER BY id DESC LIMIT :limit""",
        {"limit": limit},
    )
    return tuple(
        Note(
            at_ms=cast("int", at_ms),
            made_by=str(made_by),
            login=str(login),
            action=str(action),
            target=str(target),
            outcome=str(outcome),
        )
        for at_ms, made_by, login, action, target, outcome in rows
    )
