"""This room turns what somebody looks for into a condition; values are always parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

from envoi.core.delivery import State
from envoi.outbox import records
from envoi.outbox import statements as st

# A list longer than this is a report, and reports page.
MAX_LIMIT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which deliveries are meant; what is empty is not asked for.

    Args:
        ids: These rows.
        states: In one of these states.
        kind: Of this kind of event.
        address: To this address, whatever its capitals.
        event_id: Of this event.
        transport: Leaving by this relay.
        application: Of this application.
        since_ms: Stored at or after this moment.
    """

    ids: tuple[int, ...] = ()
    states: tuple[State, ...] = ()
    kind: str = ""
    address: str = ""
    event_id: int = 0
    transport: str = ""
    application: str = ""
    since_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list.

    Args:
        limit: At most this many rows, and never more than 1_000. Default 50.
        offset: Rows to pass over; costs as much as reading them.
        before_id: Only older rows than this one; how a long list is paged. 0: from the newest.
    """

    limit: int = 50
    offset: int = 0
    before_id: int = 0


def condition(
    dialect: str, query: Query, of_message: str = "m.{}"
) -> tuple[str, dict[str, object]]:
    """Return the condition on `d` (delivery) and its message, with its parameters.

    Args:
        dialect: `sqlite` or `postgresql`.
        query: Which deliveries are meant.
        of_message: How a column of the message is written; as of a table `m` that is joined.
    """
    wanted: dict[str, tuple[str, object]] = {
        "kind": (f"{of_message.format('kind')} = :kind", query.kind),
        "address": ("lower(d.address) IN (:address, :address_low)", query.address),
        "event_id": ("d.event_id = :event_id", query.event_id),
        "transport": ("d.transport = :transport", query.transport),
        "application": ("d.application = :application", query.application),
        "since_ms": (f"{of_message.format('date_ms')} >= :since_ms", query.since_ms),
    }
    parts = [part for part, value in wanted.values() if value]
    params: dict[str, object] = {name: value for name, (_, value) in wanted.items() if value}
    if query.address:
        # Engines fold what they know, SQLite no more than ASCII: the typed spelling finds the rest.
        params["address_low"] = query.address.lower()
    if query.ids:
        parts.append(f"d.id IN ({st.sql(dialect).ids()})")
        params["rows"] = records.packed_ids(query.ids)
    if query.states:
        names = [f"state_{number}" for number in range(len(query.states))]
        parts.append(f"d.state IN ({', '.join(f':{name}' for name in names)})")
        params |= dict(zip(names, _values(query.states), strict=True))
    return " AND ".join(parts) or "1 = 1", params


def _values(states: Sequence[State]) -> list[str]:
    return [state.value for state in states]
