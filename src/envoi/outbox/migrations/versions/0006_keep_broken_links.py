"""This room counts links that lead nowhere.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "envoi_broken_link",
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("host", sa.Text(), server_default="", nullable=False),
        sa.Column("is_internal", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("referrer", sa.Text(), server_default="", nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("user_agent", sa.Text(), server_default="", nullable=False),
        sa.Column("client", sa.Text(), server_default="", nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("untold", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("application", "fingerprint", name=op.f("envoi_broken_link_pkey")),
    )
    op.create_index("envoi_broken_link_last", "envoi_broken_link", ["last_at_ms"], unique=False)
    op.create_table(
        "envoi_link_digest",
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("is_internal", sa.SmallInteger(), nullable=False),
        sa.Column("ends_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unlisted", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("application", "is_internal", name=op.f("envoi_link_digest_pkey")),
    )
    op.create_index("envoi_link_digest_ends", "envoi_link_digest", ["ends_at_ms"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
