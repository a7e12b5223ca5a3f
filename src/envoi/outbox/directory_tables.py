"""This room says which tables hold the users and groups that Envoi keeps itself."""

from sqlalchemy import Column, Index, String, Table, UniqueConstraint, text

from envoi.outbox.columns import belonging_to, flag, metadata, moment_ms, number, words

user = Table(
    "envoi_user",
    metadata,
    number(),
    Column("application", String(100), nullable=False),
    words("login", None),
    words("login_key", None),
    words("first_name"),
    words("last_name"),
    flag("is_admin"),
    flag("is_active", "1"),
    words("locale"),
    words("time_zone"),
    moment_ms("created_at_ms"),
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
    number(),
    belonging_to("envoi_user"),
    words("address", None),
    words("address_key"),
    flag("is_primary"),
    words("problem"),
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
    number(),
    Column("application", String(100), nullable=False),
    words("name", None),
    words("name_key", None),
    words("description"),
    UniqueConstraint("application", "name_key"),
)

membership = Table(
    "envoi_membership",
    metadata,
    belonging_to("envoi_group", is_key=True),
    belonging_to("envoi_user", is_key=True),
)
Index("envoi_membership_user", membership.c.user_id)
