"""This room opens the users that the settings name."""

from envoi.directory.kallithea import kallithea_source
from envoi.directory.ldap import ldap_source
from envoi.directory.omero import omero_source
from envoi.directory.source import Source
from envoi.directory.sql import Queries, sql_source
from envoi.settings import Settings


def users_source_of(settings: Settings) -> Source | None:
    """Return where another system keeps the users; None where they are ours.

    Raises:
        DirectoryError: Its address is none.
    """
    directory = settings.directory
    match directory.kind:
        case "own":
            return None
        case "kallithea":
            return kallithea_source(directory.url)
        case "omero":
            return omero_source(directory.url)
        case "sql":
            queries = Queries(
                users=directory.users,
                addresses=directory.addresses,
                groups=directory.groups,
                members=directory.members,
            )
            return sql_source(directory.url, queries)
        case "ldap":
            return ldap_source(directory.url, settings.ldap)
