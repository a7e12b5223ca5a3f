"""This room reads settings: a TOML file, the environment and secret files; all problems at once."""

from envoi.settings.equivalent import equivalent
from envoi.settings.imported import NOT_ABOUT_MAIL
from envoi.settings.loading import from_mapping, load
from envoi.settings.places import is_loopback
from envoi.settings.secret import Secret
from envoi.settings.sections import (
    Application,
    DeliverySettings,
    DirectoryKind,
    DirectorySettings,
    Entry,
    ErrorSettings,
    Guard,
    Note,
    OutboxSettings,
    Settings,
    Smtp,
    TemplateSettings,
    Tls,
    TransportSettings,
)
from envoi.settings.starter import starter
from envoi.settings.write import replace_private, write_private

__all__ = [
    "NOT_ABOUT_MAIL",
    "Application",
    "DeliverySettings",
    "DirectoryKind",
    "DirectorySettings",
    "Entry",
    "ErrorSettings",
    "Guard",
    "Note",
    "OutboxSettings",
    "Secret",
    "Settings",
    "Smtp",
    "TemplateSettings",
    "Tls",
    "TransportSettings",
    "equivalent",
    "from_mapping",
    "is_loopback",
    "load",
    "replace_private",
    "starter",
    "write_private",
]
