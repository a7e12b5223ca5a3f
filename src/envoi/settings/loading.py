"""This room puts the settings together, and tells everything that is wrong at once.

The walk: the file (TOML, or a Kallithea's ini) and the environment become layers of raw values;
the environment wins key by key; secret files are read; each value is read by its row of the table;
what has no value is worked out from the others; what does not fit together is told last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from envoi.addresses import parse_address
from envoi.core.kind import MASK
from envoi.core.people import Mailbox
from envoi.core.problem import Problem
from envoi.errors import AddressError, SettingsError
from envoi.settings import sections
from envoi.settings.checks import misfits_of, warnings_of
from envoi.settings.document import document_layer, parsed
from envoi.settings.environment import CONFIG, environment_layer
from envoi.settings.families import DEFAULT, row_in
from envoi.settings.kallithea import kallithea_layer
from envoi.settings.layers import MAIN, Layer, Raw, label, merged, unmet, with_secrets
from envoi.settings.listing import cells_of, entries_of
from envoi.settings.omero import following_host
from envoi.settings.places import host_of, is_kallithea, is_loopback
from envoi.settings.readers import MisfitError
from envoi.settings.relay_checks import with_provider
from envoi.settings.secret import Secret, has_credentials, masked_url, shown
from envoi.settings.sections import Settings
from envoi.settings.table import SECTIONS, Row

DEFAULT_FILE = Path("envoi.toml")
DEFAULT_DATABASE = "envoi.db"
_SectionT = TypeVar("_SectionT")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    path: Path | None
    folder: Path
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What the rows made of the raw values: fields by group, origins by key, problems."""

    fields: dict[str, dict[str, object]]
    origins: dict[str, str]
    problems: list[Problem] = field(default_factory=list[Problem])


def load(path: Path | None, env: Mapping[str, str]) -> Settings:
    """Return the settings of a file and the environment.

    Args:
        path: The settings file; one that ends in `.ini` is read as a Kallithea's. None: the one
            that `ENVOI_CONFIG` names, else `envoi.toml` in the working directory, else none at
            all: everything then has its default.
        env: Usually `os.environ`; wins over the file, key by key.

    Raises:
        SettingsError: Something does not fit; tells all of it.
    """
    found = _found(path, env)
    if found is None:
        place = _Place(path=None, folder=Path.cwd(), origin="")
        return _assembled(Layer(), env, place)
    place = _Place(path=found, folder=found.parent, origin=found.name)
    return _assembled(_layer_of(found), env, place)


