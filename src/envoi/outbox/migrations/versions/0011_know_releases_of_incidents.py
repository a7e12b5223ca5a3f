"""This room keeps what an incident is judged by: its releases, the end of its silence, a digest.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = op.get_context().version_table_schema
    for column in (
        sa.Column("releases", sa.Text(), server_default="", nullable=False),
        sa.Column("mended_in", sa.Text(), server_default="", nullable=False),
        sa.Column("muted_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("muted_until_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("window_told", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("digest_since_ms", sa.BigInteger(), server_default="0", nullable=False),
    ):
        op.add_column("envoi_incident", column, schema=schema)
    table = f'"{schema}".envoi_incident' if schema else "envoi_incident"
    op.execute(f"UPDATE {table} SET releases = release")  # noqa: S608 # the schema is ours
    op.create_index(
        "envoi_incident_digests", "envoi_incident", ["application", "digest_since_ms"],
        unique=False, schema=schema,
        sqlite_where=sa.text("digest_since_ms > 0"),
        postgresql_where=sa.text("digest_since_ms > 0"),
    )  # fmt: skip


def downgrade() -> None:
    raise NotImplementedError("restore the backup made before the upgrade")
