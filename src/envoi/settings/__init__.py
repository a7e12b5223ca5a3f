"""This room reads settings: a TOML file, the environment and secret files; all problems at once."""

from envoi.settings.edit import Draft, editing
from envoi.settings.equivalent import equivalent
from envoi.settings.imported import NOT_ABOUT_MAIL
from envoi.settings.keys import Key, checked, fits, key_of, set_keys, value_at
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
    LdapSettings,
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
    "Draft",
    "Entry",
    "ErrorSettings",
    "Guard",
    "Key",
    "LdapSettings",
    "Note",
    "OutboxSettings",
    "Secret",
    "Settings",
    "Smtp",
    "TemplateSettings",
    "Tls",
    "TransportSettings",
    "checked",
    "editing",
    "equivalent",
    "fits",
    "from_mapping",
    "is_loopback",
    "key_of",
    "load",
    "replace_private",
    "set_keys",
    "starter",
    "value_at",
    "write_private",
]
