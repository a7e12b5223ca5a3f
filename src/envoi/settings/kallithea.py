"""This room reads a Kallithea's ini: every key that concerns mail, by its own name.

`KEYS` says what becomes of each, for the notes of `envoi config import` and for the page "Coming
from Kallithea", which a test holds equal to it. Empty values are "not set" throughout: Kallithea's
own file is full of them. What a setting may hold is the table's to say, as for any other source.
"""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from envoi.settings import imported, readers
from envoi.settings import kallithea_values as values
from envoi.settings.imported import Import
from envoi.settings.layers import Layer, Raw
from envoi.settings.pastedeploy import read_ini
from envoi.settings.secret import masked_url
from envoi.settings.sections import Note

TYPE_HEADER = "X-Kallithea-Notification-Type"
# What people's filters know; "message: another type of email".
TYPE_VALUES = ["pull_request", "pull_request_comment", "cs_comment", "registration", "message"]
ERROR_PREFIX = "WebApp Error:"
CELERY = "celery."
LOGGER = "logger_kallithea"
# What only keys about mail begin with.
MAIL_BEGINNINGS = ("smtp_", "email_", "mail_", "app_email", "error_email", "trace_errors.")
SECRETS = frozenset({"smtp_password", "trace_errors.smtp_password"})
_VERIFIED = "the relay's certificate is verified; an authority of your own: envoi.smtp.ca_file"


@dataclass(frozen=True, slots=True)
class Key:
    """What becomes of one key.

    Args:
        name: In the ini.
        target: The key here that it decides; empty when it decides none.
        became: What the note and the page say beside the target.
    """

    name: str
    target: str
    became: str = ""

    @property
    def note(self) -> Note:
        """The note for a file that sets it."""
        words = "; ".join(part for part in (self.target, self.became) if part)
        return Note(key=self.name, became=words, target=self.target)


KEYS: tuple[Key, ...] = (
    Key("app_email_from", "application.from", "without an address: kallithea@ your host"),
    Key("email_prefix", "application.prefix"),
    Key("email_to", "application.fallback", "and errors.to"),
    Key("error_email_from", "errors.from"),
    Key("smtp_server", "smtp.host", "host:port is understood"),
    Key("smtp_port", "smtp.port"),
    Key("smtp_username", "smtp.username"),
    Key("smtp_password", "smtp.password", "an empty one still signs in"),
    Key("smtp_use_ssl", "smtp.tls", f"true is tls; {_VERIFIED}"),
    Key("smtp_use_tls", "smtp.tls", f"true is starttls, never less; {_VERIFIED}"),
    Key("smtp_auth", "smtp.auth", "PLAIN, LOGIN and CRAM-MD5"),
    Key("use_celery", "", "not needed: mail is stored at once and sent by `envoi work`"),
    Key("celery.*", "", "not needed: mail is stored at once and sent by `envoi work`"),
    Key("canonical_url", "application.base_url", "begins every link, and names the threads' host"),
    Key("sqlalchemy.url", "directory.url", "users, addresses and administrators, read only"),
    Key("app_instance_uuid", "", "Kallithea's own: it makes the tokens of reset links"),
    Key("debug", "errors.enabled", "true: errors are not mailed"),
    Key("trace_errors.enable", "errors.enabled"),
    Key("trace_errors.from_address", "errors.from", "else error_email_from"),
    Key("trace_errors.error_email", "errors.to", "else email_to"),
    Key("trace_errors.error_subject_prefix", "errors.subject_prefix", f"else {ERROR_PREFIX}"),
    Key("trace_errors.dump_request", "errors.dump_request"),
    Key("trace_errors.dump_request_size", "errors.dump_request_size"),
    Key("trace_errors.dump_local_frames", "errors.dump_local_frames"),
    Key("trace_errors.dump_local_frames_count", "errors.dump_local_frames_count"),
    *(
        Key(f"trace_errors.{name}", "", f"not needed: error mail uses {name} as all mail does")
        for name in ("smtp_server", "smtp_port", "smtp_username", "smtp_password", "smtp_use_tls")
    ),
    Key("i18n.lang", "application.locale", "for readers whose language is not known"),
    Key("i18n.enabled", "", "not needed: nobody's browser decides in which language others read"),
    Key("[logger_kallithea] level", "", "Envoi logs as --log-level or ENVOI_LOG_LEVEL says"),
)
_NOTES = MappingProxyType({key.name: key.note for key in KEYS})
_NAMES = frozenset(_NOTES) - {"celery.*", "[logger_kallithea] level"}


