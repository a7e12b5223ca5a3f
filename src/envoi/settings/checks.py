"""This room compares settings with one another: what cannot be together, and what should not."""

import shlex
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from urllib.parse import urlsplit

from envoi.core.kind import MASK
from envoi.core.problem import Problem
from envoi.settings.places import is_kallithea, is_loopback
from envoi.settings.relay_checks import misfits_of_relays, relays_of, warnings_of_relays
from envoi.settings.sections import Settings


def misfits_of(settings: Settings, told: AbstractSet[str]) -> tuple[Problem, ...]:
    """List what cannot be together.

    Args:
        settings: The settings, with defaults in place of what did not fit by itself.
        told: Keys that have a problem already; comparing with them would tell nonsense.
    """
    return tuple(
        problem
        for keys, problem in (
            *_of_waits(settings),
            *_of_retention(settings),
            *_of_rates(settings),
            *_of_folder(settings),
            *_of_directory(settings),
            *misfits_of_relays(settings),
        )
        if not keys & told
    )


def _of_waits(settings: Settings) -> Iterator[tuple[AbstractSet[str], Problem]]:
    first, longest = "delivery.first_retry_s", "delivery.longest_retry_s"
    delivery = settings.delivery
    if delivery.first_retry_s > delivery.longest_retry_s:
        expected = f"at most longest_retry_s, {delivery.longest_retry_s}"
        got = str(delivery.first_retry_s)
        yield {first, longest}, Problem(where=first, expected=expected, got=got)


def _of_retention(settings: Settings) -> Iterator[tuple[AbstractSet[str], Problem]]:
    content, rows = "retention.content_days", "retention.rows_days"
    kept = settings.retention
    if 0 < kept.rows_days < kept.content_days:
        expected = f"at most rows_days, {kept.rows_days}"
        problem = Problem(where=content, expected=expected, got=str(kept.content_days))
        yield {content, rows}, problem


def _of_rates(settings: Settings) -> Iterator[tuple[AbstractSet[str], Problem]]:
    for _, section, relay in relays_of(settings):
        where = f"{section}.domains_per_minute"
        named = Counter(one.partition("=")[0] for one in relay.domains_per_minute)
        for domain in (domain for domain, count in named.items() if count > 1):
            yield {where}, Problem(where=where, expected="each domain once", got=domain)


def _of_folder(settings: Settings) -> Iterator[tuple[AbstractSet[str], Problem]]:
    # The default database lies beside the settings file, wherever that is.
    is_beside = settings.outbox.url.startswith(f"sqlite:///{settings.folder}")
    if is_beside and "?" in str(settings.folder):
        hint = f"SQLite URLs cannot hold the ? in {settings.folder}: set outbox.url"
        problem = Problem(where="outbox.url", expected="a folder without ?", got="one", hint=hint)
        yield {"outbox.url"}, problem


def _of_directory(settings: Settings) -> Iterator[tuple[AbstractSet[str], Problem]]:
    directory, ldap = settings.directory, settings.ldap
    hint = f'directory.kind is "{directory.kind}"'
    if directory.kind == "own":
        return
    needed = {"directory.url": (directory.url, "the URL of its database")}
    if directory.kind == "sql":
        needed["directory.users"] = (directory.users, "a SELECT of all users")
    if directory.kind == "ldap":
        needed["directory.url"] = (directory.url, "the URL of its server")
        needed["ldap.base"] = (ldap.base, "the entry below which to search")
        needed["ldap.login"] = (ldap.login, "the attribute with the login")
        needed["ldap.id"] = (ldap.id, "an attribute that never changes")
    for where, (value, expected) in needed.items():
        if not value:
            problem = Problem(where=where, expected=expected, got="none", hint=hint)
            yield {"directory.kind", where}, problem
    is_ldap = directory.url.startswith("ldap")
    if directory.url and is_ldap != (directory.kind == "ldap"):
        expected = "ldaps://HOST" if directory.kind == "ldap" else "the URL of a database"
        got = directory.url.partition("://")[0] + "://"
        problem = Problem(where="directory.url", expected=expected, got=got, hint=hint)
        yield {"directory.kind", "directory.url"}, problem
    if directory.kind == "ldap" and ldap.bind_dn and not ldap.bind_password:
        # RFC 4513 5.1.2: a name with an empty password is answered as if it were right.
        where, expected = "ldap.bind_password", "the password of ldap.bind_dn"
        yield {where, "ldap.bind_dn"}, Problem(where=where, expected=expected, got="none")


def warnings_of(settings: Settings, *, in_file: str) -> tuple[Problem, ...]:
    """List what works and should not stay so.

    Args:
        settings: The checked settings.
        in_file: Key of a secret that stands in the settings file itself; empty when none does.
    """
    warnings = [*warnings_of_relays(settings), *_of_schema(settings), *_of_unused_users(settings)]
    warnings += _of_links(settings)
    warnings += _of_clear_directory(settings)
    if in_file and settings.path:
        warnings += _of_readable_file(settings.path, in_file)
    return tuple(warnings)


def _of_schema(settings: Settings) -> Iterator[Problem]:
    if settings.outbox.schema and settings.outbox.url.startswith("sqlite"):
        hint = "SQLite has no schemas; it is ignored"
        got = settings.outbox.schema
        yield Problem(where="outbox.schema", expected="none with SQLite", got=got, hint=hint)


def _of_unused_users(settings: Settings) -> Iterator[Problem]:
    if settings.directory.kind == "own" and settings.directory.url:
        where, hint = "directory.url", "Envoi's own users stand in the outbox's database"
        expected = "directory.kind that says whose users these are"
        yield Problem(where=where, expected=expected, got="own", hint=hint)


def _of_clear_directory(settings: Settings) -> Iterator[Problem]:
    url = settings.directory.url
    host = urlsplit(url).hostname or "" if url.startswith("ldap://") else "localhost"
    if settings.directory.kind == "ldap" and not settings.ldap.starttls and not is_loopback(host):
        hint = "password and people cross the network in clear, and anybody may answer"
        yield Problem(where="ldap.starttls", expected="true", got="false", hint=hint)


def _of_links(settings: Settings) -> Iterator[Problem]:
    # The shipped file has the key commented out, and Kallithea alone does without it.
    is_missing = not settings.applications["main"].base_url
    if is_missing and settings.path and is_kallithea(settings.path):
        where, expected = "canonical_url", "the URL at which Kallithea is reached"
        hint = "links in mail lead nowhere: no request stands in for it, as it does in Kallithea"
        yield Problem(where=where, expected=expected, got="none", hint=hint)


def _of_readable_file(path: Path, key: str) -> Iterator[Problem]:
    # Only the settings file: secret files of Docker and Kubernetes are 0444 by design, inside a
    # container that nobody else is in. The group may read: services often run as one.
    mode = path.stat().st_mode & 0o777
    if mode & 0o004:
        yield Problem(
            where=key,
            expected="a settings file that not everybody can read",
            got=f"{MASK} in one of mode {mode:04o}",
            hint=f"chmod 600 {shlex.quote(str(path))}",
        )
