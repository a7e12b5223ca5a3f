"""This room reads settings: a TOML file, the environment and secret files; all problems at once."""

from envoi.settings.loading import from_mapping, load
from envoi.settings.places import is_loopback
from envoi.settings.secret import Secret
from envoi.settings.sections import (
    Application,
    DeliverySettings,
    Entry,
    Guard,
    OutboxSettings,
    Settings,
    Smtp,
    TemplateSettings,
    Tls,
)
from envoi.settings.starter import starter
from envoi.settings.write import write_private

__all__ = [
    "Application",
    "DeliverySettings",
    "Entry",
    "Guard",
    "OutboxSettings",
    "Secret",
    "Settings",
    "Smtp",
    "TemplateSettings",
    "Tls",
    "from_mapping",
    "is_loopback",
    "load",
    "starter",
    "write_private",
]
