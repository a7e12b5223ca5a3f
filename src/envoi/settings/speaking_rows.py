"""This room tells of the keys of `[application]` and `[smtp]`: who speaks, by which relay."""

from envoi.settings import places, readers
from envoi.settings.readers import texts
from envoi.settings.row import Row

ADDRESS = texts(readers.address, "an e-mail address")
MAILBOX = texts(readers.mailbox, "an address, or a name with the address in < >")
_TLS_HINTS = {
    **dict.fromkeys(("ssl", "ssl/tls", "smtps", "implicit", "smtp_ssl"), "TLS at once is tls"),
    **dict.fromkeys(
        ("true", "yes", "on", "required", "require", "start_tls"),
        "starttls to upgrade an open connection, tls to begin with TLS",
    ),
    **dict.fromkeys(("false", "no", "off", "plain", "clear"), "clear text is none"),
}

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
        MAILBOX,
        "From of every mail. An address that the relay may not send for is refused, or lands "
        "in junk folders.",
        field="sender",
        otherwise="envoi@ the host of base_url, else envoi@localhost",
        example='"Wiki <wiki@example.org>"',
    ),
    Row(
        "application.reply_to",
        MAILBOX,
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
        "application.type_values",
        readers.lists(texts(readers.checked_text, "a kind's name"), "a list of kinds"),
        "Values that this header may hold, where readers know a closed list: every other kind "
        "says `message`. Empty: each kind says its own.",
        example='["pull_request", "registration"]',
    ),
    Row(
        "application.admins",
        readers.lists(ADDRESS, "a list of e-mail addresses"),
        "Administrators beyond those that the directory knows. With none at all, mail for "
        "administrators reaches nobody.",
        example='["admin@example.org"]',
    ),
    Row(
        "application.fallback",
        readers.lists(ADDRESS, "a list of e-mail addresses"),
        "Who hears, together with all administrators, of mail whose recipients could not be "
        "determined. With none and no administrator such mail reaches nobody.",
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
            texts(readers.auth_mechanism, "PLAIN, LOGIN, CRAM-MD5, XOAUTH2 or OAUTHBEARER"),
            "a list of PLAIN, LOGIN, CRAM-MD5, XOAUTH2 and OAUTHBEARER",
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
        ADDRESS,
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
        "smtp.window",
        readers.integers(1, 100),
        "How many mails may be under way on one connection, where the relay offers CHUNKING and "
        "its answers can be told apart. 1 waits a round trip for each mail; more hides a distant "
        "relay's delay, but a crash or a cut may cost so many copies per connection.",
    ),
    Row(
        "smtp.per_minute",
        readers.integers(0, 1_000_000),
        "How many mails this relay gets in any 60 seconds, from all processes together. More than "
        "it allows is refused, or costs the account; few make mail late. 0: as many as it takes.",
    ),
    Row(
        "smtp.domain_per_minute",
        readers.integers(0, 1_000_000),
        "How many of them go to any one recipient domain. Large providers refuse, or file as "
        "junk, what comes too fast from one sender. Few make a broadcast late. 0: no limit.",
    ),
    Row(
        "smtp.domains_per_minute",
        readers.lists(
            texts(readers.domain_rate, "a domain and a number, as in gmail.com=30"),
            "a list of DOMAIN=NUMBER",
        ),
        "Domains with a number of their own, as in `gmail.com=30`; with 0 one has no limit.",
    ),
    Row(
        "smtp.idle_s",
        readers.seconds(0, 3600),
        "How long a connection stays open without mail. 0 closes at once and costs a "
        "handshake per mail; long ones are closed by the relay.",
    ),
)
