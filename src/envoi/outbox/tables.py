"""This room says which tables there are: for Alembic, and for reads that are put together.

The tables live in other people's databases, so every name starts with `envoi_`. One form serves
both engines: times are milliseconds since 1970 UTC, booleans are 0 or 1, JSON is text. The plain
statements in `statements.py` speak of the same tables; a test holds metadata and migrations
together.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

# SQLite numbers rows by itself only where the type is spelled INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")

# Names are given, so that a migration can say which constraint it means.
metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
    }
)


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


def _key(name: str, length: int = 100) -> Column[str]:
    return Column(name, String(length), primary_key=True)


def _to(table: str, *, is_key: bool = False, **more: bool) -> Column[int]:
    # What belongs to a row goes with it: pruning an event is one statement.
    name = f"{table.removeprefix('envoi_')}_id"
    parent = ForeignKey(f"{table}.id", ondelete="CASCADE")
    return Column(
        name,
        _Id,
        parent,
        primary_key=is_key,
        nullable=more.get("nullable", False),
        autoincrement=False,
    )


def _text(name: str, default: str | None = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _ms(name: str, default: str | None = "0") -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=default)


def _int(name: str, default: str | None = "0") -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=default)


def _flag(name: str, default: str | None = "0") -> Column[int]:
    return Column(name, SmallInteger, nullable=False, server_default=default)


meta = Table(
    "envoi_meta",
    metadata,
    Column("name", String(100), primary_key=True),
    _text("value"),
)

event = Table(
    "envoi_event",
    metadata,
    _id(),
    Column("uid", String(32), nullable=False, unique=True),
    Column("application", String(100), nullable=False),
    Column("kind", String(100), nullable=False),
    _text("actor"),
    _text("subject"),
    Column("key", String(256)),
    _text("facts", "{}"),
    _text("people", "{}"),
    _ms("occurred_at_ms"),
    _ms("stored_at_ms"),
    Column("state", String(20), nullable=False),
    _text("cursor"),
    _ms("lease_until_ms"),
    _int("claims"),
    _ms("due_at_ms"),
    _text("problem"),
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

message = Table(
    "envoi_message",
    metadata,
    _id(),
    Column("uid", String(32), nullable=False, unique=True),
    _to("envoi_event"),
    Column("application", String(100), nullable=False),
    Column("kind", String(100), nullable=False),
    _flag("class", None),
    Column("locale", String(50), nullable=False),
    Column("time_zone", String(100), nullable=False),
    _text("from_name"),
    _text("from_address"),
    _text("reply_to"),
    _text("subject"),
    _text("text"),
    _text("html"),
    _text("headers", "[]"),
    _text("thread", "[]"),
    _text("blocks", "{}"),
    _text("to_json", "[]"),
    _text("cc_json", "[]"),
    _text("host"),
    _ms("date_ms"),
    _ms("expires_at_ms"),
    _flag("sealed"),
)
Index("envoi_message_event", message.c.event_id)

attachment = Table(
    "envoi_attachment",
    metadata,
    _to("envoi_message", is_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _text("name"),
    _text("media_type"),
    Column("content", LargeBinary, nullable=False),
)

sealed = Table(
    "envoi_sealed",
    metadata,
    _id(),
    _to("envoi_message", nullable=True),
    _to("envoi_event", nullable=True),
    _text("content"),
    UniqueConstraint("message_id"),
    UniqueConstraint("event_id"),
)

delivery = Table(
    "envoi_delivery",
    metadata,
    _id(),
    _to("envoi_message"),
    _to("envoi_event"),
    Column("application", String(100), nullable=False),
    _int("ordinal", "1"),
    _text("sender"),
    _text("person"),
    _text("name"),
    Column("address", String(320), nullable=False),
    _text("because"),
    _flag("class", None),
    Column("transport", String(100), nullable=False, server_default="default"),
    Column("state", String(20), nullable=False),
    _ms("due_at_ms"),
    _ms("created_at_ms"),
    _ms("expires_at_ms"),
    _int("claims"),
    _int("refusals"),
    _ms("lease_until_ms"),
    _flag("begun"),
    _text("worker"),
    _ms("settled_at_ms"),
    _text("last_reply"),
    UniqueConstraint("event_id", "address"),
)
# A claim asks class by class for what is due, so it reads exactly the rows it takes, whatever
# lies in the table. The words of `*_where` stand in the statements too: else no index is used.
_WAITING = text("state IN ('queued', 'uncertain')")
Index(
    "envoi_delivery_waiting",
    delivery.c.transport,
    delivery.c["class"],
    delivery.c.due_at_ms,
    delivery.c.id,
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
Index("envoi_delivery_settled", delivery.c.state, delivery.c.settled_at_ms)

attempt = Table(
    "envoi_attempt",
    metadata,
    _id(),
    _to("envoi_delivery"),
    _int("claims"),
    _ms("started_at_ms"),
    _ms("ended_at_ms"),
    _text("stage"),
    _text("outcome"),
    _text("reply"),
    _text("sent_to"),
)
Index("envoi_attempt_delivery", attempt.c.delivery_id)

decision = Table(
    "envoi_decision",
    metadata,
    _id(),
    _to("envoi_event"),
    _text("sender"),
    _text("person"),
    _text("name"),
    _text("because"),
)
Index("envoi_decision_event", decision.c.event_id)
Index("envoi_decision_name", decision.c.name)

user = Table(
    "envoi_user",
    metadata,
    _id(),
    Column("application", String(100), nullable=False),
    _text("login", None),
    _text("login_key", None),
    _text("first_name"),
    _text("last_name"),
    _flag("is_admin"),
    _flag("is_active", "1"),
    _text("locale"),
    _text("time_zone"),
    _ms("created_at_ms"),
    UniqueConstraint("application", "login_key"),
    # Old deliveries name a user by id: the id of a removed one must not come back.
    sqlite_autoincrement=True,
)
Index(
    "envoi_user_admin",
    user.c.id,
    sqlite_where=text("is_admin = 1"),
    postgresql_where=text("is_admin = 1"),
)

user_address = Table(
    "envoi_user_address",
    metadata,
    _id(),
    _to("envoi_user"),
    _text("address", None),
    _text("address_key"),
    _flag("is_primary"),
    _text("problem"),
)
_PRIMARY = text("is_primary = 1")
Index(
    "envoi_user_address_primary",
    user_address.c.user_id,
    unique=True,
    sqlite_where=_PRIMARY,
    postgresql_where=_PRIMARY,
)
Index("envoi_user_address_user", user_address.c.user_id)
Index("envoi_user_address_key", user_address.c.address_key)

group = Table(
    "envoi_group",
    metadata,
    _id(),
    Column("application", String(100), nullable=False),
    _text("name", None),
    _text("name_key", None),
    _text("description"),
    UniqueConstraint("application", "name_key"),
)

membership = Table(
    "envoi_membership",
    metadata,
    _to("envoi_group", is_key=True),
    _to("envoi_user", is_key=True),
)
Index("envoi_membership_user", membership.c.user_id)

switch = Table(
    "envoi_switch", metadata,
    _key("name", 200), _text("value"), _ms("changed_at_ms"), _text("changed_by"),
)  # fmt: skip

relay = Table(
    "envoi_relay", metadata,
    _key("name"), _ms("paused_until_ms"), _text("because"), _text("advice"),
    _ms("down_since_ms"), _int("attempts"),
)  # fmt: skip

worker = Table(
    "envoi_worker", metadata,
    _key("id"), _text("host"), _int("pid"), _ms("started_at_ms"), _ms("seen_at_ms"),
    _text("transport"),
)  # fmt: skip

# What an administrator says to many, beside its event. `state` is what was asked for; the rows
# follow in steps, and `is_swept` says that they have. A claim passes over what `is_halted`.
broadcast = Table(
    "envoi_broadcast",
    metadata,
    _to("envoi_event", is_key=True),
    _to("envoi_message"),
    _text("newest"),
    _int("ordinal"),
    Column("state", String(20), nullable=False, server_default="going"),
    _flag("is_halted"),
    _flag("is_swept", "1"),
    _text("stored_by"),
    _ms("changed_at_ms"),
    _text("changed_by"),
)
_HALTED = text("is_halted = 1")
Index(
    "envoi_broadcast_halted",
    broadcast.c.event_id,
    sqlite_where=_HALTED,
    postgresql_where=_HALTED,
)

# Who used, or tried to use, what only an administrator may.
audit = Table(
    "envoi_audit", metadata,
    _id(), _ms("at_ms"), _text("made_by"), _text("login"), _text("action"), _text("target"),
    _text("outcome"),
)  # fmt: skip

# How much mail of a sender a person had in the window that runs, and how much was held back.
limit = Table(
    "envoi_limit", metadata,
    _key("application"), _key("sender", 128), _key("address", 320),
    _ms("ends_at_ms"), _int("told"), _int("held_back"), _ms("held_since_ms"),
)  # fmt: skip
Index("envoi_limit_ends", limit.c.ends_at_ms)

# Servers by name, up or down, and the processes that make them up.
server = Table(
    "envoi_server", metadata,
    _key("application"), _key("name"), _flag("is_up"), _ms("left_at_ms"), _ms("due_at_ms"),
    _ms("seen_at_ms"),
)  # fmt: skip
instance = Table(
    "envoi_instance", metadata,
    _key("id"), Column("application", String(100), nullable=False),
    Column("server", String(100), nullable=False), _text("host"), _int("pid"), _ms("seen_at_ms"),
)  # fmt: skip

# Errors that share a fingerprint.
incident = Table(
    "envoi_incident", metadata,
    _key("application"), _key("fingerprint", 64), _text("error_type"), _text("message"),
    _text("place"), _text("release"), Column("standing", String(20), nullable=False),
    _ms("count"), _ms("first_at_ms"), _ms("last_at_ms"), _ms("window_ends_at_ms"),
    _ms("window_count"), _ms("held_back"),
)  # fmt: skip
Index("envoi_incident_windows", incident.c.window_ends_at_ms)
Index("envoi_incident_last", incident.c.last_at_ms)
