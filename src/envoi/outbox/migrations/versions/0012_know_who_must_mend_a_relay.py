"""This room keeps whether a relay's trouble waits for an operator, so that others heed it.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "envoi_relay",
        sa.Column("needs_operator", sa.SmallInteger(), server_default="0", nullable=False),
        schema=op.get_context().version_table_schema,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
