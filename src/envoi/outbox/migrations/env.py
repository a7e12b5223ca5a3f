"""This room is Alembic's way in; `schema.upgrade` hands it an open connection."""

from alembic import context

from envoi.outbox.schema import VERSION_TABLE
from envoi.outbox.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    version_table_schema=context.config.attributes["schema"] or None,
    transactional_ddl=True,
)
context.run_migrations()
