"""This room says which tables there are: for Alembic, and for reads that are put together.

The tables live in other people's databases, so every name starts with `envoi_`. Here are those of
the mail itself; the others are taken in, so that `metadata` knows them all. The plain statements in
`statements.py` speak of the same tables; a test holds metadata and migrations together.
"""

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    func,
    text,
)

from envoi.outbox.columns import belonging_to, count, flag, metadata, moment_ms, number, words
from envoi.outbox.directory_tables import group, membership, user, user_address
from envoi.outbox.service_tables import (
    audit,
    broken_link,
    chore,
    incident,
    instance,
    limit,
    link_digest,
    meta,
    rate,
    relay,
    server,
    switch,
    token,
    worker,
)

__all__ = [
    "attachment",
    "attempt",
    "audit",
    "broadcast",
    "broken_link",
    "chore",
    "decision",
    "delivery",
    "event",
    "group",
    "incident",
    "instance",
    "limit",
    "link_digest",
    "membership",
    "message",
    "meta",
    "metadata",
    "rate",
    "relay",
    "sealed",
    "server",
    "switch",
    "token",
    "user",
    "user_address",
    "worker",
]

event = Table(
    "envoi_event",
    metadata,
    number(),
    Column("uid", String(32), nullable=False, unique=True),
    Column("application", String(100), nullable=False),
    Column("kind", String(100), nullable=False),
    words("actor"),
    words("subject"),
    Column("key", String(256)),
    words("facts", "{}"),
    words("people", "{}"),
    moment_ms("occurred_at_ms"),
    moment_ms("stored_at_ms"),
    Column("state", String(20), nullable=False),
    words("cursor"),
    moment_ms("lease_until_ms"),
    count("claims"),
    moment_ms("due_at_ms"),
    words("problem"),
    moment_ms("removed_at_ms"),
    moment_ms("ended_at_ms"),
    flag("is_late"),
    UniqueConstraint("application", "key"),
)
Index(
    "envoi_event_to_route",
    event.c.due_at_ms,
    event.c.id,
    sqlite_where=text("state = 'to_route'"),
    postgresql_where=text("state = 'to_route'"),
)
Index("envoi_event_stored", event.c.stored_at_ms)
# Events whose content is gone, by the end of their last delivery, and those that had not ended
# when their time came: what never waits is in neither.
_ENDED = text("ended_at_ms > 0")
Index(
    "envoi_event_ended",
    event.c.ended_at_ms,
    event.c.id,
    sqlite_where=_ENDED,
    postgresql_where=_ENDED,
)
_LATE = text("is_late = 1")
Index("envoi_event_late", event.c.id, sqlite_where=_LATE, postgresql_where=_LATE)

message = Table(
    "envoi_message",
    metadata,
    number(),
    Column("uid", String(32), nullable=False, unique=True),
    belonging_to("envoi_event"),
    Column("application", String(100), nullable=False),
    Column("kind", String(100), nullable=False),
    flag("class", None),
    Column("locale", String(50), nullable=False),
    Column("time_zone", String(100), nullable=False),
    words("from_name"),
    words("from_address"),
    words("reply_to"),
    words("subject"),
    words("text"),
    words("html"),
    words("headers", "[]"),
    words("thread", "[]"),
    words("blocks", "{}"),
    words("to_json", "[]"),
    words("cc_json", "[]"),
    words("host"),
    moment_ms("date_ms"),
    moment_ms("expires_at_ms"),
    flag("sealed"),
    moment_ms("removed_at_ms"),
)
Index("envoi_message_event", message.c.event_id)
Index("envoi_message_kind", message.c.kind, message.c.date_ms)

