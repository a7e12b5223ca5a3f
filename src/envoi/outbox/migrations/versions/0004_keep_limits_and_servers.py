"""This room counts mail per person where a sender has a limit, and knows which servers are up.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "envoi_limit",
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("ends_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("told", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held_back", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held_since_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("application", "sender", "address", name=op.f("envoi_limit_pkey")),
    )
    op.create_index("envoi_limit_ends", "envoi_limit", ["ends_at_ms"], unique=False)
    op.create_table(
        "envoi_server",
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("is_up", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("left_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("application", "name", name=op.f("envoi_server_pkey")),
    )
    op.create_table(
        "envoi_instance",
        sa.Column("id", sa.String(length=100), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("server", sa.String(length=100), nullable=False),
        sa.Column("host", sa.Text(), server_default="", nullable=False),
        sa.Column("pid", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("envoi_instance_pkey")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
