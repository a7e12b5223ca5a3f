"""This room counts and lists a million deliveries without reading all of them.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_WAITING = "state IN ('queued', 'uncertain')"
_ASIDE = "state IN ('held', 'failed', 'suppressed', 'cancelled', 'expired')"
_ELSEWHERE = "transport <> 'default'"


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    # The last column of each is only counted: no row has to be read for it.
    op.drop_index("envoi_delivery_waiting", "envoi_delivery", schema=schema)
    _index(
        "envoi_delivery_waiting",
        "envoi_delivery",
        ["transport", "class", "due_at_ms", "id", "state"],
        _WAITING,
    )
    op.drop_index("envoi_delivery_aside", "envoi_delivery", schema=schema)
    _index("envoi_delivery_aside", "envoi_delivery", ["state", "id", "transport"], _ASIDE)
    _index("envoi_delivery_elsewhere", "envoi_delivery", ["transport", "id"], _ELSEWHERE)
    op.create_index(
        "envoi_message_kind", "envoi_message", ["kind", "date_ms"], unique=False, schema=schema
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
