"""This room holds the table of all settings: one row per key.

Parsing, the listing with origins, the starter file and `docs/reference/settings.md` all come from
here; a key that is not in this table does not exist. Types and defaults stand in `sections.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from envoi.settings import places, readers, sections
from envoi.settings.readers import Reader, texts

# `Any`: what these classes have in common is only that they are dataclasses.
SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "application": sections.Application,
        "smtp": sections.Smtp,
        "outbox": sections.OutboxSettings,
        "delivery": sections.DeliverySettings,
        "guard": sections.Guard,
        "templates": sections.TemplateSettings,
    }
)

_TLS_HINTS = {
    **dict.fromkeys(("ssl", "ssl/tls", "smtps", "implicit", "smtp_ssl"), "TLS at once is tls"),
    **dict.fromkeys(
        ("true", "yes", "on", "required", "require", "start_tls"),
        "starttls to upgrade an open connection, tls to begin with TLS",
    ),
    **dict.fromkeys(("false", "no", "off", "plain", "clear"), "clear text is none"),
}
_ADDRESS = texts(readers.address, "an e-mail address")
_MAILBOX = texts(readers.mailbox, "an address, or a name with the address in < >")


@dataclass(frozen=True, slots=True)
class Row:
    """What is known about one key.

    Args:
        key: Dotted name in TOML.
        reader: How a value is read, and what fits.
        doc: What it is for, and what goes wrong at both ends.
        field: Name of the dataclass field, where it is not the key's.
        otherwise: How the default is told when it is computed from other settings.
        example: A TOML value for the starter file; empty: the key is not in it.
        is_secret: Whether it is masked, and may also be read from a file by `KEY_file`.
    """

    key: str
    reader: Reader
    doc: str
    field: str = ""
    otherwise: str = ""
    example: str = ""
    is_secret: bool = False

    @property
    def section(self) -> str:
        """The part before the dot."""
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        """The part behind the dot."""
        return self.key.partition(".")[2]

    @property
    def default(self) -> object:
        """The default as the dataclass has it."""
        name = self.field or self.name
        return next(one.default for one in fields(SECTIONS[self.section]) if one.name == name)


def rows_of(section: str) -> Mapping[str, Row]:
    """Return the rows of a section by the name of the key."""
    return {row.name: row for row in ROWS if row.section == section}


ROWS: tuple[Row, ...] = (
    Row(
        "application.name",
        texts(str.strip, "a name"),
        "The application's name as its readers know it, shown in the layout of every mail. "
        "Without it the layout has no heading.",
        example='"Wiki"',
    ),
    Row(
        "application.base_url",
        texts(places.base_url, "an http or https URL without credentials, query or fragment"),
        "What every link in a mail begins with. Without it links that the application gives "
        "as paths lead nowhere; with a wrong one readers land at a stranger's.",
        example='"https://wiki.example.org"',
    ),
    Row(
        "application.from",
        _MAILBOX,
        "From of every mail. An address that the relay may not send for is refused, or lands "
        "in junk folders.",
        field="sender",
        otherwise="envoi@ the host of base_url, else envoi@localhost",
        example='"Wiki <wiki@example.org>"',
    ),
    Row(
        "application.reply_to",
        _MAILBOX,
        "Where answers go. Without it they go to From, which somebody should read then.",
    ),
    Row(
        "application.prefix",
        texts(str.strip, "a text on one line"),
        "Put before every subject, with one space. A long one hides what the mail is about.",
        example='"[wiki]"',
    ),
    Row(
        "application.type_header",
        texts(readers.header_name, "a header's name"),
        "Name of the header that carries an event's kind. Readers filter by it: changing it "
        "breaks their filters.",
    ),
    Row(
        "application.admins",
        readers.lists(_ADDRESS, "a list of e-mail addresses"),
        "Administrators beyond those that the directory knows. With none at all, mail for "
        "administrators reaches nobody.",
        example='["admin@example.org"]',
    ),
    Row(
        "application.locale",
        texts(readers.locale, "a locale such as en, de or pt_BR"),
        "Language of people who have set none. One without a translation reads as English.",
        example='"de"',
    ),
    Row(
        "application.time_zone",
        texts(readers.time_zone, "a time zone such as Europe/Berlin"),
        "Zone in which times are shown to people who have set none.",
        example='"Europe/Berlin"',
    ),
    Row(
        "smtp.host",
        texts(places.host, "a host name or IP address"),
        "The relay. Without it nothing is sent: mail shows up in the log and is kept as held.",
        example='"smtp.example.org"',
    ),
    Row(
        "smtp.port",
        readers.integers(1, 65535),
        "The relay's port. On a wrong one nobody answers, or not in SMTP; mail waits.",
        otherwise="465 with tls, else 25",
        example="587",
    ),
    Row(
        "smtp.username",
        texts(readers.checked_text, "a text on one line"),
        "Name to sign in with. Without it nobody signs in, even with a password.",
        example='"wiki"',
    ),
    Row(
        "smtp.password",
        readers.secrets(),
        "Password to sign in with; better in a file of its own: `password_file`. With a wrong "
        "one the relay is paused and mail waits, so that the account is not locked.",
        example='"relay-password"',
        is_secret=True,
    ),
    Row(
        "smtp.tls",
        readers.one_of(("none", "starttls", "tls"), _TLS_HINTS),
        "`starttls` upgrades the open connection and never goes on without; `tls` begins with "
        "TLS (port 465); `none` sends in clear. The wrong one of the first two hangs or is "
        "hung up on.",
        otherwise="none for a loopback host, else starttls",
        example='"starttls"',
    ),
    Row(
        "smtp.ca_file",
        readers.paths(places.existing_file, "a PEM file that is there"),
        "Certificates of the only authorities to trust, a site's own; without it the system's. A "
        "relay whose certificate comes from another one is refused.",
    ),
    Row(
        "smtp.verify",
        readers.booleans(),
        "Whether the relay's certificate must be valid and its own. With false anybody on the "
        "way can read mail and password; warned of at each start. Better: `ca_file`.",
    ),
    Row(
        "smtp.auth",
        readers.lists(
            texts(readers.auth_mechanism, "PLAIN, LOGIN or CRAM-MD5"),
            "a list of PLAIN, LOGIN and CRAM-MD5",
        ),
        "Mechanisms to sign in by, in order of preference. Empty: whatever the relay offers "
        "that Envoi knows. Needed only for relays that offer what they do not do.",
    ),
    Row(
        "smtp.helo",
        texts(places.helo_name, "a host name"),
        "Name to greet the relay with. Some relays refuse a name that DNS does not know.",
        otherwise="this machine's name",
    ),
    Row(
        "smtp.mail_from",
        _ADDRESS,
        "Envelope sender: where bounces go. Nobody hears of bounces when nobody reads it.",
        otherwise="the address of From",
    ),
    Row(
        "smtp.allow_clear_password",
        readers.booleans(),
        "Whether the password may cross a network in clear when `tls` is `none`. With true "
        "anybody on the way can read it; with false such a relay is paused unless it offers "
        "STARTTLS.",
    ),
    Row(
        "smtp.connect_timeout_s",
        readers.seconds(0.1, 600),
        "How long a connection may take to open, and TLS to begin. Too short gives up on slow "
        "relays; too long notices a dead one late.",
    ),
    Row(
        "smtp.command_timeout_s",
        readers.seconds(0.1, 3600),
        "How long the relay may take to greet and to answer a command. Too short drops slow "
        "relays (some greet late on purpose) and mail starts over; too long keeps a connection "
        "busy with a dead one.",
    ),
    Row(
        "smtp.content_timeout_s",
        readers.seconds(0.1, 3600),
        "How long the relay may take to acknowledge a mail's content. Below 600 (RFC 5321 "
        "4.5.3.2.6) slow relays get mail twice; longer keeps a connection waiting.",
    ),
    Row(
        "smtp.connections",
        readers.integers(1, 100),
        "How many connections are open at once, over all processes. Too few is slow at a "
        "distant relay; too many are refused, and each may cost one duplicate after a crash.",
    ),
    Row(
        "smtp.messages_per_connection",
        readers.integers(1, 100000),
        "After how many mails a connection is renewed. Low wastes handshakes; more than the "
        "relay allows ends in its 421, after which mail goes on by a new one.",
    ),
    Row(
        "smtp.idle_s",
        readers.seconds(0, 3600),
        "How long a connection stays open without mail. 0 closes at once and costs a "
        "handshake per mail; long ones are closed by the relay.",
    ),
    Row(
        "outbox.url",
        readers.paths(places.outbox_url, "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
        "The database. Another URL is another outbox: what waits in the old one stays there.",
        otherwise="sqlite:///envoi.db",
        example='"postgresql://envoi@localhost/envoi"',
        is_secret=True,
    ),
    Row(
        "outbox.schema",
        texts(readers.schema_name, "a PostgreSQL schema in lower-case letters, digits and _"),
        "Schema that holds the tables. Empty: the first of the search path.",
    ),
    Row(
        "outbox.route_at_once",
        readers.integers(0, 100000),
        "Up to how many people `notify` picks recipients by itself; above, the worker does. "
        "Large ones slow the caller's transaction; 0 leaves all to the worker.",
    ),
    Row(
        "outbox.busy_timeout_s",
        readers.seconds(0.05, 60),
        "How long `notify` waits for a locked database. Too short loses events to the spool; "
        "too long blocks the application.",
    ),
    Row(
        "outbox.spool",
        readers.paths(places.any_path, "a folder"),
        "Folder for events while the database cannot be reached. On a disk that a restart "
        "empties they are lost with it.",
        otherwise="envoi-spool",
    ),
    Row(
        "outbox.spool_max_mb",
        readers.integers(0, 100000),
        "Up to how much is spooled. Beyond, events are lost and logged; large ones fill the "
        "disk. 0: no spool.",
    ),
    Row(
        "delivery.lease_s",
        readers.integers(2, 3600),
        "How long a worker's claim lasts unless renewed. Too short sends twice; too long "
        "delays recovery after a crash.",
    ),
    Row(
        "delivery.first_retry_s",
        readers.integers(1, 86400),
        "Wait after the first refusal; doubles each time. Too short looks like hammering, too "
        "long delays mail behind greylisting.",
    ),
    Row(
        "delivery.longest_retry_s",
        readers.integers(1, 604800),
        "The wait never grows beyond this. Too short hammers, too long wakes up late when the "
        "trouble is over.",
    ),
    Row(
        "delivery.give_up_after_s",
        readers.integers(1, 2592000),
        "When a delivery that is refused again and again has failed. Too short gives up on a "
        "weekend's outage; too long tells of a wrong address late.",
    ),
    Row(
        "delivery.uncertain_wait_s",
        readers.integers(0, 86400),
        "Wait before a mail of unknown outcome goes again. Too short makes duplicates, too "
        "long makes late mail.",
    ),
    Row(
        "delivery.drain_s",
        readers.seconds(0, 3600),
        "How long a stopping worker finishes what is under way. Too short leaves mail "
        "uncertain; longer than the supervisor's patience ends in a kill.",
    ),
    Row(
        "delivery.poll_ms",
        readers.integers(10, 60000),
        "How often an idle worker looks for mail that nobody woke it for. Short keeps the "
        "database busy, long delays mail.",
    ),
    Row(
        "delivery.relay_retry_longest_s",
        readers.integers(1, 3600),
        "A relay that is down is tried after one second, doubling up to this. Too long leaves "
        "mail waiting for a relay that is back.",
    ),
    Row(
        "guard.allow",
        readers.lists(
            texts(readers.address_or_domain, "an address or @domain"),
            "a list of addresses and @domains",
        ),
        "Only these receive mail; all other deliveries are suppressed. Empty: everybody.",
    ),
    Row(
        "guard.redirect",
        _ADDRESS,
        "All mail goes to this address instead. Set in production, readers hear nothing.",
    ),
    Row(
        "templates.folders",
        readers.lists(
            readers.paths(places.existing_folder, "a folder that is there"),
            "a list of folders that are there",
        ),
        "Folders with kinds and templates of your own; later ones win over earlier ones and all "
        "of them over the shipped ones.",
    ),
    Row(
        "templates.modules",
        readers.lists(
            readers.texts(readers.module_name, "the name of a Python module"),
            "a list of names of Python modules",
        ),
        "Modules whose `KINDS` are registered at start, found beside the settings file or where "
        "Python looks. Without them a worker of its own does not know kinds made in Python, and "
        "events with many recipients wait.",
    ),
)
