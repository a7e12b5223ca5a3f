"""A mailer with its outbox and relay that many cases share, and a reader of what arrived."""

import json
import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import MessageDefect
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path

from envoi.directory.people import add_user
from envoi.directory.records import UserDraft
from envoi.mailer import Mailer
from envoi.outbox.explain import Explained, explain_event
from envoi.settings import from_mapping
from envoi.testing import FaultyRelay, Kept
from tests.hostile.catalogue import HOME

KINDS = Path(__file__).parent / "kinds"
OURS = "noreply@example.test"
# Every mail of an event has these headers, once each and in this order; a thread adds two.
HEADERS = (
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress",
    "X-Envoi-Notification-Type", "MIME-Version", "Content-Type",
)  # fmt: skip
THREADED = (*HEADERS[:5], "In-Reply-To", "References", *HEADERS[5:])
MAX_LINE_OCTETS = 998


@dataclass(slots=True)
class House:
    """Where hostile values are handed in.

    Args:
        mailer: On a fresh outbox; knows the kind `probe`.
        relay: Where its mail goes.
        expected: Envelope recipients of the mails that the next delivery must bring.
        routing: Events whose recipients the worker finds on the way.
        count: How many addresses cases have had.
        seen: Up to which row the stored JSON was looked at.
    """

    mailer: Mailer
    relay: FaultyRelay
    expected: list[str] = field(default_factory=list)
    routing: list[int] = field(default_factory=list)
    count: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def address(self) -> str:
        """Return an address that no other case has."""
        self.count += 1
        return f"case{self.count}@ok.test"

    def add_user(self, draft: UserDraft) -> None:
        with self.mailer.parts.outbox.transaction() as tx:
            add_user(tx, "main", draft, now_ms=1)

    def execute(self, sql: str, **params: object):
        with self.mailer.parts.outbox.transaction() as tx:
            return tx.execute(sql, params)

    def explained(self, event_id: int) -> Explained:
        with self.mailer.parts.outbox.reading() as tx:
            return explain_event(tx, str(event_id))

    def rows(self) -> int:
        """A number that goes up with whatever handing something in could have stored."""
        newest = " + ".join(
            f"(SELECT COALESCE(MAX(id), 0) FROM envoi_{table})"
            for table in ("event", "message", "delivery", "decision", "user", "user_address")
        )
        return int(str(self.execute(f"SELECT {newest}")[0][0]))

    def deliver(self) -> dict[str, Kept]:
        """Deliver everything; return the mails that came since the last call, by recipient."""
        worker = self.mailer.make_worker()
        worker.run_until_idle()
        worker.drain()
        for event_id in self.routing:
            self.expected += [chosen.address for chosen in self.explained(event_id).chosen]
        kept, expected = self.relay.kept, self.expected
        # A case looks at its own mail; what one got wrong is not told of the next ones too.
        self.relay.ledger._kept.clear()
        self.expected, self.routing = [], []
        assert sorted(mail.recipient for mail in kept) == sorted(expected)
        assert_sound(self.relay)
        self._assert_decodable()
        return {mail.recipient: mail for mail in kept}

    def _assert_decodable(self) -> None:
        # Whatever is stored as JSON can be read by a strict reader.
        for table, names in _JSON.items():
            rows = self.execute(
                f"SELECT id, {', '.join(names)} FROM envoi_{table} WHERE id > :seen ORDER BY id",
                seen=self.seen.get(table, 0),
            )
            for row_id, *values in rows:
                self.seen[table] = int(str(row_id))
                for value in values:
                    json.loads(str(value), parse_constant=_no_json)


_JSON = {
    "event": ("facts", "people"),
    "message": ("headers", "thread", "blocks", "to_json", "cc_json"),
}


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def make_house(url, folder, relay, **sections) -> House:
    """Return a house with these settings beside the usual ones."""
    application = {
        "base_url": HOME, "from": f"Code <{OURS}>", **sections.pop("application", {})
    }  # fmt: skip
    tables = {
        "outbox": {"url": url},
        "application": application,
        "smtp": {"host": "127.0.0.1", "port": relay.port, **sections.pop("smtp", {})},
        "templates": {"folders": [str(KINDS), *sections.pop("folders", ())]},
        **sections,
    }
    return House(Mailer.from_settings(from_mapping(tables, folder)), relay)


def assert_sound(relay: FaultyRelay) -> None:
    """The relay saw nothing that is not SMTP, and nothing that another one could misread."""
    ledger = relay.ledger
    assert ledger.violations == []
    assert (ledger.bare_cr, ledger.bare_lf, ledger.smuggling) == (0, 0, 0)


class Page(HTMLParser):
    """What a mail program makes of HTML: texts and links by id, tags, attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.shown: dict[str, list[str]] = {}
        self.links: dict[str, list[str]] = {}
        self._id = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self._id = found.get("id", "")
        if tag == "a":
            self.links.setdefault(self._id, []).append(found.get("href", ""))
        elif self._id:
            self.shown.setdefault(self._id, []).append("")

    def handle_endtag(self, tag):
        self._id = ""

    def handle_data(self, data):
        if self._id in self.shown:
            self.shown[self._id][-1] += data


@dataclass(frozen=True, slots=True)
class Read:
    """A mail as a strict reader understands it."""

    kept: Kept
    message: EmailMessage

    @property
    def own_headers(self) -> list[str]:
        """The names of its headers; how the body is encoded depends on the body."""
        return [name for name in self.message if name != "Content-Transfer-Encoding"]

    @property
    def text(self) -> str:
        return self.part("plain")

    @property
    def html(self) -> Page:
        return Page(self.part("html"))

    def part(self, subtype: str) -> str:
        part = self.message.get_body(preferencelist=(subtype,))
        if part is None:
            return ""
        # Not get_content(): it leaves charset errors to "replace".
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload.decode("utf-8").replace("\r\n", "\n")

    def fact(self, name: str) -> list[str]:
        """What the text shows of a fact of `probe`."""
        return re.findall(rf"(?s)^{name}\[\[(.*?)\]\]{name}$", self.text, re.MULTILINE)


def read(kept: Kept) -> Read:
    """Read a mail strictly: whatever a standard forbids fails here."""
    content = kept.content
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
    assert b"\0" not in content
    assert max(map(len, content.split(b"\r\n"))) <= MAX_LINE_OCTETS
    head = content.partition(b"\r\n\r\n")[0]
    assert head.isascii() or not kept.recipient.isascii()
    message = message_from_bytes(content, policy=default)
    # Python 3.11 reads no header in UTF-8, as RFC 6532 allows where the relay took SMTPUTF8.
    assert not head.isascii() or defects_of(message) == []
    addressed = [address.addr_spec for name in ("To", "Cc") for address in people(message, name)]
    assert kept.recipient.isascii() <= (not addressed or kept.recipient in addressed or not head)
    return Read(kept, message)


def people(message: EmailMessage, name: str):
    """The mailboxes of an address header."""
    return message[name].addresses if message[name] else ()


def defects_of(message: EmailMessage) -> list[MessageDefect]:
    """Everything that the parser found wrong, in the structure and in each header."""
    found = [defect for part in message.walk() for defect in part.defects]
    found += [
        defect
        for part in message.walk()
        for name in part
        for value in part.get_all(name, [])
        for defect in value.defects
    ]
    return found
