"""This room counts equal errors together.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "envoi_incident",
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("error_type", sa.Text(), server_default="", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("place", sa.Text(), server_default="", nullable=False),
        sa.Column("release", sa.Text(), server_default="", nullable=False),
        sa.Column("standing", sa.String(length=20), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("window_ends_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("window_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held_back", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("application", "fingerprint", name=op.f("envoi_incident_pkey")),
    )
    op.create_index("envoi_incident_windows", "envoi_incident", ["window_ends_at_ms"], unique=False)
    op.create_index("envoi_incident_last", "envoi_incident", ["last_at_ms"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