def kallithea_layer(path: Path) -> Layer:
    """Return what a Kallithea's ini says.

    Raises:
        SettingsError: The file cannot be read as such; names the line where there is one.
    """
    ini = Import(read_ini(path), SECRETS)
    _take_application(ini)
    _take_relay(ini)
    _take_sign_in(ini)
    _take_errors(ini)
    _take_directory(ini)
    ini.take_own()
    _explain_the_rest(ini)
    imported.warn_of_misspelt(ini, _NAMES, MAIL_BEGINNINGS)
    imported.warn_of_misplaced(ini, _NAMES, (*MAIL_BEGINNINGS, "canonical_url"))
    return ini.close(_NOTES)


def _take_application(ini: Import) -> None:
    ini.put_own_way("application.name", "Kallithea")
    ini.put_own_way("application.type_header", TYPE_HEADER)
    ini.put_own_way("application.type_values", TYPE_VALUES)
    ini.put("application.base_url", ini.text("canonical_url"), "canonical_url")
    ini.put("application.prefix", ini.text("email_prefix"), "email_prefix")
    ini.put("application.locale", ini.text("i18n.lang"), "i18n.lang")
    _put_addresses(ini, "application.fallback", "email_to")
    _take_sender(ini)


def _take_sender(ini: Import) -> None:
    key, host = "app_email_from", values.sender_host(ini.text("canonical_url"))
    text = ini.text(key)
    mailbox = values.sender(text, host) if text else f"kallithea@{host}"
    if "@" not in text and "<" not in text:
        got = f"the name {ini.shown(key)} alone" if text else "none"
        ini.warn(key, "an address to send from", got, f"mail comes from {mailbox}")
    if text:
        ini.put("application.from", mailbox, key)
    else:
        ini.put_own_way("application.from", mailbox)


def _put_addresses(ini: Import, target: str, key: str) -> None:
    if found := ini.addresses(key):
        ini.put(target, found, key)


def _take_relay(ini: Import) -> None:
    host, port = values.host_and_port(ini.text("smtp_server"))
    ini.put("smtp.host", host, "smtp_server")
    own_port = ini.text("smtp_port")
    if port and own_port and port != own_port:
        hint = f"smtp_port = {own_port} counts"
        ini.warn("smtp_server", "the port once", f"{port} behind the host", hint)
    key = "smtp_port" if own_port else "smtp_server"
    ini.put("smtp.port", own_port or port, key)
    _take_tls(ini)
    _take_mechanisms(ini)


def _take_tls(ini: Import) -> None:
    with_ssl = ini.flag("smtp_use_ssl", otherwise=False)
    with_starttls = ini.flag("smtp_use_tls", otherwise=False)
    for key in ("smtp_use_ssl", "smtp_use_tls"):
        if ini.text(key):
            ini.note(key, "off; the other key says what smtp.tls is")
    if with_ssl and with_starttls:
        hint = "TLS from the first byte it is; a relay cannot do both"
        ini.warn("smtp_use_tls", "false beside smtp_use_ssl", "true", hint)
        ini.note("smtp_use_tls", "not used: smtp_use_ssl counts")
    if with_ssl:
        _put_tls(ini, "tls", "smtp_use_ssl", _VERIFIED)
    elif with_starttls:
        _put_tls(ini, "starttls", "smtp_use_tls", _VERIFIED)
    else:
        key = "smtp_use_tls" if ini.is_given("smtp_use_tls") else "smtp_server"
        _put_tls(ini, "none", key, "mail is sent unencrypted, a password only where TLS is on")


def _put_tls(ini: Import, tls: str, key: str, told: str) -> None:
    ini.put("smtp.tls", tls, key)
    if key != "smtp_server":
        ini.note(key, f'smtp.tls = "{tls}"; {told}', "smtp.tls")


