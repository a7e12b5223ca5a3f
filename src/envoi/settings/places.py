"""This room reads where things are: hosts, URLs, files and folders."""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import idna

from envoi.settings.readers import MisfitError

_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*\.?"
)
# Docker and its kind resolve service names with `_`, which no mail domain may hold.
_RELAY_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_WITH_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]+):(?P<port>[0-9]+)")
_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?://")
_POSTGRESQL = re.compile(r"postgres(?:ql)?(?:\+psycopg)?://")

_KALLITHEA_SUFFIX = ".ini"


def is_kallithea(path: Path) -> bool:
    """Whether a settings file is a Kallithea's, by its name."""
    return path.suffix.lower() == _KALLITHEA_SUFFIX


def host(text: str) -> str:
    """Return the relay's host name or IP address; brackets around IPv6 are dropped."""
    if "://" in text:
        raise MisfitError('without a scheme, as in host = "smtp.example.org"')
    if match := _WITH_PORT.fullmatch(text):
        raise MisfitError(f"the port has its own key: smtp.port = {match['port'][:6]}")
    bare = text.removeprefix("[").removesuffix("]")
    if ip := _ip(bare):
        return ip
    if "_" in text and ".." not in text and _RELAY_NAME.fullmatch(text):
        return text.lower()
    return host_name(text)


def host_name(text: str) -> str:
    """Return the host name in lower case, international ones as `xn--` labels."""
    name = text.lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, ValueError) as err:
            raise MisfitError from err
    if not _HOST_NAME.fullmatch(name):
        raise MisfitError
    return name


def helo_name(text: str) -> str:
    """Return the name to greet with: a host name, or an IP address in brackets (RFC 5321 4.1.3)."""
    if text.startswith("["):
        literal = text.removeprefix("[").removesuffix("]")
        ip = _ip(re.sub(r"(?i)^IPv6:", "", literal))
        if not ip or not text.endswith("]"):
            raise MisfitError
        return f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"
    if _ip(text):
        raise MisfitError(f"an IP address stands in brackets: [{text}]")
    return host_name(text)


def is_loopback(name: str) -> bool:
    """Whether mail to this host never leaves the machine.

    >>> [is_loopback(name) for name in ("localhost", "127.0.0.2", "::1", "mail.example.org")]
    [True, True, True, False]
    """
    if name.lower().rstrip(".") == "localhost":
        return True
    ip = _ip(name)
    return bool(ip) and ipaddress.ip_address(ip).is_loopback


def is_ip(text: str) -> bool:
    """Whether this is an IP address and no name."""
    return bool(_ip(text.strip("[]")))


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def base_url(text: str) -> str:
    """Return the base of every link, without a trailing slash."""
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise MisfitError("as in https://wiki.example.org")
    if "@" in parts.netloc:
        raise MisfitError("without credentials: it stands in every mail")
    if "?" in text or "#" in text:
        raise MisfitError("without query and fragment: paths are put behind it")
    if re.search(r"[\s\\<>\"'`{}|^]", text):
        raise MisfitError("it holds a character that no URL holds")
    host(parts.hostname)
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}".rstrip("/")


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname  # these look at the text only when asked
    except ValueError as err:
        # Not the library's words: they repeat what it took for a port, which may be a password.
        raise MisfitError(
            "its host or port cannot be read; / : @ in a password are %2F %3A %40"
        ) from err
    return parts


def host_of(url: str) -> str:
    """Return the host name of a base URL; empty where it has none that mail could come from."""
    name = urlsplit(url).hostname or ""
    try:
        return "" if _ip(name) else host_name(name).rstrip(".")
    except MisfitError:
        return ""


def token_url(text: str) -> str:
    """Return the URL of who gives out tokens: https, or http on this machine."""
    parts = _split(text)
    if parts.username or parts.password or parts.fragment or not parts.hostname:
        raise MisfitError
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise MisfitError("secrets cross the network to it: https")
    return text


def outbox_url(text: str, folder: Path) -> str:
    """Return the database URL; the path of an SQLite file is made absolute."""
    if match := _SQLITE.match(text):
        return match[0] + _sqlite_file(text[match.end() :], folder)
    if match := _POSTGRESQL.match(text):
        # Several servers of one database (libpq): each is read as if it stood alone.
        for one in _one_by_one(text):
            _split(one)
        return "postgresql" + text[len("postgres") :].removeprefix("ql")
    if re.match(r"(mysql|mariadb|oracle|mssql)\b", text):
        raise MisfitError("Envoi speaks SQLite and PostgreSQL only")
    if re.match(r"postgres(ql)?\+", text):
        raise MisfitError("Envoi's own connections use psycopg 3: write postgresql://")
    raise MisfitError


def _one_by_one(text: str) -> Iterator[str]:
    scheme, mark, rest = text.partition("://")
    place, slash, path = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    for one in hosts.split(","):
        yield f"{scheme}{mark}{user}{at}{one}{slash}{path}"


def directory_url(text: str, folder: Path) -> str:
    """Return the URL of a database, as `outbox_url` does, or of an LDAP server."""
    if not re.match(r"ldaps?://", text):
        if len(list(_one_by_one(text))) > 1:
            raise MisfitError("several hosts are written ?host=HOST1:PORT&host=HOST2:PORT here")
        return outbox_url(text, folder)
    parts = _split(text)
    if not parts.hostname or "@" in parts.netloc:
        raise MisfitError("name and password have their own keys: ldap.bind_dn, ldap.bind_password")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise MisfitError("where to search has its own key: ldap.base")
    host(parts.hostname)
    return f"{parts.scheme}://{parts.netloc}"


def _sqlite_file(rest: str, folder: Path) -> str:
    path, mark, query = rest.partition("?")
    if path in {"", "/", "/:memory:"} or "mode=memory" in query:
        raise MisfitError("an outbox in memory would lose its mail with the process: name a file")
    if not path.startswith("/"):
        raise MisfitError("three slashes before a relative path, four before an absolute one")
    if "?" in str(folder) and not path.startswith("//"):
        raise MisfitError(f"SQLite URLs cannot hold the ? in {folder}: move the settings file")
    if path.startswith("/~"):
        raise MisfitError("~ is not expanded: write the whole path")
    return f"/{folder / path[1:]}{mark}{query}"


def any_path(text: str, folder: Path) -> Path:
    """Return the path, a relative one below the folder of the settings file."""
    if text.startswith("~"):
        raise MisfitError("~ is not expanded: write the whole path")
    if "://" in text:  # said before any path made of it, where its password is none to find
        raise MisfitError("a path on this machine, not a URL")
    return folder / text


def existing_file(text: str, folder: Path) -> Path:
    """Return the path of a file that is there."""
    path = any_path(text, folder)
    try:
        is_there = path.is_file()
    except OSError as err:
        raise MisfitError(f"{path}: {err.strerror}") from err
    if not is_there:
        raise MisfitError(f"there is no file {path}")
    return path


def existing_folder(text: str, folder: Path) -> Path:
    """Return the path of a folder that is there."""
    path = any_path(text, folder)
    try:
        is_there = path.is_dir()
    except OSError as err:
        raise MisfitError(f"{path}: {err.strerror}") from err
    if not is_there:
        raise MisfitError(f"there is no folder {path}")
    return path
