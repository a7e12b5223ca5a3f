"""This room tells of all other keys: what is kept where, and how patient Envoi is."""

from envoi.settings import places, readers
from envoi.settings.ignored_links import list_path
from envoi.settings.readers import texts
from envoi.settings.row import Row
from envoi.settings.speaking_rows import ADDRESS, MAILBOX

ROWS: tuple[Row, ...] = (
    Row(
        "outbox.url",
        readers.paths(places.outbox_url, "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
        "The database. Another URL is another outbox: what waits in the old one stays there. "
        "Several PostgreSQL hosts are HOST1:PORT,HOST2:PORT; the one that takes writes is used.",
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
        "How long `notify` waits for a locked database; on PostgreSQL also for a connection, then "
        "for at least 2 s. Too short loses events to the spool; too long blocks the application.",
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
        "delivery.enabled",
        readers.booleans(),
        "The master switch. With false no connection is made: what an application reports is kept "
        "as held, a server's own notices are not written, and commands that send refuse.",
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
        "delivery.hold_uncertain",
        readers.lists(
            readers.one_of(
                ("notice", "report", "broadcast"),
                {"security": "somebody is locked out and waits for it, so it goes again at once"},
            ),
            "a list of notice, report and broadcast",
        ),
        "Classes whose mail of unknown outcome is held for a person to decide instead of going "
        "again. Empty: a copy too many rather than none. Named: none too many, and mail may stay "
        "unsent until somebody looks.",
        example='["broadcast"]',
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
        "transport.default",
        texts(readers.transport_name, "smtp, an installed transport's name, or module:factory"),
        "What carries the mail of the relay `default`: `smtp` hands it to the relay of `[smtp]`; "
        "anything else is an implementation of your own. One that cannot be loaded is an error "
        "at start. A key that is called like another relay says the same of that one.",
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
        ADDRESS,
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
    Row(
        "errors.enabled",
        readers.booleans(),
        "Whether errors of the application are mailed. With false they are in its log only.",
    ),
    Row(
        "errors.from",
        MAILBOX,
        "From and envelope of error mail. One that the relay may not send for is refused.",
        field="sender",
        otherwise="the application's From",
    ),
    Row(
        "errors.to",
        readers.lists(ADDRESS, "a list of e-mail addresses"),
        "Who is mailed of errors. Without any nobody is.",
    ),
    Row(
        "errors.subject_prefix",
        texts(str.strip, "a text on one line"),
        "Put before the error in the subject, with one space. Readers filter by it.",
    ),
    Row(
        "errors.dump_request",
        readers.booleans(),
        "Whether the request that failed is attached, cookies and passwords masked. It may hold "
        "what its sender meant for the application alone.",
    ),
    Row(
        "errors.dump_request_size",
        readers.integers(0, 10_000_000),
        "Up to how many bytes of the request's body are attached. Little hides what failed; "
        "relays refuse mail that is too large.",
    ),
    Row(
        "errors.dump_local_frames",
        readers.booleans(),
        "Whether local variables are shown, secrets masked. They may hold anything.",
    ),
    Row(
        "errors.dump_local_frames_count",
        readers.integers(1, 100),
        "Of how many of the application's own calls, nearest the error first. Many are long.",
    ),
    Row(
        "errors.not_found",
        readers.booleans(),
        "Whether broken links are mailed too: pages that are not there (404) and that another "
        "page leads to. The first one at once, then what an hour brings in one mail.",
    ),
    Row(
        "errors.not_found_ignored",
        readers.lists(
            texts(readers.pattern, "a regular expression"), "a list of regular expressions"
        ),
        "Paths whose absence is never mailed, such as `^/old/`, beside those of the list. One that "
        "fits too much hides broken links.",
    ),
    Row(
        "errors.not_found_list",
        readers.paths(list_path, "a file with one regular expression per line"),
        "File with the paths that scanners and browsers try by themselves; "
        "`envoi links ignored` prints the shipped one. An empty file hides nothing.",
        otherwise="the shipped list",
    ),
)
