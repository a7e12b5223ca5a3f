"""This room makes the tables.

Revision ID: 0001
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "envoi_event",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.String(length=256), nullable=True),
        sa.Column("facts", sa.Text(), server_default="{}", nullable=False),
        sa.Column("people", sa.Text(), server_default="{}", nullable=False),
        sa.Column("occurred_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stored_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claims", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_event_pkey")),
        sa.UniqueConstraint("application", "key", name=op.f("envoi_event_application_key_key")),
        sa.UniqueConstraint("uid", name=op.f("envoi_event_uid_key")),
    )
    op.create_index("envoi_event_stored", "envoi_event", ["stored_at_ms"], unique=False)
    op.create_index(
        "envoi_event_to_route",
        "envoi_event",
        ["due_at_ms", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'to_route'"),
        postgresql_where=sa.text("state = 'to_route'"),
    )
    op.create_table(
        "envoi_group",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_group_pkey")),
        sa.UniqueConstraint(
            "application", "name_key", name=op.f("envoi_group_application_name_key_key")
        ),
    )
    meta = op.create_table(
        "envoi_meta",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("envoi_meta_pkey")),
    )
    op.create_table(
        "envoi_relay",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("paused_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("because", sa.Text(), server_default="", nullable=False),
        sa.Column("advice", sa.Text(), server_default="", nullable=False),
        sa.Column("down_since_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("envoi_relay_pkey")),
    )
    op.create_table(
        "envoi_switch",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("envoi_switch_pkey")),
    )
    op.create_table(
        "envoi_user",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("login_key", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), server_default="", nullable=False),
        sa.Column("last_name", sa.Text(), server_default="", nullable=False),
        sa.Column("is_admin", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("is_active", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("locale", sa.Text(), server_default="", nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_user_pkey")),
        sa.UniqueConstraint(
            "application", "login_key", name=op.f("envoi_user_application_login_key_key")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "envoi_user_admin",
        "envoi_user",
        ["id"],
        unique=False,
        sqlite_where=sa.text("is_admin = 1"),
        postgresql_where=sa.text("is_admin = 1"),
    )
    op.create_table(
        "envoi_worker",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("host", sa.Text(), server_default="", nullable=False),
        sa.Column("pid", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("transport", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_worker_pkey")),
    )
    op.create_table(
        "envoi_decision",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "event_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("person", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("because", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["envoi_event.id"],
            name=op.f("envoi_decision_event_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_decision_pkey")),
    )
    op.create_index("envoi_decision_event", "envoi_decision", ["event_id"], unique=False)
    op.create_index("envoi_decision_name", "envoi_decision", ["name"], unique=False)
    op.create_table(
        "envoi_membership",
        sa.Column(
            "group_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "user_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["envoi_group.id"],
            name=op.f("envoi_membership_group_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["envoi_user.id"],
            name=op.f("envoi_membership_user_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("envoi_membership_pkey")),
    )
    op.create_index("envoi_membership_user", "envoi_membership", ["user_id"], unique=False)
    op.create_table(
        "envoi_message",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column(
            "event_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("class", sa.SmallInteger(), nullable=False),
        sa.Column("locale", sa.String(length=50), nullable=False),
        sa.Column("time_zone", sa.String(length=100), nullable=False),
        sa.Column("from_name", sa.Text(), server_default="", nullable=False),
        sa.Column("from_address", sa.Text(), server_default="", nullable=False),
        sa.Column("reply_to", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("html", sa.Text(), server_default="", nullable=False),
        sa.Column("headers", sa.Text(), server_default="[]", nullable=False),
        sa.Column("thread", sa.Text(), server_default="[]", nullable=False),
        sa.Column("blocks", sa.Text(), server_default="{}", nullable=False),
        sa.Column("to_json", sa.Text(), server_default="[]", nullable=False),
        sa.Column("cc_json", sa.Text(), server_default="[]", nullable=False),
        sa.Column("host", sa.Text(), server_default="", nullable=False),
        sa.Column("date_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sealed", sa.SmallInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["envoi_event.id"],
            name=op.f("envoi_message_event_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_message_pkey")),
        sa.UniqueConstraint("uid", name=op.f("envoi_message_uid_key")),
    )
    op.create_index("envoi_message_event", "envoi_message", ["event_id"], unique=False)
    op.create_table(
        "envoi_user_address",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "user_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("address_key", sa.Text(), server_default="", nullable=False),
        sa.Column("is_primary", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["envoi_user.id"],
            name=op.f("envoi_user_address_user_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_user_address_pkey")),
    )
    op.create_index("envoi_user_address_key", "envoi_user_address", ["address_key"], unique=False)
    op.create_index(
        "envoi_user_address_primary",
        "envoi_user_address",
        ["user_id"],
        unique=True,
        sqlite_where=sa.text("is_primary = 1"),
        postgresql_where=sa.text("is_primary = 1"),
    )
    op.create_index("envoi_user_address_user", "envoi_user_address", ["user_id"], unique=False)
    op.create_table(
        "envoi_attachment",
        sa.Column(
            "message_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("media_type", sa.Text(), server_default="", nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["envoi_message.id"],
            name=op.f("envoi_attachment_message_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", "position", name=op.f("envoi_attachment_pkey")),
    )
    op.create_table(
        "envoi_delivery",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "message_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "event_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("ordinal", sa.Integer(), server_default="1", nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("person", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("because", sa.Text(), server_default="", nullable=False),
        sa.Column("class", sa.SmallInteger(), nullable=False),
        sa.Column("transport", sa.String(length=100), server_default="default", nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claims", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refusals", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("begun", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), server_default="", nullable=False),
        sa.Column("settled_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_reply", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["envoi_event.id"],
            name=op.f("envoi_delivery_event_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["envoi_message.id"],
            name=op.f("envoi_delivery_message_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_delivery_pkey")),
        sa.UniqueConstraint(
            "event_id", "address", name=op.f("envoi_delivery_event_id_address_key")
        ),
    )
    op.create_index("envoi_delivery_address", "envoi_delivery", ["address"], unique=False)
    op.create_index(
        "envoi_delivery_expiring",
        "envoi_delivery",
        ["expires_at_ms"],
        unique=False,
        sqlite_where=sa.text("expires_at_ms > 0 AND state IN ('queued', 'uncertain', 'held')"),
        postgresql_where=sa.text("expires_at_ms > 0 AND state IN ('queued', 'uncertain', 'held')"),
    )
    op.create_index(
        "envoi_delivery_leased",
        "envoi_delivery",
        ["lease_until_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'sending'"),
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.create_index("envoi_delivery_message", "envoi_delivery", ["message_id"], unique=False)
    op.create_index(
        "envoi_delivery_settled", "envoi_delivery", ["state", "settled_at_ms"], unique=False
    )
    op.create_index(
        "envoi_delivery_waiting",
        "envoi_delivery",
        ["transport", "class", "due_at_ms", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'uncertain')"),
        postgresql_where=sa.text("state IN ('queued', 'uncertain')"),
    )
    op.create_table(
        "envoi_sealed",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "message_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=True,
        ),
        sa.Column(
            "event_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=True,
        ),
        sa.Column("content", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["envoi_event.id"],
            name=op.f("envoi_sealed_event_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["envoi_message.id"],
            name=op.f("envoi_sealed_message_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_sealed_pkey")),
        sa.UniqueConstraint("event_id", name=op.f("envoi_sealed_event_id_key")),
        sa.UniqueConstraint("message_id", name=op.f("envoi_sealed_message_id_key")),
    )
    op.create_table(
        "envoi_attempt",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "delivery_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("claims", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stage", sa.Text(), server_default="", nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("reply", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["envoi_delivery.id"],
            name=op.f("envoi_attempt_delivery_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_attempt_pkey")),
    )
    op.create_index("envoi_attempt_delivery", "envoi_attempt", ["delivery_id"], unique=False)

    # The identity of this outbox: a process that holds somebody else's connection sees by it
    # whether that connection leads here.
    op.bulk_insert(
        meta,
        [{"name": "database_id", "value": str(uuid.uuid4())}, {"name": "version", "value": "1"}],
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
