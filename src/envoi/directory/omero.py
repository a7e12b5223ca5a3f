"""This room reads the users that an OMERO server keeps, from its own tables.

Whom OMERO knows: experimenters and groups. Who is in the group `user` is active, who is in
`system` is an administrator. The account `guest` is in neither and so is inactive; `root` is
number 0.
"""

from envoi.directory.source import Source
from envoi.directory.sql import Queries, sql_source

QUERIES = Queries(
    users="""
SELECT e.id, e.omename AS login, e.firstname AS first_name, e.lastname AS last_name, e.email,
  EXISTS (SELECT 1 FROM groupexperimentermap m JOIN experimentergroup g ON g.id = m.parent
    WHERE m.child = e.id AND g.name = 'user') AS is_active,
  EXISTS (SELECT 1 FROM groupexperimentermap m JOIN experimentergroup g ON g.id = m.parent
    WHERE m.child = e.id AND g.name = 'system') AS is_admin
FROM experimenter e""",
    groups="SELECT id, name FROM experimentergroup",
    members="SELECT parent AS group_id, child AS user_id FROM groupexperimentermap",
)


def omero_source(url: str) -> Source:
    """Return where an OMERO server keeps its users.

    Raises:
        DirectoryError: Not an address of SQLite or PostgreSQL.
    """
    return sql_source(url, QUERIES)
