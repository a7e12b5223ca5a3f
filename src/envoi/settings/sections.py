"""This room shows the settings as the rest of Envoi reads them: one frozen value per section.

What each key means, what it may hold and what goes wrong at both ends stands in `table.py`, one
row per field; the defaults stand here, so that a value made by hand in a test or an embedding
application has them too. The unit is the last part of a name: `_s`, `_ms`, `_mb`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from envoi.core.kind import Plain
from envoi.core.people import Address, Mailbox
from envoi.core.problem import Problem
from envoi.core.rate import Rates, rate_of
from envoi.settings import places
from envoi.settings.secret import Secret, masked_url

Tls: TypeAlias = Literal["none", "starttls", "tls"]
DirectoryKind: TypeAlias = Literal["own", "kallithea", "omero", "sql", "ldap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """`[application]`, and `[application.NAME]` for every further one: how it presents itself."""

    name: str = ""
    base_url: str = ""
    sender: Mailbox = field(default=Mailbox(Address("envoi", "localhost")))
    reply_to: Mailbox | None = None
    prefix: str = ""
    type_header: str = "X-Envoi-Notification-Type"
    type_values: tuple[str, ...] = ()
    admins: tuple[Address, ...] = ()
    fallback: tuple[Address, ...] = ()
    locale: str = "en"
    time_zone: str = "UTC"
    relay: str = "default"
    broadcast_relay: str = ""

    @property
    def host(self) -> str:
        """Right side of Message-IDs: the host of `base_url`, else of From."""
        return places.host_of(self.base_url) or self.sender.address.domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """`[smtp]`, and `[relays.NAME]` for every further one: a relay that mail is handed to."""

    host: str = ""
    port: int = 25
    username: str = ""
    password: Secret = field(default=Secret())
    tls: Tls = "starttls"
    ca_file: Path | None = None
    verify: bool = True
    auth: tuple[str, ...] = ()
    helo: str = ""
    mail_from: Address | None = None
    allow_clear_password: bool = False
    connect_timeout_s: float = 30
    command_timeout_s: float = 60
    content_timeout_s: float = 600
    connections: int = 4
    messages_per_connection: int = 100
    window: int = 1
    per_minute: int = 0
    domain_per_minute: int = 0
    domains_per_minute: tuple[str, ...] = ()
    idle_s: float = 10
    failover: tuple[str, ...] = ()
    oauth_provider: str = ""
    oauth_tenant: str = ""
    oauth_token_url: str = ""
    oauth_client_id: str = ""
    oauth_client_secret: Secret = field(default=Secret())
    oauth_refresh_token: Secret = field(default=Secret())
    oauth_scope: str = ""

    @property
    def rates(self) -> Rates:
        """What its mail is held to."""
        named = (one.partition("=") for one in self.domains_per_minute)
        return Rates(
            relay=rate_of(self.per_minute),
            domain=rate_of(self.domain_per_minute),
            domains={domain: rate_of(int(number)) for domain, _, number in named},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectorySettings:
    """`[directory]`: who exists."""

    kind: DirectoryKind = "own"
    url: str = ""
    users: str = ""
    addresses: str = ""
    groups: str = ""
    members: str = ""

    def __repr__(self) -> str:
        """Return what a dataclass would, with the password in the URL masked."""
        return f"DirectorySettings(kind={self.kind!r}, url={masked_url(self.url)!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapSettings:
    """`[ldap]`: how an LDAP server is asked who exists."""

    base: str = ""
    bind_dn: str = ""
    bind_password: Secret = field(default=Secret())
    starttls: bool = True
    ca_file: Path | None = None
    users: str = "(objectClass=inetOrgPerson)"
    inactive: str = ""
    id: str = "entryUUID"
    login: str = "uid"
    first_name: str = "givenName"
    last_name: str = "sn"
    email: str = "mail"
    extra_email: str = ""
    groups: str = (
        "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
    )
    group_name: str = "cn"
    members: tuple[str, ...] = ("member", "uniqueMember", "memberUid")
    member_of: str = ""
    admins: str = ""
    cache_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """`[outbox]`: where mail is kept until it is delivered, and after."""

    url: str = ""
    schema: str = ""
    route_at_once: int = 500
    busy_timeout_s: float = 2
    spool: Path = Path("envoi-spool")
    spool_max_mb: int = 64

    def __repr__(self) -> str:
        """Return what a dataclass would, with the password in the URL masked."""
        values = {row.name: getattr(self, row.name) for row in fields(self)}
        values["url"] = masked_url(self.url)
        return f"OutboxSettings({', '.join(f'{name}={value!r}' for name, value in values.items())})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """`[delivery]`: whether mail is delivered at all, and how patiently."""

    enabled: bool = True
    lease_s: int = 60
    first_retry_s: int = 60
    longest_retry_s: int = 3600
    give_up_after_s: int = 432_000
    uncertain_wait_s: int = 60
    hold_uncertain: tuple[str, ...] = ()
    drain_s: float = 30
    poll_ms: int = 250
    relay_retry_longest_s: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """`[retention]`: how long things are kept; 0 is for ever."""

    content_days: int = 30
    rows_days: int = 90
    audit_days: int = 365
    incidents_days: int = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """`[transport]`: what carries the mail of the relay that is called `default`."""

    default: str = "smtp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`[guard]`: whom a staging copy may write to."""

    allow: tuple[str, ...] = ()
    redirect: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSettings:
    """`[templates]`: where the application's own words are."""

    folders: tuple[Path, ...] = ()
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSettings:
    """`[errors]`: whom the application's own errors are mailed to, and what such a mail holds."""

    enabled: bool = True
    sender: Mailbox | None = None
    to: tuple[Address, ...] = ()
    subject_prefix: str = "Error:"
    dump_request: bool = False
    dump_request_size: int = 50_000
    dump_local_frames: bool = False
    dump_local_frames_count: int = 2
    not_found: bool = False
    not_found_ignored: tuple[str, ...] = ()
    not_found_list: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What became of one key of another program's settings file.

    Args:
        key: As its author wrote it, e.g. `smtp_use_ssl`; of `[app:main]` unless it says another.
        became: One sentence or less, no secret in it: `smtp.tls = tls`, `not needed: ...`.
        target: Dotted name of the key here that it decides; empty when it decides none.
    """

    key: str
    became: str
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the listing: what is in force, and where it came from.

    Args:
        key: Dotted name, e.g. `smtp.port`; the first application is `application.KEY`.
        shown: The value in force, secrets masked; empty when there is none.
        origin: Path of the settings file, a variable such as `ENVOI_SMTP__HOST`, `file NAME` of
            a secret, or `default`.
    """

    key: str
    shown: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that is set, checked.

    Args:
        path: The settings file; None when there is none.
        folder: Where relative paths start: the file's folder, else the working directory.
        applications: By name; always holds `main`.
        senders: Raw `[senders.NAME]` tables, read by `core.rules`.
        relays: `[relays.NAME]` by name: further relays beside that of `[smtp]`.
        transports: What carries the mail of further relays, where `[transport]` names it.
        warnings: What works and should not stay so; journaled at each start.
        entries: The listing.
        notes: What became of each key of a Kallithea ini, in its order; empty for other files.
    """

    path: Path | None = None
    folder: Path = Path()
    applications: Mapping[str, Application] = field(
        default_factory=lambda: MappingProxyType({"main": Application()})
    )
    smtp: Smtp = field(default_factory=Smtp)
    directory: DirectorySettings = field(default_factory=DirectorySettings)
    ldap: LdapSettings = field(default_factory=LdapSettings)
    outbox: OutboxSettings = field(default_factory=OutboxSettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    transport: TransportSettings = field(default_factory=TransportSettings)
    guard: Guard = field(default_factory=Guard)
    templates: TemplateSettings = field(default_factory=TemplateSettings)
    errors: ErrorSettings = field(default_factory=ErrorSettings)
    senders: Mapping[str, Mapping[str, Plain]] = field(default_factory=lambda: MappingProxyType({}))
    relays: Mapping[str, Smtp] = field(default_factory=lambda: MappingProxyType({}))
    transports: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[Problem, ...] = ()
    entries: tuple[Entry, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def relay_names(self) -> tuple[str, ...]:
        """The name of every relay, `default` first."""
        return ("default", *sorted({*self.relays, *self.transports}))

    def relay(self, name: str) -> Smtp:
        """Return how a relay is reached; one of `[transport]` alone has the defaults."""
        return self.smtp if name == "default" else self.relays.get(name, Smtp())

    def listing(self) -> tuple[Entry, ...]:
        """Return every key with the value in force and its origin, secrets masked."""
        return self.entries

    def origin_of(self, key: str) -> str:
        """Return where a key was set, as the listing shows it; `default` when nowhere.

        Args:
            key: Dotted name, e.g. `smtp.port`.
        """
        return next((entry.origin for entry in self.entries if entry.key == key), "default")

    def name_of(self, key: str) -> str:
        """Return a key as its author wrote it: its own name, or another program's.

        Args:
            key: Dotted name, e.g. `smtp.port`, which may be `omero.mail.port` in the file.
        """
        return self.origin_of(key).partition(": ")[2] or key
