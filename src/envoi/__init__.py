"""Envoi: say what happened; the right people hear of it by mail, and nothing is lost.

The front door lists the names that applications use; nothing is defined here.
"""

from envoi.addresses import parse_address, parse_mailbox
from envoi.core.event import Event
from envoi.core.incident import Request
from envoi.core.kind import Fact, FactType, Kind, MailClass
from envoi.core.message import Attachment
from envoi.core.people import Address, Mailbox, Person
from envoi.core.ready import ReadyMail
from envoi.errors import (
    AddressError,
    EnvoiError,
    EventError,
    InputError,
    NotFoundError,
    NotStoredError,
    OutboxError,
    SettingsError,
    UnknownKindError,
)
from envoi.mailer import Mailer, Receipt, Stored
from envoi.marks import sensitive

__all__ = [
    "Address",
    "AddressError",
    "Attachment",
    "EnvoiError",
    "Event",
    "EventError",
    "Fact",
    "FactType",
    "InputError",
    "Kind",
    "MailClass",
    "Mailbox",
    "Mailer",
    "NotFoundError",
    "NotStoredError",
    "OutboxError",
    "Person",
    "ReadyMail",
    "Receipt",
    "Request",
    "SettingsError",
    "Stored",
    "UnknownKindError",
    "parse_address",
    "parse_mailbox",
    "sensitive",
]
