"""This room holds what is known about one key, and which sections there are."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from envoi.settings import sections
from envoi.settings.readers import Reader

# `Any`: what these classes have in common is only that they are dataclasses.
SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "application": sections.Application,
        "directory": sections.DirectorySettings,
        "ldap": sections.LdapSettings,
        "smtp": sections.Smtp,
        "outbox": sections.OutboxSettings,
        "delivery": sections.DeliverySettings,
        "retention": sections.RetentionSettings,
        "transport": sections.TransportSettings,
        "guard": sections.Guard,
        "templates": sections.TemplateSettings,
        "errors": sections.ErrorSettings,
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """What is known about one key.

    Args:
        key: Dotted name in TOML.
        reader: How a value is read, and what fits.
        doc: What it is for, and what goes wrong at both ends.
        field: Name of the dataclass field, where it is not the key's.
        otherwise: How the default is told when it is computed from other settings.
        example: A TOML value for the starter file; empty: the key is not in it.
        is_secret: Whether it is masked, and may also be read from a file by `KEY_file`.
    """

    key: str
    reader: Reader
    doc: str
    field: str = ""
    otherwise: str = ""
    example: str = ""
    is_secret: bool = False

    @property
    def section(self) -> str:
        """The part before the dot."""
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        """The part behind the dot."""
        return self.key.partition(".")[2]

    @property
    def default(self) -> object:
        """The default as the dataclass has it."""
        name = self.field or self.name
        return next(one.default for one in fields(SECTIONS[self.section]) if one.name == name)
