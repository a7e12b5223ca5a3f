"""This room reads the address of an outbox: a file of SQLite, or a PostgreSQL server, or several.

Several hosts are the servers of one database, of which one takes writes: a primary and the
standbys that may be promoted in its place. The form is libpq's, `HOST1:PORT,HOST2:PORT`. A
connection goes to the first that takes writes, whatever the order and whoever is promoted.
"""

import re
from typing import TYPE_CHECKING

from envoi.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import URL

FORMS = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"
_PLACE = re.compile(r"(?P<scheme>[^:/?#]+://)(?P<user>[^/?#]*@)?(?P<hosts>[^/?#@]*)(?P<rest>.*)")
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")
_PORT = 5432


def parse_url(text: str) -> "URL":
    """Return the address of an outbox; `postgresql://` is spoken by psycopg 3.

    Raises:
        InputError: Not an address of SQLite or PostgreSQL.
    """
    from sqlalchemy import make_url  # noqa: PLC0415 # heavy, used at the edge only
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 # same

    place, hosts, ports = _several(text)
    try:
        url = make_url(place)
    except (ArgumentError, ValueError) as err:
        raise InputError(f"outbox.url: expected {FORMS}, got something else") from err
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InputError(f"outbox.url: expected {FORMS}, got {url.get_backend_name()}://")
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise InputError(f"outbox.url: expected {FORMS}; in memory no mail survives a restart")
    if hosts:
        url = url.update_query_dict({"host": ",".join(hosts), "port": ",".join(ports)})
    return _writing(url)


def _several(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Take a list of hosts out of an address; SQLAlchemy reads one host only.

    Returns:
        The address without them, their names, and a port for each; none where it has one host.
    """
    found = _PLACE.fullmatch(text)
    if found is None or "," not in found["hosts"]:
        return text, (), ()
    each = [_HOST.fullmatch(part) for part in found["hosts"].split(",")]
    hosts = [part for part in each if part is not None]
    if len(hosts) < len(each):
        raise InputError(
            "outbox.url: expected several hosts as HOST1:PORT,HOST2:PORT, got something else"
        )
    names = tuple(part["name"].strip("[]") for part in hosts)
    ports = tuple(part["port"] or str(_PORT) for part in hosts)
    return f"{found['scheme']}{found['user'] or ''}{found['rest']}", names, ports


def _writing(url: "URL") -> "URL":
    """Ask for the host that takes writes where there are several, unless the address says which."""
    host = url.query.get("host", ())
    is_several = "," in host if isinstance(host, str) else len(host) > 1
    if not is_several or "target_session_attrs" in url.query:
        return url
    return url.update_query_dict({"target_session_attrs": "read-write"})
