"""This room keeps switches: rows that win over what stands in files, such as `sender.x = off`."""

from dataclasses import dataclass
from typing import cast

from envoi.seams import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One switch.

    Args:
        name: E.g. `sender.comments`.
        value: E.g. `on` or `off`.
        changed_at_ms: When.
        changed_by: Who.
    """

    name: str
    value: str
    changed_at_ms: int = 0
    changed_by: str = ""


def switches_version(tx: Tx) -> int:
    """Return the number that goes up with every change: one cheap read per `notify`."""
    rows = tx.execute("SELECT value FROM envoi_meta WHERE name = 'version'", {})
    return int(str(rows[0][0])) if rows else 0


def switches(tx: Tx) -> dict[str, str]:
    """Return every switch by name."""
    return {switch.name: switch.value for switch in switch_list(tx)}


def switch_list(tx: Tx) -> tuple[Switch, ...]:
    """Return every switch with who set it when."""
    rows = tx.execute(
        "SELECT name, value, changed_at_ms, changed_by FROM envoi_switch ORDER BY name", {}
    )
    return tuple(
        Switch(
            name=str(name),
            value=str(value),
            changed_at_ms=cast("int", changed_at_ms),
            changed_by=str(changed_by),
        )
        for name, value, changed_at_ms, changed_by in rows
    )


def set_switch(tx: Tx, switch: Switch) -> None:
    """Set a switch; every process sees it at its next `notify`, without a restart."""
    tx.execute(
        """INSERT INTO envoi_switch (name, value, changed_at_ms, changed_by)
        VALUES (:name, :value, :at, :by)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value,
            changed_at_ms = excluded.changed_at_ms, changed_by = excluded.changed_by""",
        {
            "name": switch.name,
            "value": switch.value,
            "at": switch.changed_at_ms,
            "by": switch.changed_by,
        },
    )
    _count_up(tx)


def clear_switch(tx: Tx, name: str) -> bool:
    """Remove a switch, so that the file decides again; whether there was one."""
    removed = tx.execute(
        "DELETE FROM envoi_switch WHERE name = :name RETURNING name", {"name": name}
    )
    if removed:
        _count_up(tx)
    return bool(removed)


def _count_up(tx: Tx) -> None:
    tx.execute(
        """UPDATE envoi_meta SET value = CAST(CAST(value AS BIGINT) + 1 AS VARCHAR)
        WHERE name = 'version'""",
        {},
    )
