"""This room notes what is removed after a time, what is to be looked at again, and chores due.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ASIDE = "state IN ('held', 'failed', 'suppressed', 'cancelled', 'expired')"


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    for table, name in (
        ("envoi_event", "removed_at_ms"),
        ("envoi_event", "ended_at_ms"),
        ("envoi_message", "removed_at_ms"),
    ):
        op.add_column(
            table,
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False),
            schema=schema,
        )
    op.add_column(
        "envoi_event",
        sa.Column("is_late", sa.SmallInteger(), server_default="0", nullable=False),
        schema=schema,
    )
    _index("envoi_event_ended", "envoi_event", ["ended_at_ms", "id"], "ended_at_ms > 0")
    _index("envoi_event_late", "envoi_event", ["id"], "is_late = 1")
    # Three entries per delivery on its way to `sent`, for lists that ask for what was not sent.
    op.drop_index("envoi_delivery_settled", "envoi_delivery", schema=schema)
    _index("envoi_delivery_aside", "envoi_delivery", ["state", "id"], _ASIDE)
    op.create_table(
        "envoi_chore",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claims", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("envoi_chore_pkey")),
    )


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(
        name,
        table,
        columns,
        unique=False,
        schema=op.get_context().version_table_schema,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
