"""This room keeps what must not be lost: events, messages and deliveries, on one disk or many."""

from envoi.outbox.engine import Database
from envoi.outbox.schema import SchemaState
from envoi.outbox.store import Outbox, open_outbox

__all__ = ["Database", "Outbox", "SchemaState", "open_outbox"]
