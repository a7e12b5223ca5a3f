"""This room keeps broadcasts, and notes who used what only an administrator may.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "envoi_broadcast",
        sa.Column("event_id", _ID, autoincrement=False, nullable=False),
        sa.Column("message_id", _ID, autoincrement=False, nullable=False),
        sa.Column("newest", sa.Text(), server_default="", nullable=False),
        sa.Column("ordinal", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.String(length=20), server_default="going", nullable=False),
        sa.Column("is_halted", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("is_swept", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("stored_by", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed_by", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["envoi_event.id"],
            name=op.f("envoi_broadcast_event_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["envoi_message.id"],
            name=op.f("envoi_broadcast_message_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("envoi_broadcast_pkey")),
    )
    op.create_index(
        "envoi_broadcast_halted",
        "envoi_broadcast",
        ["event_id"],
        unique=False,
        sqlite_where=sa.text("is_halted = 1"),
        postgresql_where=sa.text("is_halted = 1"),
    )
    op.create_table(
        "envoi_audit",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("made_by", sa.Text(), server_default="", nullable=False),
        sa.Column("login", sa.Text(), server_default="", nullable=False),
        sa.Column("action", sa.Text(), server_default="", nullable=False),
        sa.Column("target", sa.Text(), server_default="", nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_audit_pkey")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
