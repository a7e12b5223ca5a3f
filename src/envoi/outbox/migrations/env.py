"""This room is Alembic's way in; what it does stands in `schema.run_migrations`."""

# Alembic runs this file under a name of its own, so that no coverage is seen here.
from alembic import context  # pragma: no cover

from envoi.outbox.schema import run_migrations  # pragma: no cover

run_migrations(context.config.attributes)  # pragma: no cover
