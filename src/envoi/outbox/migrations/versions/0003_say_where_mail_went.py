"""This room finds an address in any capitals, and notes where the guard sent a mail instead.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # New tables go where the connection puts them; ALTER TABLE must be told.
    schema = op.get_context().version_table_schema
    op.add_column(
        "envoi_attempt",
        sa.Column("sent_to", sa.Text(), server_default="", nullable=False),
        schema=schema,
    )
    op.drop_index("envoi_delivery_address", "envoi_delivery", schema=schema)
    op.create_index(
        "envoi_delivery_address_low",
        "envoi_delivery",
        [sa.text("lower(address)")],
        unique=False,
        schema=schema,
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