def _take_mechanisms(ini: Import) -> None:
    words = ini.text("smtp_auth").replace(",", " ").upper().split()
    known = [word for word in words if word in readers.MECHANISMS]
    others = [word for word in words if word not in readers.MECHANISMS]
    if known and others:
        hint = f"Envoi signs in by {', '.join(known)}"
        ini.warn("smtp_auth", ", ".join(readers.MECHANISMS), ini.shown("smtp_auth"), hint)
    # Without any that is known the row refuses them, and names what is.
    if words:
        ini.put("smtp.auth", known or others, "smtp_auth")


def _take_sign_in(ini: Import) -> None:
    name = ini.text("smtp_username")
    ini.put("smtp.password", ini.text("smtp_password"), "smtp_password")
    if not name:
        return
    if ini.is_given("smtp_password"):
        ini.put("smtp.username", name, "smtp_username")
        if not ini.text("smtp_password"):
            ini.note("smtp_password", "empty: it signs in all the same, as in Kallithea")
    else:
        # As Kallithea does: an empty password is one, a missing one is none.
        hint = "nobody signs in; for an empty password write smtp_password ="
        ini.warn("smtp_username", "smtp_password beside it", "no such key", hint)
        ini.note("smtp_username", "not used: there is no smtp_password beside it")


def _take_errors(ini: Import) -> None:
    trace = "trace_errors."
    is_debugging = ini.flag("debug", otherwise=False)
    is_wanted = ini.flag(f"{trace}enable", otherwise=True)
    if ini.text("debug") and not is_debugging:
        ini.note("debug", "errors are mailed")
    if is_debugging:
        ini.put("errors.enabled", value=False, key="debug")
    elif ini.text(f"{trace}enable"):
        ini.put("errors.enabled", is_wanted, f"{trace}enable")
    key = f"{trace}from_address" if ini.text(f"{trace}from_address") else "error_email_from"
    if sender := ini.text(key):
        host = values.sender_host(ini.text("canonical_url"))
        ini.put("errors.from", values.sender(sender, host), key)
    key = f"{trace}error_email" if ini.text(f"{trace}error_email") else "email_to"
    _put_addresses(ini, "errors.to", key)
    prefix = f"{trace}error_subject_prefix"
    if ini.text(prefix):
        ini.put("errors.subject_prefix", ini.text(prefix), prefix)
    else:
        ini.put_own_way("errors.subject_prefix", ERROR_PREFIX)
    for name in ("dump_request", "dump_local_frames"):
        if ini.text(f"{trace}{name}"):
            ini.put(f"errors.{name}", ini.flag(f"{trace}{name}", otherwise=False), f"{trace}{name}")
    for name in ("dump_request_size", "dump_local_frames_count"):
        ini.put(f"errors.{name}", ini.text(f"{trace}{name}"), f"{trace}{name}")
    _compare_relays(ini)


def _compare_relays(ini: Import) -> None:
    """Warn of a relay that was meant for error mail alone: there is one relay for all mail."""
    for name in ("smtp_server", "smtp_port", "smtp_username", "smtp_password", "smtp_use_tls"):
        key = f"trace_errors.{name}"
        ours, theirs = ini.ini.text(name), ini.ini.text(key)
        is_same = ours == theirs
        if name == "smtp_use_tls":
            is_same = values.boolean(ours or "no") == values.boolean(theirs)
        if theirs and not is_same:
            hint = "error mail goes by the same relay as all other mail"
            ini.warn(key, f"what {name} is", ini.shown(key), hint)


def _take_directory(ini: Import) -> None:
    key = "sqlalchemy.url"
    url = values.database_url(ini.text(key))
    if not url or ini.text("envoi.directory.kind") == "own":
        return
    if not url.lower().startswith(("sqlite", "postgres")):
        hint = (
            "Kallithea's users are read from SQLite or PostgreSQL; else set "
            "envoi.directory.kind = own and keep them with `envoi user import`"
        )
        ini.refuse(key, "sqlite:///FILE or postgresql://...", masked_url(url), hint)
        return
    kind = Raw(value="kallithea", where=key, origin=f"{ini.ini.path.name}: {key}")
    ini.layer.add("directory", "kind", kind)
    ini.put("directory.url", url, key)


def _explain_the_rest(ini: Import) -> None:
    for key in ini.ini.values:
        if key.startswith(CELERY):
            ini.note(key, _NOTES["celery.*"].became)
    if "level" in ini.ini.elsewhere.get(LOGGER, ()):
        ini.note(f"[{LOGGER}] level", _NOTES[f"[{LOGGER}] level"].became)
