"""A site that keeps its Kallithea's ini: what one event becomes on the wire, read back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from envoi.assembly import identity_of
from envoi.core.event import cleaned
from envoi.core.kind import Plain
from envoi.core.message import Audible, Stamp, compose
from envoi.core.people import Person
from envoi.core.routing import Sender
from envoi.core.wire import to_wire, words_of
from envoi.settings import load
from envoi.templates.catalogue import Catalogue
from envoi.templates.render import Templates
from tests.core.samples import NOON_MS, UID, delivery

CATALOGUE = Catalogue.shipped()
TEMPLATES = Templates(CATALOGUE)
ANN = Person(id="user:1", login="ann", first_name="Ann", last_name="Lee")
BEN = Person(id="user:2", login="ben")
HEX = "3f8a1c09d2e4b5a697887766554433221100ffee"
INI: Mapping[str, str] = {
    "app_email_from": "Kallithea <kallithea-noreply@example.com>",
    "canonical_url": "https://code.example.com",
    "smtp_server": "localhost",
}


@dataclass(frozen=True, slots=True)
class Site:
    """What a site's ini makes of events.

    Args:
        folder: Where the ini is written.
        ini: Its keys.
    """

    folder: Path
    ini: Mapping[str, str]

    def raw(
        self, kind: str, actor: Person | None = ANN, *,
        locale: str = "en", by: str | None = None, subject: str = "", **facts: Plain,
    ) -> bytes:  # fmt: skip
        """Return the mail about the kind's sample with some facts changed, as the relay gets it.

        Args:
            kind: Of the event.
            actor: Who did it, as the directory knows him.
            locale: Of the reader.
            by: The actor as the event names him; None: by his login.
            subject: What the application calls the object; empty: what the kind makes of the facts.
            facts: Those that differ from the sample's; None: left out.
        """
        path = self.folder / "my.ini"
        lines = "".join(f"{key} = {value}\n" for key, value in self.ini.items())
        path.write_text(f"[DEFAULT]\n{lines}\n[app:main]\n", "utf-8")
        identity = identity_of(load(path, {}).applications["main"])
        found, sample = CATALOGUE.kind(kind), CATALOGUE.sample(kind)
        name = (actor.login if actor else "") if by is None else by
        event = replace(sample, actor=name, subject=subject, facts={**sample.facts, **facts})
        audible = Audible(event=cleaned(event, found), kind=found, actor=actor, identity=identity)
        rule = Sender(name=kind, kind=kind, recipients=())
        stamp = Stamp(uid=UID, now_ms=NOON_MS)
        both = compose(audible, rule, (locale, "UTC"), TEMPLATES.render, stamp)
        words = both.sealed or words_of(both.message)
        return to_wire(both.message, words, delivery(), eight_bit=False, utf8=False)

    def mail(self, *args: object, **named: object) -> EmailMessage:
        """Return what a reader's program makes of `raw`."""
        return read(self.raw(*args, **named))  # type: ignore[arg-type] # handed on as they are


def read(octets: bytes) -> EmailMessage:
    """Return the mail as the standard library reads it."""
    return message_from_bytes(octets, policy=policy.default)


def text_of(mail: EmailMessage) -> str:
    """Return the plain part."""
    return part_of(mail, "plain")


def html_of(mail: EmailMessage) -> str:
    """Return the HTML part."""
    return part_of(mail, "html")


def part_of(mail: EmailMessage, subtype: str) -> str:
    """Return one part of the mail, decoded."""
    part = mail.get_body((subtype,))
    return part.get_content().replace("\r\n", "\n") if part else ""