def from_mapping(
    tables: Mapping[str, object], folder: Path, env: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of tables as TOML would give them; for embedding and tests.

    Args:
        tables: Sections by name.
        folder: Where relative paths start.
        env: Variables that win over the tables. Default: none.

    Raises:
        SettingsError: Something does not fit; tells all of it.
    """
    place = _Place(path=None, folder=folder.absolute(), origin="mapping")
    return _assembled(document_layer(tables, place.origin), env or {}, place)


def _layer_of(path: Path) -> Layer:
    if is_kallithea(path):
        return kallithea_layer(path)
    return document_layer(parsed(path), path.name)


def _found(path: Path | None, env: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path.absolute()
    if named := env.get(CONFIG, ""):
        return Path(named).absolute()
    return DEFAULT_FILE.absolute() if DEFAULT_FILE.is_file() else None


def _assembled(document: Layer, env: Mapping[str, str], place: _Place) -> Settings:
    environment = environment_layer(env, document)
    raws = following_host(merged(document, environment))
    groups, unread = with_secrets(raws, place.folder)
    missing, dropped = unmet((document, environment), groups)
    document.warnings += dropped
    reading = _read(_ordered(groups), place.folder)
    settings = _completed(reading, place)
    problems = (*document.problems, *environment.problems, *unread, *reading.problems)
    problems += missing
    problems += misfits_of(settings, {problem.where for problem in problems})
    if problems:
        raise SettingsError(problems)
    return _finished(settings, reading.origins, (document, environment), place)


def _ordered(groups: Mapping[str, Mapping[str, Raw]]) -> dict[str, Mapping[str, Raw]]:
    # `main` comes first, then the other applications, then the table's own order.
    others = sorted(group for group in groups if "." in group and group != MAIN)
    names: list[str] = [
        MAIN,
        *others,
        *(section for section in SECTIONS if section != "application"),
    ]
    return {group: groups.get(group, {}) for group in names}


def _read(groups: Mapping[str, Mapping[str, Raw]], folder: Path) -> _Reading:
    reading = _Reading(fields={group: {} for group in groups}, origins={})
    for group, raws in groups.items():
        for name, raw in raws.items():
            row, key = row_in(group, name), label(group, name)
            if row is None:  # pragma: no cover - a layer takes in what has a row
                continue
            value = row.reader.from_text(str(raw.value)) if raw.is_text else raw.value
            try:
                reading.fields[group][row.field or name] = row.reader.read(value, folder)
            except MisfitError as err:
                reading.problems.append(_problem(row, key, raw, err.hint))
            else:
                reading.origins[key] = raw.origin
    return reading


def _problem(row: Row, key: str, raw: Raw, hint: str) -> Problem:
    # What stands in the file under this very name needs no telling where.
    source = f"by {raw.source}" if raw.source else ""
    hint = "; ".join(part for part in (hint, source) if part)
    return Problem(where=key, expected=row.reader.expected, got=_got(row, raw.value), hint=hint)


def _got(row: Row, value: object) -> str:
    if not row.is_secret or not isinstance(value, str):
        return MASK if row.is_secret else shown(value)
    return MASK if isinstance(row.default, Secret) else shown(masked_url(value))


def _completed(reading: _Reading, place: _Place) -> Settings:
    fields = reading.fields
    transports = fields["transport"]
    applications = {
        group.partition(".")[2]: _application(values)
        for group, values in fields.items()
        if group.startswith("application.")
    }
    return Settings(
        path=place.path,
        folder=place.folder,
        applications=MappingProxyType(applications),
        smtp=_relay(fields["smtp"]),
        relays=MappingProxyType(
            {
                group.partition(".")[2]: _relay(values)
                for group, values in fields.items()
                if group.startswith("relays.")
            }
        ),
        directory=_made(sections.DirectorySettings, fields["directory"]),
        ldap=_made(sections.LdapSettings, fields["ldap"]),
        outbox=_outbox(fields["outbox"], place.folder),
        delivery=_made(sections.DeliverySettings, fields["delivery"]),
        retention=_made(sections.RetentionSettings, fields["retention"]),
        transport=_made(sections.TransportSettings, _only(transports, is_default=True)),
        transports=MappingProxyType(_only(transports, is_default=False)),
        guard=_made(sections.Guard, fields["guard"]),
        templates=_made(sections.TemplateSettings, fields["templates"]),
        errors=_made(sections.ErrorSettings, fields["errors"]),
    )


def _made(section: type[_SectionT], values: Mapping[str, object]) -> _SectionT:
    # The rows have checked every value; a test holds the table and the fields together.
    return section(**values)


def _application(values: Mapping[str, object]) -> sections.Application:
    application = _made(sections.Application, values)
    if "sender" in values:
        return application
    try:
        address = parse_address(f"envoi@{host_of(application.base_url)}", is_local_allowed=True)
    except AddressError:  # no base URL, or one whose host is an IP address
        return application
    return replace(application, sender=Mailbox(address))


def _only(transports: Mapping[str, object], *, is_default: bool) -> dict[str, str]:
    return {
        name: str(value) for name, value in transports.items() if (name == DEFAULT) is is_default
    }


def _relay(values: Mapping[str, object]) -> sections.Smtp:
    smtp = _made(sections.Smtp, values)
    if "tls" not in values and is_loopback(smtp.host):
        smtp = replace(smtp, tls="none")
    if "port" not in values:
        smtp = replace(smtp, port=465 if smtp.tls == "tls" else 25)
    return with_provider(smtp)


def _outbox(values: Mapping[str, object], folder: Path) -> sections.OutboxSettings:
    outbox = _made(sections.OutboxSettings, values)
    url = outbox.url or f"sqlite:///{folder / DEFAULT_DATABASE}"
    return replace(outbox, url=url, spool=folder / outbox.spool)


def _finished(
    settings: Settings, origins: Mapping[str, str], layers: tuple[Layer, Layer], place: _Place
) -> Settings:
    document, environment = layers
    names = {*document.senders, *environment.senders}
    # In the file's order: the order of senders is the order in which they speak.
    order = [*document.senders, *sorted(names - {*document.senders})]
    senders = {
        name: MappingProxyType(
            {**document.senders.get(name, {}), **environment.senders.get(name, {})}
        )
        for name in order
    }
    settings = replace(settings, senders=MappingProxyType(senders))
    where_set = {**origins, **document.sender_origins, **environment.sender_origins}
    return replace(
        settings,
        warnings=(
            *document.warnings,
            *warnings_of(settings, in_file=_secrets_in_file(settings, origins, place)),
        ),
        entries=entries_of(settings, where_set),
        notes=tuple(document.notes),
    )


def _secrets_in_file(settings: Settings, origins: Mapping[str, str], place: _Place) -> str:
    """Return the key of a secret that stands in the settings file itself; empty when none does."""
    if place.path is None:
        return ""
    urls = {"outbox.url": settings.outbox.url, "directory.url": settings.directory.url}
    secrets = [
        *(label(group, name) for group, name, row, _ in cells_of(settings) if row.is_secret
          and isinstance(row.default, Secret)),
        *(key for key, url in urls.items() if has_credentials(url)),
    ]  # fmt: skip
    # A key of an ini is named behind the file: `my.ini: smtp_password`.
    places = {key: origins.get(key, "").partition(": ")[0] for key in secrets}
    return next((key for key in secrets if places[key] == place.origin), "")
