"""This room turns facts into log lines and counts; no other room decides words or levels.

Code states a fact (`journal.note(Fact.DELIVERY_SENT, delivery=7, reply="250 ok")`); the table
below says at which level it is logged and in which words. The names are public API: log
processors and metrics match on them.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from threading import Lock

# One line per fact: a value must not forge a second line or move a terminal's cursor (F11), and
# half a surrogate pair would make the handler fail that writes the line as UTF-8.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
MAX_VALUE_CHARS = 2_000


class Fact(StrEnum):
    """Everything Envoi reports, by dotted name."""

    EVENT_STORED = "event.stored"
    EVENT_REPEATED = "event.repeated"
    EVENT_NOT_STORED = "event.not_stored"
    EVENT_SPOOLED = "event.spooled"
    EVENT_UNSPOOLED = "event.unspooled"
    SPOOL_SET_ASIDE = "spool.set_aside"
    EVENT_ROUTED = "event.routed"
    EVENT_UNHEARD = "event.unheard"
    EVENT_ANONYMOUS = "event.anonymous"
    RECIPIENTS_UNDETERMINED = "recipients.undetermined"
    RECIPIENTS_NOBODY = "recipients.nobody"
    RECIPIENT_LEFT_OUT = "recipient.left_out"
    HEADER_IGNORED = "header.ignored"
    LINK_MOVED = "link.moved"
    LINK_LOST = "link.lost"
    MAIL_SPOOLED = "mail.spooled"
    MAIL_NOT_CONFIGURED = "mail.not_configured"
    TEMPLATE_BROKEN = "template.broken"
    DELIVERY_SENT = "delivery.sent"
    DELIVERY_RETRY = "delivery.retry"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_UNCERTAIN = "delivery.uncertain"
    DELIVERY_HELD = "delivery.held"
    DELIVERY_SUPPRESSED = "delivery.suppressed"
    DELIVERY_EXPIRED = "delivery.expired"
    DELIVERY_WAITING = "delivery.waiting"
    LEASE_LOST = "lease.lost"
    OUTBOX_PRUNED = "outbox.pruned"
    VERDICT_LOST = "verdict.lost"
    RELAY_DOWN = "relay.down"
    RELAY_BACK = "relay.back"
    RELAY_STANDS_IN = "relay.stands_in"
    RELAY_STANDS_DOWN = "relay.stands_down"
    GRANT_NOT_KEPT = "grant.not_kept"
    SETTINGS_DOUBTFUL = "settings.doubtful"
    WORKER_STARTED = "worker.started"
    WORKER_STOPPING = "worker.stopping"
    WORKER_STOPPED = "worker.stopped"
    WORKER_BROKEN = "worker.broken"
    WORKER_MENDED = "worker.mended"
    CLOCK_WENT_BACK = "clock.went_back"
    CLOCK_WAS_AHEAD = "clock.was_ahead"
    ROUTING_BROKEN = "routing.broken"
    SENDER_BROKEN = "sender.broken"
    SQLITE_DEFERRED = "sqlite.deferred"


# Level and words of each fact. A word in braces is a field; all fields also go out as `extra`.
_TABLE: dict[Fact, tuple[int, str]] = {
    Fact.EVENT_STORED: (logging.INFO, "event {event} ({kind}) stored, {deliveries} deliveries"),
    Fact.EVENT_REPEATED: (logging.INFO, "event {event} ({kind}) was stored before, key {key}"),
    Fact.EVENT_NOT_STORED: (logging.ERROR, "event {kind} not stored: {because}; facts {facts}"),
    Fact.EVENT_SPOOLED: (logging.WARNING, "event {kind} spooled to {path}: {because}"),
    Fact.EVENT_UNSPOOLED: (logging.INFO, "{count} spooled events taken in from {path}"),
    Fact.SPOOL_SET_ASIDE: (logging.ERROR, "spooled event {path} set aside: {because}"),
    Fact.EVENT_ROUTED: (logging.INFO, "event {event} ({kind}) routed, {deliveries} deliveries"),
    Fact.EVENT_ANONYMOUS: (
        logging.WARNING,
        "changed objects are told of without who did it: {because}",
    ),
    Fact.EVENT_UNHEARD: (logging.DEBUG, "event {event} ({kind}) concerns nobody: {because}"),
    Fact.RECIPIENTS_UNDETERMINED: (
        logging.WARNING,
        "recipients of '{subject}' cannot be determined; told instead: {told}",
    ),
    Fact.RECIPIENTS_NOBODY: (
        logging.ERROR,
        "nobody is told of '{subject}': no recipient, administrator or fallback can be determined",
    ),
    Fact.RECIPIENT_LEFT_OUT: (
        logging.WARNING,
        "'{subject}' does not go to {what}: {because}",
    ),
    Fact.HEADER_IGNORED: (logging.WARNING, "header {what} of '{subject}' ignored: {because}"),
    Fact.LINK_MOVED: (logging.WARNING, "'{subject}' led to {what}: {because}"),
    Fact.LINK_LOST: (logging.WARNING, "{kind}: fact {what} leads nowhere: {because}"),
    Fact.MAIL_SPOOLED: (logging.INFO, "'{subject}' kept for the worker in {path}"),
    Fact.MAIL_NOT_CONFIGURED: (
        logging.WARNING,
        "SMTP is not configured or off, mail is held: to {recipient}, {subject}: {text}",
    ),
    Fact.TEMPLATE_BROKEN: (logging.ERROR, "template {template} ({locale}) is broken: {because}"),
    Fact.DELIVERY_SENT: (logging.INFO, "delivery {delivery} to {address} sent: {because}"),
    Fact.DELIVERY_RETRY: (logging.INFO, "delivery {delivery} to {address} later: {because}"),
    Fact.DELIVERY_FAILED: (logging.ERROR, "delivery {delivery} to {address} failed: {because}"),
    Fact.DELIVERY_UNCERTAIN: (
        logging.WARNING,
        "delivery {delivery} to {address} is uncertain: {because}",
    ),
    Fact.DELIVERY_HELD: (logging.WARNING, "delivery {delivery} to {address} held: {because}"),
    Fact.DELIVERY_SUPPRESSED: (
        logging.WARNING,
        "delivery {delivery} to {address} suppressed: {because}",
    ),
    Fact.DELIVERY_EXPIRED: (logging.WARNING, "{count} deliveries expired unsent"),
    Fact.DELIVERY_WAITING: (
        logging.WARNING,
        "delivery {delivery} to {address} waits for the relay: {subject}: {text}",
    ),
    Fact.OUTBOX_PRUNED: (
        logging.INFO,
        "old content of {contents} events removed; {events} events with {deliveries} deliveries",
    ),
    Fact.LEASE_LOST: (logging.WARNING, "delivery {delivery}: lease lost, verdict not recorded"),
    Fact.VERDICT_LOST: (
        logging.ERROR,
        "delivery {delivery} to {address}: not recorded: {verdict}: {because}",
    ),
    Fact.RELAY_DOWN: (logging.ERROR, "relay {relay} cannot be used: {because}. {advice}"),
    Fact.RELAY_BACK: (logging.WARNING, "relay {relay} works again"),
    Fact.RELAY_STANDS_IN: (
        logging.WARNING,
        "relay {relay} carries the mail of relay {ward}, which is paused",
    ),
    Fact.RELAY_STANDS_DOWN: (logging.INFO, "relay {relay} leaves the mail of {ward} to {ward}"),
    Fact.GRANT_NOT_KEPT: (
        logging.ERROR,
        "relay {relay}: the new refresh token could not be kept: {because}",
    ),
    Fact.SETTINGS_DOUBTFUL: (logging.WARNING, "settings: {because}"),
    Fact.WORKER_STARTED: (logging.INFO, "worker {worker} started, relay {relay}"),
    Fact.WORKER_STOPPING: (logging.INFO, "worker {worker} stops, {under_way} under way"),
    Fact.WORKER_STOPPED: (logging.INFO, "worker {worker} stopped"),
    Fact.WORKER_BROKEN: (logging.ERROR, "worker {worker}: {because}"),
    Fact.WORKER_MENDED: (logging.WARNING, "worker {worker} goes on"),
    Fact.CLOCK_WENT_BACK: (
        logging.WARNING,
        "worker {worker}: the clock went back by {seconds} s",
    ),
    Fact.CLOCK_WAS_AHEAD: (
        logging.WARNING,
        "{count} rows were written by a clock that was ahead: what they waited for is due now",
    ),
    Fact.ROUTING_BROKEN: (logging.ERROR, "event {event} ({kind}) cannot be routed: {because}"),
    Fact.SENDER_BROKEN: (logging.ERROR, "sender left out: {because}"),
    Fact.SQLITE_DEFERRED: (logging.WARNING, "{because}"),
}


class Journal:
    """Where facts go: the `envoi` logger, counters, and whoever subscribed.

    Args:
        logger_name: Name of the standard logger. Default `envoi`.
    """

    def __init__(self, logger_name: str = "envoi") -> None:
        """Start with all counts at zero."""
        self._logger = logging.getLogger(logger_name)
        self._counts: Counter[Fact] = Counter()
        self._lock = Lock()
        self._subscribers: list[Callable[[Fact, dict[str, object]], None]] = []

    def note(self, fact: Fact, **fields: object) -> None:
        """State a fact; its words and level stand in the table. Never raises."""
        with self._lock:
            self._counts[fact] += 1
        level, words = _TABLE[fact]
        if self._logger.isEnabledFor(level):
            shown = {name: escaped(value) for name, value in fields.items()}
            self._logger.log(
                level, "%s", words.format_map(_Blank(shown)), extra={"fact": fact, "fields": shown}
            )
        for subscriber in self._subscribers:
            subscriber(fact, fields)

    def subscribe(self, subscriber: Callable[[Fact, dict[str, object]], None]) -> None:
        """Have every further fact handed to `subscriber(fact, fields)` too."""
        self._subscribers.append(subscriber)

    def counts(self) -> dict[Fact, int]:
        """Return how often each fact was stated since the start."""
        with self._lock:
            return dict(self._counts)


class _Blank(dict[str, str]):
    """Fields that a caller left out read as nothing: a log line must never raise."""

    def __missing__(self, key: str) -> str:
        return ""


def escaped(value: object) -> str:
    r"""Return the value as bounded text on one line.

    >>> escaped("bob\nINFO admin logged in")
    'bob\\nINFO admin logged in'
    """
    text = str(value)
    if len(text) > MAX_VALUE_CHARS:
        text = f"{text[:MAX_VALUE_CHARS]} [{len(text) - MAX_VALUE_CHARS} more characters]"
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