attachment = Table(
    "envoi_attachment",
    metadata,
    belonging_to("envoi_message", is_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    words("name"),
    words("media_type"),
    Column("content", LargeBinary, nullable=False),
)

sealed = Table(
    "envoi_sealed",
    metadata,
    number(),
    belonging_to("envoi_message", nullable=True),
    belonging_to("envoi_event", nullable=True),
    words("content"),
    UniqueConstraint("message_id"),
    UniqueConstraint("event_id"),
)

delivery = Table(
    "envoi_delivery",
    metadata,
    number(),
    belonging_to("envoi_message"),
    belonging_to("envoi_event"),
    Column("application", String(100), nullable=False),
    count("ordinal", "1"),
    words("sender"),
    words("person"),
    words("name"),
    Column("address", String(320), nullable=False),
    words("because"),
    flag("class", None),
    Column("transport", String(100), nullable=False, server_default="default"),
    Column("state", String(20), nullable=False),
    moment_ms("due_at_ms"),
    moment_ms("created_at_ms"),
    moment_ms("expires_at_ms"),
    count("claims"),
    count("refusals"),
    moment_ms("lease_until_ms"),
    flag("begun"),
    words("worker"),
    moment_ms("settled_at_ms"),
    words("last_reply"),
    Column("relay", String(100), nullable=False, server_default=""),
    UniqueConstraint("event_id", "address"),
)
# A claim asks class by class for what is due, so it reads exactly the rows it takes, whatever
# lies in the table. The words of `*_where` stand in the statements too: else no index is used.
# The state is only counted there.
_WAITING = text("state IN ('queued', 'uncertain')")
Index(
    "envoi_delivery_waiting",
    delivery.c.transport,
    delivery.c["class"],
    delivery.c.due_at_ms,
    delivery.c.id,
    delivery.c.state,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)
_SENDING = text("state = 'sending'")
Index(
    "envoi_delivery_leased",
    delivery.c.lease_until_ms,
    sqlite_where=_SENDING,
    postgresql_where=_SENDING,
)
_EXPIRING = text("expires_at_ms > 0 AND state IN ('queued', 'uncertain', 'held')")
Index(
    "envoi_delivery_expiring",
    delivery.c.expires_at_ms,
    sqlite_where=_EXPIRING,
    postgresql_where=_EXPIRING,
)
Index("envoi_delivery_message", delivery.c.message_id)
# People type their address in small letters, whatever their profile says.
Index("envoi_delivery_address_low", func.lower(delivery.c.address))
# For lists; a delivery that is simply sent is never in it.
_ASIDE = text("state IN ('held', 'failed', 'suppressed', 'cancelled', 'expired')")
Index(
    "envoi_delivery_aside",
    delivery.c.state,
    delivery.c.id,
    delivery.c.transport,
    sqlite_where=_ASIDE,
    postgresql_where=_ASIDE,
)
# Most installations have one relay, and nothing in this one.
_ELSEWHERE = text("transport <> 'default'")
Index(
    "envoi_delivery_elsewhere",
    delivery.c.transport,
    delivery.c.id,
    sqlite_where=_ELSEWHERE,
    postgresql_where=_ELSEWHERE,
)

attempt = Table(
    "envoi_attempt",
    metadata,
    number(),
    belonging_to("envoi_delivery"),
    count("claims"),
    moment_ms("started_at_ms"),
    moment_ms("ended_at_ms"),
    words("stage"),
    words("outcome"),
    words("reply"),
    words("sent_to"),
    Column("relay", String(100), nullable=False, server_default=""),
)
Index("envoi_attempt_delivery", attempt.c.delivery_id)

decision = Table(
    "envoi_decision",
    metadata,
    number(),
    belonging_to("envoi_event"),
    words("sender"),
    words("person"),
    words("name"),
    words("because"),
)
Index("envoi_decision_event", decision.c.event_id)
Index("envoi_decision_name", decision.c.name)

# What an administrator says to many, beside its event. `state` is what was asked for; the rows
# follow in steps, and `is_swept` says that they have. A claim passes over what `is_halted`.
broadcast = Table(
    "envoi_broadcast",
    metadata,
    belonging_to("envoi_event", is_key=True),
    belonging_to("envoi_message"),
    words("newest"),
    count("ordinal"),
    Column("state", String(20), nullable=False, server_default="going"),
    flag("is_halted"),
    flag("is_swept", "1"),
    words("stored_by"),
    moment_ms("changed_at_ms"),
    words("changed_by"),
)
_HALTED = text("is_halted = 1")
Index(
    "envoi_broadcast_halted",
    broadcast.c.event_id,
    sqlite_where=_HALTED,
    postgresql_where=_HALTED,
)
