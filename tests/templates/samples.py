"""What the mailer would hand to the templates: contexts of samples."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from envoi.core.event import cleaned
from envoi.core.kind import Plain
from envoi.core.links import with_base_url
from envoi.core.message import Audible, Identity, context
from envoi.core.people import Address, Mailbox, Person
from envoi.templates.catalogue import Catalogue

BASE_URL = "https://app.example.org"
BILLING = Path(__file__).parent.parent.parent / "examples" / "billing"


def identity(base_url: str = BASE_URL) -> Identity:
    return Identity(
        sender=Mailbox(Address("noreply", "example.org")), base_url=base_url, name="App"
    )


def context_of(catalogue: Catalogue, kind: str, facts: Mapping[str, Plain] | None = None):
    """What the mailer would hand over for the kind's sample, with some facts changed."""
    found = catalogue.kind(kind)
    sample = catalogue.sample(kind)
    event = cleaned(replace(sample, facts={**sample.facts, **(facts or {})}), found)
    actor = Person(id="1", login=event.actor, first_name="Ann", last_name="Lee")
    audible = Audible(
        event=event, kind=found, actor=actor if event.actor else None, identity=identity()
    )
    return context(audible, with_base_url(found, event.facts, BASE_URL))
