"""This room counts the mail that a relay, and a domain by that relay, had in the last moments.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "envoi_rate",
        sa.Column("relay", sa.String(length=100), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("spent_until_us", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("line_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("relay", "domain", name=op.f("envoi_rate_pkey")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
