"""This room says which relay carried a mail, and keeps refresh tokens that were exchanged.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # New tables go where the connection puts them; ALTER TABLE must be told.
    schema = op.get_context().version_table_schema
    for table in ("envoi_delivery", "envoi_attempt"):
        op.add_column(
            table,
            sa.Column("relay", sa.String(length=100), server_default="", nullable=False),
            schema=schema,
        )
    op.create_table(
        "envoi_token",
        sa.Column("relay", sa.String(length=100), nullable=False),
        sa.Column("seed", sa.Text(), server_default="", nullable=False),
        sa.Column("refresh_token", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("relay", name=op.f("envoi_token_pkey")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
